"""What a release is made of: firmware for chips, an application, a data partition, all checked, as boards get them."""

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from otactl.errors import ReleaseError, UsageError
from otactl.files import write_atomic
from otactl.release import application, channels, data, encrypted, firmware, reads, targets
from otactl.release.application import Application
from otactl.release.data import Data
from otactl.release.firmware import Firmware
from otactl.workspace import device_key
from otactl.workspace.workspace import SETTINGS, Workspace


@dataclass(frozen=True, slots=True)
class Parts:
    """`files`: that a person named, `loaded`: the firmware in each, `images`: those encrypted, or none at all."""

    files: Sequence[Path]
    loaded: Sequence[Firmware]
    images: Sequence[encrypted.Encrypted]
    program: Application | None
    data: Data | None

    def targets(self, version: str, build: str | None) -> list[dict[str, Any]]:
        """Of a release: firmware first."""
        found = [_target(one, hidden, version, build) for one, hidden in self._shown()]
        for part in (self.program, self.data):
            found += part.targets(version, build) if part else []
        return found

    def write(self, releases: Path, made: Sequence[dict[str, Any]]) -> None:
        """The files of the targets `made`."""
        for target, (one, hidden) in zip(made, self._shown(), strict=False):
            write_atomic(releases / target["url"], hidden.file if hidden else one.app)
        if self.program:
            write_atomic(releases / targets.applications(made)[0]["url"], self.program.packed)
        if self.data:
            write_atomic(releases / targets.datas(made)[0]["url"], self.data.content)

    def notes(self, workspace: Workspace) -> list[str]:
        """What a person should know of them before boards get them."""
        found = [
            f"{path.name}: {note}"
            for path, one in zip(self.files, self.loaded, strict=True)
            for note in (one.note, firmware.advice(one))
            if note
        ]
        if self.program:
            found += self.program.notes
        if self.program and self.images:
            found.append("the application is not encrypted: whoever can fetch the release can read it")
        if self.data:
            found += self.data.notes(workspace)
        if self.data and self.images:
            found.append("the data is not encrypted: whoever can fetch the release can read it")
        return found + _of_encrypted(workspace, self.images) + _below(workspace, self.files, self.loaded)

    def _shown(self) -> list[tuple[Firmware, encrypted.Encrypted | None]]:
        hidden: Sequence[encrypted.Encrypted | None] = self.images or [None] * len(self.loaded)
        return list(zip(self.loaded, hidden, strict=True))


def load(
    workspace: Workspace,
    files: Sequence[Path],
    app: application.Asked | None,
    *,
    partition: data.Asked | None = None,
    image_key: Path | None = None,
    encryption: encrypted.Asked | None = None,
) -> Parts:
    """All that boards of this workspace would refuse is refused. Raises ReleaseError, UsageError, RigError."""
    if not files and app is None and partition is None:
        raise UsageError(
            "nothing to publish: name a firmware file, the folder of an application with --app, or --data NAME=FILE"
        )
    loaded = [firmware.for_agent(path, image_key) for path in files]
    chips = [one.chip for one in loaded]
    if len(set(chips)) < len(chips):
        raise UsageError("two files for the same chip: one release has one image for each")
    for path, one in zip(files, loaded, strict=True):
        _require_image_key(workspace, path, one)
    images = _encrypted(workspace, loaded, encryption)
    program = application.make(app, reads.known(workspace, loaded, app.mpy), chips) if app else None
    held = data.make(partition, chips) if partition else None
    return Parts(files, loaded, images, program, held)


def _target(one: Firmware, hidden: encrypted.Encrypted | None, version: str, build: str | None) -> dict[str, Any]:
    target: dict[str, Any] = {
        "kind": targets.FIRMWARE,
        "chip": one.chip,
        "url": f"{version}/{one.chip}{'.enc' if hidden else ''}.bin",
        "size": len(one.app),
        "sha256": sha256(one.app).hexdigest(),
    }
    target |= {"build": build} if build else {}
    target |= {"signed_by": list(one.signed_by)} if one.signed_by else {}
    return target | ({"encryption": hidden.said()} if hidden else {})


def _require_image_key(workspace: Workspace, path: Path, one: Firmware) -> None:
    # What boards that are told what this workspace tells them would refuse (image-key).
    asked = workspace.board.get("image_signature") or {}
    trusted = {str(digest).lower() for digest in asked.get("keys", [])}
    must = bool(asked) and (asked.get("required", True) or bool(one.signed_by))
    if must and not trusted & set(one.signed_by):
        by = "by " + ", ".join(digest[:16] for digest in one.signed_by) if one.signed_by else "by nobody"
        raise ReleaseError(
            f"{path}: the image itself is signed {by}: boards would refuse it, as [board.image_signature] in "
            f"{SETTINGS} trusts other keys; sign it with --image-key, or `espsecure sign-data --version 2`"
        )


def _below(workspace: Workspace, files: Sequence[Path], loaded: Sequence[Firmware]) -> list[str]:
    """A line for each image whose own secure_version is below that of the newest release's for its chip."""
    newest = channels.current(workspace) or {"version": "", "targets": []}
    had = {target["chip"]: _secure_version(workspace, target) for target in targets.firmwares(newest["targets"])}
    return [
        f"{path.name}: the image's own secure_version is {one.secure_version}, that of {newest['version']} is {had[one.chip]}: "
        "boards that run it refuse this one"
        for path, one in zip(files, loaded, strict=True)
        if one.secure_version < had.get(one.chip, 0)
    ]


def _secure_version(workspace: Workspace, target: dict[str, Any]) -> int:
    if "encryption" in target:  # nobody here can read it
        return 0
    try:
        with (workspace.releases / target["url"]).open("rb") as file:
            return firmware.secure_version(file.read(firmware.HEAD))
    except OSError:  # it lies on another server, or is gone
        return 0


def _encrypted(
    workspace: Workspace, loaded: Sequence[Firmware], how: encrypted.Asked | None
) -> list[encrypted.Encrypted]:
    """The images as boards get them; none where they are not encrypted."""
    if how and not loaded:
        raise UsageError("nothing to encrypt: only firmware is, and an application can be read by whoever fetches it")
    images = how.of([one.app for one in loaded]) if how else []
    # What boards that are told what this workspace tells them would refuse (encryption).
    asked = workspace.board.get("encryption")
    if asked is not None and asked.get("required", True) and loaded and not images:
        raise ReleaseError(
            f"the image is not encrypted: boards would refuse it, as [board.encryption] in {SETTINGS} asks for that; "
            "publish it with --encrypt and the public half of their key"
        )
    return images


def _of_encrypted(workspace: Workspace, images: Sequence[encrypted.Encrypted]) -> list[str]:
    """What is to be known of encrypted images that boards are about to get."""
    found = []
    if images and workspace.board.get("encryption") is None:
        found.append(f"only boards that [board.encryption] has been deployed to take it; {SETTINGS} has no such entry")
    if not all(one.checked for one in images):
        found.append("not opened: that boards come to the image beside it is taken on trust; --device-key checks it")
    if images and workspace.device_key_file.exists():
        ours = device_key.load(workspace.device_key_file).public_key()
        if any(one.public and not device_key.same(one.public, ours) for one in images):
            found.append(
                f"encrypted for another key than {workspace.device_key_file}: boards that have that one refuse it"
            )
    return found
