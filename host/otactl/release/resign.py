"""Signs what is published anew, when the keys have changed that boards trust."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import rsa

from otactl.errors import ReleaseError
from otactl.files import write_together
from otactl.release import envelope, ledger
from otactl.workspace import dsse, keyring, trust
from otactl.workspace.workspace import Workspace


@dataclass(frozen=True, slots=True)
class Signed:
    """Files of releases/. `anew`: signed anew; `left`: those that today's keys have to sign, and the private halves are not
    here; `strange`: neither made here nor signed by as many keys as boards trust today. Those stay as they are.
    """

    anew: tuple[Path, ...] = ()
    left: tuple[Path, ...] = ()
    strange: tuple[Path, ...] = ()


def resign(place: Workspace, more_keys: Sequence[Path] = ()) -> Signed:
    """Sign each release that is here, and what each channel names, by the newest trust document, which it names from now on.
    Sequence and all else stay: boards that have it have nothing to install.

    The key of this workspace and `more_keys` sign. A signature that is there stays beside theirs where its key may sign yet
    and it is good yet, which it is not where the document was not named before. What no key in the folder keys/ has signed
    is left alone. Raises ReleaseError, UsageError, and nothing has changed.
    """
    with place.publishing():
        behind, strange = _behind(place)
        if not behind:
            return Signed(strange=strange)
        if not keyring.can_sign(place, more_keys):
            return Signed(left=tuple(behind), strange=strange)
        signers = keyring.signers(place, more_keys)
        changed = {}
        for path, (content, kept) in behind.items():
            changed[path] = envelope.wrap(content, envelope.sign(content, signers) | kept), 0o644
        write_together(changed)
    return Signed(anew=tuple(changed), strange=strange)


def published(place: Workspace) -> list[Path]:
    """The files that a key of this workspace has signed: each release's, then each channel's. Raises UsageError."""
    known = keyring.known(place)
    return [path for path in ledger.signed_files(place) if _is_signed(path, known)]


def _behind(place: Workspace) -> tuple[dict[Path, tuple[bytes, dict[str, bytes]]], tuple[Path, ...]]:
    """What is to be signed: the payload as it is to be, and the signatures that stay good; and what is strange."""
    role = keyring.release_role(place)
    found, strange = {}, []
    for path in published(place):
        try:
            payload = ledger.vouched(place, path) or {}
        except ReleaseError:  # a thief's, who had the key: it must not get a signature of the new one
            strange.append(path)
            continue
        payload.pop("trust", None)
        content = envelope.encoded(payload | trust.entry(place))
        before, signatures = dsse.unwrap(path.read_bytes(), envelope.PAYLOAD_TYPE, "release")
        good = dsse.signed_by(envelope.PAYLOAD_TYPE, content, signatures, role.keys)
        kept = {name: sig for name, sig in signatures if name in good}
        if before != content or len(kept) < role.threshold or len(kept) < len(signatures):
            found[path] = content, kept
    return found, tuple(strange)


def _is_signed(path: Path, known: list[rsa.RSAPublicKey]) -> bool:
    try:
        envelope.unseal(path.read_bytes(), known)
    except (ReleaseError, OSError):
        return False
    return True
