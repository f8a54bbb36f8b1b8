"""The agent's public face. In main.py:

    from ota import agent
    agent.start()      # network, trial, one look for an update; never raises
    agent.run("app")   # your program

`check()`, `update()`, `rollback()` and `confirm()` raise OtaError with a stable code; `loop()` and
`task()` look for updates for ever. docs/api.md has the whole story.
"""

import gc
import random
import sys
import time

import machine

from . import config as _config
from . import record, slots, trial
from .errors import OtaError
from .trial import say

_CHIP_ID_AT = 12


def start() -> None:
    """Bring the board up: join, and finish a trial's checks or look for an update. Never raises
    (but for KeyboardInterrupt): the application comes first (P11)."""
    try:
        config = _config.load()
        if trial.current:
            trial.current.run(config)
        else:
            update()
    except OtaError as e:
        if trial.current:
            trial.current.fail(e.code, e.detail)
        say("up-to-date" if e.code == "up-to-date" else "error", str(e))
    except Exception as e:
        sys.print_exception(e)
        if trial.current:
            trial.current.fail("agent-crashed", repr(e))


def run(module: str) -> None:
    """Import the application, and call its main() if it has one. On trial, an exception in it fails
    the trial. Without such a module the agent looks for updates for ever by itself."""
    if trial.current:
        trial.current.app_started()
    try:
        app = __import__(module)
        if hasattr(app, "main"):
            app.main()
    except ImportError as e:
        if module not in str(e):
            _crashed(e)
        say("error", "no-app", module + ".py")
        loop()
    except Exception as e:
        _crashed(e)


def _crashed(e: Exception) -> None:
    if trial.current:
        sys.print_exception(e)
        trial.current.fail("app-crashed", repr(e))
    raise e


def healthy() -> None:
    """The application works: what the `healthy` check waits for. Harmless at any other time."""
    if trial.current:
        trial.current.healthy()


def check() -> "dict | None":
    """Look for a release without installing it: {version, sequence, size, url, sha256} or None.

    Raises OtaError with the reason where there is one that this board refuses.
    """
    try:
        return _Update(lambda *_: None).offer()
    except OtaError as e:
        if e.code == "up-to-date":
            return None
        raise


def update(progress=None) -> None:
    """Install the newest release and reset into it: returns only by raising OtaError.

    `progress(phase, done, total)` is called for every block; phase is "resume", "download" or
    "verify", the numbers are bytes. Raises OtaError up-to-date where there is nothing to do.
    """
    for wait in _Update(progress or _Lines()).steps():
        if wait < 0:
            time.sleep_ms(-wait)
    machine.reset()


def loop() -> None:
    """Look for updates for ever, every interval_s with jitter. Ctrl-C ends it."""
    while True:
        for wait in _passes():
            time.sleep_ms(wait)


async def task(progress=None) -> None:
    """The same as an asyncio task; each step blocks for one block at the most."""
    import asyncio

    while True:
        for wait in _passes(progress):
            await asyncio.sleep_ms(wait)


def _passes(progress=None):
    """One pass of a polling loop: a generator of the milliseconds to wait before its next step."""
    interval = 3600000
    try:
        config = _config.load()
        interval = config["interval_s"] * 1000 + random.getrandbits(24) % (config["jitter_s"] * 1000 + 1)
        if not trial.current:
            for wait in _Update(progress or _Lines()).steps():
                yield -wait if wait < 0 else 0
            machine.reset()
    except OtaError as e:
        if e.code != "up-to-date":
            say("error", str(e))
    except Exception as e:
        sys.print_exception(e)
    while interval > 0:  # in short waits, so that Ctrl-C and other tasks are served
        yield min(interval, 1000)
        interval -= 1000


def rollback() -> None:
    """Go back to the release in the other slot and reset into it; it confirms itself as an update
    does (P4). The release left behind is not installed again (P6). Raises OtaError."""
    found, kept = slots.Slots(), record.Record()
    found.require_confirmed()
    sequence, security, version = kept.previous
    slot = found.next_slot()
    if security < kept.floor_security:
        raise OtaError("security-version", security)
    if kept.sequence:
        kept.remember(kept.sequence, "rollback")
    kept.begin(sequence, security, version or "previous", 0, bytes(32), slot.info()[4])
    kept.phase(record.READY)
    try:
        slot.set_boot()  # the chip checks the whole image
    except OSError as e:
        kept.fail("nothing-to-roll-back-to", str(e.args[0]), False)
        raise OtaError("nothing-to-roll-back-to", e.args[0])
    say("rollback", version or "previous")
    machine.reset()


def confirm() -> None:
    """End a running trial well, by hand, and reset. Raises OtaError not-on-trial."""
    if not trial.current:
        raise OtaError("not-on-trial")
    trial.current.confirm()


def status() -> dict:
    """What runs, what is in the slots, how the last job went; plain values, ready for JSON."""
    found, kept = slots.Slots(), record.Record()
    job = kept.job
    slot = found.next_slot()
    return {
        "chip": chip(found),
        "build": getattr(sys.implementation, "_build", None),
        "micropython": ".".join(str(n) for n in sys.implementation[1][:3]),
        "running": found.running_label(),
        "boot": found.boot_label(),
        "next": slot.info()[4],
        "trial": bool(trial.current),
        "slots": [_slot(p, found, kept) for p in found.all],
        "installed": {"version": kept.version or None, "sequence": kept.sequence},
        "job": {
            "phase": record.PHASES[job.phase],
            "version": job.version or None,
            "sequence": job.sequence,
            "offset": job.offset,
            "size": job.size,
            "reason": job.reason or None,
            "detail": job.detail or None,
        },
        "failed": [{"sequence": sequence, "reason": reason} for sequence, reason in kept.failed],
    }


