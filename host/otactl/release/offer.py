"""One release for one board: its signed envelope, and the image that the board asks for."""

from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from otactl.errors import ReleaseError, UsageError
from otactl.release import channels, firmware
from otactl.release.publish import publish
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
        """The file at `url`, an absolute address. Raises ReleaseError where it is not what was signed."""
        for target in self.targets:
            if url.endswith("/" + target["url"]):
                return self._read(target)
        raise ReleaseError(f"the board asks for {url}, which is no file of {self.version}")

    def image_for(self, chip: str) -> bytes:
        """The first image for a chip; empty where there is none. Raises ReleaseError as `image`."""
        fitting = [target for target in self.targets if target["chip"] == chip]
        return self._read(fitting[0]) if fitting else b""

    def _read(self, target: dict[str, Any]) -> bytes:
        path = self.releases / target["url"]
        data = path.read_bytes() if path.is_file() else b""
        if sha256(data).hexdigest() != target["sha256"]:
            raise ReleaseError(f"{path} is missing or not what {self.version} was signed with: bring it back")
        return data


def newest(place: Workspace) -> Offer:
    """What the channel of `place` names. Raises ReleaseError, UsageError."""
    payload = channels.current(place)
    if payload is None:
        raise UsageError(f"{place.channel} names no release yet: name a firmware file, or `otactl publish` one")
    return _offer(place, payload, place.channel_file)


def of_file(place: Workspace, path: Path, version: str | None = None) -> Offer:
    """The release with the firmware in `path`: the newest that has it already, or one made now that no channel names.

    `version`: the name of the one to be made (default: push-SEQUENCE); one of that name is taken only if its
    image is this very one. Raises ReleaseError, UsageError, RigError.
    """
    app = firmware.for_agent(path).app
    digest = sha256(app).hexdigest()
    having = [one for one in channels.releases(place) if digest in [target["sha256"] for target in one.targets]]
    fitting = [one.version for one in having if version in (None, one.version)]
    notes: list[str] = []
    if not fitting:
        made = publish(place, [path], version, named=False)
        fitting, notes = [made.version], made.notes
    sealed = place.releases / fitting[-1] / channels.RELEASE
    payload = channels.read(place, sealed)
    if payload is None:
        raise ReleaseError(f"{sealed} is gone: push again")
    for name, top in channels.named(place).items():  # a channel may name it under a later sequence
        if top["version"] == payload["version"] and top["sequence"] > payload["sequence"]:
            payload, sealed = top, place.on(name).channel_file
    return _offer(place, payload, sealed, tuple(notes))


def _offer(place: Workspace, payload: dict[str, Any], sealed: Path, notes: tuple[str, ...] = ()) -> Offer:
    return Offer(payload["version"], sealed.read_bytes(), payload["targets"], place.releases, notes)
