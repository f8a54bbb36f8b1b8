"""Changes of the authorities by which boards know a server, brought to them by the next trust document.

Where no document can (boards take none, no key is here, the certificates are too many for one) `deploy` does, by cable.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509

from otactl.release import rotation
from otactl.release.rotation import Changed
from otactl.workspace import authorities, dsse, trust
from otactl.workspace.authorities import Authority
from otactl.workspace.workspace import Workspace

_SIGNATURE = 384  # bytes


@dataclass(frozen=True, slots=True)
class Handed:
    """What came of it. `document`: what brings it to boards; None: none does, for the reason `why`, or, where that is empty,
    the one of before has the same."""

    document: Changed | None = None
    why: str = ""


def begin(place: Workspace, with_keys: Sequence[Path] = ()) -> tuple[Authority, Handed]:
    """A new own authority, which boards get to know beside the one of today. Raises UsageError, ReleaseError, and nothing has
    changed."""
    rotation.require_nothing_waits(place)
    made = authorities.begin(place)
    return made, _hand_over(place, authorities.bundle(place), with_keys, lambda: authorities.drop(made))


def keep_root(
    place: Workspace, certificate: x509.Certificate, with_keys: Sequence[Path] = ()
) -> tuple[Authority, Handed]:
    """A public authority's root, which boards get to know too. Raises as begin()."""
    rotation.require_nothing_waits(place)
    known = {one.certificate for one in authorities.held(place)}
    kept = authorities.keep_root(place, certificate)
    undo = (lambda: None) if certificate in known else lambda: authorities.drop(kept)
    return kept, _hand_over(place, authorities.bundle(place), with_keys, undo)


def remove(place: Workspace, name: str, with_keys: Sequence[Path] = ()) -> tuple[Authority, Handed]:
    """Let boards trust an authority no longer: the next document is without it. Raises as begin()."""
    rotation.require_nothing_waits(place)
    gone = authorities.removable(place, name)
    handed = _hand_over(place, authorities.bundle(place, without=gone), with_keys, lambda: None)
    authorities.drop(gone)
    return gone, handed


def publish(place: Workspace, with_keys: Sequence[Path] = ()) -> Handed:
    """Bring boards the authorities of this workspace as they are. Raises as begin()."""
    rotation.require_nothing_waits(place)
    return _hand_over(place, authorities.bundle(place), with_keys, lambda: None)


def by_cable(place: Workspace, bundle: bytes, with_keys: Sequence[Path] = ()) -> str:
    """Why no document can bring boards this ca.pem, in words; empty: one can. Raises UsageError."""
    if place.board.get("trust") is False:
        return "boards of this workspace take no trust documents (trust = false)"
    if rotation.by_cable_only(place, with_keys):
        return "no root key is here"
    size, most = _size_with(trust.current(place), bundle.decode()), trust.MAX_SIZE
    return f"a trust document with these CAs would have {size} bytes, and boards read {most}" if size > most else ""


def _hand_over(place: Workspace, bundle: bytes, with_keys: Sequence[Path], undo: Callable[[], None]) -> Handed:
    try:
        if why := by_cable(place, bundle, with_keys):
            return Handed(why=why)
        before = trust.newest_ca(place)
        if before and authorities.same(before.encode(), bundle):
            return Handed()
        now = trust.current(place)
        return Handed(rotation.change(place, now, now, with_keys, ca=bundle.decode()))
    except BaseException:
        undo()
        raise


def _size_with(now: trust.Trust, ca: str) -> int:
    """The bytes of the next document where it brings these CA certificates, signed by as many as have to. Raises UsageError."""
    after = now.next_version(ca=ca)
    signatures = {f"{number:064x}": bytes(_SIGNATURE) for number in range(after.root.threshold)}
    return len(dsse.wrap(trust.PAYLOAD_TYPE, trust.content(after), signatures))
