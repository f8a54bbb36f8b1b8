"""Drive a deployed board over its REPL: status, update, confirm, rollback."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from otactl.board.codes import sentence
from otactl.board.link import Link
from otactl.errors import BoardError, RigError

_ASK = """
try:
    from ota import agent
    from ota.errors import OtaError
except Exception as e:
    raise RuntimeError("no agent: " + str(e))
def _try(f, *a):
    try:
        return {"ok": f(*a)}
    except OtaError as e:
        return {"code": e.code, "detail": e.detail}
def _deadline_s():
    from ota import config
    return config.load()["trial"]["deadline_s"]
def _told(f, *a):
    r = _try(f, *a)
    if "code" in r:
        print("ota: refused", r["code"], r["detail"])
"""
_UPDATE = """
_last = [-1]
def _progress(phase, done, total):
    if done - _last[0] >= 16384 or done < _last[0] or done == total:
        _last[0] = done
        print("ota:", phase, "%d/%d" % (done, total))
_told(agent.update, _progress)
"""
_RESET_S = 30  # for a confirmation, a reset and the boot after it
_SLACK_S = 90  # over the trial's deadline: the watchdog's bite, two boots, a wait between retries
_STATUS_S = 30  # it looks into every slot

Watch = Callable[["Event"], None]


@dataclass(frozen=True, slots=True)
class Event:
    """One line `ota: NAME fact fact …` of the board's console."""

    name: str
    facts: list[str]


@dataclass(frozen=True, slots=True)
class Outcome:
    """How an update or a rollback ended. `name`: confirmed, up-to-date, refused, rolled-back."""

    name: str
    version: str
    reason: str = ""
    detail: str = ""


def status(link: Link) -> dict[str, Any]:
    """agent.status(). Raises BoardError, RigError."""
    found: dict[str, Any] = _ask(link, "agent.status", _STATUS_S)
    return found


def update(link: Link, watch: Watch) -> Outcome:
    """Start an update and follow it through the trial to its end.

    A board that is already trying a release is followed in that. Raises BoardError where it has
    no agent or no configuration, or the agent breaks; RigError where it falls silent.
    """
    silence_s = _ask(link, "_deadline_s") + _SLACK_S
    link.start(_ASK + _UPDATE)
    outcome = _follow(link, watch, silence_s)
    if outcome.reason == "unconfirmed":
        link.restart_program()
        outcome = _follow(link, watch, silence_s)
    return outcome


def rollback(link: Link, watch: Watch) -> Outcome:
    """Back to the release in the other slot, followed through its trial. Raises as `update`."""
    silence_s = _ask(link, "_deadline_s") + _SLACK_S
    link.start(_ASK + "_told(agent.rollback)\n")
    return _follow(link, watch, silence_s)


def confirm(link: Link, watch: Watch) -> Outcome:
    """End a running trial well. Raises BoardError where there is none."""
    if not status(link)["trial"]:
        raise BoardError(sentence("not-on-trial"), code="not-on-trial")
    link.start(_ASK + "_told(agent.confirm)\n")
    return _follow(link, watch, _RESET_S)


def _ask(link: Link, call: str, timeout_s: float = 10) -> Any:
    try:
        answer = link.value(f"_try({call})", _ASK, timeout_s=timeout_s)
    except BoardError as error:
        if "no agent" in str(error):
            raise BoardError(f"no agent on the board at {link.device}: `otactl deploy`") from None
        raise
    if "code" in answer:
        raise BoardError(sentence(answer["code"], answer["detail"]), code=answer["code"])
    return answer["ok"]


def _follow(link: Link, watch: Watch, silence_s: float) -> Outcome:
    for event in _events(link, silence_s):
        watch(event)
        first, second = [*event.facts, "", ""][:2]  # a line may come in garbled
        rest = " ".join(event.facts[1:])
        if event.name == "confirmed":
            return Outcome("confirmed", first)
        if event.name == "up-to-date":
            return Outcome("up-to-date", first)
        if event.name == "rolled-back":
            return Outcome("rolled-back", first, second, " ".join(event.facts[2:]))
        if event.name == "refused":
            link.finish()  # no reset comes: the board would stay at the prompt
            return Outcome("up-to-date", rest) if first == "up-to-date" else Outcome("refused", "", first, rest)
    raise RigError(
        f"the board at {link.device} has told nothing for {silence_s:g} s: see `otactl status`; "
        "its bootloader goes back to the old release if the new one hangs"
    )


def _events(link: Link, silence_s: float) -> Iterator[Event]:
    """The agent's lines, until none has come for `silence_s`; a chatting program is no sign of it.

    Raises BoardError where the agent's call ended without one of its own endings.
    """
    last = ""
    heard = time.monotonic()
    while (left := heard + silence_s - time.monotonic()) > 0:
        line = link.line(left)
        if line is None:
            if link.ended:
                raise BoardError(f"the agent on the board at {link.device} broke: {last or 'no word'}")
            continue
        last = line or last
        words = line.partition("ota: ")[2].split()
        if words:
            heard = time.monotonic()
            yield Event(words[0], words[1:])
