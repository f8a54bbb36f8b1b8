"""From the program that lies in `/` to the application in its directory, and back: one rename, or on a board without two
slots one write of the record, is the switch. Before it the old program starts, after it the new one, whenever power goes.

A main.py of the user's would import modules of the application once that is there. So a copy of it is made, and in its place
comes one that runs either the copy or the application, by what it finds: that is written before the switch, and gives way
to the project's own main.py after it.
"""

import textwrap
from collections.abc import Callable

from otactl.board import agent, hooks
from otactl.board.link import Link
from otactl.board.moving.ready import Ready, digests
from otactl.board.transfer import UNFINISHED
from otactl.errors import BoardError

BEFORE = "/before-app"  # no module can have such a name, so that it hides none
MAIN_BEFORE = f"{BEFORE}/main.py"
_NEW = "/app-new"  # where it is written: what is called by a slot's name is whole
_MARK = "# Put here by `otactl deploy --app`"
_BRIDGE = (
    _MARK
    + """: until the application is whole the program of before runs.
import os
import sys

if "/{name}" in sys.path and "{name}" in os.listdir("/"):
{hook}
else:
    execfile("{before}")
"""
)
_HASHING_S = 10  # one file, on the board
_REMOVING_S = 60
# for the board, after deploy.FILES
_CODE = """
import sys
def _gone(path):
    try:
        entries = list(os.ilistdir(path))
    except OSError:
        return
    for e in entries:
        _gone(path + "/" + e[0]) if e[1] & 0x4000 else os.remove(path + "/" + e[0])
    os.rmdir(path)
def _place():
    try:
        from ota.single import record
    except ImportError:
        from esp32 import Partition
        from ota.boot import slots
        if slots.unsure or slots.Slots().on_trial():
            return None
        name = "app-" + Partition(Partition.RUNNING).info()[4]
        return [name if name in os.listdir("/") else "", name]
    kept = record.load()
    if kept.value["trying"]:
        return None
    now = kept.value["current"]
    return [now and "app-" + now or "", "app-" + kept.other]
def _switch(name):
    from ota.single import record
    value = record.load().value
    record.load().set(current=name and name[4:] or None, release={}, before={}, next={})
"""
_ON_TRIAL = "the board has a release on trial, which nobody may disturb: wait until that has ended, or end it with `otactl confirm`"

Say = Callable[[str], None]


class Switch:
    """A board at its prompt, after its boot.py, with the agent. Raises BoardError where a release is on trial."""

    def __init__(self, link: Link, say: Say, code: str) -> None:
        """`code`: deploy.FILES."""
        self._link, self._say = link, say
        link.run(code)
        link.run(_CODE)
        found = link.value("_place()")
        if found is None:
            raise BoardError(_ON_TRIAL)
        self.now, self._next = (f"/{name}" if name else "" for name in found)

    def holds(self, ready: Ready) -> bool:
        """Whether the application that runs is that one, file by file."""
        return bool(self.now) and self._lies_in(self.now, ready)

    def install(self, ready: Ready) -> str:
        """Write the application and switch to it; the directory. What runs is as before where this is cut off.

        Raises BoardError where the board has another application, which a release replaces; RigError.
        """
        if self.now and not ready.single:
            raise BoardError(
                f"{self.now} is another application: `otactl push --app FOLDER` replaces it, and tries the new one first; "
                "`otactl deploy --undo-app` takes it away"
            )
        self._write(ready)
        theirs = _is_a_program_of_its_own(ready.main)
        if theirs:
            self._link.make_folder(BEFORE)
            self._put(MAIN_BEFORE, ready.main)
            self._put("/main.py", self._bridge())
        if ready.single:
            self._remove(self._next)
            self._link.run(f"os.rename({_NEW!r}, {self._next!r})")
            self._link.run(f"_switch({self._next[1:]!r})")
        else:
            self._link.run(f"os.rename({_NEW!r}, {self._next!r})")
        if theirs or ready.main.startswith(_MARK.encode()):
            self._put("/main.py", agent.hook("main.py").encode())
        self.now = self._next
        return self.now

    def undo(self, *, single: bool) -> None:
        """Back to the program of before, by the same way. Raises BoardError where there is no application; RigError."""
        if not self.now:
            raise BoardError("there is no application of its own directory on this board: nothing to undo")
        kept = self._link.value(f"_names({BEFORE!r})")
        if "main.py" in kept:
            self._next = self.now
            self._put("/main.py", self._bridge())
        self._remove(_NEW)
        if single:
            self._link.run("_switch('')")
        self._link.run(f"os.rename({self.now!r}, {_NEW!r})")
        if "main.py" in kept:
            self._link.run(f"os.rename({MAIN_BEFORE!r}, '/main.py')")
        for folder in (BEFORE, _NEW):
            self._remove(folder)

    def remove(self, paths: list[str]) -> None:
        """Files, and the copy of main.py too."""
        for path in paths:
            self._link.run(f"os.remove({path!r})")
        self._remove(BEFORE)

    def _bridge(self) -> bytes:
        hook = textwrap.indent(agent.hook("main.py"), "    ")
        return _BRIDGE.format(name=self._next[1:], hook=hook.rstrip(), before=MAIN_BEFORE).encode()

    def _write(self, ready: Ready) -> None:
        self._remove(_NEW)
        folders = {name.rpartition("/")[0] for name in ready.made.files if "/" in name}
        above = {"/".join(one.split("/")[:depth]) for one in folders for depth in range(1, one.count("/") + 2)}
        for folder in ("", *sorted(f"/{one}" for one in above)):
            self._link.make_folder(_NEW + folder)
        for name, data in ready.made.files.items():
            self._link.put(f"{_NEW}/{name}", data)
            self._say(f"  {self._next}/{name}  {len(data)} bytes")
        if not self._lies_in(_NEW, ready):
            raise BoardError(f"read-back: what lies in {_NEW} is not what was written: try again", code="read-back")

    def _lies_in(self, folder: str, ready: Ready) -> bool:
        wanted = digests(ready.made)
        there = [name for name in self._link.value(f"_walk({folder!r})") if not name.endswith(UNFINISHED)]
        if set(there) != set(wanted):
            return False
        paths = [f"{folder}/{name}" for name in wanted]
        return self._link.values("_digest", paths, timeout_s=_HASHING_S) == list(wanted.values())

    def _put(self, path: str, data: bytes) -> None:
        self._link.put(path, data)
        self._say(f"  {path}  {len(data)} bytes")

    def _remove(self, folder: str) -> None:
        self._link.run(f"_gone({folder!r})", timeout_s=_REMOVING_S)


def _is_a_program_of_its_own(main: bytes) -> bool:
    """Whether a main.py runs something else than the application `app` of the agent."""
    text = main.decode(errors="replace")
    if hooks.gives_way(text) or main.startswith(_MARK.encode()):
        return False
    lines = "\n".join(line.partition("#")[0] for line in text.splitlines())
    runs_app = "agent.run(" in lines or "import app" in lines
    return not (runs_app and "start(" in lines and "ota" in lines)
