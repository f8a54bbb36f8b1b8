"""The verb hil: the suite on one board or many, what is fine and what is not."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

import rich_click as click

from otactl.cli.options import BOARD, FILE, as_json, slow_link, verb, with_roster
from otactl.words import counted

if TYPE_CHECKING:
    from otactl.cli.rows import Row
    from otactl.hil.results import Result, Results
    from otactl.workspace.roster import Entry

_VIRTUAL = "virtual"


@verb(BOARD, "hil desk-07 desk-08 --all")
@click.argument("words", metavar="[BOARD]...", nargs=-1)
@click.option("--tag", "tags", multiple=True, help="The boards of boards.toml with that tag.")
@with_roster
@slow_link
@click.option("--all/--quick", "everything", help="All tests, or those of three minutes on a chip (default).")
@click.option("--only", default="", metavar="TEST", help="file.py::test, or words of tests' names.")
@click.option("--count", type=click.IntRange(1), default=1, metavar="N", help="Each test N times.")
@click.option(
    "--seed", type=int, default=1, metavar="S", help="Chooses images, and where downloads are cut (default: 1)."
)
@click.option("--firmware", type=FILE, help="Make releases of this file (default: of what the board runs).")
@click.option("--address", default="", metavar="HOST", help="What boards call this machine (default: found out).")
@click.option(
    "--feature", "features", multiple=True, metavar="WORD", help="What the board has: loopback:4-5 and others."
)
@click.option("--power", default="", metavar="SPEC", help="Its power switch, as in boards.toml.")
@click.option("--restore-slot", is_flag=True, help="Put the other slot's content back as well: minutes over a cable.")
@click.option("--out", type=FILE, default=Path("hil-results"), help="Page, JSON, JUnit, logs (default: hil-results).")
@as_json
def hil(
    *,
    words: tuple[str, ...],
    tags: tuple[str, ...],
    workspace: Path | None,
    slow: float,
    everything: bool,
    only: str,
    count: int,
    seed: int,
    firmware: Path | None,
    address: str,
    features: tuple[str, ...],
    power: str,
    restore_slot: bool,
    out: Path,
    as_json: bool,
) -> int:
    """Test updates on boards, and leave them as they were found.

    BOARD is a device, a name of boards.toml, or virtual. The board's network is that of its configuration, or
    OTACTL_HIL_SSID and OTACTL_HIL_PASSWORD.
    """
    import os

    from otactl_pytest import redact

    from otactl.cli import many
    from otactl.hil import results, runs
    from otactl.hil.setting import Setting

    ssid, password = (os.environ.get(f"OTACTL_HIL_{name}", "") for name in ("SSID", "PASSWORD"))
    redact.register_secret(password)
    runs.require_pytest()
    setting = Setting(seed, address, firmware, ssid, password, restore_slot)
    boards = [_with(entry, features, power) for entry in _boards(words, tags, workspace, slow)]
    places = runs.folder_names(entry.name for entry in boards)
    typed = _typed(workspace, slow, features, power) + setting.words(count)
    done: list[Results] = []

    def one(entry: "Entry", row: "Row") -> many.Ending:
        row.wait("the board is set up")
        wish = runs.Wish(setting, everything, count, only, ("otactl", "hil", entry.name, *typed))
        found = runs.run(entry, wish, out / places[entry.name], lambda test: _show(test, row), row.stop.check)
        done.append(found)
        verdict = found.summary.removeprefix(f"{entry.name}: ")
        return many.Ending(found.exit_code == 0, verdict, why=found.trouble, told=found.as_json())

    endings, stopped = many.gathered(boards, one, lines=not as_json, rows=not as_json)
    for name in endings.keys() - {one.name for one in done}:
        end, was_stopped = endings[name], endings[name].outcome == "stopped"
        why = f"stopped: {end.why}" if was_stopped else end.why or end.outcome
        done.append(results.Results(name, trouble=why, stopped=was_stopped))
    done.sort(key=lambda one: [entry.name for entry in boards].index(one.name))
    _write(out, done)
    if as_json:
        print(json.dumps({"boards": {one.name: one.as_json() for one in done}}, indent=1))
    else:
        _tell(done, out)
    if stopped:
        raise stopped
    return results.worst(done)


def _boards(words: tuple[str, ...], tags: tuple[str, ...], workspace: Path | None, slow: float) -> "list[Entry]":
    from otactl.cli import chosen
    from otactl.workspace.roster import Entry

    virtual = [word for word in dict.fromkeys(words) if word.partition(":")[0] == _VIRTUAL]
    real = [word for word in words if word not in virtual]
    found = list(chosen.boards(real, tags, workspace, slow).entries) if real or tags or not virtual else []
    return found + [Entry(word, word, slow=slow) for word in virtual]


def _with(entry: "Entry", features: tuple[str, ...], power: str) -> "Entry":
    import dataclasses

    return dataclasses.replace(entry, features=(*entry.features, *features), power=power or entry.power)


def _typed(workspace: Path | None, slow: float, features: tuple[str, ...], power: str) -> list[str]:
    """What was said of the boards, in words of this verb."""
    words = ["--workspace", str(workspace)] if workspace else []
    words += ["--slow", f"{slow:g}"] if slow > 1 else []
    words += [f"--feature={feature}" for feature in features]
    return words + ([f"--power={power}"] if power else [])


def _show(test: "Result", row: "Row") -> None:
    from otactl.hil import results, runs

    if test.not_run:  # why is said by the test that broke off the run
        return
    sign = {results.PASSED: True, results.SKIPPED: None}.get(test.outcome, False)
    row.note(runs.sentence(test) if sign is not None else f"  {runs.sentence(test)}", sign)
    row.wait("the next test")


def _write(out: Path, done: "list[Results]") -> None:
    from otactl.files import write_atomic
    from otactl.hil import page

    out.mkdir(parents=True, exist_ok=True)
    write_atomic(out / "index.html", page.page(done).encode())
    told = {"boards": {one.name: one.as_json() for one in done}}
    write_atomic(out / "results.json", (json.dumps(told, indent=1) + "\n").encode())
    write_atomic(out / "summary.txt", "".join(f"{one.summary}\n" for one in done).encode())


def _tell(done: "list[Results]", out: Path) -> None:
    """In plain words what is not fine, and the command that repeats it; one line a board in the end."""
    from otactl.cli import display
    from otactl.hil import results, runs

    for one in done:
        wrong = [test for test in one.tests if test.outcome in (results.FAILED, results.RIG_FAULT)]
        if wrong or one.trouble or one.usage or one.notes:
            display.show(f"\n{one.name}")
        for test in wrong:
            display.failed(f"{runs.sentence(test)}\n{test.again}")
        if not_run := sum(test.not_run for test in one.tests):
            display.warn(f"not run for that: {counted(not_run, 'test')}")
        for problem in filter(None, (one.trouble, one.usage)):
            display.failed(problem)
        for note in one.notes:
            display.warn(note)
    display.show("")
    for one in done:
        rest = "" if one.everything or one.only else " (--all for the rest)"
        said = f"{one.summary}: {one.which}{rest}, {one.seconds:.0f} s"
        (display.done if one.exit_code == 0 else display.failed)(said)
    display.show(f"page, JSON, JUnit and logs: {out}/")
