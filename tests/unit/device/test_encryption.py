"""Encrypted images: headers and blocks in a real MicroPython, of files that an independent writer made (tests/devicekeys.py)."""

import base64
import json
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import devicekeys
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from devicekeys import HEADER, SCHEMES, DeviceKey
from vboard.flash.images import build_app

Run = Callable[..., Any]
APP = build_app("esp32", size=12_345) + b"tail!"  # which ends within a sector, and within a block of AES
SECTOR = 4096

OPEN = """
from ota import steps
from ota.release import encryption
out = []
for file, target, required in args["cases"]:
    open("device.json", "w").write(file)
    found = attempt(lambda: steps.run(encryption.opened({"required": required, "key": "device.json"}, target)))
    out.append(found["code"] + " " + found["detail"] if "code" in found else [bytes(one).hex() for one in found["ok"] or ()])
print(json.dumps(out))
"""
DECRYPT = """
import binascii, hashlib
from ota import steps
from ota.install.decrypt import Decrypted
class File:
    # a server's answer: from the byte that was asked for on, or all of it
    etag, ended, size = None, False, 0
    def __init__(self):
        self.data = open("file.bin", "rb")
    def open(self, offset, etag):
        self.offset = offset if args["ranges"] else 0
        self.data.seek(self.offset)
        return
        yield
    def fill(self, buf, have, want):
        want = min(want, have + args["piece"])
        got = self.data.readinto(memoryview(buf)[have:want])
        self.offset += got
        return have + got
    def close(self):
        self.data.close()
file = File()
source = Decrypted(file, binascii.unhexlify(args["key"]), binascii.unhexlify(args["iv"]))
block = memoryview(bytearray(args["block"]))
def read(start, size):
    steps.run(source.open(start, None))
    digest, done = hashlib.sha256(), source.offset if source.offset > 0 else 0
    while done < size:
        want = min(len(block), size - done)
        have = 0
        while have < want:
            have = source.fill(block, have, want)
        digest.update(block[:want])
        done += want
    return digest.digest().hex()
"""


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[DeviceKey, DeviceKey]]:
    """Two of each scheme: ours, and another."""
    folder = tmp_path_factory.mktemp("device-keys")
    return {scheme: (devicekeys.make(folder, scheme), devicekeys.make(folder, scheme, "other")) for scheme in SCHEMES}


def target(file: bytes, scheme: str, **changes: Any) -> dict[str, Any]:
    header = base64.b64encode(file[:HEADER].rstrip(b"\0")).decode()
    return {"size": len(file) - HEADER, "encryption": {"scheme": scheme, "header": header, **changes}}


def opened(mpy: Run, *cases: tuple[str, Any, bool]) -> list[Any]:
    """What comes of each (device.json, target, required): [AES key, IV], or code and detail."""
    found: list[Any] = mpy(OPEN, cases=cases)
    return found


def plain(file: bytes, key: str, iv: str) -> bytes:
    """The image, by AES-GCM without its tag."""
    cipher = Cipher(algorithms.AES(bytes.fromhex(key)), modes.GCM(bytes.fromhex(iv), file[408:424])).decryptor()
    return cipher.update(file[HEADER:]) + cipher.finalize()


@pytest.mark.parametrize("scheme", SCHEMES)
def test_header_is_opened_by_the_device_key_alone(scheme: str, mpy: Run, keys) -> None:
    ours, other = keys[scheme]
    file = ours.encrypt(APP)
    (key, iv), others = opened(mpy, (ours.file, target(file, scheme), True), (other.file, target(file, scheme), True))
    assert plain(file, key, iv) == APP
    if scheme == "rsa3072":
        assert others == "encryption-key rsa3072"
    else:  # the key that comes out is another; what it makes of the first block tells (tests/board/test_encrypted.py)
        assert others[0] != key


def test_header_of_a_key_with_leading_zeros_is_opened(mpy: Run, keys) -> None:
    """Numbers are as long as their field: the shared x here begins with a zero byte."""
    ours = keys["ecc256"][0]
    while True:
        file = ours.encrypt(APP)
        x, y = (int.from_bytes(file[at : at + 32], "big") for at in (4, 36))
        sender = ec.EllipticCurvePublicNumbers(x, y, ec.SECP256R1()).public_key()
        if ours.private.exchange(ec.ECDH(), sender)[0] == 0:
            break
    ((key, iv),) = opened(mpy, (ours.file, target(file, "ecc256"), True))
    assert plain(file, key, iv) == APP


