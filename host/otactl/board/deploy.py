"""Install the agent on a board over its REPL: what changed only, and nothing of the user's."""

import json
import time
from base64 import b64decode
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

from otactl.board import agent, hooks, settings, single, trusted
from otactl.board.link import Link
from otactl.board.snippets import HASH
from otactl.errors import BoardError, OtactlError
from otactl.release import channels, firmware, targets
from otactl.workspace import tls
from otactl.workspace.workspace import Workspace

AGENT = "/lib/ota"
CONFIG = settings.FOLDER
_OLDEST = (1, 23)
_DOORS = ("boot/__init__", "trial", "agent")
_HASHING_S = 10  # one file of the agent, on the board
_LOADING_S = 60
_LOAD = """
import gc, sys
for name in [name for name in sys.modules if name == "ota" or name[:4] == "ota."]:
    del sys.modules[name]
gc.collect()
from ota import agent
from ota.install import look, update
"""

# for the board: what lies in its files
FILES = (
    HASH
    + """
import os
def _digest(path):
    try:
        return _hash(path)
    except OSError:
        return None
def _text(path):
    try:
        with open(path, "rb") as f:
            return binascii.b2a_base64(f.read()).decode()
    except OSError:
        return None
def _walk(path, under=""):
    found = []
    try:
        for entry in os.ilistdir(path):
            if entry[1] & 0x4000:
                found += _walk(path + "/" + entry[0], under + entry[0] + "/")
            else:
                found.append(under + entry[0])
    except OSError:
        pass
    return found
def _names(path):
    try:
        return os.listdir(path)
    except OSError:
        return []
"""
    + hooks.CALLS
)
_ASK = (
    """
import sys
if sys.platform not in ("esp32", "esp8266"):
    raise RuntimeError("no esp32")
def _facts():
    impl = sys.implementation
    facts = {"version": list(impl[1][:3]), "mpy": getattr(impl, "_mpy", 0) & 0xFF,
        "platform": sys.platform, "slots": [], "otadata": 0, "chip": -1}
    if sys.platform == "esp32":
        from esp32 import Partition
        head = bytearray(16)
        Partition(Partition.RUNNING).readblocks(0, head)
        facts.update(slots=[p.info()[3] for p in Partition.find(Partition.TYPE_APP) if 16 <= p.info()[1] < 32],
            otadata=len(Partition.find(Partition.TYPE_DATA, subtype=0)), chip=head[12] | head[13] << 8)
    return facts
"""
    + FILES
)


@dataclass
class Deployed:
    """What was done. `advice`: what the person has to do yet."""

    written: list[str] = field(default_factory=list)
    unchanged: int = 0
    removed: list[str] = field(default_factory=list)
    advice: list[str] = field(default_factory=list)


def deploy(
    link: Link,
    workspace: Workspace,
    *,
    name: str = "",
    as_py: bool = False,
    replace_keys: bool = False,
    say: Callable[[str], None] = lambda _: None,
) -> Deployed:
    """Bring the board's files up to date and set its clock. `say` is told of each file written. `name`: of the board in
    boards.toml, by which it may have a certificate of its own. `replace_keys`: also where the board has a newer trust
    document than the workspace.

    Raises UsageError for a wrong configuration, BoardError where the board is not fit, and says
    what to do; RigError.
    """
    files = settings.files(workspace, name)
    found = facts(link)
    _check_board(found, workspace)
    if not replace_keys:
        trusted.require_not_ahead(link, workspace)
    single.require_way(found, json.loads(files[f"{CONFIG}/config.json"]))
    return _Deployment(link, say).run(found, files, as_py, tls.expires(workspace.tls))


def check(workspace: Workspace) -> None:
    """Raises UsageError where no board could be deployed to from this workspace."""
    settings.files(workspace, "")


def facts(link: Link) -> dict[str, Any]:
    """What a board is: version, mpy, platform, chip, slots, otadata. FILES is there afterwards. Raises BoardError, RigError."""
    try:
        found: dict[str, Any] = link.value("_facts()", _ASK)
    except BoardError as error:
        if "no esp32" in str(error):
            raise BoardError(f"the board at {link.device} is no ESP32 with MicroPython") from None
        raise
    return found


def _check_board(facts: dict[str, Any], workspace: Workspace) -> None:
    if tuple(facts["version"][:2]) < _OLDEST:
        raise BoardError(
            f"MicroPython {'.'.join(map(str, facts['version']))} is too old: the agent needs 1.23 "
            "or newer, and a bootloader from 1.21 or newer, which no update replaces; `otactl provision` flashes both"
        )
    slots = facts["slots"]
    if single.is_single(facts):
        return
    try:
        release = channels.current(workspace) or {"version": "", "targets": []}
    except OtactlError as error:
        raise type(error)(f"the workspace's newest release cannot be read: {error}") from None
    chip = firmware.CHIPS.get(facts["chip"])
    for target in targets.firmwares(release["targets"]):
        if target.get("chip") == chip and target["size"] > min(slots):
            raise BoardError(
                f"too-big: release {release['version']} has {target['size']} bytes for {chip}, a "
                f"slot of this board holds {min(slots)}; publish a smaller build, or "
                "make larger slots, by `otactl provision` with that firmware",
                code="too-big",
            )


