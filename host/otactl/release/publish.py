"""Make a release: check the firmware, copy it, sign, and let the channel point at it last."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

from otactl.errors import ReleaseError, UsageError
from otactl.files import write_atomic
from otactl.release import channels, encrypted, envelope, expiry, firmware, ledger, pending
from otactl.release.channels import RELEASE, current
from otactl.release.firmware import Firmware
from otactl.release.sequence import MAX_INT, next_sequence, take_sequence
from otactl.workspace import device_key, keyring, trust
from otactl.workspace.workspace import SETTINGS, Workspace

_VERSION = re.compile(r"[0-9A-Za-z][0-9A-Za-z.+_-]{0,31}\Z")
_MOST_BUILD = 64  # characters; boards read no more


@dataclass(frozen=True, slots=True)
class Published:
    """What came of it: `notes` for the person, a line each: of files that were not taken as they are, of their MicroPython,
    of other releases that wait, of what boards will refuse. `expires`: None for never. `waits`: for so many signatures; until
    then no channel names it.
    """

    version: str
    sequence: int
    targets: list[dict[str, Any]]
    notes: list[str]
    expires: str | None = None
    waits: int = 0


def publish(
    workspace: Workspace,
    files: Sequence[Path],
    version: str | None,
    *,
    build: str | None = None,
    security_version: int | None = None,
    image_key: Path | None = None,
    expires: str | None = None,
    encryption: encrypted.Asked | None = None,
    named: bool = True,
    payload_only: bool = False,
    more_keys: Sequence[Path] = (),
) -> Published:
    """One target a file, each for another chip; `build` is a glob on sys.implementation._build;
    `image_key` a PEM to sign the images themselves with; `expires` as expiry.asked(); `encryption` how boards get them
    encrypted. What is not encrypted does not come into releases/ then.

    Into the channel of `workspace` (see Workspace.on), or, unless `named`, into no channel. `version`: None makes it
    push-SEQUENCE. The security version is that of the release before unless given, and never lower; in a new channel the
    highest of any. `payload_only`: nothing is signed here, the release waits for its signatures (pending.attach), as it does
    where the key of this workspace and `more_keys` are fewer than boards ask for. Nothing is written before everything has
    been checked. Raises ReleaseError, UsageError, RigError.
    """
    if version is not None and not _VERSION.match(version):
        raise UsageError(f"version {version!r}: letters, digits and .+_- only, 32 at the most")
    if build is not None and not 0 < len(build) <= _MOST_BUILD:
        raise UsageError(f"build {build!r}: 1 to {_MOST_BUILD} characters")
    at = datetime.now(UTC)
    until = expiry.asked(expires, at) if expires else None
    loaded = [firmware.for_agent(path, image_key) for path in files]
    chips = [one.chip for one in loaded]
    if len(set(chips)) < len(chips):
        raise UsageError("two files for the same chip: one release has one image for each")
    for path, one in zip(files, loaded, strict=True):
        _require_image_key(workspace, path, one)
    images = encryption.of([one.app for one in loaded]) if encryption else []
    _require_encryption(workspace, images)
    keyring.require_may_sign(workspace, more_keys)
    needed = keyring.release_role(workspace).threshold
    signers = [] if payload_only else keyring.signers(workspace, more_keys, enough=not named)
    with workspace.publishing():
        ledger.begin(workspace)
        sequence = next_sequence(workspace)
        version = version or f"push-{sequence}"
        folder = workspace.releases / version
        if (folder / RELEASE).exists():
            raise ReleaseError(f"{version} is published already ({folder}), boards may have it: choose another version")
        if pending.of(workspace, version):
            raise ReleaseError(
                f"{version} waits for its signature already ({folder}): `otactl attach-signature {version} SIGNATURE`, or "
                "choose another version"
            )
        history = channels.history_of(workspace)
        security = _security_version(workspace, security_version)
        secret: list[encrypted.Encrypted | None] = [*images] or [None] * len(loaded)
        targets = [_target(one, hidden, version, build) for one, hidden in zip(loaded, secret, strict=True)]
        warned = _below(workspace, files, loaded) + _unbounded(workspace, expires)
        content = envelope.encoded(
            {
                "schema": 1,
                "product": workspace.product,
                "version": version,
                "sequence": sequence,
                "security_version": security,
                "published": expiry.text(at),
                "targets": targets,
            }
            | ({"expires": until} if until else {})
            | trust.entry(workspace)
        )
        pending.require_room(content, needed)
        signatures = envelope.sign(content, signers)
        take_sequence(workspace, sequence)
        ledger.note(workspace, content)
        folder.mkdir(parents=True, exist_ok=True)  # may be left by a run that was broken off
        for target, one, hidden in zip(targets, loaded, secret, strict=True):
            write_atomic(workspace.releases / target["url"], hidden.file if hidden else one.app)
        if len(signatures) < needed:
            pending.write(workspace, version, content, signatures)
        else:
            sealed = envelope.wrap(content, signatures)
            write_atomic(folder / RELEASE, sealed)
            if named:
                channels.name(workspace, version, sealed, history)  # last: no release without its files
        others = pending.advice(workspace, version)
    notes = [
        f"{path.name}: {note}"
        for path, one in zip(files, loaded, strict=True)
        for note in (one.note, firmware.advice(one))
        if note
    ]
    notes += [*_advice(workspace, images), *warned, *others]
    return Published(version, sequence, targets, notes, until, needed - len(signatures))


def _target(one: Firmware, hidden: encrypted.Encrypted | None, version: str, build: str | None) -> dict[str, Any]:
    target: dict[str, Any] = {
        "kind": "firmware",
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
    newest = current(workspace) or {"version": "", "targets": []}
    had = {target["chip"]: _secure_version(workspace, target) for target in newest["targets"]}
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


def _unbounded(workspace: Workspace, expires: str | None) -> list[str]:
    newest = current(workspace)
    if expires is None and newest and newest.get("expires"):
        return [f"{newest['version']} expires, this one never does: `otactl releases renew --expires 30d` changes that"]
    return []


def _require_encryption(workspace: Workspace, images: Sequence[encrypted.Encrypted]) -> None:
    # What boards that are told what this workspace tells them would refuse (encryption).
    asked = workspace.board.get("encryption")
    if asked is not None and asked.get("required", True) and not images:
        raise ReleaseError(
            f"the image is not encrypted: boards would refuse it, as [board.encryption] in {SETTINGS} asks for that; "
            "publish it with --encrypt and the public half of their key"
        )


def _advice(workspace: Workspace, images: Sequence[encrypted.Encrypted]) -> list[str]:
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


def _security_version(workspace: Workspace, asked: int | None) -> int:
    newest = current(workspace)
    before = int(newest["security_version"]) if newest else 0
    if asked is None:
        every = [before] if newest else [int(one["security_version"]) for one in channels.named(workspace).values()]
        return max(every, default=0)
    if not 0 <= asked <= MAX_INT:
        raise UsageError(f"--security-version {asked}: a number from 0 to {MAX_INT}")
    if asked < before:
        raise ReleaseError(f"security version {asked} is below the newest release's {before}: boards would refuse it")
    return asked
