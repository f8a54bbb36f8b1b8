"""Power gone at every operation of a scenario, and a second time while the board recovers, over all processors.

A state is the whole flash as a cut leaves it; two cuts that leave the same flash are one state. From each a board is
powered on and left alone. A run ends early where the flash, the reset cause and the clock are as they were at a boot of
a run that ended well: nothing else outlives a reset, so the rest would be that run's.
"""

import multiprocessing
import os
import pickle
import random
import tempfile
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

from vboard.flash.nor import SECTOR

from powercut.cuts import Cut, State, Step, state, state_after, states
from powercut.oracle import Verdict, judge
from powercut.scenario import IMAGES, Scenario, row
from powercut.stage import Key, Run, Stage

MOST_BOOTS = 6  # from a first cut to the end
MOST_BOOTS_TWICE = 8
MOST_REFETCHED = 65536  # bytes that were in flash and are downloaded again
_OTADATA_TEARS = 40  # more ways to tear the few operations that everything hangs on


@dataclass(frozen=True, slots=True)
class Point:
    """Where power goes: in a scenario, at a cut, and perhaps at another in the recovery from it."""

    scenario: str
    first: Cut
    second: Cut | None = None

    def __str__(self) -> str:
        return f"{self.scenario}@{self.first}" + (f"+{self.second}" if self.second else "")

    @classmethod
    def parse(cls, text: str) -> "Point":
        name, _, cuts = text.partition("@")
        first, plus, second = cuts.partition("+")
        return cls(name, Cut.parse(first), Cut.parse(second) if plus else None)


@dataclass(frozen=True, slots=True)
class Result:
    """What came of one point. `refetched`: bytes that were whole in flash and were downloaded again.

    `second`: the second cuts that were run; `second_states`: all that they could leave, and which of these were run,
    here or, being the same, from another recovery.
    """

    point: Point
    state: State
    verdict: Verdict
    refetched: int
    console: str
    second: tuple["Result", ...] = ()
    second_states: frozenset[State] = frozenset()
    second_ran: frozenset[State] = frozenset()


@dataclass
class Base:
    """The uninterrupted run of a scenario, and the endings known from it."""

    scenario: Scenario
    run: Run
    verdict: Verdict
    known: dict[Key, int]  # boots from there to the end


def look(scenario: Scenario) -> Base:
    """Run a scenario uninterrupted."""
    with Stage(scenario.place) as stage:
        run = stage.run(scenario.start, done=scenario.done, fault=scenario.fault)
    verdict = judge(scenario, run, most_boots=MOST_BOOTS)
    known = {} if verdict.wrong else endings(run, 0)
    return Base(scenario, run, verdict, known)


def endings(run: Run, known: int) -> dict[Key, int]:
    """The states at the boots of a run that ended well, but for its first: why it started was a power cut's doing."""
    return {key: len(run.keys) - n + known for n, key in enumerate(run.keys) if n}


def points(base: Base, tears: int, seed: int) -> list[Point]:
    """One point for each distinct state that a first cut leaves."""
    run = base.run
    found = _distinct(run, cuts(run.steps, base.scenario, tears, seed), base.run.start)
    return [Point(base.scenario.name, cut) for cut in found.values()]


def _distinct(run: Run, wanted: Iterable[Cut], against: bytes) -> dict[State, Cut]:
    """The states that the cuts leave, each with the first cut that leaves it, in the order in which they fall."""
    found: dict[State, Cut] = {}
    for cut, left in states(run.start, run.steps, wanted, against):
        found.setdefault(left, cut)
    return found


def cuts(steps: list[Step], scenario: Scenario, tears: int, seed: int) -> Iterator[Cut]:
    """Before each operation, torn in `tears` ways (otadata: in many), and after the last."""
    otadata = row(scenario.table, "otadata")
    for at, step in enumerate(steps):
        yield Cut(at)
        vital = otadata.offset <= step.operation.address < otadata.offset + otadata.size
        for n in range(tears * (_OTADATA_TEARS if vital else 1)):
            yield Cut(at, seed + n)
    yield Cut(len(steps))


