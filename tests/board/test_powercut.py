"""A seeded slice of `make powercut`, and agents with a known fault, which the oracle must catch.

The slice is a sample: `make powercut` runs every state.
"""

import random
from collections.abc import Callable
from pathlib import Path

import pytest
from powercut.cuts import Cut, state, state_after, states
from powercut.planner import Base, Bench, Point, cuts, look, points
from powercut.prepare import NAMES, Scenarios
from powercut.scenario import row
from powercut.stage import Stage
from vboard.board import Board
from vboard.flash.powercut import PowerCut

SEED = 20261121
STATES = 4  # of each scenario, and a second cut in every third recovery

Look = Callable[[str], Base]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Scenarios:
    return Scenarios(tmp_path_factory.mktemp("powercut"))


@pytest.fixture(scope="module")
def base(made: Scenarios) -> Look:
    """A scenario's uninterrupted run, made once."""
    seen: dict[str, Base] = {}

    def looked(name: str) -> Base:
        if name not in seen:
            seen[name] = look(made.make(name))
        return seen[name]

    return looked


@pytest.mark.parametrize("name", NAMES)
def test_board_survives_a_power_cut_at(name: str, base: Look) -> None:
    run = base(name)
    assert not run.verdict.wrong
    found = points(run, tears=1, seed=SEED)
    chosen = random.Random(f"{SEED}/{name}").sample(found, STATES)
    bench = Bench(run)
    results = [bench.try_point(point, int(n % 3 == 0), SEED) for n, point in enumerate(chosen)]
    bench.close()
    every = [one for first in results for one in (first, *first.second)]
    wrong = [f"make powercut REPLAY='{r.point}': {'; '.join(r.verdict.wrong)}" for r in every if r.verdict.wrong]
    print(f"\n{name}: {len(chosen)} of {len(found)} states, {len(every) - len(chosen)} second cuts, seed {SEED}")
    assert not wrong, "\n".join(wrong)


def test_live_power_cut_leaves_the_state_that_the_planner_works_out(base: Look, tmp_path: Path) -> None:
    run = base("first").run
    scenario = base("first").scenario
    at = next(n for n, step in enumerate(run.steps) if step.operation.actor == "bootloader") + 1
    for cut in (Cut(3), Cut(at, 5), Cut(at)):
        folder = tmp_path / str(cut)
        folder.mkdir()
        (folder / "flash.bin").write_bytes(run.start)
        with Stage(scenario.place) as stage, Board(folder, network=stage.network) as board:
            how = "before" if cut.seed is None else "torn"
            board.flash.before = PowerCut(board.flash, cut.at, how, cut.seed or 0)
            board.power_on()
            board.wait(lambda b=board: b.flash.before is None and b.soc is None, 30, "power cut")
            assert board.flash.read(0, board.flash.size) == state_after(run.start, run.steps, cut)


def test_states_are_the_same_exactly_where_the_flashes_are(base: Look) -> None:
    run, scenario = base("failing").run, base("failing").scenario
    every = list(states(run.start, run.steps, cuts(run.steps, scenario, 1, SEED), run.start))
    random.Random(SEED).shuffle(every)
    flashes = {cut: state_after(run.start, run.steps, cut) for cut, _ in every[:120]}
    assert all(left == state(flashes[cut], run.start) for cut, left in every[:120])
    assert len(set(flashes.values())) == len({left for _, left in every[:120]}) < 120


