"""The agent of a board without two slots (device/ota/single): which modules such a board gets, and in whose place they lie."""

import shlex
from typing import Any

from otactl.board import agent
from otactl.board.link import Link
from otactl.errors import BoardError, UsageError

# Its public face and what boot.py calls lie where the other agent's do: main.py and boot.py are the same on each board.
_DOORS = {
    "agent.py": b'"""The agent of a board without two slots."""\n\nfrom .single.agent import *\n',
    "boot/__init__.py": b'"""Every boot of a board without two slots."""\n\nfrom ..single.boot import *\n',
}
_SHARED = {
    *("__init__.py", "console.py", "errors.py", "steps.py"),
    *("install/__init__.py", "install/archive.py", "install/room.py", "install/tree.py"),
    *("net/__init__.py", "net/url.py"),
    *("release/__init__.py", "release/envelope.py", "release/keys.py", "release/policy.py", "release/signature.py"),
    *("single/__init__.py", "single/agent.py", "single/boot.py", "single/trial.py", "single/record.py"),
    *("single/look.py", "single/update.py", "single/story.py"),
}
_ESP32 = {"boot/store.py", "boot/feeder.py", "config.py", "release/fresh.py", "release/image.py", "single/port.py"}
_ESP8266 = {  # what is installed -> what it is made of
    "single/port.py": "single/port8266.py",
    "single/ask.py": "single/ask8266.py",
    "single/files.py": "single/files.py",
    "single/plain.py": "single/plain.py",
    "single/watch.py": "single/watch.py",
}


# The way into a program whose agent is damaged: what is called a or b is whole.
BOOT = """\
# Runs first on every boot: the application that the record names comes first in every search for a module; what is new is tried.
try:
    import ota.boot

    ota.boot.start()
except Exception as e:  # the application comes first, whatever is wrong with the agent
    print("ota: error", repr(e))
    import os
    import sys

    sys.path[:0] = ["/" + name for name in ("app-a", "app-b") if name in os.listdir("/")][:1]
"""


_ALONE = (
    "no two OTA slots: this board takes application releases alone, and what is weaker about them is in "
    "docs/applications.md; for MicroPython itself `otactl provision` gives it two slots, by cable"
)


SETTINGS = """
def _settings():
    from ota import agent
    if hasattr(agent, "loop"):
        from ota.config import load
    else:  # a board without two slots
        from ota.single.port import settings as load
    return load()
"""
_KIND = """
def _kind():
    import sys
    if sys.platform == "esp8266":
        return sys.platform
    try:
        from ota import agent
    except Exception:  # the verb itself says it better
        return ""
    return "" if hasattr(agent, "loop") else "single"
"""
_INSTEAD = "publish its application, and `otactl update {device}` brings it over the network"
_CANNOT = {  # (what the board is, verb) -> what its person reads
    ("esp8266", "slots"): "an ESP8266 has no partition table: `otactl status {device}` tells which application runs",
    ("esp8266", "dev"): "an ESP8266 has no memory for an application beside its own: copy it there by mpremote, or "
    + _INSTEAD,
    ("esp8266", "push"): "push fills the other slot, and an ESP8266 has none: " + _INSTEAD,
    ("single", "push"): "push fills the other slot, and this board has none: " + _INSTEAD,
}


def require_can(link: Link, verb: str) -> None:
    """Raises BoardError where a board without two slots cannot do what `verb` is for, with what to do instead."""
    told = _CANNOT.get((link.value("_kind()", _KIND), verb))
    if told:
        raise BoardError(told.format(device=shlex.quote(link.device)), code="no-ota-slots")


def is_single(facts: dict[str, Any]) -> bool:
    """Whether a board, by what deploy asks it, has no two slots: MicroPython itself stays as it is there."""
    return len(facts["slots"]) < 2 or not facts["otadata"]


def advice(facts: dict[str, Any]) -> list[str]:
    """What a person who deploys to such a board should know."""
    said = [_ALONE]
    if facts["platform"] == "esp8266":
        said.append(
            "nobody checks who the server is: MicroPython's TLS on an ESP8266 verifies no certificate, so there is none. "
            "Whoever is on the network can read a release and hold it back; only its signature keeps others out"
        )
    return said


def require_way(facts: dict[str, Any], config: dict[str, Any]) -> None:
    """Raises UsageError where an ESP8266 is told to fetch over TLS, which it cannot verify."""
    plain = config["url"].startswith("http://") and config.get("allow_http")
    if facts["platform"] == "esp8266" and not plain:
        raise UsageError(
            "tls-unverified: MicroPython's TLS on an ESP8266 verifies no certificate, so its agent speaks plain HTTP or "
            'nothing: set `url = "http://…"` and `allow_http = true` below [board] in otactl.toml; the release\'s '
            "signature is checked all the same"
        )


def sources(chip: str, config: dict[str, Any]) -> dict[str, bytes]:
    """name -> content of the modules that a board of `chip` ("esp8266", or any other) with that configuration gets.

    Raises RigError.
    """
    every = agent.every_source()
    if chip == "esp8266":
        wanted = {name: every[name] for name in _SHARED} | {name: every[of] for name, of in _ESP8266.items()}
    else:
        rooms = ("net/", "entries/", "checks/")
        wanted = {name: text for name, text in agent.sources(config).items() if name.startswith(rooms)}
        wanted |= {name: every[name] for name in _SHARED | _ESP32}
    return wanted | _DOORS


def compiled(chip: str, config: dict[str, Any]) -> dict[str, bytes]:
    """The same as .mpy files. Raises RigError."""
    return agent.compile_all(sources(chip, config))
