"""How much of a parser's code some inputs reach: the share of the lines of its functions."""

import sys
from collections.abc import Iterator
from types import CodeType, FrameType, ModuleType
from typing import Any

from fuzz import loading

ENTRIES = ("__init__", "client", "ddi", "encryption", "ethernet", "image_signature", "pins", "trial")
# what each parser is to reach: the agent's modules, whole, or the functions named
CODE: dict[str, tuple[str, ...]] = {
    "envelope": ("release.envelope", "release.signature"),
    "payload": ("release.policy:choose check apply", "release.demand:__init__", "release.envelope:_payload"),
    "config": ("config:load check _fill fits", *(f"entries.{name}" for name in ENTRIES)),
    "keys": ("release.keys",),
    "record": ("boot.store:__init__ save",),
    "otadata": ("boot.otadata:entries states",),
    "image": ("release.image:check_head", "release.facts", "release.signed:_end"),
    "sector": ("release.sector", "release.p256", "release.signature"),
    "signature": ("release.signature",),
    "p256": ("release.p256",),
    "trust": ("release.trust:_take _install _write _held _modulus", "release.keys"),
    "encryption": ("release.encryption", "release.p256:combine"),
    "swu": ("fleet.swu:envelope _take padded",),
    "engine": ("fleet.ddi:offered _artifact _ask _read _link _in", "fleet.swu:envelope _take padded"),
    "delta": ("install.delta:open fill _gather _take _head _opened _read _make",),
    "glob": ("release.policy:glob",),
    "http": ("net.http", "net.response:headers _read_line open fill _note _chunk read", "net.url"),
    "url": ("net.url",),
    "dns": ("net.names:_ask _addresses",),
    "ntp": ("net.timeserver", "net.clock:believe _set floor"),
    "date": ("net.dates:parse _seconds",),
    "certificate": ("net.dates:validity _utc_time _seconds",),
}


def _functions(code: CodeType) -> Iterator[CodeType]:
    for part in code.co_consts:
        if isinstance(part, CodeType):
            yield part
            yield from _functions(part)


def _wanted(name: str) -> dict[str, set[int]]:
    # file -> lines in the functions that the parser is to reach
    wanted: dict[str, set[int]] = {}
    for entry in CODE[name]:
        module, _, chosen = entry.partition(":")
        path = loading.ROOT / "device" / "ota" / (module.replace(".", "/") + ".py")
        for code in _functions(compile(path.read_text(), str(path), "exec")):
            if not chosen or code.co_name in chosen.split():
                lines = {line for *_, line in code.co_lines() if line and line != code.co_firstlineno}
                wanted.setdefault(str(path), set()).update(lines)
    return wanted


def reached(name: str, inputs: list[bytes]) -> float:
    """The share of the lines, 0 to 1."""
    wanted = _wanted(name)
    seen: dict[str, set[int]] = {path: set() for path in wanted}

    def local(frame: FrameType, event: str, argument: Any) -> Any:
        seen[frame.f_code.co_filename].add(frame.f_lineno)
        return local

    def enter(frame: FrameType, event: str, argument: Any) -> Any:
        return local(frame, event, argument) if frame.f_code.co_filename in seen else None

    with loading.in_place() as parsers:
        sys.settrace(enter)
        try:
            _run(parsers, name, inputs)
        finally:
            sys.settrace(None)
    whole = sum(len(lines) for lines in wanted.values())
    return sum(len(seen[path] & lines) for path, lines in wanted.items()) / whole


def _run(parsers: ModuleType, name: str, inputs: list[bytes]) -> None:
    for data in inputs:
        try:
            parsers.outcome(parsers.PARSERS[name], data)
        except Exception as e:
            print(f"{name}: {e!r} of {data[:40]!r}", file=sys.stderr)
