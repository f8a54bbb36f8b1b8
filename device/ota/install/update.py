"""One update: find the newest release, hold it against the policy, stream its image into the next slot, read it back,
switch. All of it is a generator of steps (steps.py)."""

import gc
import hashlib
import sys

from .. import config, release, steps
from ..boot import record, slots
from ..console import say
from ..errors import OtaError, coded, require
from ..net import clock, dates, link, url
from ..release import image
from .firmware import SECTOR, Firmware
from .retry import passing, patiently

_SPOILED = 3  # times that flash did not hold an image before its release counts as failed
_BY_FLASH = ("flash-write", "read-back", "set-boot")  # the board's own fault (P6)
_LASTING = _BY_FLASH + ("hash-mismatch", "size-mismatch")  # what is in the slot is no use
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
        self._demand = None  # a demand.Demand, where an image has to carry a signature of its own
        self._source = None  # what makes a source of an address, where that is no HttpSource
        self.offer: dict = {}

    def look(self):
        """Steps until `offer` is the newest release. Raises OtaError with why this board refuses it."""
        address, kept, running = self._config["url"], self._record, self._slots.running
        try:
            response, payload, signers = yield from self._channel()
        except OtaError as e:
            if not self._config["trust"]:
                raise
            from ..release import trust

            yield from trust.newest(self._config, e)
            response, payload, signers = yield from self._channel()
        from ..release import policy  # not before: while a connection opens, memory is scarce

        build = getattr(sys.implementation, "_build", None)
        target = policy.choose(payload, self._config["product"], image.chip(running), build)
        if hasattr(response, "url"):  # by cable no channel speaks, and who pushes has the board in his hands
            from ..release import fresh

            fresh.hear(payload, kept, address + signers)
        if response.valid_to is not None:
            clock.prove(dates.parse(payload["published"]), response.valid_to)
        size, sha256 = target["size"], target["sha256"].lower()
        installed = kept.release_in(running) or {}
        policy.apply(payload, target, kept.state, installed.get("sequence", 0), Firmware.room(self._slots))
        if self._config["image_signature"]:
            from ..release import demand

            self._demand = demand.Demand(self._config["image_signature"], target)
        if installed.get("sha256") in (None, "", sha256) and (yield from self._runs(size, sha256)):
            # It came by cable, the record was lost, or it is the same image under a newer release: not once more.
            kept.installed(dict(payload, size=size, sha256=sha256), running)
            raise OtaError("up-to-date", payload["version"])
        self._not_held(payload["sequence"])
        wanted = self._config["encryption"]
        if wanted:
            from .decrypt import source

            self._source = yield from source(wanted, target)
            gc.collect()
        else:
            require(not target.get("encryption"), "encryption")
        self.offer = {
            "version": payload["version"], "sequence": payload["sequence"],
            "security_version": payload["security_version"],
            "size": size, "sha256": sha256, "url": url.join(address, target["url"]),
        }  # fmt: skip
        release.let_go("envelope", "signature", "keys", "trust", "fresh", "policy")

    def _channel(self):
        # Steps that return the server's response, the payload of what the channel names, and who may sign there. A generator
        # of its own: what it holds, TLS too, is free for the next connection as soon as it ends, however it ends.
        from ..release import envelope, keys

        gc.collect()  # what was loaded has left pieces behind
        response = yield from link.fetch(self._config, self._config["url"])
        raw = yield from response.read(envelope.MOST + 1)
        trusted = keys.load(self._config["keys"])
        return response, envelope.open_envelope(raw, trusted), f" {trusted[2]} {sorted(trusted[1])}"

    def _runs(self, size: int, sha256: str):
        # Steps that return whether the running slot holds that very image.
        running, digest = self._slots.running, hashlib.sha256()
        if size > running.info()[3]:
            return False
        for done in slots.read_slot(running, size, self._view, digest):
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
            yield from self._install()
            self._record.note("refused", None)
        except Exception as e:
            why = coded(e)
            said = None if why.code == "up-to-date" else [why.code, why.detail[:40]]
            self._record.note("refused", said)
            raise why

    def _install(self):
        kept, offer, slot = self._record, self.offer, self._slots.next.info()[4]
        self._take_up(kept.job, offer, slot)
        job = kept.job
        say("release", job["version"], job["size"], "bytes from", kept.offset)
        power_save = link.power_save(self._config, 0)
        target = Firmware(self._slots, kept, job["size"], job["sha256"])
        if not self._source:
            from .source import HttpSource

            self._source = HttpSource
        source = self._source(self._config, offer["url"], job["size"])
        self.offer = offer = {}  # the job has it all: nothing twice while memory is scarce
        try:
            yield from self._transfer(source, target)
        except OtaError as e:
            self._broke(e)
            raise
        except GeneratorExit:  # a task that was cancelled, a start() whose time is over: it goes on from here
            self._keep_offset()
            raise
        finally:  # of a task that is cancelled too
            source.close()
            link.power_save(self._config, power_save)
        say("switch", job["version"], "to", job["slot"])

    def _take_up(self, job: dict, offer: dict, slot: str) -> None:
        # Go on with the job that is there, if it is of this image; else begin one.
        kept = self._record
        held = kept.state["held"]
        # In "trial" power took its otadata entry; in "failed" a network that was down ended it: the slot is whole.
        whole = job["phase"] == "failed" and job["mark"] and held and held[0] == offer["sequence"]
        same = job["sha256"] == offer["sha256"] and job["slot"] == slot
        if not same or not (whole or job["phase"] in ("writing", "ready", "trial")):
            kept.begin(offer, self._slots.next, self._slots.running)
            return
        if whole:
            kept.progress(job["size"])
            job.update(phase="writing", switches=0, told=True)
        if job["sequence"] != offer["sequence"]:  # the same image under a newer release
            job.update({key: offer[key] for key in ("version", "sequence", "security_version")})
        kept.set_home(self._slots.running)

    def _transfer(self, source, target: Firmware):
        kept, view = self._record, self._view
        job = kept.job
        for done in target.prepare(view):
            yield steps.progress("download", done, target.size)
        if target.offset < target.size:
            yield from patiently(
                self._config["tries"], lambda: self._stream(source, target, view), lambda: target.offset
            )
        target.verify()
        if self._demand:
            yield from self._demand.verify(self._slots.next, target.size, target.sha256, view)
        job["phase"], job["mark"] = "ready", target.mark()
        job["switches"] += 1
        kept.save("job")
        for done in target.commit(view):
            yield steps.progress("verify", done, target.size)

    def _stream(self, source, target: Firmware, view: memoryview):
        # One connection: from the offset to the end, or to whatever breaks it.
        from .pipeline import pump

        try:
            yield from source.open(target.offset, self._record.job["etag"])
        except OtaError as e:
            if e.code == "bad-range":  # another file by now, or no idea of ranges: all of it then
                target.rewind()
            raise
        try:
            if source.offset != target.offset:  # no Range here, or another file: from the beginning
                target.rewind()
            yield from pump(source, target, view)
        finally:
            source.close()

    def _keep_offset(self) -> None:
        try:
            self._record.progress(self._record.offset)
        except OtaError:
            pass

    def _broke(self, e: OtaError) -> None:
        kept, job = self._record, self._record.job
        if job["phase"] == "writing" and (passing(e) or (kept.offset and e.code not in _LASTING)):
            job["reason"], job["detail"] = e.code, e.detail
            kept.save("job")
            kept.progress(kept.offset)  # the next pass goes on from here
            return
        job["spoiled"] += e.code in _BY_FLASH  # a slot's wear each
        job["mark"] = ""
        kept.fail(e.code, e.detail, remember=job["spoiled"] >= _SPOILED, told=True)


def line(step) -> None:
    """For a console: every twentieth of a phase."""
    if step.total and step.done * 20 // step.total != (step.done - SECTOR) * 20 // step.total:
        say(step.phase, f"{step.done}/{step.total}")
