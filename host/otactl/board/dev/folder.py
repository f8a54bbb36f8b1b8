"""The folder of an application, and the saves in it: its files are looked at ten times a second, by no more than names,
times and lengths. No library for that is needed, and none misses what a network drive or a container does not report. What
stays behind of a release stays behind here too: the folder may be a workspace, with keys and what a server writes."""

import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from otactl.errors import UsageError
from otactl.release import ignored

MAIN = ("app.py", "app.mpy", "app/__init__.py", "app/__init__.mpy")  # which of them is first is taken
_EVERY_S = 0.1
_SETTLED_S = 0.05  # an editor writes a file under another name first, and "save all" writes several

_Stamp = tuple[
    int, int, int
]  # when it was written, in ns; bytes; which file it is: an editor may put another in its place


@dataclass(frozen=True, slots=True)
class Save:
    """What a folder holds since a save. `number`: from 1, which is what was there at the beginning. `at`: when it was
    saved, as time.monotonic(). `changed`: names of files, the deleted ones too. `files`: name -> content."""

    number: int
    at: float
    changed: tuple[str, ...]
    files: dict[str, bytes]


class Folder:
    """A folder that is watched, by any number of threads: they see the same saves."""

    def __init__(self, root: Path) -> None:
        """Raises UsageError where no application begins in it."""
        self.root = root
        if not root.is_dir():
            raise UsageError(f"{root}: there is no such folder")
        self._one_thread = threading.Lock()
        self._taken = self._seen = self._look()
        self._quiet = self._looked = self._since = time.monotonic()
        check(root, self._seen)
        self._save = Save(1, self._looked, (), self._read(self._seen))

    def newest(self) -> Save:
        """The newest save. Raises OSError where a file cannot be read."""
        with self._one_thread:
            now = time.monotonic()
            settling = self._seen != self._taken
            if now - self._looked >= (_SETTLED_S if settling else _EVERY_S):
                self._looked = now
                self._compare(self._look(), now)
            return self._save

    def _compare(self, found: dict[str, _Stamp], now: float) -> None:
        if found != self._seen:
            self._seen, self._since = found, now
        elif found == self._taken:
            self._quiet = now
        else:
            names = found.keys() | self._taken.keys()
            changed = tuple(sorted(name for name in names if found.get(name) != self._taken.get(name)))
            self._save = Save(self._save.number + 1, self._saved_at(found, changed, now), changed, self._read(found))
            self._taken = found

    def _saved_at(self, found: dict[str, _Stamp], changed: tuple[str, ...], now: float) -> float:
        """By the newest time of a file that changed, where that is one since the last look that saw nothing."""
        written = max((found[name][0] / 1e9 for name in changed if name in found), default=0.0)
        at = now - (time.time() - written)
        return at if self._quiet - _EVERY_S <= at <= now else self._since

    def _look(self) -> dict[str, _Stamp]:
        return dict(_stamped(self.root, "", ignored.of(self.root)))

    def _read(self, found: dict[str, _Stamp]) -> dict[str, bytes]:
        files = {}
        for name in sorted(found):
            try:
                files[name] = (self.root / name).read_bytes()
            except FileNotFoundError:  # deleted since: the next look sees it
                continue
        return files


def _stamped(root: Path, under: str, rules: ignored.Rules) -> Iterator[tuple[str, _Stamp]]:
    for path in sorted((root / under).iterdir()):
        name = under + path.name
        try:
            is_folder = path.is_dir()
            if path.name.endswith("~") or rules.leave_out(name, folder=is_folder):
                continue
            if is_folder:
                yield from _stamped(root, f"{name}/", rules)
            elif path.is_file():
                about = path.stat()
                yield name, (about.st_mtime_ns, about.st_size, about.st_ino)
        except FileNotFoundError:  # deleted since it was listed
            continue


def check(root: Path, names: dict[str, _Stamp]) -> None:
    """Raises UsageError where there is no main module."""
    if not any(name in names for name in MAIN):
        named = ": main.py is not it, that is the board's; name it app.py" if "main.py" in names else ""
        raise UsageError(f"{root} has no app.py: an application begins there{named}")
