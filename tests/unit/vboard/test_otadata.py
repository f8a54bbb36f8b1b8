"""otadata entries: their bytes, which of two decides, and the numbers that choose a slot."""

import pytest
from vboard.flash.otadata import Entry, State, active, crc_of, next_seq, slot_of

VALID = Entry.make(5, State.VALID)


@pytest.mark.parametrize(
    ("seq", "crc"),
    [(1, 0x4743989A), (2, 0x55F63774), (3, 0xED4A5011), (4, 0x709D68A8)],
)
def test_crc_is_the_one_that_the_rom_computes(seq, crc):
    assert crc_of(seq) == crc


def test_bytes_are_those_of_a_real_board():
    real = b"\x01\0\0\0" + b"\xff" * 20 + b"\x02\0\0\0" + b"\x9a\x98CG"
    assert Entry.make(1, State.VALID).to_bytes() == real
    assert Entry.from_bytes(real) == Entry.make(1, State.VALID)


def test_reading_mends_nothing():
    raw = bytes(range(32))
    entry = Entry.from_bytes(raw)
    assert entry.to_bytes() == raw
    assert (entry.crc, entry.state) == (0x1F1E1D1C, 0x1B1A1918)
    assert entry.with_state(State.ABORTED).to_bytes() == raw[:24] + b"\x04\0\0\0" + raw[28:]


@pytest.mark.parametrize(
    ("entry", "invalid", "valid"),
    [
        (Entry.make(1, State.NEW), False, True),
        (Entry.make(1, State.PENDING_VERIFY), False, True),
        (Entry.make(1, State.VALID), False, True),
        (Entry.make(1, State.UNDEFINED), False, True),
        (Entry.make(1, State.INVALID), True, False),
        (Entry.make(1, State.ABORTED), True, False),
        (Entry.make(0, State.VALID), False, True),
        (Entry(1, 77, crc_of(1)), False, True),
        (Entry(1, State.VALID, 0), False, False),
        (Entry.make(0xFFFFFFFF, State.VALID), True, False),
        (Entry.from_bytes(b"\xff" * 32), True, False),
    ],
)
def test_which_entries_may_be_chosen(entry, invalid, valid):
    assert (entry.invalid, entry.valid) == (invalid, valid)


@pytest.mark.parametrize(
    ("first", "second", "index"),
    [
        (Entry.make(1, State.VALID), Entry.make(2, State.VALID), 1),
        (Entry.make(3, State.VALID), Entry.make(2, State.VALID), 0),
        (Entry.make(2, State.NEW), Entry.make(2, State.VALID), 0),
        (Entry.make(1, State.VALID), Entry.make(2, State.ABORTED), 0),
        (Entry.make(3, State.INVALID), Entry.make(2, State.VALID), 1),
        (Entry.make(1, State.VALID), Entry(2, State.VALID, 0), 0),
        (Entry(9, State.VALID, 0), Entry.make(2, State.VALID), 1),
        (Entry(1, State.VALID, 0), Entry.make(2, State.ABORTED), -1),
        (Entry.from_bytes(b"\xff" * 32), Entry.from_bytes(b"\xff" * 32), -1),
    ],
)
def test_the_later_valid_entry_decides_and_a_tie_goes_to_the_first(first, second, index):
    assert active(first, second) == index


@pytest.mark.parametrize(
    ("seq", "slots", "slot"),
    [(1, 2, 0), (2, 2, 1), (3, 2, 0), (4, 3, 0), (7, 4, 2), (0, 2, 1), (0, 3, 0)],
)
def test_the_slot_of_a_number(seq, slots, slot):
    assert slot_of(seq, slots) == slot  # number 0 goes around to 0xFFFFFFFF, as in C


@pytest.mark.parametrize(
    ("current", "slot", "slots", "seq"),
    [
        (1, 1, 2, 2),
        (2, 0, 2, 3),
        (3, 1, 2, 4),
        (1, 0, 2, 1),  # the slot that is active already: the same number again
        (2, 1, 2, 2),
        (1, 2, 3, 3),
        (3, 0, 3, 4),
        (3, 1, 3, 5),
        (5, 0, 4, 5),
        (6, 0, 4, 9),
        (8, 7, 8, 8),
        (0, 1, 2, 0),
        (1000000, 0, 2, 1000001),
    ],
)
def test_the_number_that_set_boot_writes(current, slot, slots, seq):
    assert next_seq(current, slot, slots) == seq


@pytest.mark.parametrize("slots", range(1, 17))
def test_the_number_always_means_the_slot_and_is_the_lowest_not_below_the_current(slots):
    for current in range(1, 60):
        for slot in range(slots):
            seq = next_seq(current, slot, slots)
            assert slot_of(seq, slots) == slot
            assert current <= seq < current + slots
