"""DSSE envelopes: what is signed, who is believed."""

import base64
import json
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from otactl.errors import ReleaseError
from otactl.release import envelope
from otactl.workspace import keys

PAYLOAD = {"schema": 1, "version": "1.0.0"}


@pytest.fixture(scope="module")
def key(made: Path) -> rsa.RSAPrivateKey:
    return keys.load(made / "keys" / "release.pem")


@pytest.fixture(scope="module")
def other(stranger: Path) -> rsa.RSAPrivateKey:
    return keys.load(stranger)


def resealed(sealed: bytes, **changes: object) -> bytes:
    return json.dumps(json.loads(sealed) | changes).encode()


def test_pae_is_that_of_the_dsse_specification() -> None:
    # protocol.md of secure-systems-lab/dsse, its test vector
    given = envelope.pae("http://example.com/HelloWorld", b"hello world")
    assert given == b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"


def test_pae_counts_bytes_not_characters() -> None:
    assert envelope.pae("ü", b"") == "DSSEv1 2 ü 0 ".encode()


def test_a_sealed_payload_is_verified_by_cryptography_from_the_public_key_alone(key) -> None:
    sealed = json.loads(envelope.seal(PAYLOAD, [key]))
    body = base64.b64decode(sealed["payload"])
    kind = sealed["payloadType"].encode()
    key.public_key().verify(
        base64.b64decode(sealed["signatures"][0]["sig"]),
        b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(body), body),
        padding.PSS(padding.MGF1(hashes.SHA256()), salt_length=32),
        hashes.SHA256(),
    )
    assert json.loads(body) == PAYLOAD


def test_one_known_signature_of_several_is_enough(key, other) -> None:
    sealed = envelope.seal(PAYLOAD, [other, key])
    for trusted in ([key.public_key()], [other.public_key()]):
        assert envelope.unseal(sealed, trusted) == PAYLOAD


def test_a_bad_signature_beside_a_good_one_under_the_same_keyid_does_no_harm(key) -> None:
    sealed = json.loads(envelope.seal(PAYLOAD, [key]))
    false = {
        "keyid": sealed["signatures"][0]["keyid"],
        "sig": base64.b64encode(bytes(384)).decode(),
    }
    sealed["signatures"] = [false, *sealed["signatures"], false]
    assert envelope.unseal(json.dumps(sealed).encode(), [key.public_key()]) == PAYLOAD


def test_a_payload_altered_after_signing_is_refused(key) -> None:
    forged = base64.b64encode(json.dumps(PAYLOAD | {"version": "6.6.6"}).encode()).decode()
    sealed = resealed(envelope.seal(PAYLOAD, [key]), payload=forged)
    with pytest.raises(ReleaseError, match="altered"):
        envelope.unseal(sealed, [key.public_key()])


def test_a_signature_by_a_stranger_is_refused(key, other) -> None:
    with pytest.raises(ReleaseError, match="not signed by a key of this workspace"):
        envelope.unseal(envelope.seal(PAYLOAD, [other]), [key.public_key()])


def test_something_else_that_the_key_signed_is_no_release(key) -> None:
    body = json.dumps(PAYLOAD).encode()
    signature = keys.sign(key, envelope.pae("application/other", body))
    sealed = {
        "payload": base64.b64encode(body).decode(),
        "payloadType": "application/other",
        "signatures": [{"keyid": keys.keyid(key.public_key()), "sig": base64.b64encode(signature).decode()}],
    }
    with pytest.raises(ReleaseError, match="application/other"):
        envelope.unseal(json.dumps(sealed).encode(), [key.public_key()])


@pytest.mark.parametrize(
    "damage",
    [
        lambda e: b"",
        lambda e: b"{",
        lambda e: b"[]",
        lambda e: b"\xff\xfe",
        lambda e: resealed(e, payload="%%%"),
        lambda e: resealed(e, payload=5),
        lambda e: resealed(e, signatures=None),
        lambda e: resealed(e, signatures=[{}]),
        lambda e: resealed(e, signatures=["x"]),
    ],
)
def test_damaged_json_is_named(key, damage) -> None:
    with pytest.raises(ReleaseError, match="damaged"):
        envelope.unseal(damage(envelope.seal(PAYLOAD, [key])), [key.public_key()])


def test_a_type_that_is_no_text_is_refused(key) -> None:
    with pytest.raises(ReleaseError):
        envelope.unseal(resealed(envelope.seal(PAYLOAD, [key]), payloadType=[]), [key.public_key()])


def test_an_envelope_larger_than_boards_read_is_not_made(key) -> None:
    with pytest.raises(ReleaseError, match="8192"):
        envelope.seal({"filler": "x" * 6000}, [key])
