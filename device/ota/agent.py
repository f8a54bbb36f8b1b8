"""The agent's public face. In main.py:

    from ota import agent
    agent.start()      # network, trial, one look for an update; never raises
    agent.run("app")   # your program

`check()`, `update()`, `rollback()` and `confirm()` raise OtaError with a stable code; `loop()` and
`task()` look for updates for ever. docs/api.md tells it all.
"""

import binascii
import gc
import hashlib
import random
import sys
import time

import machine

from . import config as _config
from . import record, slots, trial
from .errors import OtaError
from .trial import say

_SPOILED = 3  # downloads of an image in vain before its release counts as failed


def start() -> None:
    """Bring the board up: run a trial's checks, or else look once for an update.

    Never raises, but for KeyboardInterrupt: the application comes first (P11).
    """
    try:
        trial.start()
        if trial.current:
            trial.current.run(_config.load())
        else:
            update(tries=1)  # the program does not wait for a server that is down
    except OtaError as e:
        if trial.current:
            trial.current.fail(e.code, e.detail)
        _report(e)
    except Exception as e:
        sys.print_exception(e)
        if trial.current:
            trial.current.fail("agent-crashed", repr(e))


def run(module: str) -> None:
    """Import the application, and call its main() if it has one. On trial, an exception in it fails
    the trial. Without such a module the agent goes on looking for updates by itself."""
    try:
        app = __import__(module)
        if hasattr(app, "main"):
            app.main()
    except Exception as e:
        missing = isinstance(e, ImportError) and ("'%s'" % module) in str(e)
        if trial.current and not missing:
            sys.print_exception(e)
            trial.current.fail("app-crashed", repr(e))
        if not missing:
            raise
        say("error", "no-app", module + ".py")
        loop()


def healthy() -> None:
    """The application works: what the `healthy` check waits for. Harmless at any other time."""
    if trial.current:
        trial.current.healthy()


def check() -> "dict | None":
    """The release that update() would install, or None: version, sequence, security_version, size,
    sha256, url. Raises OtaError with the reason why this board refuses the newest one."""
    try:
        return _Pass(None).offer()
    except OtaError as e:
        if e.code == "up-to-date":
            return None
        raise


def update(progress=None, *, tries: "int | None" = None) -> None:
    """Install the newest release and reset into it: comes back only by raising OtaError, up-to-date
    where there is nothing to do. `progress(phase, done, total)` is called for every block: phase is
    "download" or "verify", the numbers are bytes. `tries` is how often the release is looked for."""
    for wait in _Pass(progress, tries).steps():
        if wait < 0:
            time.sleep_ms(-wait)
    machine.reset()


def loop() -> None:
    """Look for updates for ever, every interval_s with jitter. Ctrl-C ends it."""
    for wait in _polling(None):
        time.sleep_ms(wait)


async def task(progress=None) -> None:
    """The same as an asyncio task; a step blocks while one block is fetched and written."""
    import asyncio

    for wait in _polling(progress):
        await asyncio.sleep_ms(wait)


def _polling(progress):
    """Passes for ever: a generator of the milliseconds to wait before the next step."""
    while True:
        interval_ms = 3600000
        try:
            config = _config.load()
            jitter_ms = random.getrandbits(28) % (config["jitter_s"] * 1000 + 1)
            interval_ms = config["interval_s"] * 1000 + jitter_ms
            if not trial.current:
                for wait in _Pass(progress).steps():
                    yield max(-wait, 0)
                machine.reset()
        except OtaError as e:
            _report(e)
        except Exception as e:
            sys.print_exception(e)
        gc.collect()
        for _ in range(0, interval_ms, 1000):  # in short waits: Ctrl-C and other tasks are served
            yield 1000


def _report(e: OtaError) -> None:
    if e.code == "up-to-date":
        say(e.code, e.detail)
    else:
        say("error", str(e))


def rollback() -> None:
    """Go back to the release in the other slot and reset into it. It has its own trial and confirms
    itself (P4); the release left behind is not installed again (P6). Raises OtaError."""
    found, kept = slots.Slots(), record.Record()
    found.require_confirmed()
    state = kept.state
    back = state["previous"]
    if back is None:
        raise OtaError("no-rollback")
    if back["security_version"] < state["floor_security"]:
        raise OtaError("security-version", back["security_version"])
    slot = found.next_slot()
    kept.begin(dict(back, size=0, sha256=""), slot.info()[4])
    kept.job["phase"] = "ready"
    kept.save("job")
    kept.remember(state["installed"]["sequence"], "rollback")
    try:
        found.set_boot(slot)
    except OtaError as e:
        kept.state["failed"].pop()
        kept.save("state")
        kept.fail("no-rollback", e.detail, remember=False)
        raise OtaError("no-rollback", e.detail)
    say("rollback", kept.job["version"] or slot.info()[4])
    machine.reset()


def confirm() -> None:
    """End a running trial well, by hand, and reset. Raises OtaError not-on-trial."""
    if not trial.current:
        raise OtaError("not-on-trial")
    trial.current.confirm()


