"""The decoder of deltas in a real MicroPython, on the heap of a small board: byte for byte, what it refuses, how it goes on."""

import os
import random
import zlib
from hashlib import sha256
from pathlib import Path
from typing import Any

import deltas
import pytest
from otactl.release import firmware
from otactl.release.delta import encode
from otactl.release.delta.layout import COPY, COUNTS, HEAD, HEADER, WINDOW_BITS, header

from .conftest import Run

HEAP = "160k"
SHARED = Path(os.environ.get("FIRMWARE", Path(__file__).resolve().parents[4] / "shared" / "firmware"))
# The file and the slot are files; what comes of the image is hashed, and its place in the file noted at each open().
SCRIPT = """
import gc, hashlib
from ota import steps
from ota.install import delta
gc.collect()
class Slot:
    def __init__(self):
        self._file = open("base", "rb")
    def readblocks(self, block, buf, offset):
        self._file.seek(offset)
        if self._file.readinto(buf) != len(buf):
            raise OSError(5)
class File:
    etag = None
    def __init__(self, size, piece, ranges):
        self.size, self._piece, self._ranges, self.opened = size, piece, ranges, []
        self._file = open("delta", "rb")
    def open(self, offset, etag):
        self.offset = offset if self._ranges else 0
        self._file.seek(self.offset)
        self.opened.append(offset)
        return
        yield
    ended = property(lambda self: self.offset == self.size)
    def fill(self, buf, have, want):
        n = self._file.readinto(buf[have:have + min(want - have, self._piece)])
        self.offset += n
        return have + n
    def close(self):
        pass
class Image:
    size = args["size"]
def decode(steps_of):
    digest, done, most = hashlib.sha256(), 0, 0
    gc.collect()
    before = gc.mem_alloc()
    file = File(args["file"], args["piece"], args["ranges"])
    source = delta.Delta(file, Image(), args, Slot())
    view = memoryview(bytearray(args["block"]))
    for stop in steps_of:
        for _ in source.open(done, None):
            pass
        while done < stop:
            want = min(len(view) - done % len(view), Image.size - done)
            have = source.fill(view, 0, want)
            while have < want:
                have = source.fill(view, have, want)
            digest.update(view[:want])
            done += want
            if done % 65536 == 0:
                gc.collect()
                most = max(most, gc.mem_alloc() - before - len(view))
    return {"sha256": digest.digest().hex(), "opened": file.opened, "most": most}
print(json.dumps(attempt(decode, args["stops"])))
"""


def decoded(mpy: Run, folder: Path, base: bytes, image: bytes, made: encode.Delta, **changes: Any) -> Any:
    """What the board's decoder makes of a delta. `stops`: offsets at which the connection breaks, and is opened again."""
    (folder / "base").write_bytes(base + bytes(8192))  # a slot is larger
    (folder / "delta").write_bytes(changes.pop("data", made.file))
    asked: dict[str, Any] = {
        "size": len(image),
        "base_size": len(base),
        "room": made.room,
        "file": len(made.file),
        "chain": made.chain.hex(),
        "piece": 1460,
        "block": 4096,
        "ranges": True,
        "stops": [],
    }
    asked |= changes
    asked["stops"] = [*asked["stops"], len(image)]
    return mpy(SCRIPT, heap=HEAP, **asked)


def official(name: str) -> bytes:
    path = SHARED / name
    if not path.exists():
        pytest.skip(f"no {path}: FIRMWARE= names a folder with official files")
    return firmware.load(path).app


def test_patch_release_of_micropython_comes_byte_for_byte_and_in_five_percent(mpy: Run, tmp_path: Path) -> None:
    base = official("ESP32_GENERIC_S3-20250809-v1.26.0.bin")
    image = official("ESP32_GENERIC_S3-20250911-v1.26.1.bin")
    made = encode.make(base, image)
    assert deltas.apply(made.file, base, made.chain) == image
    found = decoded(mpy, tmp_path, base, image, made)["ok"]
    share = 100 * len(made.file) / len(image)
    print(f"\n1.26.0 to 1.26.1: {share:.2f} %, {made.records} records; {found['most']} B of the heap above the start")
    assert found["sha256"] == sha256(image).hexdigest()
    assert share <= 5
    assert found["most"] <= 16 << 10  # of an interpreter of 64 bits


