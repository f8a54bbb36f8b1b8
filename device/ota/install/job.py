"""The job that brings an offer into the next slot: each part of it from its source into its target, then the switch. It goes
on with what power, or a broken connection, has left of it."""

from .. import steps
from ..boot import record, slots
from ..console import say
from ..errors import OtaError
from ..net import link
from . import let_go
from .firmware import Firmware
from .pipeline import pump
from .retry import passing, patiently
from .source import HttpSource

_SPOILED = 3  # times that flash did not hold an image before its release counts as failed
_BY_FLASH = ("flash-write", "read-back", "set-boot")  # the board's own fault (P6)
_LASTING = _BY_FLASH + ("hash-mismatch", "size-mismatch")  # what is in the slot is no use


class Job:
    """`view`: a memoryview of whole sectors to work with; `demand`: a demand.Demand, or None."""

    def __init__(self, config: dict, found: slots.Slots, kept: record.Record, view: memoryview, demand) -> None:
        self._config, self._slots, self._record, self._view = config, found, kept, view
        self._demand = demand

    def steps(self, offer: dict, data: "list | None"):
        """Install the offer of look.Look; nothing is left in it. `source(config, url, size)` in it makes the source of the image;
        `data`: as data.look() returns it. Raises OtaError."""
        kept, config = self._record, self._config
        job = kept.job
        # that file was wrong: hashed as it comes, one transfer tells whether it still is
        wrong = job["reason"] == "hash-mismatch" and job["sha256"] == offer["sha256"]
        self._take_up(job, offer, self._slots.next.info()[4])
        job = kept.job
        say("release", job["version"], job["size"], "bytes from", kept.offset)
        power_save, hz = link.power_save(0), 0
        application = offer.get("application")
        alone = not (wrong or data or application)
        parts = [self._firmware(offer["url"], offer.pop("source", None), alone)]
        offer.clear()  # the job has it all: nothing twice while memory is scarce
        try:
            if config["freq_mhz"]:
                from . import speed

                hz = speed.up(config["freq_mhz"])
            yield from self._transfer(parts, application, data)
        except OtaError as e:
            self._broke(e)
            raise
        except GeneratorExit:  # a task that was cancelled, a start() whose time is over: it goes on from here
            try:
                kept.progress(kept.offset)
            except OtaError:
                pass
            raise
        finally:  # of a task that is cancelled too
            for pair in parts:
                pair[0].close()
                pair[1].close()
            link.power_save(power_save)
            if hz:
                speed.machine.freq(hz)
        say("switch", job["version"], "to", job["slot"])

    def _firmware(self, address: "str | None", source, alone: bool):
        # Source and target of the image: from an address, or what runs. `alone`: nothing else comes after it.
        facts = self._slots, self._record, self._torn, not alone
        if address is None:
            from . import carried

            return carried.RunningSlot(self._slots.running), carried.Copied(*facts)
        target = Firmware(*facts)
        return (source or HttpSource)(self._config, address, target.size), target

    def _take_up(self, job: dict, offer: dict, slot: str) -> None:
        # Go on with the job that is there, if it is of this content; else begin one.
        kept = self._record
        held = kept.state["held"]
        self._torn = job["phase"] == "writing"
        # In "trial" power took its otadata entry; in "failed" a network that was down ended it: the slot is whole.
        whole = job["phase"] == "failed" and job["mark"] and held and held[0] == offer["sequence"]
        same = [job["sha256"], job["app"], job["slot"]] == [offer["sha256"], offer["app"], slot]
        if not same or not (whole or job["phase"] in ("writing", "ready", "trial")):
            if job["phase"] == "confirmed":
                job["spoiled"] = 0  # what the next release has to do with the flash is its own
            kept.begin(offer, self._slots.next, self._slots.running)
            return
        if whole:
            kept.progress(job["size"])
            job.update(phase="writing", switches=0, told=True)
        if job["sequence"] != offer["sequence"]:  # the same content under a newer release
            job.update({key: offer[key] for key in ("version", "sequence", "security_version")})
        kept.set_home(self._slots.running)

    def _transfer(self, parts: list, wanted: "dict | None", data: "list | None"):
        kept, view = self._record, self._view
        job = kept.job
        try:
            yield from self._fill(*parts[0])
        except OtaError as e:
            # All of it once more, in the same pass, and hashed as it comes: that tells a wrong file from bad flash.
            source, target = parts[0]
            if hasattr(source, "instead"):  # of a delta: the whole image
                source = yield from source.instead(e, job)
            elif target.hashes or e.code != "hash-mismatch":
                raise
            else:
                say("again", e)
            job["phase"] = "writing"  # it was whole once, maybe
            target.hashes = True
            target.rewind()  # whatever was wrong, none of it stays
            parts[0] = source, target
            yield from self._fill(source, target)
        job["data"] = None
        if data:  # after the image, each time: what is erased ahead of that may reach where it is staged
            yield from self._stage(parts, data)
            let_go("data")  # what comes needs its memory
        if wanted:  # loaded now, and not while the image comes
            from . import application

            parts.append(application.part(self._config, job["slot"], kept, self._slots.label, wanted))
            yield from self._fill(*parts[-1])
        firmware, slot = parts[0][1], self._slots.next
        if self._demand:
            yield from self._demand.verify(slot, firmware.size, firmware.sha256, view)
        job["phase"], job["mark"], job["wear"] = "ready", slots.mark(slot, firmware.size), firmware.wear
        say("wear", *firmware.wear)
        job["switches"] += 1
        kept.save("job")
        for pair in reversed(parts):  # the slot last: with it comes the switch
            for done in pair[1].commit(view):
                yield steps.progress("verify", done, pair[1].size)

    def _stage(self, parts: list, found: list):
        # A call of its own: nothing of it is held when its steps are over.
        from . import data

        return data.bring(self._config, self._record, self._slots.next, found, parts, self._fill, self._view)

    def _fill(self, source, target, phase="download"):
        # Steps until a target has all that was signed.
        view, tries = self._view, getattr(source, "tries", self._config["tries"])
        for done in target.prepare(view):
            yield steps.progress(phase, done, target.size)
        if target.offset < target.size:
            yield from patiently(tries, lambda: self._stream(source, target, view), lambda: target.offset)
        if target.verify():  # what is in place is to be hashed, as prepare() does
            yield from self._fill(source, target, "verify")

    def _stream(self, source, target, view: memoryview):
        # One connection: from the offset to the end, or to whatever breaks it.
        try:
            yield from source.open(target.offset, target.etag)
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
