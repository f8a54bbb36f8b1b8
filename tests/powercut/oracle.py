"""Judges a run from outside the agent: by the bytes in flash, what the bootloader started, and a littlefs of its own."""

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from littlefs import LittleFSError
from rig import recorded
from vboard.flash.nor import Flash, Operation
from vboard.flash.nvs import Nvs
from vboard.flash.otadata import Entry, State, active, slot_of
from vboard.flash.table import Row

from powercut.cuts import views
from powercut.scenario import IMAGES, Scenario, mounted, row
from powercut.stage import Run

_OTADATA_SECTOR = 0x1000
_COUNTER = "data/count.txt"
_NEWEST = 2  # sequence of the release that fails, in the scenarios where one does


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is wrong (nothing: the board survived), and the figures of the run."""

    wrong: tuple[str, ...]
    first: str  # version that the first boot started; "" for none
    ended: str  # version that runs in the end; "" where the rest of the way was known
    boots: int


def judge(scenario: Scenario, run: Run, *, most_boots: int, boots_known: int = 0) -> Verdict:
    """All that is wrong with a run. `boots_known`: boots from where it joined a run seen before."""
    wrong = [run.trouble] if run.trouble else []
    held = list(_each_boot(scenario, run, wrong))
    wrong += _each_step(scenario, run)
    boots = len(run.boots) + boots_known
    if boots > most_boots:
        wrong.append(f"{boots} boots, more than {most_boots}")
    ended = ""
    if not run.known and not run.trouble:
        ended = _the_end(scenario, run, wrong)
    return Verdict(tuple(dict.fromkeys(wrong)), held[0] if held else "", ended, boots)


def files(scenario: Scenario, flash: bytes) -> dict[str, bytes]:
    """Every file of the vfs, by its path. Raises LittleFSError where it does not mount."""
    vfs = mounted(flash, scenario.table)
    found = {}
    for folder, _, names in vfs.walk("/"):
        for name in names:
            path = f"{folder}/{name}".lstrip("/")
            with vfs.open(path, "rb") as file:
                found[path] = file.read()
    return found


def holds(scenario: Scenario, flash: bytes | bytearray, slot: Row) -> str:
    """The version whose image, whole, lies in a slot; "" for anything else."""
    for version in (scenario.ends, scenario.left):
        image = IMAGES[version]
        if flash[slot.offset : slot.offset + len(image)] == image:
            return version
    return ""


def _entries(scenario: Scenario, flash: bytes | bytearray) -> tuple[Entry, Entry]:
    at = row(scenario.table, "otadata").offset
    first, second = (Entry.from_bytes(bytes(flash[n : n + 32])) for n in (at, at + _OTADATA_SECTOR))
    return first, second


def _chosen(scenario: Scenario, flash: bytes | bytearray) -> tuple[Row, int] | None:
    """The slot that otadata names, and the state of its entry."""
    entries = _entries(scenario, flash)
    index = active(*entries)
    if index < 0:
        return None
    slots = scenario.table.ota_slots
    return slots[slot_of(entries[index].seq, len(slots))], entries[index].state


def _each_boot(scenario: Scenario, run: Run, wrong: list[str]) -> Iterator[str]:
    """What each boot started must be the old or the new image, whole."""
    at = {boot.step: boot for boot in run.boots}
    for number, (_, flash) in enumerate([*views(run.start, run.steps), (None, run.end)]):
        boot = at.get(number)
        if boot is None or boot.slot is None:
            continue
        version = holds(scenario, flash, row(scenario.table, boot.slot))
        if not version:
            wrong.append(f"{boot.slot} boots with neither the old nor the new image")
        yield version


def _each_step(scenario: Scenario, run: Run) -> Iterator[str]:
    """P2 and P4, held against every operation of the program."""
    otadata = row(scenario.table, "otadata")
    slots = {slot.label: slot for slot in scenario.table.ota_slots}
    before = None
    for step, flash in views(run.start, run.steps):
        operation, running = step.operation, run.boots[step.boot - 1].slot if step.boot else None
        if before is not None:
            yield from _switched(scenario, flash, *before)
            before = None
        if operation.actor != "app" or running is None:
            continue
        chosen = _chosen(scenario, flash)
        if _within(otadata, operation) and operation.kind == "program":
            before = (chosen, running)
        for label, slot in slots.items():
            unsure = chosen and chosen[0].label == running
            unsure = unsure and chosen[1] in (State.NEW, State.PENDING_VERIFY)
            if label != running and _within(slot, operation) and unsure:
                yield f"P2: {label} is written while {running} is unconfirmed"


def _switched(scenario: Scenario, flash: bytearray, was: tuple[Row, int] | None, running: str) -> Iterator[str]:
    """A change to otadata by the program: what it names must be whole, and only what runs may become valid."""
    now = _chosen(scenario, flash)
    if now is None or now == was:
        return
    slot, state = now
    if not holds(scenario, flash, slot):
        yield f"P3: otadata names {slot.label}, which is neither the old nor the new image"
    if state == State.VALID and slot.label != running:
        yield f"P4: {slot.label} is marked valid while {running} runs"


def _within(part: Row, operation: Operation) -> bool:
    return part.offset <= operation.address < part.offset + part.size


def _the_end(scenario: Scenario, run: Run, wrong: list[str]) -> str:
    """Which version runs in the end; whether status, record, otadata and files agree on it."""
    status, flash = run.status, run.end
    assert status
    chosen = _chosen(scenario, flash)
    version = ""
    if chosen is None:
        wrong.append("otadata names no slot in the end")
    else:
        slot, state = chosen
        version = holds(scenario, flash, slot)
        if version not in allowed(scenario):
            wrong.append(f"ends on {version or 'no whole image'}, not on {scenario.ends}")
        if state != State.VALID:
            wrong.append(f"ends unconfirmed: {slot.label} is in state {state}")
        if status["running"] != slot.label or status["boot"] != slot.label:
            wrong.append(f"status says {status['running']}/{status['boot']}, otadata {slot.label}")
    wrong += _record(scenario, flash, status, version)
    wrong += _vfs(scenario, scenario.start, flash)
    return version


def allowed(scenario: Scenario) -> tuple[str, ...]:
    """The versions that a board may end on."""
    return (scenario.ends, scenario.left) if scenario.either else (scenario.ends,)


def _record(scenario: Scenario, flash: bytes, status: dict[str, object], ended: str) -> Iterator[str]:
    """The agent's word against what is in NVS and otadata."""
    installed, failed = status["installed"], status["failed"]
    assert isinstance(installed, dict) and isinstance(failed, list)
    if installed["version"] != ended:
        yield f"status says that {installed['version']} is installed"
    known = [f["sequence"] for f in failed]
    allowed = {True: [[_NEWEST]], False: [[]], None: [[_NEWEST], []]}[scenario.failed]
    if known not in allowed:
        yield f"status says that {known} failed"
    if status["trial"]:
        yield "status says that a trial runs"
    states = {slot["name"]: slot["state"] for slot in status["slots"]}  # type: ignore[attr-defined]
    for label, state in _states(scenario, flash).items():
        if states[label] != state:
            yield f"status says {label} is {states[label]}, otadata {state}"
    job = _nvs(scenario, flash, "job")
    for key, value in dict(status["job"]).items():  # type: ignore[call-overload]
        if key != "offset" and job.get(key) != value:
            yield f"status says job {key} {value!r}, NVS {job.get(key)!r}"
    if _nvs(scenario, flash, "state").get("installed") != installed:
        yield "status and NVS disagree on what is installed"


