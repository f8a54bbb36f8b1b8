"""Deltas of a release: from which images, which are worth it, and what the release says of them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

from otactl.errors import ReleaseError
from otactl.files import write_atomic
from otactl.release import channels, firmware, ledger, targets
from otactl.release.delta import encode
from otactl.release.firmware import Firmware
from otactl.release.history import History
from otactl.workspace.workspace import SETTINGS, Workspace

_LAST = 3  # releases of the channel
_MOST = 0.35  # of the image: beyond that the time to put it together is worth more than the bytes
_MOST_COMPRESSED = 0.8  # the same of the whole image, for boards on a slow link


@dataclass(frozen=True, slots=True)
class Asked:
    """What a person asks `publish` for: deltas from the last releases, and from the images in `files`."""

    files: Sequence[Path] = ()


@dataclass(frozen=True, slots=True)
class Base:
    """An image that boards may run. `name`: for people."""

    name: str
    app: bytes


@dataclass(slots=True)
class Offer:
    """`files` by their address below releases/; `lines`: what each costs, and why others are not there."""

    files: dict[str, bytes] = field(default_factory=dict)
    lines: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def write(self, releases: Path) -> None:
        for address, data in self.files.items():
            write_atomic(releases / address, data)

    def drop(self, made: Sequence[dict[str, Any]]) -> bool:
        """Take the last delta out of the targets `made`, or a compressed image where none is left: boards read no more than so
        much. Whether there was one."""
        for target in reversed(made):
            if target.get("deltas"):
                gone = target["deltas"].pop()
                if not target["deltas"]:
                    del target["deltas"]
                return self._left_out(gone)
        for target in reversed(made):
            if "compressed" in target:
                return self._left_out(target.pop("compressed"))
        return False

    def _left_out(self, gone: dict[str, Any]) -> bool:
        del self.files[gone["url"]]
        self.notes.append(f"{gone['url']} was left out: the release file would be more than boards read")
        return True


def add(
    workspace: Workspace,
    history: History,
    loaded: Sequence[Firmware],
    made: Sequence[dict[str, Any]],
    version: str,
    asked: Asked,
) -> Offer:
    """Give the firmware targets `made`, which are of the images `loaded`, their `deltas` and `compressed` images, where boards
    of the workspace take such.

    Raises ReleaseError, UsageError where a file that a person named is no firmware for any of them.
    """
    offer = Offer()
    named = [(path, firmware.load(path)) for path in asked.files]
    for path, one in named:
        if one.chip not in {image.chip for image in loaded}:
            raise ReleaseError(f"--from {path}: an image for {one.chip}, which the release has none for")
    wanted = bool(workspace.board.get("deltas", True))
    if named and not wanted:
        offer.notes.append(
            f"no deltas: boards of this workspace take none; take `deltas = false` out of {SETTINGS}, [board]"
        )
    for image, target in zip(loaded, made, strict=False):
        if "encryption" in target:
            if named and wanted:
                offer.notes.append(f"no delta for {image.chip}: its image is encrypted, and a delta would show it")
            continue
        if wanted:
            given = [Base(path.name, one.app) for path, one in named if one.chip == image.chip]
            _add_deltas(offer, [*given, *_published(workspace, history, image.chip)], image, target, version)
        if workspace.board.get("compressed"):
            _compress(offer, image, target, version)
    return offer


def _add_deltas(offer: Offer, bases: Sequence[Base], image: Firmware, target: dict[str, Any], version: str) -> None:
    known = {sha256(image.app).digest()}
    for base in bases:
        digest = sha256(base.app).digest()
        if digest not in known:
            known.add(digest)
            _try(offer, base, image, target, version)


def _compress(offer: Offer, image: Firmware, target: dict[str, Any], version: str) -> None:
    made = encode.make(b"", image.app)
    share = len(made.file) / len(image.app)
    if share > _MOST_COMPRESSED:
        offer.lines.append(f"not compressed: it would be {share:.0%} of the image")
        return
    address = f"{version}/{image.chip}.compressed"
    target["compressed"] = _entry(address, made)
    offer.files[address] = made.file
    offer.lines.append(f"compressed: {len(made.file)} bytes, {share:.1%} of the image")


def _entry(address: str, made: encode.Delta) -> dict[str, Any]:
    return {"url": address, "size": len(made.file), "chain": made.chain.hex(), "room": made.room}


def _try(offer: Offer, base: Base, image: Firmware, target: dict[str, Any], version: str) -> None:
    delta = encode.make(base.app, image.app)
    share = len(delta.file) / len(image.app)
    if share > _MOST:
        offer.lines.append(f"no delta from {base.name}: it would be {share:.0%} of the image")
        return
    digest = sha256(base.app).hexdigest()
    address = f"{version}/{image.chip}-{digest[:12]}.delta"
    entry = {"base": digest, "base_size": len(base.app)} | _entry(address, delta)
    target.setdefault("deltas", []).append(entry)
    offer.files[address] = delta.file
    offer.lines.append(f"delta from {base.name}: {len(delta.file)} bytes, {share:.1%} of the image")


def _published(workspace: Workspace, history: History, chip: str) -> Iterator[Base]:
    """What boards most likely run: the last releases of the channel, and what the others name; the newest first."""
    others = [payload["version"] for payload in channels.named(workspace).values()]
    for version in dict.fromkeys([*history.last(workspace.channel, _LAST), *others]):
        for target in _targets(workspace, version):
            path = workspace.releases / target["url"]
            if target["chip"] == chip and "encryption" not in target and path.is_file():
                app = path.read_bytes()
                if sha256(app).hexdigest() == target["sha256"].lower():
                    yield Base(version, app)


def _targets(workspace: Workspace, version: str) -> list[dict[str, Any]]:
    try:
        found = ledger.vouched(workspace, workspace.releases / version / ledger.RELEASE)
    except ReleaseError:  # by somebody else: boards may run anything then
        return []
    return targets.firmwares(found["targets"]) if found else []
