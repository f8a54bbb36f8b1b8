"""An update by cable: the release goes to a board over its REPL, and is followed through its trial."""

import contextlib
import time
from dataclasses import dataclass

from otactl.board import agent, follow, single
from otactl.board.follow import Event, Outcome, Watch
from otactl.board.frames import Frames
from otactl.board.link import Link
from otactl.errors import BoardError, RigError
from otactl.release.offer import Offer

_UNANSWERED_S = 2.0  # after a frame; then the board has lost some of its bytes, and waits for them
_FILLER = b" " * 128  # no more than a UART's ring has room for; no frame begins with it
_DOUBT = """
def _offline():
    try:
        from ota import config
        found = config.load()
    except Exception:  # the update says it better
        return False
    asks = "server" in [item["check"] for item in found["trial"]["checks"]]
    return asks and not found["wifi"] and not found["ethernet"]
"""
_OFFLINE = (
    "the trial asks for the server, but no network is configured on the board: unless its program joins one by itself "
    "the release is rolled back; set trial.checks in otactl.toml, and deploy"
)
_STOPPED = (
    "stopped: the board was made to stop too, and starts its program; what it has of the image stays, and the next "
    "push goes on from there"
)
_PUSH = """
import gc
gc.collect()
_last = [-65536]
def _progress(phase, done, total):
    if phase == "verify" and (done - _last[0] >= 65536 or done == total):
        _last[0] = done
        print("ota:", phase, "%d/%d" % (done, total))
_told(push, {envelope!r}, {how!r}, _progress, {slow!r})
"""
_ANEW = "{version} was on trial already, and is {how}: now the push begins"
_GONE = (
    "the port {device} went away in the middle of the push: plug the board in and push again, it goes on from where it "
    "was; left alone it starts its program in half a minute"
)


@dataclass(frozen=True, slots=True)
class Pushed:
    """`start`: the first byte of the image that was sent, the rest being in flash already. `sent`: bytes of it since.

    `delta`: it was one that was sent, and `sent` counts bytes of that. `wire`: bytes on the cable for it, `again`: those of
    them in frames that were sent once more. `seconds`: from the first question of the board for them to the last byte in flash.
    """

    outcome: Outcome
    delta: bool
    start: int
    sent: int
    wire: int
    again: int
    seconds: float

    @property
    def rate(self) -> float:
        """Bytes of the image a second."""
        return self.sent / self.seconds if self.seconds else 0.0


def push(link: Link, offer: Offer, watch: Watch, *, raw: bool = False, anyway: bool = False) -> Pushed:
    """Have a board install `offer`, and follow it to the end of its trial; `raw`: not compressed.

    A trial that runs already is followed to its end first. Raises as follow.update, ReleaseError where the image in the
    workspace is not the signed one.
    """
    single.require_can(link, "push")
    if link.value("_offline()", _DOUBT):
        watch(Event("warning", [_OFFLINE]))
    pushed = _pushed(link, offer, watch, raw=raw, anyway=anyway)
    if pushed is None:
        link.enter_repl()
        pushed = _pushed(link, offer, watch, raw=raw, anyway=anyway)
    if pushed is None:
        raise BoardError("the board tries one release after the other by itself: push again")
    return pushed


def _pushed(link: Link, offer: Offer, watch: Watch, *, raw: bool, anyway: bool) -> Pushed | None:
    """None where the board was on trial with another release, and has now come to the end of that."""
    link.run(agent.cable(), coming=True)
    sender = _Sender(link, offer, watch)
    code = _PUSH.format(envelope=offer.envelope, how="raw" if raw else "deflate", slow=link.patience.slow)
    try:
        outcome = follow.update(link, sender, anyway=anyway, code=code, idle=sender.idle)
    except KeyboardInterrupt:
        if link.away:
            raise
        raise KeyboardInterrupt(_STOPPED) from None
    if outcome.name in ("confirmed", "rolled-back") and not sender.switched:
        watch(Event("warning", [_ANEW.format(version=outcome.version, how=outcome.name)]))
        return None
    if (outcome.reason, outcome.detail) == ("cable", "silent"):
        link.let_go()  # it resets, for its program to start
    return sender.pushed(outcome)


class _Sender:
    """Answers what the board asks for; `watch` gets the rest."""

    def __init__(self, link: Link, offer: Offer, watch: Watch) -> None:
        self._link, self._offer, self._watch = link, offer, watch
        self._image, self._delta = b"", False
        self._frames: Frames | None = None
        self._start: int | None = None
        self._offset = -1
        self._sent = self._wire = self._again = 0
        self._began = self._moved = 0.0
        self._unanswered = False
        self.switched = False  # whether the board goes on by itself, into what was pushed

    def __call__(self, event: Event) -> None:
        """One line of the board's."""
        if self._unanswered:
            self._moved, self._unanswered = time.monotonic(), False
        self.switched = self.switched or event.name == "switch"
        if event.name not in ("fetch", "next"):
            self._watch(event)
            return
        with contextlib.suppress(ValueError):  # the line came in garbled: the board asks again
            if event.name == "fetch":
                how, url = event.facts
                self._fetch(how, url)
            else:
                (offset,) = event.facts
                self._next(int(offset))

    def idle(self) -> None:
        """Nothing came for a moment. Where the board has lost some of a frame's bytes it gets others in their place.

        Raises RigError where the port is gone.
        """
        if self._link.gone:
            raise RigError(_GONE.format(device=self._link.device))
        quiet_s = time.monotonic() - self._moved
        if self._unanswered and quiet_s > self._link.patience.limit(_UNANSWERED_S):
            self._link.send(_FILLER)

    def pushed(self, outcome: Outcome) -> Pushed:
        return Pushed(
            outcome, self._delta, self._start or 0, self._sent, self._wire, self._again, self._moved - self._began
        )

    def _fetch(self, how: str, url: str) -> None:
        self._image = self._offer.image(url)
        if self._delta != self._offer.is_delta(url):  # the first file; after a delta that failed the image
            self._delta, self._start = not self._delta, None
            self._sent = self._wire = self._again = 0
        self._frames = Frames(self._image, packed=how == "deflate")
        self._offset = -1

    def _next(self, offset: int) -> None:
        if self._frames is None:
            return  # its `fetch` came in garbled: it asks again for that too
        frame = self._frames.at(offset)
        if self._start is None:
            self._start, self._began = offset, time.monotonic()
        if offset == self._offset:
            self._again += len(frame)
        else:
            self._sent += (self._frames.reached or 0) - offset
        self._offset = offset
        self._wire += len(frame)
        self._watch(Event("download", [f"{offset}/{len(self._image)}"]))
        self._link.send(frame)
        self._moved, self._unanswered = time.monotonic(), True
