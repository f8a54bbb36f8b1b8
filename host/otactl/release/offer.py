"""One release for one board: its signed envelope, and the files that the board asks for."""

from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from otactl.errors import ReleaseError, UsageError
from otactl.release import channels, encrypted, firmware, ledger, parts, targets
from otactl.release.application import Asked
from otactl.release.delta import chain
from otactl.release.publish import Published, publish
from otactl.workspace.workspace import Workspace


@dataclass(frozen=True, slots=True)
class Offer:
    """`envelope`: as a server has it. `targets`: of the payload. `notes`: for the person."""

    version: str
    envelope: bytes
    targets: list[dict[str, Any]]
    releases: Path
    notes: tuple[str, ...] = ()

    def image(self, url: str) -> bytes:
        """The file at `url`, an absolute address: an image, an archive, a delta. Raises ReleaseError where it is not what was
        signed."""
        for target in self.targets:
            if url.endswith("/" + target["url"]):
                return self._read(target)
            for one in target.get("deltas", []):
                if url.endswith("/" + one["url"]):
                    return self._delta(one)
        raise ReleaseError(f"the board asks for {url}, which is no file of {self.version}")

    def is_delta(self, url: str) -> bool:
        """Whether the file at `url` is a delta."""
        return any(url.endswith("/" + one["url"]) for target in self.targets for one in target.get("deltas", []))

    def image_for(self, chip: str) -> bytes:
        """The first image for a chip; empty where there is none. Raises ReleaseError as `image`."""
        fitting = [target for target in targets.firmwares(self.targets) if target["chip"] == chip]
        return self._read(fitting[0]) if fitting else b""

    def _read(self, target: dict[str, Any]) -> bytes:
        return self._signed(target, lambda data: sha256(data).hexdigest() == encrypted.served(target)[1])

    def _delta(self, entry: dict[str, Any]) -> bytes:
        return self._signed(entry, lambda data: chain.is_signed(data, entry))

    def _signed(self, entry: dict[str, Any], is_signed: Callable[[bytes], bool]) -> bytes:
        path = self.releases / entry["url"]
        data = path.read_bytes() if path.is_file() else b""
        if not is_signed(data):
            raise ReleaseError(f"{path} is missing or not what {self.version} was signed with: bring it back")
        return data


def newest(place: Workspace) -> Offer:
    """What the channel of `place` names. Raises ReleaseError, UsageError."""
    payload = channels.current(place)
    if payload is None:
        raise UsageError(f"{place.channel} names no release yet: name a firmware file, or `otactl publish` one")
    return _offer(place, payload, place.channel_file)


def of_file(place: Workspace, path: Path, version: str | None = None) -> Offer:
    """A release with the firmware in `path`: the newest of all if it has it, else one made now, which no channel names.

    `version`: its name (default: that of the newest, push-SEQUENCE for one made now). An older release that has it is
    no use: boards refuse its sequence. Raises ReleaseError, UsageError, RigError.
    """
    digest = sha256(firmware.for_agent(path).app).hexdigest()
    payload, sealed = _highest(place)
    if version in (None, payload.get("version")) and digest in [one["sha256"] for one in payload.get("targets", [])]:
        return _offer(place, payload, sealed)
    return _made(place, publish(place, [path], version, named=False))


def of_folder(place: Workspace, asked: Asked, path: Path | None, version: str | None = None) -> Offer:
    """The same with the application that `asked` names, and with the firmware in `path`, where that is given. Raises
    ReleaseError, UsageError, RigError."""
    files = [path] if path else []
    made_of = parts.load(place, files, asked)
    wanted = {target["sha256"] for target in made_of.targets("", None)}
    payload, sealed = _highest(place)
    if version in (None, payload.get("version")) and wanted == {one["sha256"] for one in payload.get("targets", [])}:
        return _offer(place, payload, sealed)
    return _made(place, publish(place, files, version, app=asked, named=False))


def _highest(place: Workspace) -> tuple[dict[str, Any], Path]:
    """The payload with the highest sequence of all that was signed here, the last of its kind, and its file; empty where
    nothing was."""
    files = [place.releases / one.version / channels.RELEASE for one in channels.releases(place)]
    files += [place.on(name).channel_file for name in channels.named(place)]  # under a later sequence, perhaps
    found = [(payload, path) for path in files if (payload := ledger.vouched(place, path))]
    return max(found, key=lambda one: (int(one[0]["sequence"]), one[0]["published"]), default=({}, place.releases))


def _made(place: Workspace, made: Published) -> Offer:
    sealed = place.releases / made.version / channels.RELEASE
    return Offer(made.version, sealed.read_bytes(), made.targets, place.releases, tuple(made.notes))


def _offer(place: Workspace, payload: dict[str, Any], sealed: Path) -> Offer:
    return Offer(payload["version"], sealed.read_bytes(), payload["targets"], place.releases)
