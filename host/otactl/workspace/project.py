"""A project to begin with: a program, its tests, a workspace, an example for CI."""

import re
import tempfile
from pathlib import Path

import tomlkit

from otactl.errors import UsageError
from otactl.files import write_atomic
from otactl.workspace.create import create
from otactl.workspace.workspace import SETTINGS, Workspace

_FROM = Path(__file__).resolve().parent / "skeleton"
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,63}\Z")
_FILES = {  # of the skeleton -> where it comes to lie
    "app/__init__.py": "app/__init__.py",
    "app/pattern.py": "app/pattern.py",
    "tests/test_app.py": "tests/test_app.py",
    "pyproject.toml": "pyproject.toml",
    "README.md": "README.md",
    "github/workflow.yml": ".github/workflows/test.yml",
}
_CHECK = 'check = { check = "call", function = "app:check", timeout_s = 10 }'


def make(root: Path, *, names: list[str], port: int, wifi: dict[str, str] | None) -> Workspace:
    """A new folder; its name is that of the project and of the product. The rest as create() has it.

    Raises UsageError where something is there already, or the name is no word.
    """
    name = root.name
    if not _NAME.match(name):
        raise UsageError(
            f"{name!r}: a project's name has a letter first, then letters, digits, - and _, 64 at the most"
        )
    if root.exists() and (not root.is_dir() or any(root.iterdir())):
        raise UsageError(f"{root} is there already, and not empty: `otactl init` makes a workspace in it")
    root.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{name}.", dir=root.parent) as aside:  # no half of one is left
        _fill(Path(aside, name), names=names, port=port, wifi=wifi)
        if root.exists():
            root.rmdir()
        Path(aside, name).rename(root)
    return Workspace.find(root)


def _fill(root: Path, *, names: list[str], port: int, wifi: dict[str, str] | None) -> None:
    name = root.name
    for given, place in _FILES.items():
        path = root / place
        path.parent.mkdir(parents=True, exist_ok=True)
        text = (_FROM / f"{given}.txt").read_text(encoding="utf-8")
        write_atomic(path, text.replace("NAME", name).encode())
    create(root, product=name, names=names, port=port, wifi=wifi)
    settings = root / SETTINGS
    told = tomlkit.parse(settings.read_text(encoding="utf-8"))
    told["board"]["trial"]["checks"].append(tomlkit.parse(_CHECK)["check"])
    write_atomic(settings, tomlkit.dumps(told).encode(), 0o600)
