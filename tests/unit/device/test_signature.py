"""device/ota/release/signature.py against signatures that `cryptography` makes, and forged ones."""

import hashlib
import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, utils

from .conftest import ReleaseKey, Run, make_release_key

MESSAGE = b"a release"
DIGEST = hashlib.sha256(MESSAGE).digest()

VERIFY = """
    import binascii
    from ota.release import signature
    n = int(args["n"], 16)
    print(json.dumps([
        signature.verify_pss(n, binascii.unhexlify(digest), binascii.unhexlify(sig))
        for digest, sig in args["cases"]
    ]))
"""


def verify(mpy: Run, key: ReleaseKey, *cases: tuple[bytes, bytes]) -> list[bool]:
    pairs = [(digest.hex(), sig.hex()) for digest, sig in cases]
    result: list[bool] = mpy(VERIFY, n=f"{key.modulus:x}", cases=pairs)
    return result


def sign(key: ReleaseKey, digest: bytes = DIGEST, salt: int = 32) -> bytes:
    pss = padding.PSS(padding.MGF1(hashes.SHA256()), salt)
    return key.private.sign(digest, pss, utils.Prehashed(hashes.SHA256()))


def mgf1(seed: bytes, size: int) -> bytes:
    count = range(-(-size // 32))
    return b"".join(hashlib.sha256(seed + i.to_bytes(4, "big")).digest() for i in count)[:size]


def encode(
    change: Callable[[bytearray], None] = lambda db: None,
    trailer: int = 0xBC,
    salt: bytes = bytes(range(32)),
) -> bytes:
    """The encoded message of RFC 8017 9.1.1, with a data block that a test may spoil."""
    h = hashlib.sha256(bytes(8) + DIGEST + salt).digest()
    db = bytearray(318) + b"\x01" + salt
    change(db)
    masked = bytearray(a ^ b for a, b in zip(db, mgf1(h, 351), strict=True))
    masked[0] &= 0x7F
    return bytes(masked) + h + bytes([trailer])


def raw_sign(key: ReleaseKey, encoded: bytes) -> bytes:
    d = key.private.private_numbers().d
    return pow(int.from_bytes(encoded, "big"), d, key.modulus).to_bytes(384, "big")


def test_signatures_of_many_messages_are_good(mpy: Run, release_key: ReleaseKey) -> None:
    seed = random.Random(3)
    digests = [hashlib.sha256(seed.randbytes(n)).digest() for n in range(40)]
    assert all(verify(mpy, release_key, *((d, sign(release_key, d)) for d in digests)))


def test_one_changed_bit_anywhere_is_bad(mpy: Run, release_key: ReleaseKey) -> None:
    good = sign(release_key)
    cases = [(DIGEST, good)]
    for bit in random.Random(4).sample(range(384 * 8), 60):
        changed = bytearray(good)
        changed[bit // 8] ^= 1 << bit % 8
        cases.append((DIGEST, bytes(changed)))
    for bit in random.Random(5).sample(range(256), 20):
        digest = bytearray(DIGEST)
        digest[bit // 8] ^= 1 << bit % 8
        cases.append((bytes(digest), good))
    assert verify(mpy, release_key, *cases) == [True] + [False] * 80


def test_another_key_s_signature_is_bad(mpy: Run, release_key: ReleaseKey, other_key: ReleaseKey) -> None:
    assert verify(mpy, release_key, (DIGEST, sign(other_key))) == [False]


@pytest.mark.parametrize("salt", [0, 20, 31, 33, 64, 222])
def test_only_a_salt_of_32_bytes_will_do(salt: int, mpy: Run, release_key: ReleaseKey) -> None:
    assert verify(mpy, release_key, (DIGEST, sign(release_key, salt=salt))) == [False]


def test_pkcs1_v1_5_is_bad(mpy: Run, release_key: ReleaseKey) -> None:
    sig = release_key.private.sign(MESSAGE, padding.PKCS1v15(), hashes.SHA256())
    assert verify(mpy, release_key, (DIGEST, sig)) == [False]


def _set(index: int, value: int) -> Callable[[bytearray], None]:
    return lambda db: db.__setitem__(index, value)


@pytest.mark.parametrize(
    ("encoded", "good"),
    [
        (encode(), True),
        (encode(trailer=0xCC), False),
        (encode(_set(0, 0x80)), True),  # the bit that is no part of the message
        (encode(_set(0, 0x01)), False),
        (encode(_set(200, 0x01)), False),
        (encode(_set(317, 0x01)), False),
        (encode(_set(318, 0x00)), False),
        (encode(_set(318, 0x02)), False),
        (encode(_set(350, 0xFF)), False),
    ],
    ids=["right", "trailer", "top-bit", "first", "middle", "last", "no-mark", "mark", "salt"],
)
def test_the_encoding_is_checked_to_the_byte(encoded: bytes, good: bool, mpy: Run, release_key: ReleaseKey) -> None:
    assert verify(mpy, release_key, (DIGEST, raw_sign(release_key, encoded))) == [good]


def test_the_encoding_s_top_bit_must_be_clear(mpy: Run, release_key: ReleaseKey) -> None:
    # Only where the modulus is larger than the result can there be such a signature.
    salts = (i.to_bytes(32, "big") for i in range(1000))
    made = (bytes([e[0] | 0x80]) + e[1:] for e in (encode(salt=salt) for salt in salts))
    encoded = next(e for e in made if int.from_bytes(e, "big") < release_key.modulus)
    assert verify(mpy, release_key, (DIGEST, raw_sign(release_key, encoded))) == [False]


def test_lengths_and_range_are_checked(mpy: Run, release_key: ReleaseKey) -> None:
    good = sign(release_key)
    # The signature plus the modulus is the same number to pow(); most are too long for 384 bytes.
    numbers = (int.from_bytes(sign(release_key), "big") for _ in range(1000))
    above = next(m for m in (n + release_key.modulus for n in numbers) if m < 1 << 3072)
    cases = [
        (DIGEST, b""),
        (DIGEST, good[:-1]),
        (DIGEST, good + b"\0"),
        (DIGEST, b"\0" + good),
        (DIGEST, bytes(384)),
        (DIGEST, b"\xff" * 384),
        (DIGEST[:-1], good),
        (b"", good),
        (DIGEST, above.to_bytes(384, "big")),
    ]
    assert not any(verify(mpy, release_key, *cases))


LOAD = """
    from ota.release import keys
    got = attempt(keys.load, args["path"])
    if "ok" in got:
        version, found, threshold = got["ok"]
        got["ok"] = [version, {k: "%x" % v for k, v in found.items()}, threshold]
    print(json.dumps(got))
"""


def test_keys_are_read(mpy: Run, tmp_path: Path, release_key: ReleaseKey, other_key: ReleaseKey) -> None:
    path = tmp_path / "keys.json"
    keys = {k.keyid: f"{k.modulus:0768x}" for k in (release_key, other_key)}
    path.write_text(json.dumps(keys))
    assert mpy(LOAD, path=str(path)) == {"ok": [1, keys, 1]}


SHORT = f"{make_release_key(2048).modulus:x}"
ODD = "f" * 768


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (None, "keys-missing"),
        ("{", "keys-invalid"),
        ("{}", "keys-invalid"),
        ("[]", "keys-invalid"),
        ('"x"', "keys-invalid"),
        ({"00" * 32: 5}, "keys-invalid"),
        ({"00" * 32: ""}, "keys-invalid"),
        ({"00" * 32: "xy"}, "keys-invalid"),
        ({"00" * 32: SHORT}, "keys-invalid"),
        ({"00" * 32: ODD + "ff"}, "keys-invalid"),
        ({"00" * 32: ODD[:-1] + "e"}, "keys-invalid"),
        ({"00" * 31: ODD}, "keys-invalid"),
        ({"00" * 32: ODD}, None),
    ],
)
def test_a_file_of_bad_keys_is_refused_whole(content: Any, code: str | None, mpy: Run, tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    if content is not None:
        path.write_text(content if isinstance(content, str) else json.dumps(content))
    assert mpy(LOAD, path=str(path)).get("code") == code