def chip(found: slots.Slots) -> str:
    """This board's chip, out of the header of the image that runs."""
    from . import image

    head = bytearray(16)
    found.running.readblocks(0, head)
    return image.chip_name(head[_CHIP_ID_AT] | head[_CHIP_ID_AT + 1] << 8)


def _slot(p, found: slots.Slots, kept: record.Record) -> dict:
    from . import image

    label, size = p.info()[4], p.info()[3]
    head = bytearray(image.HEAD)
    p.readblocks(0, head)
    facts = None
    try:
        facts = image.check_head(head, chip(found), None)
        facts = {"built": facts["built"], "idf": facts["idf"], "elf_sha256": facts["elf_sha256"][:16]}
        running = label == found.running_label()
        facts["version"] = (kept.version if running else kept.previous[2]) or None
        if label == kept.job.slot and kept.job.phase in (record.READY, record.TRIAL, record.FAILED):
            facts["version"] = kept.job.version or None
    except OtaError:
        pass
    state = slots.state_name(found.state(label))
    return {"name": label, "size": size, "state": state, "image": facts}


class _Lines:
    """Progress for a console: a line for every twentieth."""

    def __init__(self) -> None:
        self._shown = -1

    def __call__(self, phase: str, done: int, total: int) -> None:
        part = done * 20 // total if total else 0
        if part != self._shown:
            self._shown = part
            say(phase, "%d/%d" % (done, total))


class _Update:
    """One pass: find the newest release, hold it against the policy, install it."""

    def __init__(self, progress) -> None:
        self._progress = progress
        self._config = _config.load()
        self._slots = slots.Slots()
        self._record = record.Record()
        self._slots.require_confirmed()
        self._chip = chip(self._slots)

    def offer(self) -> dict:
        """The newest release that this board takes. Raises OtaError with why it takes none."""
        from . import diagnostics, http, network, release, signature

        config, kept = self._config, self._record
        keys = signature.load_keys(config["keys"])
        ca = diagnostics.read_ca(config)
        network.join(config)
        if config["url"].startswith("https:"):
            network.set_clock(config)
        response = http.get(
            config["url"],
            ca=ca,
            allow_http=config["allow_http"],
            connect_timeout_s=config["connect_timeout_s"],
            read_timeout_s=config["read_timeout_s"],
        )
        try:
            envelope = response.read(release.MAX_ENVELOPE + 1)
        finally:
            response.close()
        del response
        payload = release.open_envelope(envelope, keys)
        del envelope, keys
        build = getattr(sys.implementation, "_build", None)
        target = release.choose(payload, config["product"], self._chip, build)
        target["url"] = http.join(config["url"], target["url"])
        self._adopt(payload, target)
        release.apply_policy(
            payload,
            target,
            installed_sequence=kept.sequence,
            floor_sequence=kept.floor_sequence,
            floor_security=kept.floor_security,
            failed=[sequence for sequence, _ in kept.failed],
            slot_size=self._slots.next_slot().info()[3],
        )
        return {
            "version": payload["version"],
            "sequence": payload["sequence"],
            "security_version": payload["security_version"],
            "size": target["size"],
            "sha256": target["sha256"],
            "url": target["url"],
        }

    def _adopt(self, payload: dict, target: dict) -> None:
        # A board that got this very image by cable has it: say so instead of installing it again.
        import binascii

        kept, size = self._record, target["size"]
        if kept.sequence or size > self._slots.running.info()[3]:
            return
        buf = memoryview(bytearray(slots.SECTOR))
        for _, digest in slots.hash_slot(self._slots.running, size, buf):
            pass
        if digest == binascii.unhexlify(target["sha256"]):
            kept.installed(payload["sequence"], payload["security_version"], payload["version"])

    def steps(self):
        """The pass as a generator of bytes done, or negative milliseconds to wait."""
        import binascii

        from . import install, network

        self._repeat_switch()
        offer = self.offer()
        gc.collect()
        kept, job = self._record, self._record.job
        sha256 = binascii.unhexlify(offer["sha256"])
        slot = self._slots.next_slot().info()[4]
        same = job.sha256 == sha256 and job.slot == slot and job.sequence == offer["sequence"]
        if not same or job.phase not in (record.WRITING, record.READY):
            kept.begin(
                offer["sequence"], offer["security_version"], offer["version"],
                offer["size"], sha256, slot,
            )  # fmt: skip
            job = kept.job
        say("release", job.version, "%d bytes" % job.size, "from", job.offset)
        work = install.Install(self._config, self._slots, kept, offer["url"], self._chip)
        del offer, sha256
        try:
            with network.FullPower(self._config):
                for done in work.steps():
                    if done >= 0:
                        # before READY it is the download that moves, or what is taken up of it
                        phase = "verify" if job.phase == record.READY else "download"
                        self._progress(phase, done, job.size)
                    yield done
        except OtaError as e:
            self._give_up(e)
            raise
        say("switch", job.version, "to", job.slot)

    def _give_up(self, e: OtaError) -> None:
        """Keep what can be resumed; say why of what cannot."""
        from . import install

        job = self._record.job
        if install.passing(e) and job.offset:
            job.reason, job.detail = e.code, e.detail
            self._record.save_job()
        else:
            job.told = 1
            self._record.fail(e.code, e.detail, remember=False)
            job.told = 1
            self._record.save_job()

    def _repeat_switch(self) -> None:
        """A switch that power took: the slot is whole, so no download is needed."""
        job = self._record.job
        if job.phase == record.TRIAL:  # not settled as failed at boot: its otadata entry is gone
            self._record.phase(record.READY)
