"""A board's files: written and read over its REPL, and put back as they were before."""

import base64
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
    """`put`, `get` and `remove` of a board at its prompt; `restore` undoes all that these did, the newest first."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._before: dict[str, bytes | None] = {}  # file -> what was in it; None: it was not there
        self._folders: list[str] = []  # those made here

    def get(self, path: str) -> bytes:
        """Raises BoardError where there is no such file."""
        try:
            coded = self._run(_READ.format(path=path, chunk=_CHUNK))
        except BoardError as error:
            raise BoardError(f"cannot read {path} on the board: {error}") from None
        return b"".join(base64.b64decode(line) for line in coded.split())

    def put(self, path: str, data: bytes) -> None:
        """Write a file whole, in folders that are made where they are missing. Raises BoardError."""
        self.keep(path)
        parts = path.strip("/").split("/")[:-1]
        for depth in range(1, len(parts) + 1):
            folder = "/" + "/".join(parts[:depth])
            if not self._is_there(folder):
                transfer.make_folder(self._run, folder)
                self._folders.append(folder)
        transfer.put(self._run, path, data)

    def remove(self, path: str) -> None:
        """Raises BoardError where there is no such file."""
        self.keep(path)
        self._run(f"import os\nos.remove({path!r})")

    def keep(self, path: str) -> None:
        """Have a file be as it is now after the test, whatever the test does with it. Raises BoardError."""
        if path not in self._before:
            self._before[path] = self.get(path) if self._is_there(path) else None

    def restore(self) -> None:
        """Each file has its old content again, or is gone. Raises BoardError."""
        while self._before:
            path, data = next(reversed(self._before.items()))
            if data is not None:
                transfer.put(self._run, path, data)
            elif self._is_there(path):
                self._run(f"import os\nos.remove({path!r})")
            del self._before[path]
        while self._folders:
            self._run(
                f"import os\ntry: os.rmdir({self._folders[-1]!r})\nexcept OSError: pass"
            )  # a program has put something there
            self._folders.pop()

    def _is_there(self, path: str) -> bool:
        said = self._run(f"import os\ntry: os.stat({path!r}); print(1)\nexcept OSError: print(0)")
        return said.split()[-1] == "1"
