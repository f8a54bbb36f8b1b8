"""Power switches: one line of text says which, and each can switch off and on."""

import shlex
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol
from urllib.parse import urlsplit

from otactl.errors import RigError, UsageError

OFF_S = 2.0  # without power, so that a board's capacitors are empty
_COMMAND_S = 60.0
_HTTP_S = 15.0
_FORMS = "uhubctl:HUB.PORT, http:ON_URL OFF_URL, external:COMMAND, manual"

Ask = Callable[[str], None]


class Power(Protocol):
    """What switches a board. labgrid's PowerProtocol has the same three verbs. All raise RigError."""

    def on(self) -> object: ...

    def off(self) -> object: ...

    def cycle(self) -> object:
        """Off, a while, and on again."""


class _Switch:
    def on(self) -> None:
        raise NotImplementedError

    def off(self) -> None:
        raise NotImplementedError

    def cycle(self) -> None:
        self.off()
        time.sleep(OFF_S)
        self.on()


@dataclass(frozen=True, slots=True)
class Uhubctl(_Switch):
    """A port of a USB hub that can switch its power (https://github.com/mvp/uhubctl)."""

    hub: str  # "1-1"
    port: str  # "2"

    def on(self) -> None:
        self._run("on")

    def off(self) -> None:
        self._run("off")

    def _run(self, action: str) -> None:
        _command(["uhubctl", "-l", self.hub, "-p", self.port, "-a", action])


@dataclass(frozen=True, slots=True)
class Http(_Switch):
    """A relay or a smart plug that switches when one of two addresses is asked for."""

    on_url: str
    off_url: str

    def on(self) -> None:
        self._get(self.on_url)

    def off(self) -> None:
        self._get(self.off_url)

    def _get(self, url: str) -> None:
        try:
            with urllib.request.urlopen(url, timeout=_HTTP_S) as answer:
                answer.read()
        except (urllib.error.URLError, OSError, ValueError) as error:
            raise RigError(f"the power switch at {urlsplit(url).hostname} failed: {error}") from None


@dataclass(frozen=True, slots=True)
class External(_Switch):
    """Any command that takes `on` or `off` as its last word."""

    words: tuple[str, ...]

    def on(self) -> None:
        _command([*self.words, "on"])

    def off(self) -> None:
        _command([*self.words, "off"])


@dataclass(frozen=True, slots=True)
class Manual(_Switch):
    """A person, who is asked on the terminal and answers with Enter."""

    ask: Ask

    def on(self) -> None:
        self.ask("switch the board's power on, then press Enter")

    def off(self) -> None:
        self.ask("switch the board's power off, then press Enter")


def parse(spec: str, ask: Ask | None = None) -> Power:
    """The switch that a text means: uhubctl:HUB.PORT, http:ON_URL OFF_URL, external:COMMAND, manual.

    `ask`: how a person is asked. Raises UsageError.
    """
    kind, _, rest = spec.strip().partition(":")
    hub, _, port = rest.rpartition(".")
    addresses = rest.split()
    if kind == "uhubctl" and hub and port.isdecimal():
        return Uhubctl(hub, port)
    if kind == "http" and len(addresses) == 2 and all(one.startswith(("http://", "https://")) for one in addresses):
        return Http(*addresses)
    if kind == "external" and _words(rest):
        return External(_words(rest))
    if spec.strip() == "manual":
        return Manual(ask or _ask)
    raise UsageError(f"power switch {spec!r}: one of {_FORMS}")


def cycle(switch: Power) -> None:
    """Off and on, by a switch of anybody's. Raises RigError, whatever it raises."""
    try:
        switch.cycle()
    except RigError:
        raise
    except Exception as error:
        raise RigError(f"the power switch failed: {error}") from error


def _words(text: str) -> tuple[str, ...]:
    try:
        return tuple(shlex.split(text))
    except ValueError:
        return ()


def _ask(text: str) -> None:
    if not sys.stdin.isatty():
        raise RigError("the board's power is switched by hand, and there is nobody at a terminal")
    input(f"{text}: ")


def _command(words: list[str]) -> None:
    try:
        done = subprocess.run(words, capture_output=True, text=True, timeout=_COMMAND_S, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise RigError(f"the power switch failed: {error}") from None
    if done.returncode:
        said = (done.stderr or done.stdout).strip().splitlines()[-1:] or ["no word"]
        raise RigError(f"the power switch failed: {shlex.join(words)} ended with {done.returncode}: {said[0]}")
