"""device/ota/release/sector.py and p256.py against `espsecure` and `cryptography`, in a real MicroPython."""

import hashlib
import json
import random
import tempfile
import zlib
from pathlib import Path
from typing import Any

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, utils
from imagekeys import SECTOR, ImageKey

from .conftest import ReleaseKey, Run
from .test_signature import sign as pss

Keys = dict[str, tuple[ImageKey, ImageKey, ImageKey]]
BLOCK = 1216
IMAGE = random.Random(1).randbytes(2 * SECTOR)
SCHEMES = ("rsa3072", "ecdsa256")
P = 2**256 - 2**224 + 2**192 + 2**96 - 1
N = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
CURVE = ec.SECP256R1()

CHECK = """
    import hashlib
    from ota import steps
    from ota.release import sector
    found = []
    for number, trusted in enumerate(args["trusted"]):
        data = memoryview(open(args["folder"] + "/%d" % number, "rb").read())
        digest, last = hashlib.sha256(data[:-4096]).digest(), data[-4096:]
        found.append(attempt(lambda: steps.run(sector.check(last, digest, trusted))))
    print(json.dumps(found))
"""
VERIFY = """
    import binascii, time
    from ota import steps
    from ota.release import p256
    found = []
    for x, y, r, s, digest in args["cases"]:
        numbers = [int(n, 16) for n in (x, y, r, s)]
        found.append(steps.run(p256.verify(*numbers, binascii.unhexlify(digest))))
    print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Keys:
    """Three of each scheme."""
    folder = tmp_path_factory.mktemp("image-keys")
    names = [(scheme, [ImageKey(folder, scheme, name) for name in "abc"]) for scheme in SCHEMES]
    return {scheme: (a, b, c) for scheme, (a, b, c) in names}


def check(mpy: Run, *cases: tuple[bytes, list[str]]) -> list[str]:
    """What becomes of each file with those trusted keys: "ok", or the code and its detail."""
    with tempfile.TemporaryDirectory() as folder:
        for number, (data, _) in enumerate(cases):
            Path(folder, str(number)).write_bytes(data)
        found = mpy(CHECK, folder=folder, trusted=[trusted for _, trusted in cases])
    return ["ok" if "ok" in one else f"{one['code']} {one['detail']}" for one in found]


def flipped(data: bytes, at: int, bit: int = 0) -> bytes:
    return data[:at] + bytes([data[at] ^ 1 << bit]) + data[at + 1 :]


def recomputed(data: bytes, block: int = 0) -> bytes:
    """The same with the block's CRC as it should be: what an attacker does."""
    at = len(data) - SECTOR + block * BLOCK
    crc = zlib.crc32(data[at : at + 1196]).to_bytes(4, "little")
    return data[: at + 1196] + crc + data[at + 1200 :]


@pytest.mark.parametrize("scheme", SCHEMES)
def test_what_espsecure_signs_is_good_by_that_key_only(scheme: str, mpy: Run, keys: Keys) -> None:
    ours, other, _ = keys[scheme]
    signed = ours.sign(IMAGE)
    assert check(mpy, (signed, [ours.digest]), (signed, [other.digest, ours.digest]), (signed, [other.digest])) == [
        "ok",
        "ok",
        "image-signature no trusted key",
    ]
    assert (ours.verifies(signed), other.verifies(signed)) == (True, False)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_any_one_of_three_blocks_is_enough(scheme: str, mpy: Run, keys: Keys) -> None:
    a, b, c = keys[scheme]
    signed = c.sign(b.sign(a.sign(IMAGE), append=True), append=True)
    assert len(signed) == len(IMAGE) + SECTOR
    assert all(key.verifies(signed) for key in (a, b, c))
    assert check(mpy, *((signed, [key.digest]) for key in (a, b, c))) == ["ok"] * 3
    # one whose signature is wrong does not spoil another's that is good
    spoiled = recomputed(flipped(signed, len(IMAGE) + SIGNATURE[scheme][0]))
    assert [key.verifies(spoiled) for key in (a, b)] == [False, True]
    assert check(mpy, (spoiled, [a.digest]), (spoiled, [a.digest, b.digest])) == [
        f"image-signature {a.digest[:16]}",
        "ok",
    ]
    # but one that is no block any more does
    assert check(mpy, (flipped(signed, len(IMAGE) + BLOCK + 40), [a.digest])) == ["image-signature damaged"]


def test_blocks_of_both_schemes_may_stand_in_one_sector(mpy: Run, keys: Keys) -> None:
    rsa, point = keys["rsa3072"][0], keys["ecdsa256"][0]
    signed = point.sign(rsa.sign(IMAGE), append=True)
    assert check(mpy, (signed, [rsa.digest]), (signed, [point.digest])) == ["ok", "ok"]


