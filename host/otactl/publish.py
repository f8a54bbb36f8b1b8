"""Make a release: check the firmware, copy it under releases/, sign, and let the channel point at it last."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

from otactl import envelope, firmware, keys
from otactl.errors import ReleaseError, UsageError
from otactl.files import write_atomic
from otactl.workspace import Workspace

_VERSION = re.compile(r"[0-9A-Za-z][0-9A-Za-z.+_-]{0,31}\Z")
_MAX_INT = 0x7FFFFFFF  # what a board's NVS holds


@dataclass(frozen=True, slots=True)
class Published:
    """What came of it: `notes` for the person, one line a file that was not taken as it is."""

    version: str
    sequence: int
    targets: list[dict[str, Any]]
    notes: list[str]


def publish(
    workspace: Workspace,
    files: list[Path],
    version: str,
    *,
    build: str | None = None,
    security_version: int | None = None,
) -> Published:
    """One target a file, each for another chip; `build` is a glob on sys.implementation._build.

    The security version is that of the release before unless given, and never lower. Raises ReleaseError, UsageError.
    """
    if not _VERSION.match(version):
        raise UsageError(f"version {version!r}: letters, digits and .+_- only, 32 at the most")
    folder = workspace.releases / version
    if folder.exists():
        raise ReleaseError(f"{version} is published already ({folder}): boards may have it, choose another version")
    loaded = [firmware.load(path) for path in files]
    chips = [one.chip for one in loaded]
    if len(set(chips)) < len(chips):
        raise UsageError("two files for the same chip: one release has one image for each")
    key = keys.load(workspace.key_file)
    security = _security_version(workspace, security_version)
    sequence = workspace.next_sequence()
    targets = []
    for one in loaded:
        target: dict[str, Any] = {
            "kind": "firmware",
            "chip": one.chip,
            "url": f"{version}/{one.chip}.bin",
            "size": len(one.app),
            "sha256": sha256(one.app).hexdigest(),
        }
        targets.append(target | ({"build": build} if build else {}))
    sealed = envelope.seal(
        {
            "schema": 1,
            "product": workspace.product,
            "version": version,
            "sequence": sequence,
            "security_version": security,
            "published": datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
            "targets": targets,
        },
        [key],
    )
    workspace.take_sequence(sequence)
    folder.mkdir(parents=True)
    for one in loaded:
        write_atomic(folder / f"{one.chip}.bin", one.app)
    write_atomic(folder / "release.json", sealed)
    write_atomic(workspace.channel_file, sealed)  # last: a board never sees a release without its files
    notes = [f"{path.name}: {one.note}" for path, one in zip(files, loaded, strict=True) if one.note]
    return Published(version, sequence, targets, notes)


def _security_version(workspace: Workspace, asked: int | None) -> int:
    newest = current(workspace)
    before = int(newest["security_version"]) if newest else 0
    if asked is None:
        return before
    if asked < before:
        raise ReleaseError(f"security version {asked} is below the newest release's {before}: boards would refuse it")
    if asked > _MAX_INT:
        raise UsageError(f"security version {asked}: at the most {_MAX_INT}")
    return asked


def current(workspace: Workspace) -> dict[str, Any] | None:
    """The payload of the channel's newest release, its signature checked; None where nothing is published."""
    if not workspace.channel_file.exists():
        return None
    public = keys.load(workspace.key_file).public_key()
    return envelope.unseal(workspace.channel_file.read_bytes(), [public])