def status() -> dict:
    """What runs, what is in the slots, how the last job went: plain values, ready for JSON."""
    from . import image

    found, kept = slots.Slots(), record.Record()
    job = {key: kept.job[key] for key in ("phase", "version", "sequence", "size", "reason", "detail")}
    job["offset"] = kept.offset
    return {
        "chip": image.chip(found.running),
        "build": getattr(sys.implementation, "_build", None),
        "micropython": ".".join(str(n) for n in sys.implementation.version[:3]),
        "running": found.label,
        "boot": found.boot_label(),
        "next": found.next_slot().info()[4],
        "trial": bool(trial.current),
        "slots": [_slot(p, found, kept) for p in found.all],
        "installed": kept.state["installed"],
        "job": job,
        "refused": kept.state["refused"],
        "failed": [{"sequence": f[0], "reason": f[1]} for f in kept.state["failed"]],
    }


def _slot(p, found: slots.Slots, kept: record.Record) -> dict:
    from . import image

    name, size = p.info()[4], p.info()[3]
    head = bytearray(image.HEAD)
    p.readblocks(0, head)
    try:
        facts = image.check_head(head, image.chip(found.running))
        which = "installed" if name == found.label else "previous"
        ours = name == kept.job["slot"] and kept.job["phase"] in ("ready", "trial", "failed")
        facts["release"] = ((kept.job if ours else kept.state[which]) or {}).get("version")
    except OtaError:
        facts = None
    return {"name": name, "size": size, "state": found.state_name(name), "image": facts}


def _line(phase: str, done: int, total: int) -> None:
    # Progress for a console: a line for every twentieth.
    if done * 20 // total != (done - slots.SECTOR) * 20 // total:
        say(phase, "%d/%d" % (done, total))


class _Pass:
    """One pass: find the newest release, hold it against the policy, install it."""

    def __init__(self, progress, tries: "int | None" = None) -> None:
        self._progress = progress or _line
        self._config = _config.load()
        self._tries = tries or self._config["tries"]
        self._slots = slots.Slots()
        self._slots.require_confirmed()
        self._record = record.Record()

    def offer(self) -> dict:
        """The newest release, if this board takes it. Raises OtaError with why it does not."""
        from . import http, image, network, release, signature

        config, state = self._config, self._record.state
        keys = signature.load_keys(config["keys"])
        response = network.fetch(config, config["url"])
        try:
            envelope = response.read(release.MAX_ENVELOPE + 1)
        finally:
            response.close()
        payload = release.open_envelope(envelope, keys)
        del envelope, keys, response
        build = getattr(sys.implementation, "_build", None)
        target = release.choose(payload, config["product"], image.chip(self._slots.running), build)
        self._adopt(payload, target)
        release.apply_policy(payload, target, state, self._slots.next_slot().info()[3])
        found = {key: payload[key] for key in ("version", "sequence", "security_version")}
        found.update(size=target["size"], sha256=target["sha256"].lower())
        found["url"] = http.join(config["url"], target["url"])
        return found

    def _adopt(self, payload: dict, target: dict) -> None:
        # A board that got this very image by cable has it: say so, do not install it again.
        size = target["size"]
        if self._record.state["floor_sequence"] or size > self._slots.running.info()[3]:
            return
        digest = hashlib.sha256()
        buf = memoryview(bytearray(slots.SECTOR))
        for _ in slots.read_slot(self._slots.running, size, buf, digest):
            pass
        if digest.digest() == binascii.unhexlify(target["sha256"]):
            self._record.installed(payload)

    def steps(self):
        """The pass as a generator: bytes done, or negative milliseconds to wait. Why it ends without
        an update outlives a reset (P10)."""
        refused = None
        try:
            yield from self._steps()
        except OtaError as e:
            if e.code != "up-to-date":
                refused = [e.code, e.detail]
            raise
        finally:
            if self._record.state["refused"] != refused:
                self._record.state["refused"] = refused
                self._record.save("state")

    def _steps(self):
        from . import install, network

        offers = []

        def look():
            offers.append(self.offer())
            return ()

        yield from install.patiently(self._tries, look)
        offer = offers.pop()
        gc.collect()
        kept = self._record
        slot = self._slots.next_slot().info()[4]
        if kept.job["phase"] == "trial":  # power took its otadata entry: the slot is whole
            kept.job["phase"] = "ready"
        same = kept.job["sha256"] == offer["sha256"] and kept.job["slot"] == slot
        if not same or kept.job["phase"] not in ("writing", "ready"):
            if kept.state["previous"]:  # is about to be overwritten
                kept.state["previous"] = None
                kept.save("state")
            kept.begin(offer, slot)
        job = kept.job
        say("release", job["version"], job["size"], "bytes from", kept.offset)
        try:
            work = install.Install(self._config, self._slots, kept, offer["url"])
            with network.FullPower(self._config):
                for done in work.steps():
                    if done >= 0:
                        phase = "download" if job["phase"] == "writing" else "verify"
                        self._progress(phase, done, job["size"])
                    yield done
        except OtaError as e:
            if job["phase"] == "writing" and install.passing(e):
                job["reason"], job["detail"] = e.code, e.detail  # the next pass goes on from here
                kept.save("job")
            else:
                if e.code in (
                    "hash-mismatch",
                    "read-back",
                    "set-boot",
                ):  # each has cost a slot's wear
                    job["spoiled"] += 1
                kept.fail(e.code, e.detail, remember=job["spoiled"] >= _SPOILED)
            raise
        say("switch", job["version"], "to", job["slot"])