NOISE = random.Random(3).randbytes(400_000)
BASE = NOISE[:300_000]
# code that moved, with pointers changed, and something new that nothing compresses
IMAGE = (
    bytes(b + (i % 97 == 0) & 255 for i, b in enumerate(BASE[:120_000]))
    + NOISE[300_000:330_000]
    + BASE[100_000:250_001]
)
MADE = encode.make(BASE, IMAGE)
DIGEST = sha256(IMAGE).hexdigest()


@pytest.mark.parametrize("how", [{}, {"piece": 7}, {"piece": 1 << 20}, {"block": 65536}])
def test_image_comes_in_whatever_pieces_the_file_does(mpy: Run, tmp_path: Path, how: dict[str, int]) -> None:
    assert decoded(mpy, tmp_path, BASE, IMAGE, MADE, **how)["ok"]["sha256"] == DIGEST


def test_without_a_base_it_is_a_compressed_image(mpy: Run, tmp_path: Path) -> None:
    image = b"".join(b"line %d\n" % n for n in range(20_000))
    made = encode.make(b"", image)
    assert len(made.file) < len(image) // 2
    assert decoded(mpy, tmp_path, b"", image, made)["ok"]["sha256"] == sha256(image).hexdigest()


@pytest.mark.parametrize(
    "stops", [[4096], [65536], [69632], [100 * 1024, 200 * 1024], [4096 * n for n in range(1, 70)]]
)
@pytest.mark.parametrize("ranges", [True, False])
def test_connection_that_breaks_goes_on_where_it_was(mpy: Run, tmp_path: Path, stops: list[int], ranges: bool) -> None:
    found = decoded(mpy, tmp_path, BASE, IMAGE, MADE, stops=stops, ranges=ranges)["ok"]
    assert found["sha256"] == DIGEST
    # the file is asked for from its last 64 KiB of the image on, and not from its beginning
    assert [place > 0 for place in found["opened"]] == [stop > 65536 for stop in [0, *stops]]


AFTER_RESET = SCRIPT.replace("most = hashlib.sha256(), 0, 0", "most = hashlib.sha256(), args['done'], 0")


@pytest.mark.parametrize("done", [4096, 65536, 73728, 294912])
def test_after_a_reset_what_is_in_flash_is_passed_over(mpy: Run, tmp_path: Path, done: int) -> None:
    (tmp_path / "base").write_bytes(BASE)
    (tmp_path / "delta").write_bytes(MADE.file)
    found = mpy(
        AFTER_RESET, heap=HEAP, size=len(IMAGE), base_size=len(BASE), room=MADE.room, file=len(MADE.file), chain=MADE.chain.hex(),
        piece=1460, block=4096, ranges=True, stops=[len(IMAGE)], done=done,
    )["ok"]  # fmt: skip
    assert found["sha256"] == sha256(IMAGE[done:]).hexdigest()


def records_of(made: encode.Delta) -> list[bytes]:
    found, at = [], HEADER.size
    while at < len(made.file):
        end = at + HEAD.size + HEAD.unpack_from(made.file, at)[0]
        found.append(made.file[at:end])
        at = end
    return found


def vouched(raw: bytes, sectors: int = 1, size: int = 4096, flags: int = 0) -> encode.Delta:
    """A delta of one record that its own hash vouches for, whatever is in it: what a faulty encoder would sign."""
    way = zlib.compressobj(9, zlib.DEFLATED, -WINDOW_BITS)
    data = way.compress(raw) + way.flush()
    record = HEAD.pack(len(data), sectors, flags, bytes(16)) + data
    return encode.Delta(header(len(data), size, len(BASE)) + record, sha256(record).digest()[:16], 1, len(data))


