"""Files that must be whole or absent, and one writer at a time."""

import contextlib
import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from otactl.errors import RigError

if os.name == "nt":
    import msvcrt
else:
    import fcntl


def write_atomic(path: Path, data: bytes, mode: int = 0o644) -> None:
    """A reader sees the old content or the new one, also after a crash of this machine."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        _write(handle, path, data)
        os.chmod(name, mode)
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def write_private(path: Path, data: bytes) -> None:
    """A new file that only its owner can read. Raises FileExistsError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    _write(handle, path, data)


def _write(handle: int, path: Path, data: bytes) -> None:
    """Data on the disk, the handle closed. Raises OSError, which names `path`: where the disk is full it names none."""
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        error.filename = str(path)
        raise


@contextlib.contextmanager
def locked(path: Path, wait_s: float = 10) -> Iterator[None]:
    """Hold the lock file `path`; the system lets go of it when this process ends, however it does.

    Raises RigError where another process still holds it after `wait_s` seconds.
    """
    give_up = time.monotonic() + wait_s
    with path.open("a+b") as file:
        while not _try_lock(file.fileno()):
            if time.monotonic() > give_up:
                raise RigError(f"another otactl is at work ({path} is locked): try again later")
            time.sleep(0.05)
        yield


def _try_lock(handle: int) -> bool:
    try:
        if os.name == "nt":
            msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined]
        else:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