SETS_BOOT_BEFORE_READ_BACK = """
import hashlib
from ota.boot import slots
def switch(self, slot, size, sha256, buf):
    self.set_boot(slot)
    yield from slots.read_slot(slot, size, buf, hashlib.sha256())
slots.Slots.switch = switch
"""
CONFIRMS_BEFORE_DIAGNOSTICS = """
from ota.boot.trial import Trial
Trial.run = lambda self, config: self.confirm()
"""
DOWNLOADS_WHILE_PENDING = """
from ota import agent, errors
from ota.boot import slots
from ota.install import look
slots.Slots.require_confirmed = lambda self: None
def unlike(self, *_):
    return False
    yield
look.Look._runs = unlike
def eager():
    try:
        agent.update(tries=1)
    except errors.OtaError:
        pass
agent.start = eager
"""
FORGETS_THE_RECORD = """
from ota.boot import record
record.Record.save = lambda self, which: None
"""
MARKS_VALID_WHEN_RUNNING_IS_NOT_BOOT = """
from esp32 import Partition
from ota import boot
start = boot.start
def careless():
    Partition.mark_app_valid_cancel_rollback()
    start()
boot.start = careless
"""
NOTES_THE_OFFSET_BEFORE_IT_WRITES = """
from ota.boot import record
from ota.install import sectors
write = sectors.Sectors.write
def ahead(self, at):
    record.load().progress(at + 4096)
    write(self, at)
sectors.Sectors.write = ahead
"""
TRUSTS_WHAT_IS_IN_FLASH = """
from ota.install import firmware
firmware.Firmware.verify = lambda self: False
"""
TRUSTS_WHAT_COMES = """
from ota.boot import slots
slots.Slots.switch = lambda self, slot, size, sha256, buf: self.set_boot(slot) or iter(())
"""
ROLLS_BACK_TO_THE_NEXT_SLOT = """
from ota import rollback
from ota.boot import slots, record
def begin():
    found, kept = slots.Slots(), record.load()
    kept.begin(kept.release_in(found.running), found.next, found.running, "ready", rollback=True)
    found.set_boot(found.next)
rollback.begin = begin
"""
COMPARES_THE_FIRST_BYTES_ALONE = """
from ota.install import sectors
def holds(self, at):
    self._slot.readblocks(0, self._piece, at)
    return self._piece == self._parts[0]
sectors.Sectors._holds = holds
"""
LEAVES_THE_FILES_OF_BEFORE = """
from ota.install import application
def prepare(self, view):
    self.offset = self.size
    return iter(())
application.Application.prepare = prepare
application.Application.commit = lambda self, view: iter(())
"""
FORGETS_THE_APPLICATION = """
from ota.install import parts
look = parts.look
def blind(*args):
    same = yield from look(*args)
    args[3].pop("application")
    return same
parts.look = blind
from ota import install
install.let_go = lambda *names: None
"""
WRITES_DATA_IN_PLACE = """
from ota.errors import OtaError
from ota.install import data
look = data.look
def eager(config, slot, target, offer, holds):
    return look(config, slot, dict(target, unsafe=True), dict(offer, size=1 << 24), holds)
def full(*_):
    raise OtaError("no-space")
data.look, data._require_file = eager, full
"""
REMOVES_THE_FILE_BEFORE_IT_IS_COPIED = """
import os
from ota.install import data
write = data.Data.write
def hasty(self, view, n):
    try:
        os.remove("/etc/ota/staged")
    except OSError:
        pass
    write(self, view, n)
data.Data.write = hasty
"""
FORGETS_DATA_BEFORE_IT_IS_COPIED = """
from ota.install import staged
finish = staged.finish
def early(found, kept, view):
    noted, kept.job["data"] = kept.job["data"], None
    kept.save("job")
    kept.job["data"] = noted
    return finish(found, kept, view)
staged.finish = early
"""


