"""What of a folder stays behind when it becomes a release: rules of ours, and those of its .otaignore.

Like .gitignore: a rule a line, `#` begins a comment, `!` takes back what an earlier rule left out, the last rule that fits
counts, and what lies in a folder that is left out stays behind with it. A rule with a slash in front of its last character
is a path from the folder's root, another one fits at any depth; a slash at its end makes it one for folders. `*`, `?` and
`[...]` stay within a name, `**` is any number of folders.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from otactl.errors import UsageError
from otactl.files import read_named
from otactl.workspace.workspace import SETTINGS

FILE = ".otaignore"
ALWAYS = (
    ".*",  # .git, .venv, .otaignore
    "__pycache__/",
    "*.pyc",
    "venv/",
    "tests/",
    "test_*.py",
    "conftest.py",
    "*.md",
    "/LICENSE*",
    "/pyproject.toml",
)
IN_A_WORKSPACE = (
    f"/{SETTINGS}",
    "/boards.toml",
    "/boards.csv",
    "/fleet.db*",
    "/channels.json",
    "/published.json",
    "/sequence",
    "/keys/",
    "/tls/",
    "/encryption/",
    "/releases/",
    "/rollouts/",
    "/held/",
    "/drafts/",
    "/engine/*.token",
    "/board-logs/",
    "/hil-results/",
)  # where the folder is one itself: the release key is no part of a release


@dataclass(frozen=True, slots=True)
class _Rule:
    parts: tuple[str, ...]
    takes: bool  # a rule with `!`
    folders: bool  # for folders only

    def fits(self, parts: Sequence[str], folder: bool) -> bool:
        return (folder or not self.folders) and _fits(self.parts, parts)


class Rules:
    """The last one that fits decides."""

    def __init__(self, lines: Iterable[str]) -> None:
        self._rules = [_rule(line) for line in lines if line.strip() and not line.startswith("#")]

    def leave_out(self, name: str, *, folder: bool = False) -> bool:
        """Whether a file, or a `folder` with all that is in it, stays behind."""
        last = self._last(name, folder)
        return last is not None and not last.takes

    def ask_for(self, name: str) -> bool:
        """Whether a rule with `!` takes a file in so many words."""
        last = self._last(name, folder=False)
        return last is not None and last.takes

    def _last(self, name: str, folder: bool) -> _Rule | None:
        parts = name.split("/")
        return next((rule for rule in reversed(self._rules) if rule.fits(parts, folder)), None)


def of(root: Path) -> Rules:
    """The rules for a folder. Raises UsageError for an .otaignore that is no text."""
    lines = [*ALWAYS, *(IN_A_WORKSPACE if (root / SETTINGS).is_file() else ())]
    if (root / FILE).exists():
        try:
            lines += read_named(root / FILE).decode().splitlines()
        except UnicodeDecodeError:
            raise UsageError(f"{root / FILE} is no text in UTF-8") from None
    return Rules(lines)


def _rule(line: str) -> _Rule:
    text = line.strip()
    takes, text = text.startswith("!"), text.removeprefix("!")
    folders, text = text.endswith("/"), text.rstrip("/")
    parts = tuple(text.removeprefix("/").split("/"))
    return _Rule(parts if "/" in text else ("**", *parts), takes, folders)


def _fits(rule: Sequence[str], parts: Sequence[str]) -> bool:
    if not rule:
        return not parts
    if rule[0] == "**":
        return any(_fits(rule[1:], parts[skipped:]) for skipped in range(len(parts) + 1))
    return bool(parts) and fnmatchcase(parts[0], rule[0]) and _fits(rule[1:], parts[1:])
