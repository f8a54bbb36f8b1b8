"""Drive a deployed board over its REPL: status, update, confirm, rollback."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from otactl.codes import sentence
from otactl.errors import BoardError, RigError
from otactl.link import Link

_ASK = """
try:
    from ota import agent
    from ota.errors import OtaError
except ImportError:
    raise RuntimeError("no agent")
def _try(f, *a):
    try:
        return {"ok": f(*a)}
    except OtaError as e:
        return {"code": e.code, "detail": e.detail}
"""
_UPDATE = """
_last = [-1]
def _progress(phase, done, total):
    if done - _last[0] >= 16384 or done < _last[0] or done == total:
        _last[0] = done
        print("ota:", phase, "%d/%d" % (done, total))
_r = _try(agent.update, _progress)
print("ota: refused", _r["code"], _r["detail"])
"""
_REBOOT_S = 20


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


def _ask(link: Link, call: str, timeout_s: float = 30) -> Any:
    try:
        answer = link.value(f"_try({call})", _ASK, timeout_s=timeout_s)
    except BoardError as error:
        if "no agent" in str(error):
            raise BoardError("the agent is not on this board: run `otactl deploy`") from None
        raise
    if "code" in answer:
        raise BoardError(sentence(answer["code"], answer["detail"]))
    return answer["ok"]


def status(link: Link) -> dict[str, Any]:
    """agent.status(). Raises BoardError, RigError."""
    found: dict[str, Any] = _ask(link, "agent.status")
    return found


def update(link: Link, watch: Callable[[Event], None], *, trial_s: float = 200) -> Outcome:
    """Start an update and follow it through the trial to its end. Raises RigError where the board falls silent."""
    _ask(link, "agent.status")  # a board without agent says so here
    link.start(_ASK + _UPDATE)
    return _follow(link, watch, trial_s)


def rollback(link: Link, watch: Callable[[Event], None], *, trial_s: float = 200) -> Outcome:
    """Back to the release in the other slot, followed through its trial."""
    _ask(link, "agent.status")
    link.start(_ASK + '_r = _try(agent.rollback)\nprint("ota: refused", _r["code"], _r["detail"])\n')
    return _follow(link, watch, trial_s)


def confirm(link: Link, watch: Callable[[Event], None]) -> Outcome:
    """End a running trial well. Raises BoardError where there is none."""
    if not status(link)["trial"]:
        raise BoardError(sentence("not-on-trial"))
    link.start(_ASK + "agent.confirm()")
    return _follow(link, watch, _REBOOT_S)


def events(link: Link, silence_s: float) -> Iterator[Event]:
    for line in link.lines(silence_s):
        words = line.partition("ota: ")[2].split()
        if words:
            yield Event(words[0], words[1:])


def _follow(link: Link, watch: Callable[[Event], None], silence_s: float) -> Outcome:
    for event in events(link, silence_s):
        watch(event)
        facts = [*event.facts, "", "", ""]
        if event.name == "confirmed":
            return Outcome("confirmed", facts[0])
        if event.name == "rolled-back":
            return Outcome("rolled-back", facts[0], facts[1], " ".join(event.facts[2:]))
        if event.name == "refused":
            name = "up-to-date" if facts[0] == "up-to-date" else "refused"
            return Outcome(name, facts[1] if name == "up-to-date" else "", facts[0], " ".join(event.facts[1:]))
    raise RigError(
        f"the board at {link.device} has said nothing for {silence_s:g} s: see `otactl status`; its bootloader "
        "goes back to the old release if the new one hangs"
    )
