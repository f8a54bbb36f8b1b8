"""The rooms of host/otactl: imports go one way, no two files need each other, no file is long."""

import ast
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

OTACTL = Path(__file__).resolve().parents[3] / "host" / "otactl"
GROUND = {"__init__", "errors", "files", "words"}  # what every room may import
ROOMS = {
    "workspace": set(),
    "release": {"workspace"},
    "engine": {"release", "workspace"},
    "board": {"release", "workspace"},
    "fleet": {"board", "release", "workspace"},
    "server": {"fleet", "release", "workspace"},
    "hil": {"board", "release", "workspace"},
    "cli": {"board", "engine", "fleet", "hil", "server", "release", "workspace"},
    "__main__": {"cli"},
}
MOST_LINES = 300  # a file has fewer


def imported(path: Path, root: Path) -> Iterator[Path]:
    """The files of otactl that a file imports, inside functions too, as paths from `root`."""
    for node in ast.walk(ast.parse(path.read_text())):
        names = []
        if isinstance(node, ast.Import):
            names = [one.name for one in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level:
            yield Path("by a relative name")
        elif isinstance(node, ast.ImportFrom):
            names = [f"{node.module}.{one.name}" for one in node.names]
        for name in names:
            package, *rest = name.split(".")
            if package == "otactl":
                yield target(rest, root)


def target(words: list[str], root: Path) -> Path:
    """The file that `otactl.words` is, or is in."""
    place = root.joinpath(*words)
    if place.is_dir():
        return Path(*words, "__init__.py")
    if not words or place.with_suffix(".py").is_file():
        return Path(*words).with_suffix(".py")
    return target(words[:-1], root)


def room(path: Path) -> str:
    return path.parts[0].removesuffix(".py")


def faults(root: Path) -> list[str]:
    found, needs = [], {}
    for path in sorted(root.rglob("*.py")):
        name = path.relative_to(root)
        text = path.read_text()
        if len(text.splitlines()) >= MOST_LINES:
            found.append(f"{name} is long")
        if not ast.get_docstring(ast.parse(text)):
            found.append(f"{name} has no docstring")
        needs[name] = set(imported(path, root))
        allowed = GROUND | ({room(name)} | ROOMS[room(name)] if room(name) in ROOMS else set())
        found += [f"{name} imports {other}" for other in sorted(needs[name]) if room(other) not in allowed]
    try:
        TopologicalSorter(needs).prepare()
    except CycleError as error:
        found.append("a circle: " + " ".join(map(str, error.args[1])))
    return found


def test_rooms_are_as_they_are_drawn() -> None:
    assert {path.parent.name for path in OTACTL.glob("*/*.py")} == set(ROOMS) - {"__main__"}
    assert faults(OTACTL) == []


@pytest.mark.parametrize(
    ("file", "text", "fault"),
    [
        ("workspace/a.py", "from otactl.release import b", "workspace/a.py imports release/b.py"),
        ("board/a.py", "from otactl.cli.main import main", "board/a.py imports cli/main.py"),
        ("board/a.py", "import otactl.server", "board/a.py imports server/__init__.py"),
        ("release/a.py", "def f():\n    from otactl.board import b", "release/a.py imports board/b.py"),
        ("files.py", "from otactl.workspace import b", "files.py imports workspace/b.py"),
        ("board/a.py", "from . import b", "board/a.py imports by a relative name"),
        ("board/a.py", "from otactl.board import b", "a circle: board/"),
        ("board/a.py", "\n" * MOST_LINES, "board/a.py is long"),
    ],
)
def test_what_breaks_them_is_found(tmp_path: Path, file: str, text: str, fault: str) -> None:
    for name in ["cli/main", "server/__init__", "release/b", "workspace/b", "errors", "__init__", "board/__init__"]:
        path = tmp_path / f"{name}.py"
        path.parent.mkdir(exist_ok=True)
        path.write_text('"""Words."""\n')
    (tmp_path / "board" / "b.py").write_text('"""Words."""\nfrom otactl.board import a\n')
    assert faults(tmp_path) == []
    (tmp_path / file).write_text(f'"""Words."""\n{text}\n')
    assert any(fault in one for one in faults(tmp_path)), faults(tmp_path)
