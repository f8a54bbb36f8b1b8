"""The agent's public face, told in docs/api.md: main.py calls `agent.start()`, then `agent.run("app")`."""

import gc
import random
import sys
import time

import machine

from . import config, image, record, slots, trial
from .errors import OtaError, require
from .install import Pass
from .trial import say


def start() -> None:
    """Run a trial's checks, or look once for an update. Never raises: the application comes first (P11)."""
    try:
        trial.start()
        if trial.current:
            trial.current.run(config.load())
        else:
            update(tries=1)  # the program does not wait for a server that is down
    except Exception as e:
        _report(e)
        if trial.current:
            known = isinstance(e, OtaError)
            trial.current.fail(e.code if known else "agent-crashed", e.detail if known else repr(e))  # type: ignore


def run(module: str) -> None:
    """Import the application, and call its main() if it has one. On trial, an exception in it fails the trial. Without
    such a module the agent goes on looking for updates by itself."""
    try:
        app = __import__(module)
        if hasattr(app, "main"):
            app.main()
    except Exception as e:
        if not isinstance(e, ImportError) or f"'{module}'" not in str(e):
            if trial.current:
                sys.print_exception(e)
                trial.current.fail("app-crashed", repr(e))
            raise
        say("error", "no-app", module + ".py")
        loop()


def healthy() -> None:
    """The application works: what the `healthy` check waits for. Harmless at any other time."""
    if trial.current:
        trial.current.healthy = True
        trial.current.confirm_if_due()  # now: the application may go to sleep before the next tick


def check() -> "dict | None":
    """The release that update() would install, or None: version, sequence, security_version, size (bytes), sha256,
    url. Raises OtaError with the reason why this board refuses the newest one."""
    found = Pass()
    try:
        for _ in found.look():
            pass
    except OtaError as e:
        if e.code != "up-to-date":
            raise
    return found.offer or None


def update(progress=None, *, tries: "int | None" = None) -> None:
    """Install the newest release and reset into it. Raises OtaError, up-to-date where there is none. For every block
    `progress(phase, done, total)` gets "download" or "verify", and bytes; `tries` is how often to look."""
    for step in Pass(progress, tries).steps():
        time.sleep_ms(max(-step, 0))
    machine.reset()


def loop() -> None:
    """Look for updates for ever, every interval_s with jitter. Ctrl-C ends it."""
    for wait_ms in _polling(None):
        time.sleep_ms(wait_ms)


async def task(progress=None) -> None:
    """The same as an asyncio task; a step blocks while one block is fetched and written."""
    import asyncio

    for wait_ms in _polling(progress):
        await asyncio.sleep_ms(wait_ms)


def _polling(progress):
    """Updates for ever: a generator of the milliseconds to wait before the next step."""
    while True:
        interval_ms = 3600000
        try:
            settings = config.load()
            interval_ms = (settings["interval_s"] + random.getrandbits(28) % (settings["jitter_s"] + 1)) * 1000
            if not trial.current:
                for step in Pass(progress).steps():
                    yield max(-step, 0)
                machine.reset()
        except Exception as e:
            _report(e)
        gc.collect()
        for _ in range(0, interval_ms, 1000):  # in short waits: Ctrl-C and other tasks are served
            yield 1000


def _report(e: Exception) -> None:
    if not isinstance(e, OtaError):
        sys.print_exception(e)
    else:
        say(*((e.code, e.detail) if e.code == "up-to-date" else ("error", e)))


def rollback() -> None:
    """Go back to the other slot's release, on trial (P4), and reset. What is left behind is not installed again (P6).
    Raises OtaError: unconfirmed, no-rollback, security-version."""
    found, kept = slots.Slots(), record.Record()
    found.require_confirmed()
    back = kept.state["previous"]
    require(back, "no-rollback")
    require(back["security_version"] >= kept.state["floor_security"], "security-version", back["security_version"])
    kept.begin(dict(back, size=0, sha256=""), found.next.info()[4], "ready")
    try:
        found.set_boot(found.next)
    except OtaError as e:
        kept.fail("no-rollback", e.detail, remember=False)
        raise OtaError("no-rollback", e.detail)
    say("rollback", back["version"] or found.next.info()[4])
    machine.reset()


def confirm() -> None:
    """End a running trial well, by hand, and reset. Raises OtaError not-on-trial."""
    require(trial.current, "not-on-trial")
    trial.current.confirm()  # type: ignore[union-attr]


def status() -> dict:
    """What runs, what the slots hold, how the last job went: for JSON. Raises OtaError no-ota-slots, record."""
    found, kept = slots.Slots(), record.Record()
    job, chip, held = kept.job, image.chip(found.running), []
    for p in found.all:
        label, head = p.info()[4], bytearray(image.HEAD)
        p.readblocks(0, head)
        try:
            facts = image.check_head(head, chip)
            ours = label == job["slot"] and job["phase"] in ("ready", "trial", "failed")
            known = job if ours else kept.state["installed" if label == found.label else "previous"]
            facts["release"] = (known or {}).get("version")
        except OtaError:
            facts = None
        held.append({"name": label, "size": p.info()[3], "state": found.state(label), "image": facts})
    told = {key: job[key] for key in ("phase", "version", "sequence", "size", "reason", "detail")}
    return {
        "chip": chip, "build": getattr(sys.implementation, "_build", None),
        "micropython": ".".join(str(n) for n in sys.implementation.version[:3]),
        "running": found.label, "boot": found.boot_label(), "next": found.next.info()[4],
        "trial": bool(trial.current), "slots": held, "job": dict(told, offset=kept.offset),
        "installed": kept.state["installed"], "refused": kept.state["refused"],
        "failed": [{"sequence": f[0], "reason": f[1]} for f in kept.state["failed"]],
    }  # fmt: skip
