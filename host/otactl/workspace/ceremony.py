"""A trust document on its way to boards, while signatures are missing.

The root keys may lie on several machines, on sticks, in an HSM. So a document that is not signed enough is a file,
keys/trust-N.partial.json, an envelope as the finished one; beside it keys/trust-N.dsse has the exact bytes that a signature
is over (DSSE's pre-authentication encoding).
"""

from collections.abc import Iterable
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import rsa

from otactl.errors import ReleaseError, UsageError
from otactl.files import read_named, write_atomic
from otactl.workspace import dsse, keys, trust
from otactl.workspace.trust import Trust
from otactl.workspace.workspace import Workspace

_WHAT = "trust document"


def partial(place: Workspace) -> Path | None:
    """The document that waits for signatures in this workspace, if one does."""
    return next(iter(sorted(place.trusted.glob("trust-*.partial.json"))), None)


def keep(place: Workspace, sealed: bytes, file: Path | None = None) -> Path:
    """Write it for the next signer: over the file that it came from, or into keys/."""
    version = trust.read(sealed).version
    path = file or place.trusted / f"trust-{version}.partial.json"
    write_atomic(path.with_name(to_sign_name(version)), message(sealed))
    write_atomic(path, sealed)
    return path


def forget(place: Workspace, version: int) -> None:
    """It is finished: the files for its signers go."""
    for name in (f"trust-{version}.partial.json", to_sign_name(version)):
        (place.trusted / name).unlink(missing_ok=True)


def to_sign_name(version: int) -> str:
    """The file with the bytes that a signature of document `version` is over."""
    return f"trust-{version}.dsse"


def message(sealed: bytes) -> bytes:
    """The bytes that a signature is over."""
    return dsse.pae(trust.PAYLOAD_TYPE, dsse.unwrap(sealed, trust.PAYLOAD_TYPE, _WHAT)[0])


def read(file: Path, before: Trust) -> bytes:
    """A document that waits and follows `before`, without signatures that are of no use. Raises UsageError."""
    data = read_named(file)
    try:
        found = trust.read(data)
        content, given = dsse.unwrap(data, trust.PAYLOAD_TYPE, _WHAT)
    except ReleaseError as error:
        raise UsageError(f"{file}: {error}") from None
    if found.product != before.product:
        raise UsageError(f"{file} is for the product {found.product!r}, this workspace is {before.product!r}")
    if found.version != before.version + 1:
        raise UsageError(
            f"{file} is trust document {found.version}, and this workspace has {before.version}: copy keys/trust.json and "
            "releases/trust/ from the machine that has the newest"
        )
    good = dsse.signed_by(trust.PAYLOAD_TYPE, content, given, roots(found, before))
    return dsse.wrap(trust.PAYLOAD_TYPE, content, {name: one for name, one in given if name in good})


def roots(after: Trust, before: Trust) -> dict[str, rsa.RSAPublicKey]:
    """The keys whose signatures count for a document: the root keys of the one before, and its own."""
    return before.of("root") | after.of("root")


def attach(sealed: bytes, raw: bytes, known: Iterable[rsa.RSAPublicKey]) -> bytes:
    """The document with a signature that one of `known` made elsewhere. Raises UsageError where none of them did."""
    content, given = dsse.unwrap(sealed, trust.PAYLOAD_TYPE, _WHAT)
    for key in known:
        if keys.verify(key, raw, message(sealed)):
            return dsse.wrap(trust.PAYLOAD_TYPE, content, dict(given) | {keys.keyid(key): raw})
    version = trust.read(sealed).version
    raise UsageError(
        f"no root key made that signature of trust document {version}: sign the bytes of {to_sign_name(version)} with "
        "RSA-PSS, SHA-256, a salt of 32 bytes"
    )
