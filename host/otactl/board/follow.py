"""Drive a deployed board over its REPL: status, update, confirm, rollback."""

import shlex
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from otactl.board import hooks, panic, single
from otactl.board.codes import sentence
from otactl.board.link import Link
from otactl.errors import BoardError, RigError

_ID = """
def _id():
    import machine, binascii
    return binascii.hexlify(machine.unique_id()).decode()
"""
_ASK = (
    """
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
def _before():
    try:
        from ota.boot import record
        failed = record.load().state["failed"]
    except Exception:  # an agent of 0.1.0, or NVS that cannot be read
        failed = []
    return {"deadline_s": _settings()["trial"]["deadline_s"], "id": _id(), "failed": failed,
        "boot.py": _calls("/boot.py"), "main.py": _calls("/main.py")}
def _told(f, *a):
    r = _try(f, *a)
    if "code" in r:
        print("ota: refused", r["code"], r["detail"])
"""
    + hooks.CALLS
    + single.SETTINGS
    + _ID
)
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
_POLL_S = 1.0
_RECENT = 200  # lines of the console in which the cause of a failed trial is looked for
_ALONE = ("switch", "rollback", "trial", "confirmed", "rolled-back")  # from here on the board goes on by itself
_BY_ITSELF = ("up-to-date", "error", "trial", "confirmed", "rolled-back")  # words of a board that has started anew
_RESTARTED = "the board restarted in the middle of the push ({why}): push again, it goes on from its last note"
_NO_APP = "no app.py yet: the board waits for your program (`mpremote connect {device} cp app.py :`)"

Watch = Callable[["Event"], None]


@dataclass(frozen=True, slots=True)
class Event:
    """One line `ota: NAME fact fact …` of the board's console."""

    name: str
    facts: list[str]


@dataclass(frozen=True, slots=True)
class Outcome:
    """How an update or a rollback ended. `name`: confirmed, up-to-date, refused, rolled-back.

    `hint`: what a person may want to do next, beside what the outcome says.
    """

    name: str
    version: str
    reason: str = ""
    detail: str = ""
    hint: str = ""


def status(link: Link) -> dict[str, Any]:
    """agent.status(). Raises BoardError, RigError."""
    found: dict[str, Any] = _ask(link, "agent.status", _STATUS_S)
    return found


def update(
    link: Link, watch: Watch, *, anyway: bool = False, code: str = _UPDATE, idle: Callable[[], None] | None = None
) -> Outcome:
    """Start an update and follow it through the trial to its end.

    `code` starts it on the board: `_told(f, *a)` calls f(*a) there and prints why the agent refused. With `idle`, which is
    called while the board says nothing, the board needs this computer until it switches: a restart before that is the end
    of it. A board that is already trying a release is followed in that. Ctrl-C says, in the text of the KeyboardInterrupt,
    what becomes of the update. Raises BoardError where the board has no agent or no configuration, or the agent breaks, or
    (unless `anyway`) main.py does not call the agent, or the board restarts where it must not; RigError where the board
    falls silent, or another one is at the port.
    """
    before = _ask(link, "_before")
    if not before["main.py"] and not anyway:
        raise BoardError(hooks.refusal(link.device, before["main.py"] is not None))
    if not before["boot.py"]:
        watch(Event("warning", [hooks.advice("boot.py")]))
    following = _Following(link, watch, before, idle=idle)
    link.start(_ASK + code)
    outcome = following.to_the_end()
    if outcome.reason == "unconfirmed":
        link.restart_program()
        following.version = "the last release"
        outcome = following.to_the_end()
    if outcome.reason == "failed-before" and _left_by_hand(before["failed"]):
        outcome = replace(outcome, reason="rollback")
    return outcome


def rollback(link: Link, watch: Watch) -> Outcome:
    """Back to the release in the other slot, followed through its trial. Raises as `update`."""
    following = _Following(link, watch, _ask(link, "_before"))
    link.start(_ASK + "_told(agent.rollback)\n")
    return following.to_the_end()


def confirm(link: Link, watch: Watch) -> Outcome:
    """End a running trial well. Raises BoardError where there is none."""
    if not status(link)["trial"]:
        raise BoardError(sentence("not-on-trial"), code="not-on-trial")
    following = _Following(link, watch, {"id": _ask(link, "_id")}, silence_s=_RESET_S)  # whatever its configuration
    link.start(_ASK + "_told(agent.confirm)\n")
    return following.to_the_end()


def _left_by_hand(failed: list[Any]) -> bool:
    """Whether the release that the board has just refused was left by `rollback`: it is the newest that failed."""
    return bool(failed) and max(failed)[1] == "rollback"


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