# where, and what it is called with the CRC left as it was, and with a CRC that fits again
FLIPS = [
    (10, "of another image", "of another image"),  # the image
    (len(IMAGE) - 1, "of another image", "of another image"),
    (len(IMAGE), "damaged", "damaged"),  # magic
    (len(IMAGE) + 1, "damaged", "no trusted key"),  # version
    (len(IMAGE) + 2, "damaged", "no trusted key"),
    (len(IMAGE) + 4, "damaged", "of another image"),  # digest
    (len(IMAGE) + 36, "damaged", "no trusted key"),  # the key
    (len(IMAGE) + 100, "damaged", "no trusted key"),
    (len(IMAGE) + 1196, "damaged", None),  # CRC
    (len(IMAGE) + 1215, "damaged", "damaged"),
    (len(IMAGE) + 1216, "damaged", "damaged"),  # the blocks that are not there
    (len(IMAGE) + 2431, "damaged", "damaged"),
    (len(IMAGE) + 3648, "damaged", "damaged"),  # behind all of them
    (len(IMAGE) + 4095, "damaged", "damaged"),
]
SIGNATURE = {"rsa3072": (812, 1000, 1195), "ecdsa256": (101, 132, 133, 164)}  # offsets in a block


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_flipped_bit_is_refused_wherever_it_is(scheme: str, mpy: Run, keys: Keys) -> None:
    key = keys[scheme][0]
    signed = key.sign(IMAGE)
    cases, expected = [], []
    for at, left, mended in FLIPS:
        spoiled = flipped(signed, at, 3)
        cases += [spoiled, recomputed(spoiled)]
        expected += [f"image-signature {left}", "ok" if mended is None else f"image-signature {mended}"]
    for at in SIGNATURE[scheme]:
        spoiled = flipped(signed, len(IMAGE) + at)
        cases += [spoiled, recomputed(spoiled)]
        expected += ["image-signature damaged", f"image-signature {key.digest[:16]}"]
    assert check(mpy, *((data, [key.digest]) for data in cases)) == expected


def test_a_scheme_that_is_not_known_is_no_trusted_key(mpy: Run, tmp_path: Path) -> None:
    for scheme in ("ecdsa192", "ecdsa384"):
        key = ImageKey(tmp_path, scheme)
        signed = key.sign(IMAGE)
        assert key.verifies(signed)
        (found,) = check(mpy, (signed, [key.digest]))
        assert found == "image-signature no trusted key"


# --- P-256


def public(key: ec.EllipticCurvePrivateKey) -> tuple[int, int]:
    numbers = key.public_key().public_numbers()
    return numbers.x, numbers.y


def signed_by(key: ec.EllipticCurvePrivateKey, digest: bytes) -> tuple[int, int]:
    return utils.decode_dss_signature(key.sign(digest, ec.ECDSA(utils.Prehashed(hashes.SHA256()))))


def verify(mpy: Run, *cases: tuple[int, int, int, int, bytes], heap: str = "160k") -> list[bool]:
    found: list[bool] = mpy(VERIFY, heap=heap, cases=[(*(f"{n:x}" for n in one[:4]), one[4].hex()) for one in cases])
    return found


def reference(x: int, y: int, r: int, s: int, digest: bytes) -> bool:
    """The word of `cryptography`."""
    try:
        key = ec.EllipticCurvePublicNumbers(x, y, CURVE).public_key()
        key.verify(utils.encode_dss_signature(r, s), digest, ec.ECDSA(utils.Prehashed(hashes.SHA256())))
    except (InvalidSignature, ValueError):
        return False
    return True


def test_p256_says_what_cryptography_says_of_many_signatures(mpy: Run) -> None:
    seed = random.Random(7)
    cases = []
    for _ in range(12):
        key = ec.derive_private_key(seed.randrange(1, N), CURVE)
        digest = seed.randbytes(32)
        x, y = public(key)
        r, s = signed_by(key, digest)
        change = 1 << seed.randrange(256)
        cases += [
            (x, y, r, s, digest),
            (x, y, r, N - s, digest),  # the other signature that there always is
            (x, y, r ^ change, s, digest),
            (x, y, r, s ^ change, digest),
            (x, y, r, s, (int.from_bytes(digest, "big") ^ change).to_bytes(32, "big")),
            (x, P - y, r, s, digest),
        ]
    expected = [reference(*one) for one in cases]
    assert expected == [True, True, False, False, False, False] * 12
    assert verify(mpy, *cases) == expected


def forged(d: int, u1: int, u2: int) -> tuple[int, int, int, int, bytes]:
    """A case whose sum is u1 G + u2 Q for Q = d G, right if that is a point: r, s and the digest are made to fit."""
    x, y = public(ec.derive_private_key(d, CURVE))
    total = (u1 + u2 * d) % N
    r = public(ec.derive_private_key(total, CURVE))[0] % N if total else 1
    s = r * pow(u2, -1, N) % N
    return x, y, r, s, (u1 * s % N).to_bytes(32, "big")


