"""The files of a folder that is to be a release, but for what stays behind (ignored.py)."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from otactl.errors import ReleaseError, UsageError
from otactl.files import read_named
from otactl.release import archive, ignored

SECRET = b"PRIVATE KEY-----"


def read(root: Path) -> dict[str, bytes]:
    """Content by name ("lib/x.py"), in the order of archive.ordered.

    Raises UsageError where there is no such folder; ReleaseError for a link, what is no file, a name that no board takes,
    and a private key that .otaignore does not take in so many words.
    """
    if not root.is_dir():
        raise UsageError(f"--app {root}: there is no such folder")
    rules = ignored.of(root)
    found = dict(_walk(root, "", rules))
    for name, data in found.items():
        if SECRET in data and not rules.ask_for(name):
            raise ReleaseError(
                f"{root / name} is a private key, and whoever can fetch the release can read it: leave it out by a line "
                f"{name} in {ignored.FILE}, or take it all the same by !{name}"
            )
    return {name: found[name] for name in archive.ordered(found)}


def _walk(root: Path, under: str, rules: ignored.Rules) -> Iterator[tuple[str, bytes]]:
    try:
        entries = sorted(os.scandir(root / under), key=lambda entry: entry.name)
    except PermissionError as error:
        raise UsageError(f"{root / under}: {error.strerror}") from None
    for entry in entries:
        name, kind = under + entry.name, entry.stat(follow_symlinks=False).st_mode
        if rules.leave_out(name, folder=stat.S_ISDIR(kind)):
            continue
        if stat.S_ISLNK(kind):
            raise ReleaseError(f"{entry.path} is a link, which a board has none of: put the file there, or ignore it")
        if stat.S_ISDIR(kind):
            yield from _walk(root, f"{name}/", rules)
            continue
        if not stat.S_ISREG(kind):
            raise ReleaseError(f"{entry.path} is no file: a release has regular files only")
        if fault := archive.fault_of(name):
            raise ReleaseError(f"{os.fsencode(entry.path)!r}: {fault}")
        yield name, read_named(root / name)