class _Following:
    """One update or rollback as the console tells of it. `before`: what `_before` gave.

    `version`: of the release that the board tries by itself, empty before that.
    """

    def __init__(
        self,
        link: Link,
        watch: Watch,
        before: dict[str, Any],
        *,
        silence_s: float = 0,
        idle: Callable[[], None] | None = None,
    ) -> None:
        self._link = link
        self._watch = watch
        self._id = before["id"]
        self._idle = idle
        self._silence_s = silence_s or before["deadline_s"] + _SLACK_S
        self.version = ""
        self._hint = ""
        self._recent: list[str] = []

    def to_the_end(self) -> Outcome:
        """Raises BoardError, RigError; KeyboardInterrupt with a sentence."""
        try:
            outcome = self._follow()
            self._require_same_board()
        except KeyboardInterrupt:
            raise KeyboardInterrupt(self._left_alone()) from None
        why = panic.cause(self._recent) if outcome.name == "rolled-back" else None
        if why:
            outcome = replace(outcome, detail=f"{outcome.detail}; {why}".removeprefix("; "))
        return replace(outcome, hint=self._hint)

    def _left_alone(self) -> str:
        status = "`otactl status`"
        if self.version:
            return (
                f"stopped watching: the board goes on with the trial of {self.version} by itself; "
                f"when it is over, {status} says how it ended"
            )
        return (
            "stopped: the board was made to stop too, and starts its program; what it has downloaded stays, and "
            f"its next look goes on from there (the one at its start, as a rule); {status} says how far it is"
        )

    def _follow(self) -> Outcome:
        for event in self._events():
            first, second = [*event.facts, "", ""][:2]  # a line may come in garbled
            rest = " ".join(event.facts[1:])
            if event.name in _BY_ITSELF:
                self._require_no_restart("it tells of its own look")
            if event.name in _ALONE:
                self.version = first or "a release"
                self._link.let_go()
            if event.name in ("switch", "rollback"):
                self._recent.clear()  # what crashes from here on is the release that is tried
            if event.name == "error" and first == "no-app":
                self._hint = _NO_APP.format(device=shlex.quote(self._link.device))
                continue
            self._watch(event)
            if event.name == "confirmed":
                return Outcome("confirmed", first)
            if event.name == "up-to-date":
                return Outcome("up-to-date", first)
            if event.name == "rolled-back":
                return Outcome("rolled-back", first, second, " ".join(event.facts[2:]))
            if event.name == "refused":
                self._link.finish()  # no reset comes: the board would stay at the prompt
                return Outcome("up-to-date", rest) if first == "up-to-date" else Outcome("refused", "", first, rest)
        raise self._silent()

    def _silent(self) -> RigError:
        limit_s, device = self._link.patience.limit(self._silence_s), self._link.device
        if self._link.gone:
            return RigError(f"the port {device} has not come back for {limit_s:g} s: is the board plugged in?")
        why = panic.cause(self._recent)
        return RigError(
            f"the board at {device} has told nothing for {limit_s:g} s"
            f"{f' (before that: {why})' if why else ''}: see `otactl status`; "
            "its bootloader goes back to the old release if the new one hangs"
        )

    def _waits_for(self) -> str:
        if self._link.gone:
            return "the port to come back; the board goes on by itself"
        if self.version:
            return "the trial to report; the bootloader goes back by itself if it hangs"
        return "the board's next word"

    def _events(self) -> Iterator[Event]:
        """The agent's lines, until none has come for so long; a chatting program is no sign of it.

        Raises BoardError where the agent's call ended without one of its own endings.
        """
        last, patience = "", self._link.patience
        patience.begin(self._waits_for(), self._silence_s)
        while (left := patience.left_s) > 0:
            patience.what = self._waits_for()
            line = self._link.line(min(left, _POLL_S))
            if line is None:
                if self._link.ended:
                    raise BoardError(f"the agent on the board at {self._link.device} broke: {last or 'no word'}")
                if self._idle and not self.version:
                    self._idle()
                continue
            last = line or last
            self._note(line)
            words = line.partition("ota: ")[2].split()
            if words:
                yield Event(words[0], words[1:])
                patience.begin(self._waits_for(), self._silence_s)

    def _note(self, line: str) -> None:
        """Keep a line for the cause of a failure; tell of a crash at once."""
        self._recent = [*self._recent, line][-_RECENT:]
        if why := panic.explain(line):
            self._require_no_restart(why)
        told = panic.explain(line) if self.version else None
        if told and panic.cause([line]):
            self._watch(Event("console", [told]))

    def _require_no_restart(self, why: str) -> None:
        """What the board tells after a restart is not of this update any more. Raises BoardError."""
        if self._idle and not self.version:
            self._link.let_go()  # its program runs
            raise BoardError(_RESTARTED.format(why=why))

    def _require_same_board(self) -> None:
        """The port went away, and what came back under its name may be another board. Raises RigError."""
        link = self._link
        if not link.reopened:
            return
        link.enter_repl()
        found = link.value("_id()", _ID)
        if found != self._id:
            raise RigError(
                f"another board is at {link.device} now ({found}, not {self._id}): what became of the update on the "
                "first one is not known; plug it in, and see `otactl status`"
            )
