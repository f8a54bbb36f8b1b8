"""A release as one .swu file, the form in which fleet engines take it (docs/fleet-engines.md).

Engines read its first member and pass the rest on: `sw-description` says for whom it is, `release.json` is the signed envelope,
which is all that boards believe. The files that the release names may follow, in its order and by its names; without them
boards fetch them from the server as ever. Source: cpio(5), "New ASCII Format"; libconfig; swupdate's doc/source/swupdate.rst.
"""

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from otactl.errors import ReleaseError, UsageError
from otactl.files import write_atomic
from otactl.release import archive, channels, ledger
from otactl.workspace.workspace import Workspace

_VERSION = re.compile(r"[0-9]+(\.[0-9]+){0,3}([-+][0-9A-Za-z.+-]+)?\Z")  # what engines order by
_CHIPS = ("esp32", "esp32s2", "esp32s3", "esp32c2", "esp32c3", "esp32c5", "esp32c6", "esp32p4")  # of files for any chip


@dataclass(frozen=True, slots=True)
class Swu:
    """`url`: where boards and engines find it on the workspace's server."""

    path: Path
    url: str
    version: str
    size: int


def of(place: Workspace, version: str) -> Swu:
    """The file that write() has made of that release. Raises UsageError where there is none."""
    path = place.releases / f"{name_of(place.product)}-{version}.swu"
    if not path.is_file():
        raise UsageError(
            f"no {path}: `otactl publish --swu` writes it with the release, `otactl engine push` by itself"
        )
    return Swu(path, f"{place.url.rstrip('/')}/{path.name}", version, path.stat().st_size)


def require_version(version: str) -> None:
    """Raises UsageError where engines do not take it."""
    if not _VERSION.match(version):
        raise UsageError(f"version {version!r}: engines put versions in order, so numbers with dots are needed: 1.2.0")


def write(place: Workspace, version: str, *, with_files: bool = False) -> Swu:
    """Beside the channels, so that the addresses in the release mean the same there. `with_files`: for boards that reach the
    engine alone. Raises ReleaseError, UsageError."""
    require_version(version)
    channels.release(place, version)
    newest = channels.current(place)
    renewed = newest is not None and newest["version"] == version  # perhaps, and sealed anew
    envelope = place.channel_file if renewed else place.releases / version / ledger.RELEASE
    payload = ledger.vouched(place, envelope)
    if payload is None:
        raise ReleaseError(f"{version} is not signed yet: `otactl attach-signature {version}`")
    members = {"sw-description": description(payload), ledger.RELEASE: envelope.read_bytes()}
    parts = [archive.member(name, data) for name, data in members.items()]
    for target in payload["targets"] if with_files else ():
        parts.append(archive.member(target["url"], (place.releases / target["url"]).read_bytes()))
    path = place.releases / f"{name_of(place.product)}-{version}.swu"
    write_atomic(path, b"".join([*parts, archive.member(archive.TRAILER, b"")]))
    return of(place, version)


def description(payload: dict[str, Any]) -> bytes:
    """For whom the release is, as a board says who it is: chip and product."""
    named = {target.get("chip") for target in payload["targets"]}
    chips = _CHIPS if None in named else sorted(str(chip) for chip in named)
    product = json.dumps(payload["product"], ensure_ascii=False)  # libconfig's quotes are the same
    lines = [f"  {chip}: {{ hardware-compatibility: [ {product} ]; }};" for chip in chips]
    return "\n".join(["software =", "{", f'  version = "{payload["version"]}";', *lines, "};", ""]).encode()


def name_of(product: str) -> str:
    """A product as part of a file's name."""
    return re.sub(r"[^0-9A-Za-z._-]", "-", product)
