"""Files that must be whole or absent, and one writer at a time."""

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock, Timeout

from otactl.errors import RigError, UsageError


def write_atomic(path: Path, data: bytes, mode: int = 0o644) -> None:
    """A reader sees the old content or the new one, also after a crash of this machine. Raises OSError with the path."""
    write_together({path: (data, mode)})


def write_together(files: dict[Path, tuple[bytes, int]]) -> None:
    """Files (content, mode) that are of no use without each other: all are on the disk before the first takes its name.

    Raises OSError with the path, and no file has changed where there was no room for one of them.
    """
    staged: list[tuple[str, Path]] = []
    try:
        for path, (data, mode) in files.items():
            with _named(path):
                handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
                staged.append((name, path))
                _fill(handle, data)
                os.chmod(name, mode)
        for name, path in staged:
            with _named(path):
                os.replace(name, path)
    except BaseException:
        for name, _ in staged:
            Path(name).unlink(missing_ok=True)
        raise


def read_named(path: Path) -> bytes:
    """The content of a file that a person named. Raises UsageError where there is no such file, or none for this user."""
    try:
        return path.read_bytes()
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError, PermissionError) as error:
        raise UsageError(f"{path}: {error.strerror}") from None


def require_place(path: Path) -> None:
    """Before a read that takes minutes: that its file can be written. Raises UsageError where it cannot, in that folder."""
    folder = path.parent
    if path.is_dir():
        raise UsageError(f"{path} is a folder: name a file")
    if not folder.is_dir():
        raise UsageError(f"{folder}: there is no such folder")
    if not os.access(folder, os.W_OK):
        raise UsageError(f"{folder}: no file can be written there")


def require_new(path: Path) -> None:
    """The same of a file that is not to be there yet; its folder is made. Raises UsageError, OSError."""
    if path.exists():
        raise UsageError(f"{path} is there already: name another file")
    path.parent.mkdir(parents=True, exist_ok=True)
    require_place(path)


def write_private(path: Path, data: bytes) -> None:
    """A new file that only its owner can read, whole or not there. Raises FileExistsError, OSError with the path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with _named(path):
            _fill(handle, data)
    except BaseException:
        path.unlink(missing_ok=True)
        raise


def _fill(handle: int, data: bytes) -> None:
    with os.fdopen(handle, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


@contextlib.contextmanager
def _named(path: Path) -> Iterator[None]:
    """What the system says of a handle (no space left) names no file; a person needs one."""
    try:
        yield
    except OSError as error:
        error.filename = str(path)
        raise


@contextlib.contextmanager
def locked(path: Path, wait_s: float = 10) -> Iterator[None]:
    """Hold the lock file `path`, which stays; the system lets go of it when this process ends, however it does.

    Raises RigError where another process still holds it after `wait_s` seconds.
    """
    try:
        held = FileLock(path, timeout=wait_s).acquire()
    except Timeout:
        raise RigError(f"another otactl is at work ({path} is locked): try again later") from None
    with held:
        yield
