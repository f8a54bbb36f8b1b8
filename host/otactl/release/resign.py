"""Signs what is published anew, when the keys have changed that boards trust."""

from collections.abc import Sequence
from pathlib import Path

from otactl.errors import ReleaseError
from otactl.files import write_together
from otactl.release import channels, envelope
from otactl.workspace import dsse, keyring, trust
from otactl.workspace.workspace import Workspace


def resign(place: Workspace, more_keys: Sequence[Path] = ()) -> list[Path]:
    """Sign each release that is here, and what each channel names, by the newest trust document, which it names from now on.
    Sequence and all else stay: boards that have it have nothing to install.

    The key of this workspace and `more_keys` sign. A signature that is there stays beside theirs where its key may sign yet
    and it is good yet, which it is not where the document was not named before. What no key in the folder keys/ has signed
    is left alone. Returns the files that changed. Raises ReleaseError, UsageError, and nothing has changed.
    """
    with place.publishing():
        role, signers = keyring.release_role(place), keyring.signers(place, more_keys)
        changed: dict[Path, tuple[bytes, int]] = {}
        for path in published(place):
            payload = channels.read(place, path) or {}
            content = envelope.encoded(payload | trust.entry(place))
            before, signatures = dsse.unwrap(path.read_bytes(), envelope.PAYLOAD_TYPE, "release")
            signed = dsse.signed_by(envelope.PAYLOAD_TYPE, content, signatures, role.keys)
            together = envelope.sign(content, signers) | {name: sig for name, sig in signatures if name in signed}
            if before != content or {name for name, _ in signatures} != set(together):
                changed[path] = envelope.wrap(content, together), 0o644
        write_together(changed)
    return list(changed)


def published(place: Workspace) -> list[Path]:
    """The signed files of this workspace's own: each release's, then each channel's. Raises UsageError."""
    every = sorted(place.releases.glob(f"*/{channels.RELEASE}")) + sorted(place.releases.glob("*.json"))
    return [path for path in every if _is_ours(place, path)]


def _is_ours(place: Workspace, path: Path) -> bool:
    try:
        return channels.read(place, path) is not None
    except ReleaseError:
        return False
