"""One update: find the newest release, hold it against the policy, and have a job (job.py) bring it into the next slot. All
of it is a generator of steps (steps.py)."""

import gc
import hashlib
import sys

from .. import config, release, steps
from ..boot import record, slots
from ..console import say
from ..errors import OtaError, coded, require
from ..net import clock, dates, link, url
from ..release import image
from . import applications, let_go
from .retry import patiently

# Of the configuration: what others than an update need would take memory from it.
_NOT_HERE = ("trial", "interval_s", "jitter_s", "start_timeout_s")


class Update:
    """`tries`: how often to look for the release; `block`: whole sectors to work with. Raises OtaError where the
    configuration is wrong or the running image is on trial (P2)."""

    def __init__(self, tries: "int | None", block: bytearray) -> None:
        self._view = memoryview(block)
        self._config = {key: value for key, value in config.load().items() if key not in _NOT_HERE}
        gc.collect()  # what stays goes into the first hole: what comes later finds larger pieces
        self._tries = tries or self._config["tries"]
        self._slots = slots.Slots()
        self._slots.require_confirmed()
        self._record = record.load()
        if self._record.job.get("data"):  # of a release that is confirmed: before anything else takes its place
            from . import staged

            staged.place(self._slots, self._record, self._view)
        self._demand = None  # a demand.Demand, where an image has to carry a signature of its own
        self._engine = None  # a ddi.Engine, where one says which release is meant for this board
        if self._config["ddi"]:
            from ..fleet import ddi

            self._engine = ddi.Engine(self._config, self._slots.running, self._record)  # type: ignore
        self._source = None  # what makes a source of the image, where that is no HttpSource
        self.offer: dict = {}

    def look(self):
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
        targets = policy.choose(payload, self._config["product"], image.chip(running), build, self._config["data"])
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
            yield from self._open(firmware, installed.get("sha256"))
        self.offer = offer
        release.let_go("envelope", "signature", "keys", "trust", "fresh", "policy", "unchanged")

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

                self._demand = demand.Demand(self._config["image_signature"], firmware)  # type: ignore
        same = True  # the application, where there is one
        if not firmware or "application" in targets or applications():
            from . import parts

            same = yield from parts.look(self._slots, self._record, targets, offer, address, self._view)
            let_go("parts", "room", "tree", "archive")
        self._data = None
        target = targets.get("data")
        if target:
            from . import data

            self._data = yield from data.look(self._config, self._slots.next, target, offer["size"], self._runs)
        if not same or self._data or known not in (None, "", offer["sha256"]):
            return False
        return not firmware or (yield from self._runs(offer["size"], offer["sha256"]))

    def _open(self, firmware: dict, known: "str | None"):
        # Steps that find the way into an encrypted image, where the configuration says that images are; else a shorter one to
        # a plain image. `known`: as for _there().
        wanted = self._config["encryption"]
        if wanted:
            from .decrypt import source

            self._source = yield from source(wanted, firmware)
            gc.collect()
        else:
            require(not firmware.get("encryption"), "encryption")
            if self._config["deltas"] or self._config["compressed"]:
                from . import base

                self._source = yield from base.source(self._config, firmware, known, self._runs, self._slots.running)
                let_go("base")

    def _channel(self, installed: dict):
        # Steps that return the server's response, the payload of what the channel names, and what an answer to that hangs on:
        # its address with who may sign there, and more. A generator of its own: what it holds, TLS too, is free for the next
        # connection as soon as it ends, however it ends.
        config, engine = self._config, self._engine
        if engine:
            response, raw = yield from engine.offered()
        from ..release import envelope, keys  # not before: an engine is asked more than once, each time by TLS

        trusted = keys.load(config["keys"])
        channel = f"{engine.address if engine else config['url']} {trusted[2]} {sorted(trusted[1])}"
        hangs_on = [channel, config["product"], config["data"], installed.get("sequence")]
        if not engine:
            last = release.unchanged.take(hangs_on) if hasattr(release, "unchanged") else None  # type: ignore[attr-defined]
            gc.collect()  # what was loaded has left pieces behind
            try:
                response = yield from link.fetch(config, config["url"], known=last and last[0])
            except OtaError as e:
                if last and str(e) == "http-status 304":
                    release.unchanged.keep(last)  # type: ignore[attr-defined]
                    raise OtaError("up-to-date", installed["version"])
                raise
            raw = yield from response.read(envelope.MOST + 1)
        return response, envelope.open_envelope(raw, trusted), hangs_on

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

    def steps(self):
        """Look, install, switch. Raises OtaError; why there was no update outlives a reset (P10)."""
        try:
            yield from patiently(self._tries, self.look, lambda: 0)
            if self._engine:
                yield from self._engine.begins(self.offer["version"])
                self._engine = None
            yield from self._install()
            self._record.note("refused", None)
        except Exception as e:
            why = coded(e)
            said = None if why.code == "up-to-date" else [why.code, why.detail[:40]]
            self._record.note("refused", said)
            if self._engine:
                yield from self._engine.answer(why)
            raise why

    def _install(self):
        from . import job

        found = job.Job(self._config, self._slots, self._record, self._view, self._demand)
        yield from found.steps(self.offer, self._source, self._data)


def line(step) -> None:
    """For a console: every twentieth of a phase."""
    if step.total and step.done * 20 // step.total != (step.done - slots.SECTOR) * 20 // step.total:
        say(step.phase, f"{step.done}/{step.total}")
