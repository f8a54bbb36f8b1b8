"""What the demos are made of: a step that is checked, a command as it is typed, and the table at the end."""

import contextlib
import shutil
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from rich.table import Table as Rows
from rich.text import Text

from otactl.cli import display
from otactl.cli import run as cli


class StepFailed(Exception):
    """A step of the demo did not happen."""


@dataclass(frozen=True, slots=True)
class Step:
    text: str
    seconds: float
    proof: str


def title(text: str) -> None:
    """A new part of the story."""
    display.show(Text(f"\n{text}", "bold"))


def prompt(line: str) -> None:
    """A command as it is typed."""
    display.show(Text.assemble(("$ ", "dim"), (f"otactl {line}", "bold")))


def otactl(*words: str | Path, expect: int = 0) -> None:
    """A command, shown and run. Raises StepFailed where it ends with another code."""
    line = [str(display.short(word) if isinstance(word, Path) else word) for word in words]
    prompt(" ".join(line))
    with display.without_hints():
        code = cli.run(line)
    if code != expect:
        raise StepFailed(f"otactl {line[0]} ended with {code}, not {expect}")


def require(truth: bool, what: str) -> str:
    """`what`, which is so. Raises StepFailed where it is not."""
    if not truth:
        raise StepFailed(f"not so: {what}")
    return what


def wait_for_ctrl_c() -> None:
    """For who wants to look around."""
    with contextlib.suppress(KeyboardInterrupt):
        threading.Event().wait()


def empty(folder: Path, mark: Path, user: Path | None) -> None:
    """Take away what the last demo left, and nothing else. `mark`: its first file."""
    if folder.exists() and any(folder.iterdir()) and not mark.exists():
        raise StepFailed(f"{folder} has files that are no demo's, and would be emptied: choose another --folder")
    if user and user.resolve().is_relative_to(folder):
        raise StepFailed(f"{folder} is emptied first: move {user.name} out of it")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)


def told(tell: Callable[[], list[Step]], judge: str, proofs: str, after: Callable[[float], str]) -> int:
    """Tell a story; 1 where it did not go as it must. `judge`: whose word the proofs are; `proofs`: their column's head;
    `after`: the last line, from the seconds that it took."""
    began = time.monotonic()
    try:
        steps = tell()
    except (StepFailed, TimeoutError) as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1
    title(f"What happened, judged from {judge}")
    rows = Rows(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for column in ("  step", "seconds", proofs):
        rows.add_column(column, justify="right" if column == "seconds" else "left")
    for one in steps:
        rows.add_row(Text.assemble(("✓ ", "bold green"), one.text), f"{one.seconds:.1f}", one.proof)
    display.show_table(rows)
    display.show(after(time.monotonic() - began))
    return 0