class _Deployment:
    def __init__(self, link: Link, say: Callable[[str], None]) -> None:
        self._link = link
        self._say = say
        self._done = Deployed()

    def run(
        self, facts: dict[str, Any], files: dict[str, bytes], as_py: bool, certificate_ends: datetime | None
    ) -> Deployed:
        config = json.loads(files[f"{CONFIG}/config.json"])
        self._single = single.is_single(facts)
        if self._single:
            self._done.advice += single.advice(facts)
            source = single.sources(facts["platform"], config)
        else:
            source = agent.sources(config)
        modules = self._modules(facts["mpy"], as_py, source)
        rooms = sorted({f"{AGENT}/{name.rpartition('/')[0]}" for name in modules if "/" in name})
        for folder in ("/lib", AGENT, *rooms, "/etc", CONFIG):
            self._link.make_folder(folder)
        # what boot.py and main.py import comes last: a deployment that breaks off leaves the agent of before
        order = sorted(modules, key=lambda name: (name.partition(".")[0] in _DOORS, name))
        wanted = {f"{AGENT}/{name}": modules[name] for name in order} | files
        present = self._link.values("_digest", list(wanted), timeout_s=_HASHING_S)
        for (path, data), digest in zip(wanted.items(), present, strict=True):
            if digest == sha256(data).hexdigest():
                self._done.unchanged += 1
            else:
                self._put_where_room_is(path, data, set(modules))
        self._remove_stale(set(modules))
        for name in ("boot.py", "main.py"):
            self._hook(name)
        self._set_clock(certificate_ends)
        if any(name.endswith(".py") for name in modules):
            self._require_memory()
        return self._done

    def _put_where_room_is(self, path: str, data: bytes, modules: set[str]) -> None:
        """Where the files of before and the new ones have no room side by side, as .py and .mpy, the twins of what is there
        give way. Raises BoardError vfs-full."""
        try:
            self._put(path, data)
        except BoardError as error:
            if error.code != "vfs-full" or not self._remove_twins(modules):
                raise
            self._put(path, data)

    def _remove_twins(self, modules: set[str]) -> int:
        """Of modules that are on the board in both forms, the one that is not wanted. How many there were."""
        there = set(self._link.value(f"_walk({AGENT!r})"))
        twins = [n for n in there - modules if {n.replace(".mpy", ".py"), n.replace(".py", ".mpy")} & there & modules]
        for name in twins:
            self._link.run(f"os.remove({f'{AGENT}/{name}'!r})")
            self._done.removed.append(f"{AGENT}/{name}")
        return len(twins)

    def _require_memory(self) -> None:
        """A board compiles .py in its own memory. Raises BoardError where that is too small for it."""
        try:
            self._link.run(_LOAD, timeout_s=_LOADING_S)
        except BoardError as error:
            if "MemoryError" not in str(error):
                raise
            raise BoardError(
                f"the board at {self._link.device} has too little memory to compile the agent: deploy without --py, "
                "with an mpy-cross that writes .mpy files which it reads"
            ) from None

    def _modules(self, mpy: int, as_py: bool, source: dict[str, bytes]) -> dict[str, bytes]:
        if as_py:
            return source
        files = agent.compile_all(source)
        if agent.mpy_version(files) == mpy:
            return files
        self._done.advice.append(
            f"installed as .py: the board reads .mpy version {mpy}, this machine's mpy-cross "
            f"writes {agent.mpy_version(files)}"
        )
        return source

    def _remove_stale(self, wanted: set[str]) -> None:
        # A module left as .py hides the .mpy of the same name.
        for name in self._link.value(f"_walk({AGENT!r})"):
            if name not in wanted and name.endswith((".py", ".mpy", ".new")):
                self._link.run(f"os.remove({f'{AGENT}/{name}'!r})")
                self._done.removed.append(f"{AGENT}/{name}")
        for name in self._link.value("_names('/')"):
            if name in ("ota", "ota.py", "ota.mpy"):
                self._done.advice.append(f"/{name} of yours hides {AGENT}: rename or remove it")

    def _put(self, path: str, data: bytes) -> None:
        self._link.put(path, data)
        self._done.written.append(path)
        self._say(f"  {path}  {len(data)} bytes")

    def _hook(self, name: str) -> None:
        """Ours where there is none, or the port's own, which is comments; else advice."""
        ours = single.BOOT if self._single and name == "boot.py" else agent.hook(name)
        coded = self._link.value(f"_text('/{name}')") or ""
        present = b64decode(coded).decode(errors="replace")  # MicroPython runs what is no UTF-8 too
        if hooks.gives_way(present):
            self._put(f"/{name}", ours.encode())
        elif present == ours or self._link.value(f"_calls('/{name}')"):
            self._done.unchanged += 1
            if any(line.strip().startswith("except ImportError") for line in hooks.code(present)):
                self._done.advice.append(
                    f"your {name} catches ImportError only: write `except Exception as e:`, or a damaged agent stops it"
                )
        else:
            self._done.advice.append(hooks.advice(name))

    def _set_clock(self, certificate_ends: datetime | None) -> None:
        now = time.gmtime()
        when = (*now[:3], now.tm_wday, *now[3:6], 0)
        self._link.run(f"import machine, time\nmachine.RTC().datetime({when})")
        if certificate_ends and datetime.now(UTC) < certificate_ends:
            # This moment is proven: the board never starts before it again. A clock of this machine's that is years
            # ahead would shut the board out, so the certificate must agree.
            self._link.run(
                "try:\n    from ota.net import clock\n    clock.prove(time.time())\nexcept ImportError: pass"
            )
