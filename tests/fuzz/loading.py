"""The agent's code in CPython, with MicroPython's modules as far as parsers need them."""

import calendar
import datetime
import importlib
import importlib.util
import json
import sys
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
AGENT = ROOT / "device" / "ota"
CORPUS = Path(__file__).parent / "corpus"
_NTP = ROOT / "host" / "vboard" / "chip" / "shims" / "_vb_ntp.py"
_SINCE_2000 = 946684800  # an ESP32 counts from there
_ROOMS = ("boot", "entries", "fleet", "net", "release")
_ALONE = ("config", "install.delta")  # of other rooms
_agent: dict[str, ModuleType] = {}


class _DeflateIO:
    """MicroPython's, of raw deflate, as far as the agent uses it."""

    def __init__(self, stream: Any, form: int, bits: int) -> None:
        self._way, self._left = zlib.decompressobj(-bits), stream.read()

    def readinto(self, view: memoryview) -> int:
        done = 0
        while done < len(view):
            part = self._way.decompress(self._left, len(view) - done)
            self._left = self._way.unconsumed_tail
            if not part:
                break
            view[done : done + len(part)] = part
            done += len(part)
        return done


def _mktime(parts: tuple[int, ...]) -> int:
    # With days and seconds that run over, as MicroPython has it.
    year, month, day, hour, minute, second = parts[:6]
    days = datetime.date(year, month, 1).toordinal() - datetime.date(2000, 1, 1).toordinal() + day - 1
    return ((days * 24 + hour) * 60 + minute) * 60 + second


def _gmtime(seconds: int) -> tuple[int, ...]:
    found = time.gmtime(seconds + _SINCE_2000)
    assert calendar.timegm(found) == seconds + _SINCE_2000
    return (*found[:6], found.tm_wday, found.tm_yday)


def _const(value: Any) -> Any:
    return value


def _module(name: str, **members: Any) -> ModuleType:
    made = ModuleType(name)
    vars(made).update(members)
    return made


def _stubs() -> dict[str, ModuleType]:
    spec = importlib.util.spec_from_file_location("ntptime", _NTP)
    assert spec and spec.loader
    ntp = importlib.util.module_from_spec(spec)
    vars(ntp)["const"] = _const  # a word of the language there
    machine = _module("machine")
    stubs = {
        "micropython": _module("micropython", const=_const),
        "machine": machine,
        "deflate": _module("deflate", DeflateIO=_DeflateIO, RAW=1),
        "network": _module("network"),
        "tls": _module("tls"),
        "esp32": _module("esp32", NVS=SimpleNamespace, Partition=SimpleNamespace),
        "ntptime": ntp,
        "time": _module(
            "time", mktime=_mktime, gmtime=_gmtime, time=lambda: 0, ticks_ms=lambda: 0, ticks_diff=lambda a, b: a - b
        ),
    }
    with _standing_for({"machine": machine}):
        spec.loader.exec_module(ntp)
    return stubs


@contextmanager
def _standing_for(modules: dict[str, ModuleType]) -> Iterator[None]:
    kept = {name: sys.modules.get(name) for name in modules}
    sys.modules.update(modules)
    try:
        yield
    finally:
        for name, module in kept.items():
            if module is None:
                del sys.modules[name]
            else:
                sys.modules[name] = module


def seeds(name: str, corpus: Path = CORPUS) -> list[bytes]:
    """The inputs that are kept for a parser, each once."""
    return [path.read_bytes() for path in sorted((corpus / name).glob("*"))] if (corpus / name).is_dir() else []


def load() -> ModuleType:
    """tests/fuzz/parsers.py with all parsers in it, on the agent of this checkout; it trusts the keys of the seeds."""
    if not _agent:
        with _standing_for({"ota": _module("ota", __path__=[str(AGENT)]), **_stubs()}):
            parsers = importlib.import_module("fuzz.parsers")
            importlib.import_module("fuzz.network")
            importlib.import_module("fuzz.vouched")
            importlib.import_module("fuzz.engines")
            for path in sorted(AGENT.glob("*/*.py")):  # all at once, while what they import is there
                if path.parent.name in _ROOMS:
                    importlib.import_module(f"ota.{path.parent.name}.{path.stem}".removesuffix(".__init__"))
            for name in _ALONE:
                importlib.import_module("ota." + name)
            _agent.update({name: module for name, module in sys.modules.items() if name.split(".")[0] == "ota"})
        for name in _agent:
            sys.modules.pop(name, None)
        # what is let go is loaded once more: for each input that takes long
        vars(_agent["ota.config"])["_let_go"] = lambda: None
        _trust(parsers)
    return sys.modules["fuzz.parsers"]


def agent(name: str) -> ModuleType:
    """A module of the agent, as "net.url"."""
    load()
    return _agent["ota." + name]


@contextmanager
def in_place() -> Iterator[ModuleType]:
    """The parsers, while the agent's modules are where an import finds them."""
    parsers = load()
    with _standing_for(_agent):
        yield parsers


def _trust(parsers: Any) -> None:
    # `envelope` and `sector` know the keys that signed their seeds, `encryption` the one that opens them: all throw-away.
    told = json.loads((CORPUS.parent / "throwaway.json").read_text())
    parsers.RELEASE_KEYS.update({keyid: int(modulus, 16) for keyid, modulus in told["release"].items()})
    parsers.IMAGE_KEYS.extend(told["image"])
    parsers.DEVICE.append(json.dumps(told["device"]).encode())