@pytest.mark.parametrize(
    ("case", "good"),
    [
        (forged(1, 5, 7), True),  # Q is G
        (forged(N - 1, 5, 7), True),  # Q is -G: G + Q is the point at infinity
        (forged(N - 1, 7, 7), False),  # so is the sum
        (forged(2, N - 2, 1), False),
        (forged(2, 2, 1), True),  # 2 G + Q: a point added to itself
        (forged(3, 0, 1), True),  # the digest is 0
        (forged(3, 1, N - 1), True),
        (forged(12345, N - 1, N - 1), True),
    ],
    ids=["G", "-G", "-G-infinity", "infinity", "doubled", "digest-0", "one", "largest"],
)
def test_p256_where_the_formulas_have_their_exceptions(case: Any, good: bool, mpy: Run) -> None:
    assert reference(*case) == good
    assert verify(mpy, case) == [good]


def test_p256_refuses_numbers_out_of_range_and_keys_off_the_curve(mpy: Run) -> None:
    key = ec.derive_private_key(0xC0FFEE, CURVE)
    digest = hashlib.sha256(b"an image").digest()
    (x, y), (r, s) = public(key), signed_by(key, digest)
    cases = [
        (x, y, 0, s, digest),
        (x, y, r, 0, digest),
        (x, y, 0, 0, digest),
        (x, y, N, s, digest),
        (x, y, r, N, digest),
        (x, y, r + N, s, digest),  # the same number modulo n
        (x, y, r, s + N, digest),
        (x + P, y, r, s, digest),
        (x, y + P, r, s, digest),
        (0, 0, r, s, digest),
        (x, y ^ 1, r, s, digest),
        (x ^ 1, y, r, s, digest),
    ]
    assert verify(mpy, (x, y, r, s, digest), *cases) == [True] + [False] * len(cases)


def test_p256_refuses_a_signature_that_is_good_on_another_curve(mpy: Run) -> None:
    # The formulas never use b: with a digest of 0 the sum is Q itself, whatever curve it is on.
    x, y = 12345, 6789
    assert not reference(x, y, x, x, bytes(32))
    assert verify(mpy, (x, y, x, x, bytes(32))) == [False]


WORK = """
    import binascii, gc, time
    from ota.release import p256, signature
    x, y, r, s, n = [int(text, 16) for text in args["numbers"]]
    digest, sig = binascii.unhexlify(args["digest"]), binascii.unhexlify(args["sig"])
    def timed(f):
        began = time.ticks_us()
        good = f()
        return good, time.ticks_diff(time.ticks_us(), began)
    def point():
        most, steps = 0, p256.verify(x, y, r, s, digest)
        gc.collect()
        base = gc.mem_alloc()
        while True:
            try:
                next(steps)
            except StopIteration as e:
                return e.value, most
            gc.collect()
            most = max(most, gc.mem_alloc() - base)
    def whole():
        steps = p256.verify(x, y, r, s, digest)
        count = 0
        try:
            while True:
                next(steps)
                count += 1
        except StopIteration as e:
            return e.value, count
    print(json.dumps([point(), timed(whole), timed(lambda: signature.verify_pss(n, digest, sig))]))
"""


def test_p256_takes_memory_that_does_not_grow_and_its_time_is_told(mpy: Run, release_key: ReleaseKey) -> None:
    key = ec.derive_private_key(0xBEEF, CURVE)
    digest = hashlib.sha256(b"an image").digest()
    numbers = (*public(key), *signed_by(key, digest), release_key.modulus)
    sig = pss(release_key, digest).hex()
    found = mpy(WORK, heap="48k", numbers=[f"{n:x}" for n in numbers], digest=digest.hex(), sig=sig)
    (good, most), ((again, count), point_us), (rsa_good, rsa_us) = found
    assert (good, again, rsa_good) == (True, True, True)
    print(
        f"\nP-256: {point_us / 1000:.1f} ms in {count} steps, {point_us / rsa_us:.1f} times RSA-3072's; {most} B live"
    )
    assert count >= 32
    assert most <= 2048


@pytest.mark.parametrize(
    ("entry", "outcome"),
    [
        ({"keys": ["AB" * 32]}, {"keys": ["ab" * 32], "required": True, "verify": "board"}),
        (
            {"keys": ["ab" * 32], "required": False, "verify": "publish"},
            {"keys": ["ab" * 32], "required": False, "verify": "publish"},
        ),
        ({}, "image_signature.keys"),
        ({"keys": []}, "image_signature.keys"),
        ({"keys": ["ab" * 31]}, "image_signature.keys[0]"),
        ({"keys": ["ab" * 32, "xy" * 32]}, "image_signature.keys[1]"),
        ({"keys": ["ab" * 32, 5]}, "image_signature.keys[1]"),
        ({"keys": ["ab" * 32], "required": 1}, "image_signature.required"),
        ({"keys": ["ab" * 32], "verify": "never"}, "image_signature.verify"),
        ({"keys": ["ab" * 32], "kyes": 1}, "image_signature.kyes"),
    ],
)
def test_the_configuration_is_checked_to_the_entry(entry: Any, outcome: Any, mpy: Run, tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    path.write_text(json.dumps({"url": "https://host/stable.json", "product": "demo", "image_signature": entry}))
    load = 'from ota import config\nprint(json.dumps(attempt(config.load, args["path"])))\n'
    found = mpy(load, path=str(path))
    assert found.get("detail", found.get("ok", {}).get("image_signature")) == outcome
