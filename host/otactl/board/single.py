"""The agent of a board without two slots (device/ota/single): which modules such a board gets, and in whose place they lie."""

from typing import Any

from otactl.board import agent

# Its public face and what boot.py calls lie where the other agent's do: main.py and boot.py are the same on each board.
_DOORS = {
    "agent.py": b'"""The agent of a board without two slots."""\n\nfrom .single.agent import *\n',
    "boot/__init__.py": b'"""Every boot of a board without two slots."""\n\nfrom ..single.boot import *\n',
}
_SHARED = {
    *("__init__.py", "console.py", "errors.py", "steps.py"),
    *("install/__init__.py", "install/archive.py", "install/tree.py"),
    *("net/__init__.py", "net/url.py"),
    *("release/__init__.py", "release/envelope.py", "release/keys.py", "release/policy.py", "release/signature.py"),
    *("single/__init__.py", "single/agent.py", "single/boot.py", "single/trial.py", "single/record.py"),
    *("single/look.py", "single/update.py", "single/story.py"),
}
_ESP32 = {"boot/store.py", "boot/feeder.py", "config.py", "release/fresh.py", "release/image.py", "single/port.py"}
_ESP8266 = {  # what is installed -> what it is made of
    "single/port.py": "single/port8266.py",
    "single/files.py": "single/files.py",
    "single/plain.py": "single/plain.py",
    "single/watch.py": "single/watch.py",
    "config.py": "single/fits8266.py",
}


def sources(chip: str, config: dict[str, Any]) -> dict[str, bytes]:
    """name -> content of the modules that a board of `chip` ("esp8266", or any other) with that configuration gets.

    Raises RigError.
    """
    every = agent.sources()
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