def _states(scenario: Scenario, flash: bytes) -> dict[str, str]:
    found = {slot.label: (0, "none") for slot in scenario.table.ota_slots}
    slots = scenario.table.ota_slots
    for entry in _entries(scenario, flash):
        if entry.crc_ok and not entry.blank:
            label = slots[slot_of(entry.seq, len(slots))].label
            known = entry.state in State.__members__.values()
            name = State(entry.state).name.lower().replace("_verify", "") if known else "undefined"
            found[label] = max(found[label], (entry.seq, name))
    return {label: name for label, (_, name) in found.items()}


def _nvs(scenario: Scenario, flash: bytes, which: str) -> dict[str, object]:
    """The newest good copy of a record, read by a store of the host's from a copy of the flash."""
    nvs = row(scenario.table, "nvs")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "flash.bin"
        path.write_bytes(flash)
        with Flash(path, len(flash)) as chip:
            return recorded(Nvs(chip, nvs.offset, nvs.size), which)


def _vfs(scenario: Scenario, start: bytes, flash: bytes) -> Iterator[str]:
    try:
        before, after = files(scenario, start), files(scenario, flash)
    except LittleFSError as error:
        yield f"the vfs does not mount: {error}"
        return
    counted = after.pop(_COUNTER, b"")
    before.pop(_COUNTER, None)
    if not counted.strip().isdigit():
        yield f"the program's own file was damaged: {counted[:40]!r}"
    for path in sorted(before.keys() | after.keys()):
        if before.get(path) != after.get(path):
            yield f"file {path} is not as it was"
