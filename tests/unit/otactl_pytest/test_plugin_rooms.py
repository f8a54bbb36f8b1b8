"""The files of the plugin: none is long, each says what it is, and no two need each other to be imported."""

import ast
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import otactl_pytest

HERE = Path(otactl_pytest.__file__).parent
MOST_LINES = 300  # a file has fewer


def needed(path: Path) -> Iterator[str]:
    """The files of the plugin that a file imports when it is imported itself."""
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.ImportFrom) and str(node.module).startswith("otactl_pytest"):
            below = str(node.module).partition(".")[2]
            yield from [below] if below else [one.name for one in node.names]


def test_files_are_as_they_must_be() -> None:
    files = sorted(HERE.glob("*.py"))
    assert {path.stem for path in files} >= {"plugin", "board", "ladder", "lease"}
    assert [path.name for path in files if len(path.read_text().splitlines()) >= MOST_LINES] == []
    assert [path.name for path in files if not ast.get_docstring(ast.parse(path.read_text()))] == []
    TopologicalSorter({path.stem: set(needed(path)) for path in files}).prepare()  # raises CycleError


def test_what_every_session_pays_for_is_three_files() -> None:
    paid, todo = set[str](), ["plugin"]
    while todo:
        paid.add(name := todo.pop())
        todo += [one for one in needed(HERE / f"{name}.py") if one not in paid]
    assert paid == {"plugin", "outcome", "settings"}
