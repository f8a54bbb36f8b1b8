"""One look: the newest release, held against the policy, and what brings in each of its parts. Let go once that is known: while
an image comes, its memory is TLS's."""

import gc
import hashlib
import sys

import machine
from micropython import const

from .. import release, steps
from ..boot import slots
from ..errors import OtaError, require
from ..net import clock, dates, link, url
from ..release import image
from . import applications, let_go

_OF_PARTS = "parts data room tree archive".split()  # one text takes less of a board
_MOST = const(8193)  # bytes: one more than release/envelope.py takes, which says so


class Look:
    """`config`: an update's; `view`: whole sectors to work with; `engine`: a ddi.Engine, or None. Once steps() is over: `offer`, the
    facts of the release, among them `source`, what makes a source of the image, None where that is an HttpSource; `demand`, a
    demand.Demand where its image has to carry a signature of its own; `data`, as data.look() returns it."""

    def __init__(self, config: dict, found: slots.Slots, kept, view: memoryview, engine) -> None:
        self._config, self._slots, self._record, self._view, self._engine = config, found, kept, view, engine
        self.offer: dict = {}
        self.demand = self.data = None

    def steps(self):
        """Steps until `offer` is the newest release. Raises OtaError with why this board refuses it."""
        kept, running = self._record, self._slots.running
        installed = kept.release_in(running) or {}
        self._config["have"] = installed.get("sequence", 0)  # for net/checkin.py
        try:
            response, payload, hangs_on = yield from self._channel(installed)
        except OtaError as e:
            if not self._config["trust"] or e.code == "up-to-date":
                raise
            from ..release import trust

            yield from trust.newest(self._config, e)
            response, payload, hangs_on = yield from self._channel(installed)
        from ..release import policy  # not before: while a connection opens, memory is scarce

        build = getattr(sys.implementation, "_build", None)
        targets = policy.choose(
            payload,
            self._config["product"],
            image.chip(running),
            build,
            machine.unique_id().hex(),
            self._config["data"],
        )
        if self._engine:
            self._engine.place(payload, targets)
        if hasattr(response, "url"):  # by cable no channel speaks, and who pushes has the board in his hands
            from ..release import fresh

            fresh.hear(payload, kept, hangs_on[0])
        if response.valid_to is not None:
            clock.prove(dates.parse(payload["published"]), response.valid_to)
        if installed.get("app"):
            from . import parts

            yield from parts.as_they_lie(self._slots, kept, payload["sequence"], targets, installed, self._view)
        firmware = targets.get("firmware")
        try:
            policy.apply(payload, targets, kept.state, installed, self._slots.next.info()[3])
        except OtaError as e:
            self._note(e, response.etag, hangs_on, payload)
            raise
        offer = {key: payload[key] for key in ("version", "sequence", "security_version")}
        if (yield from self._there(offer, targets, installed.get("sha256"))):
            # It came by cable, the record was lost, or it is the same under a newer release: not once more.
            kept.installed(offer, running)
            raise OtaError("up-to-date", payload["version"])
        self._not_held(payload["sequence"])
        if firmware:
            offer["source"] = yield from self._open(firmware, installed.get("sha256"))
        self.offer = offer
        release.make_room()
        release.let_go("unchanged")

    def _note(self, why: OtaError, etag: "str | None", hangs_on: list, payload: dict) -> None:
        # What comes of a look that finds the channel as it stood; an engine answers each look anew.
        if why.code == "up-to-date" and not self._engine:
            from ..release import unchanged

            unchanged.note(etag, hangs_on, payload.get("expires"))

    def _there(self, offer: dict, targets: dict, known: "str | None"):
        # Steps that complete the offer by what the release names, and return whether all of it runs already. `known`: the
        # hash of the image that runs, where the record has it.
        firmware, address = targets.get("firmware"), self._config["url"]
        offer["app"] = ""  # the hash of its application
        if firmware:
            offer.update(size=firmware["size"], sha256=firmware["sha256"], url=url.join(address, firmware["url"]))
            if self._config["image_signature"]:
                from ..release import demand

                self.demand = demand.Demand(self._config["image_signature"], firmware)  # type: ignore
        same = True  # the application, where there is one
        if not firmware or "application" in targets or applications():
            from . import parts

            same = yield from parts.look(self._slots, self._record, targets, offer, address, self._view)
        target = targets.get("data")
        if target:
            from . import data

            self.data = yield from data.look(self._config, self._slots.next, target, offer, self._runs)
        let_go(*_OF_PARTS)
        if not same or self.data or known not in (None, "", offer["sha256"]):
            return False
        return not firmware or (yield from self._runs(offer["size"], offer["sha256"]))

    def _open(self, firmware: dict, known: "str | None"):
        # Steps that return the way into an encrypted image, where the configuration says that images are; else a shorter one to
        # a plain image, or None. `known`: as for _there().
        config = self._config
        if config["encryption"]:
            from .decrypt import source

            found = yield from source(config["encryption"], firmware)
            gc.collect()
            return found
        require(not firmware.get("encryption"), "encryption")
        named = "deltas" in firmware and config["deltas"]
        if named or ("compressed" in firmware and config["compressed"]):
            from . import base

            found = yield from base.source(config, firmware, known, self._runs, self._slots.running)
            let_go("base")
            return found

    def _channel(self, installed: dict):
        # Steps that return the server's response, the payload of what the channel names, and what an answer to that hangs on:
        # its address with who may sign there, and more. A generator of its own: what it holds, TLS too, is free for the next
        # connection as soon as it ends, however it ends.
        config, engine, last = self._config, self._engine, None
        if engine:
            response, raw = yield from engine.offered()
        else:
            if hasattr(release, "unchanged"):
                last = release.unchanged.take(self._hangs_on(installed)[1])  # type: ignore[attr-defined]
            release.make_room()  # the last look has left it, and what follows
            let_go(*_OF_PARTS)
            gc.collect()  # what was loaded has left pieces behind
            try:
                response = yield from link.fetch(config, config["url"], known=last and last[0], keep="keep" in config)
            except OtaError as e:
                if last and str(e) == "http-status 304":
                    release.unchanged.keep(last)  # type: ignore[attr-defined]
                    raise OtaError("up-to-date", installed["version"])
                raise
            raw = yield from response.read(_MOST)
        from ..release import envelope  # not before: while a connection opens, memory is scarce

        trusted, hangs_on = self._hangs_on(installed)
        return response, envelope.open_envelope(raw, trusted), hangs_on

    def _hangs_on(self, installed: dict):
        # The keys that are trusted, and what it hangs on whether an answer of the channel is news.
        from ..release import keys

        config, engine = self._config, self._engine
        trusted = keys.load(config["keys"])
        channel = f"{engine.address if engine else config['url']} {trusted[2]} {sorted(trusted[1])}"
        return trusted, [channel, config["product"], config["data"], installed.get("sequence")]

    def _runs(self, size: int, sha256: str, slot=None):
        # Steps that return whether the running slot, or another partition, holds that very image.
        slot, digest = slot or self._slots.running, hashlib.sha256()
        if size > slot.info()[3]:
            return False
        for done in slots.read_slot(slot, size, self._view, digest):
            yield steps.progress("compare", done, size)
        return digest.digest().hex() == sha256

    def _not_held(self, sequence: int) -> None:
        held = self._record.state["held"]
        if held and held[0] == sequence and held[2] > 0:
            self._record.note("held", [sequence, held[1], held[2] - 1])
            raise OtaError("on-hold", held[2])
