"""Writes down how an exploration went: powercut.json, a JUnit file, and a page with a picture."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from powercut.cuts import State, Step
from powercut.oracle import allowed
from powercut.page import COLUMNS, page
from powercut.planner import Base, Result


@dataclass(frozen=True)
class Exploration:
    """One scenario: its uninterrupted run, the states that first cuts leave, and what was run of them."""

    base: Base
    states: int
    results: list[Result]

    @property
    def second_states(self) -> set[State]:
        """What second cuts leave, and no first cut that was run."""
        return set[State]().union(*(r.second_states for r in self.results)) - {r.state for r in self.results}

    @property
    def second_ran(self) -> set[State]:
        return self.second_states & set[State]().union(*(r.second_ran for r in self.results))

    @property
    def seconds(self) -> list[Result]:
        return [result for first in self.results for result in first.second]

    @property
    def all(self) -> list[Result]:
        return self.results + self.seconds

    @property
    def wrong(self) -> list[Result]:
        return [result for result in self.all if result.verdict.wrong]


def replay(result: Result) -> str:
    """The one command that runs a point again."""
    return f"make powercut REPLAY='{result.point}'"


def write(folder: Path, explored: list[Exploration], seed: int, took_s: float) -> None:
    """powercut.json, powercut.xml and powercut.html in `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    summary = {
        "seed": seed,
        "took_s": round(took_s, 1),
        "scope": scope(explored, seed),
        "scenarios": [_scenario(e) for e in explored],
    }
    (folder / "powercut.json").write_text(json.dumps(summary, indent=1) + "\n")
    (folder / "powercut.html").write_text(page(summary))
    _junit(explored).write(folder / "powercut.xml", encoding="utf-8", xml_declaration=True)


def scope(explored: list[Exploration], seed: int) -> str:
    """How many states there are, how many were run, and whether that is all of them."""

    def part(what: str, ran: int, there: int) -> str:
        whole = "all of them" if ran == there else f"a sample, chosen by seed {seed}"
        return f"{what}: {ran} of {there} states, {whole}"

    figures = [_figures(e) for e in explored]
    first = part("first cuts", *(sum(f[key] for f in figures) for key in ("ran", "states")))
    second = part("second cuts", *(sum(f[key] for f in figures) for key in ("second_ran", "second_states")))
    return f"{first}; {second}"


def table(explored: list[Exploration]) -> str:
    """The figures, a line a scenario, for a terminal."""
    rows = [tuple(head for head, _ in COLUMNS)]
    for e in explored:
        figures = _figures(e)
        rows.append((e.base.scenario.name, *(str(figures[key]) for _, key in COLUMNS[1:])))
    sums = [str(sum(int(r[n]) for r in rows[1:])) for n in range(1, 6)]
    most = [str(max(int(r[n]) for r in rows[1:])) for n in (6, 7)]
    rows.append(("all", *sums, *most, str(sum(int(r[8]) for r in rows[1:]))))
    widths = [max(len(r[n]) for r in rows) for n in range(len(COLUMNS))]
    return "\n".join(
        "  ".join(cell.ljust(w) if n == 0 else cell.rjust(w) for n, (cell, w) in enumerate(zip(r, widths, strict=True)))
        for r in rows
    )


def _figures(e: Exploration) -> dict[str, int]:
    return {
        "operations": len(e.base.run.steps),
        "states": e.states,
        "ran": len(e.results),
        "second_states": len(e.second_states),
        "second_ran": len(e.second_ran),
        "most_boots": max(r.verdict.boots for r in e.all),
        "most_refetched": max(r.refetched for r in e.all),
        "violations": len(e.wrong),
    }


def _scenario(e: Exploration) -> dict[str, Any]:
    scenario, run = e.base.scenario, e.base.run
    return {
        "name": scenario.name,
        "about": scenario.about,
        "ends": " or ".join(allowed(scenario)),
        "left": scenario.left,
        "before": e.base.verdict.first,
        **_figures(e),
        "boots": [{"slot": b.slot, "cause": b.cause, "operation": b.step} for b in run.boots],
        "trace": [_operation(scenario.table.rows, step) for step in run.steps],
        "cuts": [_cut(result) for result in e.results],
    }


def _operation(rows: Any, step: Step) -> dict[str, Any]:
    operation = step.operation
    inside = [r.label for r in rows if r.offset <= operation.address < r.offset + r.size]
    return {
        "actor": operation.actor,
        "kind": operation.kind,
        "partition": inside[0] if inside else "",
        "address": operation.address,
        "size": operation.size,
    }


def _cut(result: Result) -> dict[str, Any]:
    point = result.point
    cut = point.second or point.first
    found: dict[str, Any] = {
        "at": cut.at,
        "torn": cut.seed,
        "booted": result.verdict.first,
        "boots": result.verdict.boots,
        "refetched": result.refetched,
        "wrong": list(result.verdict.wrong),
    }
    if result.verdict.wrong:
        found["replay"] = replay(result)
    if result.second_states:
        found["second_states"] = len(result.second_states)
        found["second"] = [_cut(second) for second in result.second]
    return found


def _junit(explored: list[Exploration]) -> ElementTree.ElementTree:
    root = ElementTree.Element("testsuites", name="powercut")
    for e in explored:
        tests, wrong = str(len(e.all)), str(len(e.wrong))
        suite = ElementTree.SubElement(root, "testsuite", name=e.base.scenario.name, tests=tests, failures=wrong)
        for result in e.all:
            case = ElementTree.SubElement(suite, "testcase", classname="powercut", name=str(result.point))
            if result.verdict.wrong:
                text = "; ".join(result.verdict.wrong)
                failure = ElementTree.SubElement(case, "failure", message=text[:200])
                failure.text = f"{text}\n\nto replay: {replay(result)}\n\n{_printable(result.console[-3000:])}"
    return ElementTree.ElementTree(root)


def _printable(text: str) -> str:
    """Without the control characters that XML cannot hold."""
    return "".join(c for c in text if c >= " " or c in "\n\t")