def flipped(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


# what a release says of its image, and what comes of it
BAD: dict[str, Any] = {
    "no object": 5,
    "a text": "rsa3072",
    "a list": [],
    "no header": {"scheme": "rsa3072"},
    "no scheme": {"header": ""},
}
BAD_HEADERS: dict[str, Any] = {
    "no text": 7,
    "no base64": "%%%%",
    "not all of it": "zw==",
    "longer than it is": base64.b64encode(bytes.fromhex("cfb68807") + bytes(600)).decode(),
    "another format": base64.b64encode(bytes(HEADER)).decode(),
}


def test_what_is_no_header_of_that_format_is_a_bad_release(mpy: Run, keys) -> None:
    ours = keys["ecc256"][0]
    file = ours.encrypt(APP)
    cases = [(ours.file, {"size": 5, "encryption": said}, True) for said in BAD.values()]
    cases += [(ours.file, target(file, "ecc256", header=header), True) for header in BAD_HEADERS.values()]
    cases += [(ours.file, target(flipped(file, at), "ecc256"), True) for at in (0, 3, 404, 407)]  # magic, size
    cases += [(ours.file, dict(target(file, "ecc256"), size=len(APP) + 1), True)]
    names = [*BAD, *BAD_HEADERS, "magic", "magic's end", "size", "size's end", "another size"]
    assert dict(zip(names, opened(mpy, *cases), strict=True)) == dict.fromkeys(names, "bad-release encryption")


@pytest.mark.parametrize("at", [4, 5, 200, 387])
def test_flipped_bit_of_the_wrapped_key_does_not_open(at: int, mpy: Run, keys) -> None:
    ours = keys["rsa3072"][0]
    changed = target(flipped(ours.encrypt(APP), at), "rsa3072")
    assert opened(mpy, (ours.file, changed, True)) == ["encryption-key rsa3072"]


def test_no_padding_but_the_right_one_opens(mpy: Run, keys) -> None:
    """Each is told by the same code and detail."""
    ours = keys["rsa3072"][0]
    numbers = ours.private.private_numbers()
    good = b"\0\2" + b"\x55" * 349 + b"\0" + bytes(range(32))
    blocks = [
        good,
        b"\0\1" + good[2:],  # a signature's
        b"\1" + good[1:],
        good[:2] + b"\0" + good[3:],  # ends sooner
        good[:350] + b"\0" + good[351:],
        good[:351] + b"\x55" + good[352:],  # does not end
    ]
    modulus = numbers.public_numbers.n
    cases = []
    for block in blocks:
        wrapped = pow(int.from_bytes(block, "big"), 65537, modulus)
        file = ours.encrypt(APP)
        cases.append((ours.file, target(file[:4] + wrapped.to_bytes(384, "big") + file[388:], "rsa3072"), True))
    fillings = (b"\0\2" + bytes([filling]) * 349 + good[351:] for filling in range(1, 256))
    small = next(c for one in fillings if (c := pow(int.from_bytes(one, "big"), 65537, modulus)) + modulus < 1 << 3072)
    beyond = (small + modulus).to_bytes(384, "big")  # the same to RSA, as a second spelling
    cases.append((ours.file, target(file[:4] + beyond + file[388:], "rsa3072"), True))
    found = opened(mpy, *cases)
    assert found[0][0] == bytes(range(32)).hex()
    assert found[1:] == ["encryption-key rsa3072"] * 6


def test_point_that_is_none_of_the_curve_does_not_open(mpy: Run, keys) -> None:
    ours = keys["ecc256"][0]
    file = ours.encrypt(APP)
    points = [flipped(file, 40), file[:4] + bytes(64) + file[68:], file[:4] + b"\xff" * 64 + file[68:]]
    found = opened(mpy, *((ours.file, target(one, "ecc256"), True) for one in points))
    assert found == ["encryption-key ecc256"] * 3


def test_key_file_that_is_none_is_told_from_a_scheme_that_is_not_there(mpy: Run, keys) -> None:
    rsa, ecc = keys["rsa3072"][0], keys["ecc256"][0]
    asked = target(ecc.encrypt(APP), "ecc256")
    files = ["", "[]", "5", '{"ecc256": "zz"}', '{"ecc256": [1, 2]}', '{"rsa3072": 5']
    found = dict(zip([*files, "rsa"], opened(mpy, *((one, asked, True) for one in (*files, rsa.file))), strict=True))
    assert found.pop("rsa") == "encryption ecc256"
    assert found.pop("[]") == "encryption ecc256"
    assert found == dict.fromkeys(found, "encryption-key ecc256")


def test_both_schemes_may_be_in_one_key_file(mpy: Run, keys) -> None:
    both = json.dumps(json.loads(keys["rsa3072"][0].file) | json.loads(keys["ecc256"][0].file))
    files = [keys[scheme][0].encrypt(APP) for scheme in SCHEMES]
    found = opened(mpy, *((both, target(file, scheme), True) for file, scheme in zip(files, SCHEMES, strict=True)))
    assert [plain(file, *one) for file, one in zip(files, found, strict=True)] == [APP, APP]


def test_plain_image_is_refused_only_where_encryption_is_required(mpy: Run, keys) -> None:
    file = keys["ecc256"][0].file
    assert opened(mpy, (file, {"size": 5}, True), (file, {"size": 5}, False)) == ["encryption none", []]


# --- blocks ---------------------------------------------------------------------------------------------------------

KEY = bytes(range(32))


def decrypted(mpy: Run, tmp_path: Path, file: bytes, body: str, heap: str = "160k", **how: Any) -> Any:
    (tmp_path / "file.bin").write_bytes(file)
    how = {"ranges": True, "piece": 1 << 20, "block": SECTOR, "start": 0, **how}
    size = len(file) - HEADER
    return mpy(DECRYPT + body, heap=heap, key=KEY.hex(), iv=file[388:404].hex(), size=size, **how)


WAYS: dict[str, dict[str, Any]] = {
    "in whole blocks": {},
    "in large blocks": {"block": 16 * SECTOR},
    "in pieces": {"piece": 1000},
    "a byte at a time": {"piece": 1},
    "from a sector on": {"start": SECTOR},
    "from the last on": {"start": 3 * SECTOR},
    "from a server without ranges": {"ranges": False},
    "from a server without ranges, in pieces": {"ranges": False, "piece": 100},
    "of the rest, from a server without ranges": {"ranges": False, "start": SECTOR},
}


def test_blocks_are_decrypted_from_wherever_they_begin(mpy: Run, tmp_path: Path, keys) -> None:
    file = keys["rsa3072"][0].encrypt(APP, key=KEY)
    for way, how in WAYS.items():
        found = decrypted(mpy, tmp_path, file, 'print(json.dumps(read(args["start"], args["size"])))', **how)
        start = how.get("start", 0) if how.get("ranges", True) else 0
        assert found == sha256(APP[start:]).hexdigest(), way


@pytest.mark.parametrize("blocks_before", [0, 1, 16, 17, 300])
def test_counter_wraps_within_its_32_bits(blocks_before: int, mpy: Run, tmp_path: Path, keys) -> None:
    """The IV is one whose counter comes to zero after so many blocks, with ones above it."""
    first = (1 << 128) - 1 - blocks_before
    file = keys["rsa3072"][0].encrypt(APP, key=KEY, iv=iv_of(KEY, first))
    found = decrypted(mpy, tmp_path, file, 'print(json.dumps(read(0, args["size"])))')
    assert found == sha256(APP).hexdigest()


def iv_of(key: bytes, j0: int) -> bytes:
    """The 16 bytes of IV that make GCM begin with the block `j0`: GHASH, backwards."""
    encryptor = Cipher(algorithms.AES(key), modes.ECB()).encryptor()
    inverse = power(int.from_bytes(encryptor.update(bytes(16)), "big"), (1 << 128) - 2)
    return times(times(j0, inverse) ^ 128, inverse).to_bytes(16, "big")


def times(x: int, y: int) -> int:
    product = 0
    for bit in range(128):
        if x >> (127 - bit) & 1:
            product ^= y
        y = (y >> 1) ^ (0xE1 << 120 if y & 1 else 0)
    return product


def power(x: int, exponent: int) -> int:
    result = 1 << 127  # one
    for bit in bin(exponent)[2:]:
        result = times(result, result)
        if bit == "1":
            result = times(result, x)
    return result


def test_block_of_something_else_is_not_taken_for_an_image(mpy: Run, tmp_path: Path, keys) -> None:
    body = 'print(json.dumps(attempt(read, args["start"], args["size"])))'
    file = keys["rsa3072"][0].encrypt(bytes(12_000), key=KEY)
    assert decrypted(mpy, tmp_path, file, body)["code"] == "encryption-key"
    assert decrypted(mpy, tmp_path, file, body, start=SECTOR) == {"ok": sha256(bytes(12_000 - SECTOR)).hexdigest()}


HOLES = """
read(0, args["size"])
gc.collect()
kept, holes = [], []
try:
    while True:  # every other piece of the heap is taken, then there is nothing larger than a hole
        kept.append(bytearray(args["hole"]))
        holes.append(bytearray(args["hole"]))
except MemoryError:
    pass
del holes[:]
gc.collect()
before = gc.mem_alloc()
digest = read(0, args["size"])
gc.collect()
print(json.dumps([digest, gc.mem_alloc() - before]))
"""


def test_decryption_needs_no_more_than_small_holes_and_leaves_nothing(mpy: Run, tmp_path: Path, keys) -> None:
    file = keys["rsa3072"][0].encrypt(APP, key=KEY)
    digest, left = decrypted(mpy, tmp_path, file, HOLES, hole=400, heap="96k")
    assert digest == sha256(APP).hexdigest()
    assert left < 256