PLAIN = COUNTS.pack(0, 0) + bytes(4096)
WRONG_RECORDS = {
    "no sectors": vouched(PLAIN, sectors=0),
    "more sectors than the image has": vouched(PLAIN * 2, sectors=2),
    "across 64 KiB": vouched(PLAIN * 17, sectors=17, size=17 * 4096),
    "a flag": vouched(PLAIN, flags=1),
    "it ends early": vouched(PLAIN[:-1]),
    "more copies than bytes": vouched(COUNTS.pack(513, 0) + (COPY.pack(4, 4, 0) + bytes(4)) * 513),
    "it ends among the corrections": vouched(COUNTS.pack(0, 300) + bytes(4096 + 512 + 87)),
    "more than a sector": vouched(COUNTS.pack(1, 0) + COPY.pack(4000, 97, 0) + bytes(4096)),
    "more than a record": vouched(random.Random(9).randbytes(4096) * 2, sectors=2, size=8192),
    "before the base": vouched(COUNTS.pack(1, 0) + COPY.pack(0, 100, -1) + bytes(4096)),
    "beyond the base": vouched(COUNTS.pack(1, 0) + COPY.pack(0, 100, len(BASE) - 99) + bytes(4096)),
    "a correction beyond the sector": vouched(COUNTS.pack(0, 17) + bytes(4096) + b"\xff" * 17 + bytes(17)),
}


@pytest.mark.parametrize("name", WRONG_RECORDS)
def test_record_that_makes_no_sense_is_refused(mpy: Run, tmp_path: Path, name: str) -> None:
    made = WRONG_RECORDS[name]
    (size,) = HEADER.unpack_from(made.file)[4:5]
    assert decoded(mpy, tmp_path, BASE, bytes(size), made) == {"code": "bad-delta", "detail": "record"}


def test_record_at_the_limits_is_good(mpy: Run, tmp_path: Path) -> None:
    """The same table, one step back: a correction of the last byte, of one byte 256 times, and the last bytes of the base."""
    copy = COUNTS.pack(1, 17 + 256) + COPY.pack(0, 100, len(BASE) - 100) + bytes(3996)
    made = vouched(copy + bytes(512) + b"\xff" * 16 + b"\x0f" + bytes(16) + b"\x05")
    image = BASE[-100:] + bytes(3995) + b"\x05"
    assert deltas.apply(made.file, BASE, made.chain) == image
    assert decoded(mpy, tmp_path, BASE, image, made)["ok"]["sha256"] == sha256(image).hexdigest()


def flipped(at: int) -> bytes:
    raw = bytearray(MADE.file)
    raw[at] ^= 0x10
    return bytes(raw)


SECOND = HEADER.size + len(records_of(MADE)[0])  # record
DAMAGED = {
    "the header": (flipped(8), "header"),
    "another base": (flipped(13), "header"),
    "the length of a record": (flipped(SECOND), "chain"),
    "a record longer than any": (flipped(SECOND + 1)[: SECOND + 1] + b"\x7f" + flipped(8)[SECOND + 2 :], "record"),
    "its sectors": (flipped(SECOND + 2), "chain"),
    "the hash of the next": (flipped(SECOND + 4), "chain"),
    "a byte of deflate": (flipped(SECOND + 400), "chain"),
    "the last byte": (flipped(-1), "chain"),
    "a record is missing": (MADE.file[:SECOND] + b"".join(records_of(MADE)[2:]), "chain"),
    "two records have changed places": (
        MADE.file[: HEADER.size] + b"".join(records_of(MADE)[i] for i in (1, 0)), "chain"),
    "the end is missing": (b"".join([MADE.file[:16], *records_of(MADE)[:-1]]), "short"),
}  # fmt: skip


@pytest.mark.parametrize("name", DAMAGED)
def test_damaged_delta_is_refused(mpy: Run, tmp_path: Path, name: str) -> None:
    data, detail = DAMAGED[name]
    found = decoded(mpy, tmp_path, BASE, IMAGE, MADE, data=data, file=len(data))
    assert found == {"code": "bad-delta", "detail": detail}


def test_another_chain_than_the_signed_one_is_refused(mpy: Run, tmp_path: Path) -> None:
    made = encode.Delta(MADE.file, bytes(16), 1, MADE.room)
    assert decoded(mpy, tmp_path, BASE, IMAGE, made) == {"code": "bad-delta", "detail": "chain"}
