"""Deltas: what the encoder makes, tests/deltas.py, which knows the format alone, makes the image of again."""

import random

import deltas
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from otactl.release.delta import encode
from otactl.release.delta.layout import CAP, HEAD, HEADER, ROOMY

NOISE = random.Random(13).randbytes(600_000)


def again(base: bytes, image: bytes) -> encode.Delta:
    made = encode.make(base, image)
    assert deltas.apply(made.file, base, made.chain) == image
    return made


@st.composite
def pairs(draw: st.DrawFn) -> tuple[bytes, bytes]:
    """Any base, and an image of pieces of it, each with some bytes changed, and of others."""
    base = draw(st.binary(max_size=400)) * draw(st.integers(1, 60))
    image = b""
    for _ in range(draw(st.integers(0, 6))):
        start = draw(st.integers(0, len(base)))
        piece = bytearray(base[start : start + draw(st.integers(0, 9000))])
        for place, byte in draw(st.lists(st.tuples(st.integers(0, 9000), st.integers(0, 255)), max_size=8)):
            if place < len(piece):
                piece[place] = byte
        image += bytes(piece) + draw(st.binary(max_size=60))
    return base, image


@settings(max_examples=60, deadline=None)
@given(pairs())
@example((b"", b""))
@example((b"x", b""))
@example((NOISE[:5000], NOISE[:4096]))
def test_any_image_comes_back_from_any_base(pair: tuple[bytes, bytes]) -> None:
    again(*pair)


EVERY_OTHER = bytes(byte if i % 2 else byte ^ 0x55 for i, byte in enumerate(NOISE[:70_000]))
SHUFFLED = b"".join(NOISE[at : at + 30] for at in random.Random(7).sample(range(0, 290_000, 30), 9000))
CASES = {
    "no base": (b"", NOISE[:9000]),
    "nothing compresses": (NOISE[300_000:], NOISE[:300_000]),
    "every second byte differs": (NOISE[:70_000], EVERY_OTHER),
    "the base's end is the image's begin": (NOISE[:20_000], NOISE[12_000:20_000] + NOISE[:20_000]),
    "short pieces in any order": (NOISE[:290_000], SHUFFLED),
    "a last sector of one byte": (NOISE[:8192], NOISE[:8193]),
    "far corrections": (bytes(8192), bytes(2000) + b"\1" + bytes(6191)),
}


@pytest.mark.parametrize("name", CASES)
def test_image_comes_back_and_no_record_is_more_than_a_board_takes(name: str) -> None:
    base, image = CASES[name]
    made = again(base, image)
    at, records = HEADER.size, 0
    while at < len(made.file):
        packed, sectors, _, _ = HEAD.unpack_from(made.file, at)
        assert packed <= min(made.room, ROOMY if sectors > 1 else CAP)
        at += HEAD.size + packed
        records += 1
    assert records == made.records


def test_small_change_makes_a_small_delta() -> None:
    image = bytearray(NOISE[:300_000])
    image[100_000:100_004] = b"abcd"
    assert len(again(NOISE[:300_000], bytes(image)).file) < 400
    moved = NOISE[:100_000] + bytes(400) + NOISE[100_000:300_000]
    assert len(again(NOISE[:300_000], moved).file) < 600


@pytest.mark.parametrize("at", [0, 4, 16, 19, 25, 300, -1])
def test_flipped_bit_of_a_delta_is_seen(at: int) -> None:
    base, image = CASES["short pieces in any order"]
    made = encode.make(base, image)
    file = bytearray(made.file)
    file[at] ^= 1
    with pytest.raises(deltas.Damaged):
        deltas.apply(bytes(file), base, made.chain)
