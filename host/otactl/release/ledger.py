"""What was published here, by sequence, as the workspace itself has noted it: published.json, beside releases/.

releases/ is the folder that is served: it may lie on a server, and come back from there as somebody else's who had a key, or
who has only the server. So nothing that lies in it is signed once more, or for the first time, but what this workspace made,
or what the keys that boards trust today vouch for.
"""

import json
from collections.abc import Collection
from hashlib import sha256
from pathlib import Path
from typing import Any

from otactl.errors import ReleaseError, UsageError
from otactl.files import write_atomic
from otactl.release import envelope
from otactl.workspace import dsse, keyring
from otactl.workspace.workspace import Workspace

RELEASE = "release.json"  # in the folder of each release
_MAY_CHANGE = ("trust", "published", "expires")  # when the same release is signed once more


def note(place: Workspace, content: bytes) -> None:
    """This workspace has made a release; under its sequence there is no other. `content`: its payload. Raises UsageError."""
    payload = json.loads(content)
    _write(place, _read(place) | {str(payload["sequence"]): _digest(payload)})


def forget(place: Workspace, sequences: Collection[int]) -> None:
    """Those releases are gone, and nobody signs them anew. Raises UsageError."""
    gone = {str(one) for one in sequences}
    if gone:
        _write(place, {sequence: digest for sequence, digest in _read(place).items() if sequence not in gone})


def begin(place: Workspace) -> None:
    """In a workspace from before this file was kept: note what the keys that boards trust now have signed. Raises UsageError."""
    if not _file(place).exists():
        found = [payload for path in signed_files(place) if (payload := _by_role(place, path))]
        _write(place, {str(payload["sequence"]): _digest(payload) for payload in found})


def require(place: Workspace, payload: dict[str, Any], path: Path) -> None:
    """Raises ReleaseError where this workspace has not made that release, UsageError."""
    if _read(place).get(str(payload.get("sequence"))) != _digest(payload):
        raise ReleaseError(
            f"{path} is not what was published here under sequence {payload.get('sequence')!r}: somebody else has put it there. "
            "Bring back yours, or remove it and publish anew"
        )


def vouched(place: Workspace, path: Path) -> dict[str, Any] | None:
    """The payload of a signed release, None where there is no such file: one that enough of the keys have signed which boards
    trust today, or one of this workspace's own by a key that it ever had. Raises ReleaseError, UsageError.
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return None
    if payload := _by_role(place, path):
        return payload
    try:
        payload = envelope.unseal(data, keyring.known(place))
    except ReleaseError as error:
        raise ReleaseError(
            f"{path}: {error}; if its key's public half was removed from {place.trusted}, put that file back, and "
            "`otactl keys resign`"
        ) from None
    require(place, payload, path)
    return payload


def signed_files(place: Workspace) -> list[Path]:
    """Where signed releases lie: each release's own, then each channel's."""
    return sorted(place.releases.glob(f"*/{RELEASE}")) + sorted(place.releases.glob("*.json"))


def _by_role(place: Workspace, path: Path) -> dict[str, Any] | None:
    role = keyring.release_role(place)
    try:
        content, signatures = dsse.unwrap(path.read_bytes(), envelope.PAYLOAD_TYPE, "release")
        signed = dsse.signed_by(envelope.PAYLOAD_TYPE, content, signatures, role.keys)
        payload = json.loads(content) if len(signed) >= role.threshold else None
    except (ReleaseError, OSError, ValueError):
        return None
    return payload if isinstance(payload, dict) and "sequence" in payload else None


def _digest(payload: dict[str, Any]) -> str:
    kept = {name: value for name, value in payload.items() if name not in _MAY_CHANGE}
    return sha256(envelope.encoded(kept)).hexdigest()


def _file(place: Workspace) -> Path:
    return place.root / "published.json"


def _read(place: Workspace) -> dict[str, str]:
    path = _file(place)
    try:
        raw = json.loads(path.read_text())
        return {str(sequence): str(digest) for sequence, digest in raw.items()}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, AttributeError) as error:
        raise UsageError(f"{path} is damaged ({error}): bring it back; without it no release is signed anew") from None


def _write(place: Workspace, found: dict[str, str]) -> None:
    write_atomic(_file(place), json.dumps(found, indent=1).encode() + b"\n")
