"""One otactl at a time at a board: a lock for each port, kept through resets in which the port itself goes away.

A serial port opened exclusively keeps others out too, but not while it is gone, nor for a socket.
"""

import contextlib
import hashlib
import os
import tempfile
import threading
from pathlib import Path
from typing import Self

from filelock import FileLock, Timeout

from otactl.errors import RigError

_one_thread = threading.Lock()  # filelock counts without one
_LENT = "OTACTL_BOARDS_LENT"  # lock files, for the processes that a session starts
_PSEUDO = "/dev/pts/"  # as a virtual board has one: the number goes to the next who asks, so it names no board
_inherited = frozenset(os.environ.get(_LENT, "").split(os.pathsep))


class InUse(RigError):
    """Another process has the board: `holder`, where that is known."""

    def __init__(self, holder: str) -> None:
        self.holder = holder or "another process"
        super().__init__(f"it is in use by another otactl{f' ({holder})' if holder else ''}: wait until that has ended")


class Hold:
    """A port that this process has until `release`, the end of its `with`, or its own end, however that comes."""

    def __init__(self, lock: FileLock | None) -> None:
        self._lock = lock

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()

    def release(self) -> None:
        """Give the port back, once; if this process took it twice, the other taking still holds it."""
        lock, self._lock = self._lock, None
        if lock:
            with _one_thread:
                lock.release()
                if not lock.is_locked:
                    _lend(lock.lock_file, False)


def take(path: str, folder: Path | None = None, *, session: bool = False) -> Hold:
    """Have the port at `path`, whatever name leads to it. A process may take a port that it has already.

    `path`: as it is opened; a link means what it leads to. `folder`: where the locks are (default: one of this user's,
    below the system's for temporary files). `session`: take it for many things, so not if this process has it already,
    and let the processes that this one starts use it too. Raises InUse with who has it.
    """
    if path.startswith(_PSEUDO):
        return Hold(None)
    try:
        file = _file(path, folder or _folder())
        if str(file) in _inherited:
            return Hold(None)  # it is the session's that started this process
        lock = FileLock(file, timeout=0, thread_local=False, is_singleton=True)
        with _one_thread:
            if session and lock.is_locked:
                raise Timeout(str(file))
            lock.acquire()
            if session:
                _lend(str(file), True)
    except Timeout:
        raise InUse(_holder(file)) from None
    except OSError:  # no place for a lock: the port's own has to do
        return Hold(None)
    with contextlib.suppress(OSError):  # for people only
        _by(file).write_text(f"process {os.getpid()} in {Path.cwd()}", encoding="utf-8")
    return Hold(lock)


def _folder() -> Path:
    """A place that all processes of this user find. Raises OSError."""
    owner = os.getuid() if hasattr(os, "getuid") else "me"
    made = Path(tempfile.gettempdir()) / f"otactl-boards-{owner}"
    made.mkdir(mode=0o700, exist_ok=True)
    return made


def _file(path: str, folder: Path) -> Path:
    return folder / f"{hashlib.sha256(_place(path).encode()).hexdigest()[:16]}.lock"


def _place(path: str) -> str:
    """What a path leads to; no further than to the last name before a pseudo-terminal."""
    if not os.path.exists(path):  # an address, or a port that is not there
        return path
    here = os.path.join(os.path.realpath(os.path.dirname(path)), os.path.basename(path))
    if not os.path.islink(here):
        return here
    to = os.path.join(os.path.dirname(here), os.readlink(here))
    return here if to.startswith(_PSEUDO) else _place(to)


def _by(file: Path) -> Path:
    return file.with_suffix(".by")


def _lend(file: str, lent: bool) -> None:
    files = {*os.environ.get(_LENT, "").split(os.pathsep)} - {"", file}
    os.environ[_LENT] = os.pathsep.join(files | {file} if lent else files)


def _holder(file: Path) -> str:
    try:
        return _by(file).read_text(encoding="utf-8")
    except (OSError, ValueError):
        return ""
