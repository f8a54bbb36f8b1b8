"""A board's files: written and read over its REPL, and put back as they were before.

A path without a slash in front means the root too: what is the current folder changes, and in a mount it is a folder of
this machine.
"""

import base64
import posixpath
from collections.abc import Callable

from otactl.board import transfer
from otactl.errors import BoardError

_CHUNK = 1536
_READ = """
from binascii import b2a_base64 as _e
with open({path!r}, "rb") as _f:
    while True:
        _d = _f.read({chunk})
        if not _d:
            break
        print(_e(_d).decode(), end="")
"""

Run = Callable[[str], str]


class Files:
    """`put`, `get` and `remove` of a board at its prompt; `restore` undoes all that these did."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._before: dict[str, bytes | None] = {}  # file -> what was in it; None: it was not there
        self._folders: list[str] = []  # those made here

    def get(self, path: str) -> bytes:
        """Raises BoardError where there is no such file."""
        place = absolute(path)
        try:
            coded = self._run(_READ.format(path=place, chunk=_CHUNK))
        except BoardError as error:
            raise BoardError(f"cannot read {place} on the board: {error}") from None
        return b"".join(base64.b64decode(line) for line in coded.split())

    def put(self, path: str, data: bytes) -> None:
        """Write a file whole, in folders that are made where they are missing. Raises BoardError."""
        place = absolute(path)
        self.keep(place)
        self.keep(place + transfer.UNFINISHED)  # a person's own by that name, and what a call that breaks off leaves
        self._make_folders(place)
        transfer.put(self._run, place, data)

    def remove(self, path: str) -> None:
        """Raises BoardError where there is no such file."""
        self.keep(path)
        self._run(f"import os\nos.remove({absolute(path)!r})")

    def keep(self, path: str) -> None:
        """Have a file be as it is now after the test, whatever the test does with it. Raises BoardError."""
        place = absolute(path)
        if place not in self._before:
            self._before[place] = self.get(place) if self._is_there(place) else None

    @property
    def changed(self) -> list[str]:
        """What `restore` has to put back."""
        return [path for path in self._before if not path.endswith(transfer.UNFINISHED)]

    def restore(self) -> None:
        """Each file has its old content again, or is gone.

        One that cannot be put back keeps none of the others from it. Raises BoardError, which names those; they are tried
        again the next time.
        """
        failed = []
        for path in sorted(self._before, key=lambda path: self._before[path] is not None):  # first what makes room
            try:
                self._restore(path, self._before[path])
            except BoardError as error:
                failed.append(str(error))
            else:
                del self._before[path]
        while self._folders:
            self._run(
                f"import os\ntry: os.rmdir({self._folders[-1]!r})\nexcept OSError: pass"
            )  # a program has put something there
            self._folders.pop()
        if failed:
            raise BoardError(f"the board is not as it was before the test: {'; '.join(failed)}")

    # --------------------------------------------------------------------------------------------

    def _restore(self, path: str, data: bytes | None) -> None:
        if data is not None:
            self._make_folders(path)  # the test may have removed them
            transfer.put(self._run, path, data)
        elif self._is_there(path):
            self._run(f"import os\nos.remove({path!r})")

    def _make_folders(self, path: str) -> None:
        parts = path.split("/")[1:-1]
        for depth in range(1, len(parts) + 1):
            folder = "/" + "/".join(parts[:depth])
            if not self._is_there(folder):
                transfer.make_folder(self._run, folder)
                self._folders.append(folder)

    def _is_there(self, path: str) -> bool:
        said = self._run(f"import os\ntry: os.stat({path!r}); print(1)\nexcept OSError: print(0)")
        return said.split()[-1] == "1"


def absolute(path: str) -> str:
    """From the board's root, in the one spelling that names the file."""
    return "/" + posixpath.normpath("/" + path).strip("/")