class Bench:
    """Runs points of one scenario, in this process."""

    def __init__(self, base: Base) -> None:
        self._base = base
        self._scenario = base.scenario
        # A recovery from a first cut may end early in another such only: the rest of it has second cuts of its own.
        self._known_first = dict(base.known)
        self._known = dict(base.known)
        self._survived: set[State] = set()
        self._stage = Stage(base.scenario.place)

    def close(self) -> None:
        self._stage.close()

    def try_point(self, point: Point, seconds: int = 0, seed: int = 0) -> Result:
        """One first cut; then `seconds` second cuts in its recovery, chosen by the seed (or as many as there are)."""
        base = self._base.run
        start = state_after(base.start, base.steps, point.first)
        run = self._run(start, self._known_first)
        result = self._judged(point, run, state(start, base.start))
        if not seconds or result.verdict.wrong:
            return result
        found = _distinct(run, cuts(run.steps, self._scenario, 1, seed), base.start)
        chosen = random.Random(f"{seed}/{point}").sample(list(found), min(seconds, len(found)))

        def again(cut: Cut) -> Run:
            return self._run(state_after(start, run.steps, cut), self._known)

        tried = tuple(
            self._judged(replace(point, second=found[left]), again(found[left]), left)
            for left in chosen
            if left not in self._survived
        )
        return replace(result, second=tried, second_states=frozenset(found), second_ran=frozenset(chosen))

    def replay(self, point: Point) -> tuple[Result, Run]:
        """One point, with every boot to the end."""
        start = state_after(self._base.run.start, self._base.run.steps, point.first)
        if point.second is not None:
            start = state_after(start, self._run(start, {}).steps, point.second)
        run = self._run(start, {})
        return self._judged(point, run, state(start, self._base.run.start)), run

    def _run(self, start: bytes, known: dict[Key, int]) -> Run:
        scenario = self._scenario
        return self._stage.run(start, done=scenario.done, known=known.__contains__, fault=scenario.fault)

    def _judged(self, point: Point, run: Run, start: State) -> Result:
        most = MOST_BOOTS_TWICE if point.second else MOST_BOOTS
        left = self._known[run.known] if run.known else 0
        verdict = judge(self._scenario, run, most_boots=most, boots_known=left)
        again = refetched(self._scenario, run)
        if again > MOST_REFETCHED:
            wrong = f"{again} bytes that were in flash are downloaded again"
            verdict = replace(verdict, wrong=(*verdict.wrong, wrong))
        if not verdict.wrong:
            self._known.update(endings(run, left))
            if point.second is None:
                self._known_first.update(endings(run, left))
            self._survived.add(start)
        return Result(point, start, verdict, again, run.console if verdict.wrong else "")


def refetched(scenario: Scenario, run: Run) -> int:
    """Bytes of the newest image that lay in its slot, sector by sector from the front, and were downloaded again."""
    if not run.fetched or scenario.weak is not None:
        return 0
    most = 0
    for slot in scenario.table.ota_slots:
        for version in (scenario.ends, scenario.left):
            image = IMAGES[version]
            there = 0
            while there < len(image) and _same(run.start, slot.offset + there, image, there):
                there += SECTOR
            while there and _same(scenario.start, slot.offset + there - SECTOR, image, there - SECTOR):
                there -= SECTOR  # it lay there before the update came to it
            if 0 < there < len(image):  # a prefix: it is being written
                most = max(most, there - run.fetched[0][0])
    return most


def _same(flash: bytes, address: int, image: bytes, at: int) -> bool:
    part = image[at : at + SECTOR]
    return flash[address : address + len(part)] == part


# --- over several processes ---------------------------------------------------------------------

_benches: dict[str, Bench] = {}
_bases: dict[str, Base] = {}


def _begin(path: Path) -> None:
    for base in pickle.loads(path.read_bytes()):
        _bases[base.scenario.name] = base


def _work(job: tuple[Point, int, int]) -> Result:
    point, seconds, seed = job
    name = point.scenario
    if name not in _benches:
        _benches[name] = Bench(_bases[name])
    return _benches[name].try_point(point, seconds, seed)


def explore(
    bases: Iterable[Base], chosen: list[Point], *, seconds: int, seed: int, jobs: int | None = None
) -> Iterator[Result]:
    """The results of the points, in their order, from `jobs` processes (as many as there are processors)."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "bases"
        path.write_bytes(pickle.dumps(list(bases)))
        pool = ProcessPoolExecutor(jobs or os.cpu_count(), multiprocessing.get_context("spawn"), _begin, (path,))
        with pool:
            yield from pool.map(_work, [(point, seconds, seed) for point in chosen], chunksize=4)
