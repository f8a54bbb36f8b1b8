"""What a power cut leaves of an operation."""

from pathlib import Path

import pytest
from vboard.flash.nor import SECTOR, Flash, Operation, PowerLost
from vboard.flash.powercut import PowerCut, changed

OLD, DATA = bytes(range(256)), bytes(255 - n // 2 for n in range(256))
PROGRAM = Operation(0, "app", "program", 512, 256)
ERASE = Operation(0, "app", "erase", 0, SECTOR)


@pytest.fixture
def flash(tmp_path: Path):
    with Flash(tmp_path / "flash.bin", 16 * SECTOR) as made:
        made.program(512, OLD, actor="host")
        yield made


def cut(flash: Flash, *how, at: int = 0) -> None:
    flash.before = PowerCut(flash, at, *how)
    with pytest.raises(PowerLost):
        for n in range(at + 1):
            flash.program(512 + n * 512, DATA, actor="app")
    assert flash.before is None  # power comes back, and the flash works on


def test_cut_before_leaves_what_was(flash):
    cut(flash, "before")
    assert flash.read(512, 256) == OLD


def test_cut_after_leaves_the_whole_operation(flash):
    cut(flash, "after")
    assert flash.read(512, 256) == bytes(a & b for a, b in zip(OLD, DATA, strict=True))


def test_cut_falls_on_the_operation_with_its_number(flash):
    cut(flash, "before", at=2)
    assert flash.read(1024, 256) == DATA
    assert flash.read(1536, 256) == b"\xff" * 256


@pytest.mark.parametrize("seed", range(60))
@pytest.mark.parametrize(("operation", "old", "data"), [(PROGRAM, OLD, DATA), (ERASE, OLD * 16, None)])
def test_torn_bits_are_as_before_or_as_meant(operation, old, data, seed):
    goal, torn = changed(operation, data, old, None), changed(operation, data, old, seed)
    assert len(torn) == len(old)
    for was, want, is_now in zip(old, goal, torn, strict=True):
        assert not (is_now ^ was) & ~(was ^ want)


def test_tears_of_one_seed_are_the_same_and_of_many_differ(flash):
    torn = [changed(PROGRAM, DATA, OLD, seed) for seed in range(60)]
    assert torn == [changed(PROGRAM, DATA, OLD, seed) for seed in range(60)]
    assert len(set(torn)) > 50


def test_torn_operation_touches_nothing_beyond_it(flash):
    cut(flash, "torn", 7)
    assert flash.read(0, 512) == b"\xff" * 512
    assert flash.read(768, 256) == b"\xff" * 256