@pytest.mark.parametrize(
    ("patch", "scenario", "caught"),
    [
        pytest.param(patch, scenario, caught, id=name)
        for name, patch, scenario, caught in (
            ("sets boot before read-back", SETS_BOOT_BEFORE_READ_BACK, "weak", "P3: otadata names ota_1"),
            ("confirms before diagnostics", CONFIRMS_BEFORE_DIAGNOSTICS, "failing", "ends on 6.6.6"),
            ("downloads while pending", DOWNLOADS_WHILE_PENDING, "first", "P2: ota_0 is written"),
            ("forgets the record", FORGETS_THE_RECORD, "failing", "it never settles"),
            ("marks valid when RUNNING is not BOOT", MARKS_VALID_WHEN_RUNNING_IS_NOT_BOOT, "damaged", "P4: ota_1"),
            ("notes the offset before it writes", NOTES_THE_OFFSET_BEFORE_IT_WRITES, "first", "ends on 1.0.0"),
            ("does not read back", TRUSTS_WHAT_IS_IN_FLASH, "weak", "P3: otadata names ota_1"),
            ("does not read back what was hashed", TRUSTS_WHAT_COMES, "weak", "P3: otadata names ota_1"),
            ("forgets the record of a factory app", FORGETS_THE_RECORD, "factory-failing", "it never settles"),
            ("compares the first bytes alone", COMPARES_THE_FIRST_BYTES_ALONE, "rebuild", "ends on 1.1.0"),
            ("leaves the files of before", LEAVES_THE_FILES_OF_BEFORE, "both", "P3: otadata names ota_0"),
            ("forgets the application", FORGETS_THE_APPLICATION, "application", "P3: otadata names ota_0"),
            ("writes data in place", WRITES_DATA_IN_PLACE, "data", "model is written while ota_0 runs"),
            ("forgets data before it is copied", FORGETS_DATA_BEFORE_IT_IS_COPIED, "data", "model does not hold"),
            ("removes the file first", REMOVES_THE_FILE_BEFORE_IT_IS_COPIED, "data-file", "what is staged is not whole"),
            ("rolls back to the next slot", ROLLS_BACK_TO_THE_NEXT_SLOT, "three-rollback-past", "ota_2 boots with"),
        )
    ],
)  # fmt: skip
def test_agent_with_a_known_fault_is_caught(patch: str, scenario: str, caught: str, tmp_path: Path) -> None:
    run = look(Scenarios(tmp_path, patch).make(scenario))
    wrong = set(run.verdict.wrong)
    bench = Bench(run)
    found = points(run, tears=1, seed=SEED)
    random.Random(SEED).shuffle(found)
    for point in found:
        if any(caught in w for w in wrong):
            break
        wrong.update(bench.try_point(point).verdict.wrong)
    bench.close()
    assert any(caught in w for w in wrong), wrong


RETIRES_NO_ENTRY = """
from ota.boot import otadata
otadata.retire = lambda *_: None
"""
STAYS_WITH_WHAT_THE_BOOTLOADER_TOOK = """
from ota.boot import back
back.to = lambda *_: False
"""


@pytest.mark.parametrize(
    ("name", "patch", "actor", "kind", "seed", "caught"),
    [
        pytest.param(*known, id=known[0])
        # the seed tears the operation so that the state is lost and the crc holds: one of a thousand does
        for known in (
            ("three-rollback-past", RETIRES_NO_ENTRY, "app", "erase", 1003, "ota_2 boots with neither"),
            ("three-damaged", STAYS_WITH_WHAT_THE_BOOTLOADER_TOOK, "bootloader", "program", 27, "ends on 1.1.0"),
        )
    ],
)
def test_state_of_an_otadata_entry_is_torn_and_its_crc_holds(
    name: str, patch: str, actor: str, kind: str, seed: int, caught: str, base: Look, tmp_path: Path
) -> None:
    for agent, bad in ((base(name), False), (look(Scenarios(tmp_path, patch).make(name)), True)):
        otadata = row(agent.scenario.table, "otadata")
        at = next(
            n
            for n, step in enumerate(agent.run.steps)
            if (step.operation.actor, step.operation.kind) == (actor, kind)
            and otadata.offset <= step.operation.address < otadata.end
            and step.operation.size >= 32  # of a whole entry
        )
        bench = Bench(agent)
        wrong = bench.try_point(Point(name, Cut(at, seed))).verdict.wrong
        bench.close()
        assert any(caught in w for w in wrong) if bad else not wrong, wrong
