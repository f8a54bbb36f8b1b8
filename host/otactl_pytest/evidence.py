"""What a test leaves in `--board-log DIR`: a folder with the console, the status before and after, otadata, the command.

No file has a password in it (redact.py).
"""

import io
import json
import os
import re
import shlex
import sys
from pathlib import Path
from typing import Any

import pytest
from otactl.board import logs
from otactl.errors import BoardError, OtactlError

from otactl_pytest import redact, settings
from otactl_pytest.board import Board

_WIDE = 100


class Evidence:
    """One test's. `section`: what the board said meanwhile, for the report; `repeat`: the command line."""

    def __init__(self, item: pytest.Item, board: Board) -> None:
        """Raises OSError where the folder cannot be made."""
        self._board = board
        self._first = len(board.console.lines)
        self.repeat = redact.clean(_repeat(item, board.name))
        root: Path | None = item.config.getoption("--board-log")
        self.folder = _folder(root, board.name, item.nodeid) if root else None
        board.log_dir = self.folder
        if self.folder:
            (self.folder / "command.txt").write_text(self.repeat + "\n")
            self._log = logs.LogFile(self.folder / "console.log")
            board.console.also_to(self._write)

    def _write(self, line: str) -> None:
        self._log(redact.clean(line))

    @property
    def section(self) -> str:
        return redact.clean(self._board.console.since(self._first))

    def before(self) -> None:
        """The board is at its prompt."""
        if self.folder:
            self._keep("before.json", self._status())

    def after(self, *, failed: bool, broken: str) -> None:
        """The board may be in any state; one that is `broken` (why) is not asked."""
        if not self.folder:
            return
        status = {"error": broken} if broken else self._status()
        self._keep("after.json", status)
        if failed and "slots" in status:
            (self.folder / "otadata.txt").write_text(self._drawn())

    def close(self) -> None:
        if self.folder:
            self._board.console.no_more_to(self._write)
            with self._log:
                pass
            self._board.log_dir, self.folder = None, None

    # --------------------------------------------------------------------------------------------

    def _status(self) -> dict[str, Any]:
        from otactl.board import slots_picture

        try:
            found: dict[str, Any] = {"slots": slots_picture.as_json(self._board.slots()), "agent": None}
        except (OtactlError, OSError) as error:
            return {"error": str(error)}
        try:
            found["agent"] = self._board.agent.status()
        except BoardError as error:
            found["why_no_agent"] = str(error)
        except OtactlError as error:
            found["error"] = str(error)
        return found

    def _drawn(self) -> str:
        from otactl.board import slots_picture
        from rich.console import Console

        picture = self._board.slots()
        page = io.StringIO()
        Console(file=page, width=_WIDE).print(slots_picture.table(picture))
        return f"{slots_picture.heading(picture)}\n{page.getvalue()}{slots_picture.verdict(picture)}\n"

    def _keep(self, name: str, told: dict[str, Any]) -> None:
        assert self.folder
        (self.folder / name).write_text(redact.clean(json.dumps(told, indent=1)) + "\n")


def _folder(root: Path, board: str, nodeid: str) -> Path:
    """A new one: a test that runs again has one for each time."""
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", nodeid).strip("-")[-120:]
    place = root / (re.sub(r"[^A-Za-z0-9._-]+", "-", board).strip("-") or "board") / name
    made, count = place, 1
    while made.exists():
        count += 1
        made = place.with_name(f"{name}-{count}")
    made.mkdir(parents=True)
    return made


def _repeat(item: pytest.Item, board: str) -> str:
    """The command that runs this one test again, on the same board."""
    named = [f"--board={board}"] if item.config.getoption("--board") or item.config.getoption("--board-tag") else []
    place, colons, name = item.nodeid.partition("::")
    test = os.path.relpath(item.config.rootpath / place, item.config.invocation_params.dir) + colons + name
    return shlex.join([Path(sys.executable).name, "-m", "pytest", test, *named, *settings.boards_options(item.config)])
