"""Judges a run from outside the agent: by the bytes in flash, what the bootloader started, and a littlefs of its own."""

import json
from collections.abc import Iterator
from dataclasses import dataclass

from littlefs import LittleFSError
from vboard.flash.nor import Operation
from vboard.flash.otadata import State
from vboard.flash.table import Row

from powercut.claims import claims
from powercut.cuts import views
from powercut.flash import chosen, content, files
from powercut.scenario import DATA, IMAGES, Scenario, apps, row
from powercut.stage import Run

_COUNTER = "data/count.txt"
_STAGED = "etc/ota/staged"
_KEYS = "etc/ota/keys.json"


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
    wrong += _data(scenario, run)
    boots = len(run.boots) + boots_known
    if boots > most_boots:
        wrong.append(f"{boots} boots, more than {most_boots}")
    ended = ""
    if not run.known and not run.trouble:
        ended = _the_end(scenario, run, wrong)
    return Verdict(tuple(dict.fromkeys(wrong)), held[0] if held else "", ended, boots)


def holds(scenario: Scenario, flash: bytes | bytearray, slot: Row) -> str:
    """Which of the scenario's versions lies whole in a slot; "" for anything else."""
    version = content(scenario.table, flash, slot)
    return version if version in (scenario.ends, scenario.left, scenario.passing) else ""


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


def _data(scenario: Scenario, run: Run) -> Iterator[str]:
    """The old data while the old release runs, and in the trial; the new data with the new release in the end."""
    part = scenario.table.find("model")
    if part is None:
        return
    new = DATA[scenario.ends]
    for step, flash in views(run.start, run.steps):
        if step.operation.actor != "app" or not _within(part, step.operation):
            continue
        running, named = run.boots[step.boot - 1].slot, chosen(scenario.table, flash)
        if running != scenario.ends_in or named is None or named[1] != State.VALID:
            yield f"model is written while {running} runs unconfirmed, or the old release"
        if _staged(scenario, flash, len(new)) != new:
            yield "model is written while what is staged is not whole"
    if not run.known and not run.trouble and run.end[part.offset : part.offset + len(new)] != new:
        yield "model does not hold the new data in the end"


def _staged(scenario: Scenario, flash: bytearray, size: int) -> bytes:
    """What lies where the data of a release are staged: behind the image, or in a file where that has no room."""
    slot, at = row(scenario.table, scenario.ends_in), -(-len(IMAGES[scenario.ends]) // 4096) * 4096
    if at + size <= slot.size:
        return bytes(flash[slot.offset + at : slot.offset + at + size])
    try:
        return files(scenario.table, bytes(flash)).get(_STAGED, b"")
    except LittleFSError:
        return b""


def _each_step(scenario: Scenario, run: Run) -> Iterator[str]:
    """P2, P3 and P4, and which slot an update may take, held against every operation of the program."""
    otadata = row(scenario.table, "otadata")
    before = None
    for step, flash in views(run.start, run.steps):
        operation, running = step.operation, run.boots[step.boot - 1].slot if step.boot else None
        if before is not None:
            yield from _switched(scenario, flash, *before)
            before = None
        if operation.actor != "app" or running is None:
            continue
        named = chosen(scenario.table, flash)
        if _within(otadata, operation):
            before = (named, running, operation.kind)
        for slot in apps(scenario.table):
            if _within(slot, operation):
                yield from _written(scenario, slot.label, named, running)


def _written(scenario: Scenario, label: str, named: tuple[Row, int] | None, running: str) -> Iterator[str]:
    if label != running and named and named[0].label == running and named[1] in (State.NEW, State.PENDING_VERIFY):
        yield f"P2: {label} is written while {running} is unconfirmed"
    if label != scenario.target:
        yield f"{label} is written, not {scenario.target}"


def _switched(
    scenario: Scenario, flash: bytearray, was: tuple[Row, int] | None, running: str, kind: str
) -> Iterator[str]:
    """A change to otadata by the program: what it names must be whole, and only what runs may become valid."""
    now = chosen(scenario.table, flash)
    if now is None or now == was:
        return
    slot, state = now
    if (
        kind == "erase" and slot != scenario.table.factory
    ):  # on the way to a program; the factory app is named by erasing
        return
    if not holds(scenario, flash, slot):
        yield f"P3: otadata names {slot.label}, which is neither the old nor the new image"
    if state == State.VALID and slot.label != running and slot != scenario.table.factory:
        yield f"P4: {slot.label} is marked valid while {running} runs"


def _within(part: Row, operation: Operation) -> bool:
    return part.offset <= operation.address < part.offset + part.size


def _the_end(scenario: Scenario, run: Run, wrong: list[str]) -> str:
    """Which version runs in the end; whether status, record, otadata and files agree on it."""
    status, flash = run.status, run.end
    assert status
    named = chosen(scenario.table, flash)
    version = ""
    if named is None:
        wrong.append("otadata names no slot in the end")
    else:
        slot, state = named
        version = holds(scenario, flash, slot)
        if version not in allowed(scenario):
            wrong.append(f"ends on {version or 'no whole image'}, not on {scenario.ends}")
        elif version == scenario.ends and slot.label != scenario.ends_in:
            wrong.append(f"ends in {slot.label}, not in {scenario.ends_in}")
        if state != State.VALID:
            wrong.append(f"ends unconfirmed: {slot.label} is in state {state}")
        if status["running"] != slot.label or status["boot"] != slot.label:
            wrong.append(f"status says {status['running']}/{status['boot']}, otadata {slot.label}")
    wrong += claims(scenario, flash, status, version)
    wrong += _vfs(scenario, scenario.start, flash)
    return version


def allowed(scenario: Scenario) -> tuple[str, ...]:
    """The versions that a board may end on."""
    return (scenario.ends, scenario.left) if scenario.either else (scenario.ends,)


def _vfs(scenario: Scenario, start: bytes, flash: bytes) -> Iterator[str]:
    try:
        before, after = files(scenario.table, start), files(scenario.table, flash)
    except LittleFSError as error:
        yield f"the vfs does not mount: {error}"
        return
    counted = after.pop(_COUNTER, b"")
    before.pop(_COUNTER, None)
    if not counted.strip().isdigit():
        yield f"the program's own file was damaged: {counted[:40]!r}"
    if scenario.trusts:
        held = after.pop(_KEYS, b"")
        before.pop(_KEYS, None)
        if not held or json.loads(held) != json.loads(scenario.trusts):
            yield "the board does not trust what the newest document says"
    for path in sorted(before.keys() | after.keys()):
        if path.startswith(f"app-{scenario.target}/"):
            continue  # what content() compares
        if before.get(path) != after.get(path):
            yield f"file {path} is not as it was"
