"""The agent's public face, told in docs/api.md: main.py calls `agent.start()`, then `agent.run("app")`."""

import gc
import os
import random
import sys
import time

import machine
from micropython import const

from . import boot, steps
from .boot import record, slots
from .console import say
from .errors import OtaError, coded, require

_HOUR_MS = const(3600000)
_LONGEST_S = const(86400)
_LONGEST_MS = const(_LONGEST_S * 1000)
# Between two looks, whatever a server asks for: NVS is written where a look ends in another word, or detail, than the last.
_SOONEST_S = const(2)
_WRITTEN_S = const(60)
_QUIET = ("up-to-date", "failed-before")  # who has not signed a newer release cannot have these in turn, or with a job
# a download that another would repeat
_WASTED = "hash-mismatch size-mismatch not-an-image wrong-chip bad-archive".split()


def start() -> None:
    """Run a trial's checks, or look once for an update, for start_timeout_s at most. Never raises: the application comes
    first (P11)."""
    try:
        boot.start()
        if boot.current:
            boot.current.run(_settings())
        else:
            _look_once()
    except Exception as e:
        why = coded(e)
        _report(why)
        if boot.current:
            # A configuration that is wrong is not the release's fault either.
            outside = getattr(why, "network", False) or why.code == "not-installed" or why.code[:7] == "config-"
            boot.current.fail(why.code, why.detail, network=outside)


def run(module: str) -> None:
    """Import the application, and call its main() if it has one. On trial, an exception in it fails the trial. Without
    such a module the agent goes on looking for updates by itself, but a release that has an application fails its trial."""
    trial, app = boot.current, None
    try:
        app = __import__(module)
        if hasattr(app, "main"):
            app.main()
    except Exception as e:
        missing = isinstance(e, ImportError) and f"'{module}'" in str(e)
        if trial and not (missing and not record.load().job["app"]):
            sys.print_exception(e)
            # a .mpy file for another MicroPython is a ValueError
            unfit = app is None and (isinstance(e, (ImportError, SyntaxError)) or ".mpy" in str(e))
            trial.fail("app-import" if unfit else "app-crashed", repr(e))
        if not missing:
            raise
        say("error", "no-app", module + ".py")
        loop()


def path(name: str) -> str:
    """The absolute path of a file of the application: in the directory that came with the running release, or in `/`."""
    for folder in sys.path:
        if folder.startswith("/app-") and folder[1:] in os.listdir("/"):
            return folder + "/" + name
    return "/" + name


def version() -> "str | None":
    """Of the running release; None where it is not known. Raises OtaError no-ota-slots, record."""
    try:
        kept = record.load()
        if boot.current:
            return kept.job["version"]
        return (kept.release_in(slots.Slots().running) or {}).get("version")
    except Exception as e:
        raise coded(e)


def healthy() -> None:
    """The application works: what the `healthy` check waits for. Harmless at any other time."""
    if boot.current:
        boot.current.healthy = True
        boot.current.confirm_if_due()  # now: the application may go to sleep before the next tick


def check() -> "dict | None":
    """The release that update() would install, or None: version, sequence, security_version, size (bytes), sha256,
    url. Raises OtaError with the reason why this board refuses the newest one."""
    try:
        offer = steps.run(_update(None).look())[0]
        offer.pop("source", None)  # no fact of the release, and it holds a module
        return offer
    except Exception as e:
        why = coded(e)
        if why.code == "up-to-date":
            return None
        raise why


def update(progress=None, *, tries: "int | None" = None) -> None:
    """Install the newest release and reset into it. Raises OtaError, up-to-date where there is none. For every block
    `progress(phase, done, total)` gets "download" or "verify", and bytes; `tries` is how often to look."""
    for wait_ms in _driven(tries, progress):
        time.sleep_ms(wait_ms)
    machine.reset()


def loop() -> None:
    """Look for updates for ever, every interval_s with jitter. Ctrl-C ends it."""
    polling = _polling(None)
    try:
        for wait_ms in polling:
            time.sleep_ms(wait_ms)
    finally:
        polling.close()


async def task(progress=None) -> None:
    """The same as an asyncio task; a step blocks while one block is written, or for a second. It may be cancelled."""
    import asyncio

    from .net import names

    names.by_steps = True
    polling = _polling(progress)
    try:
        for wait_ms in polling:
            await asyncio.sleep_ms(wait_ms)
    finally:
        polling.close()  # an open connection, and the power save of Wi-Fi


def rollback() -> None:
    """Go back to the release that was confirmed before, on trial (P4), and reset. What is left behind is not installed
    again (P6). Raises OtaError: unconfirmed, no-rollback, security-version."""
    from . import rollback as way

    try:
        way.begin()
    except Exception as e:
        raise coded(e)
    machine.reset()


def confirm() -> None:
    """End a running trial well, by hand, and reset. Raises OtaError not-on-trial."""
    require(boot.current, "not-on-trial")
    boot.current.confirm()  # type: ignore[attr-defined]


def status() -> dict:
    """What runs, what the slots hold, how the last job went: for JSON. Raises OtaError no-ota-slots, record."""
    from . import status as page

    try:
        return page.status()
    except Exception as e:
        raise coded(e)


def _update(tries: "int | None", block: "bytearray | None" = None):
    gc.collect()
    block = block or bytearray(slots.SECTOR)  # before anything else: where the heap is whole
    from .install import update  # a board on trial, or one that only confirms, never needs it

    return update.Update(tries, block)


def _driven(tries: "int | None", progress, block: "bytearray | None" = None):
    """The steps of one update as milliseconds to wait. Raises OtaError."""
    try:
        generator = _update(tries, block).steps(block is not None)
    except Exception as e:
        raise coded(e)
    from .install.update import line

    try:
        for step in generator:
            if step.phase in ("download", "verify") and not step.wait_ms:
                if progress:
                    progress(step.phase, step.done, step.total)
                else:
                    line(step)
            yield step.wait_ms
    finally:
        generator.close()


def _settings() -> dict:
    from . import config  # which lets go of itself

    return config.load()


def _look_once() -> None:
    limit_ms, began = _settings()["start_timeout_s"] * 1000, time.ticks_ms()
    driven = _driven(1, None)  # the program does not wait for a server that is down
    try:
        for wait_ms in driven:
            left_ms = limit_ms - time.ticks_diff(time.ticks_ms(), began)
            if left_ms <= 0:
                why = OtaError("start-timeout", limit_ms // 1000)
                record.load().note("refused", [why.code, why.detail])
                raise why
            time.sleep_ms(min(wait_ms, left_ms))
    finally:
        driven.close()
    machine.reset()


def _polling(progress):
    """Updates for ever: a generator of the milliseconds to wait before the next step."""
    wasted, late_s, block = 0, _SOONEST_S, None
    while True:
        interval_ms, began = _HOUR_MS, time.ticks_ms()
        steps.astray = True  # until an answer comes
        try:
            settings = _settings()
            interval_ms = (settings["interval_s"] + random.getrandbits(28) % (settings["jitter_s"] + 1)) * 1000
            if not boot.current:
                # Kept for all looks: once the heap is in pieces, no later one would find it.
                gc.collect()
                block = block or bytearray(slots.SECTOR)
                yield from _driven(None, progress, block)
                machine.reset()
        except Exception as e:
            why = coded(e)
            _report(why)
            # A server that has the wrong file costs a slot's wear each time: twice as long, up to a day.
            wasted = min(wasted + 1, 10) if why.code in _WASTED else 0
            interval_ms = max(interval_ms, min(interval_ms << wasted, _LONGEST_MS))
            if steps.soon.isdigit():
                # a server may have held its answer: from look to look
                least_s, spent_ms = _WRITTEN_S, time.ticks_diff(time.ticks_ms(), began)
                if why.code in _QUIET:
                    least_s = late_s = _SOONEST_S
                elif steps.astray or why.code == "on-hold":  # a hold is counted in looks (P6)
                    # twice as long each time, from the end on: a job costs wear, and who is not there has asked before
                    least_s = late_s = min(late_s * 2, _LONGEST_S)
                    spent_ms = 0
                interval_ms = min(interval_ms, max(int(steps.soon), least_s) * 1000 - spent_ms)
        gc.collect()
        for left_ms in range(interval_ms, 0, -1000):  # in short waits: Ctrl-C and other tasks are served
            yield min(left_ms, 1000)


def _report(e: OtaError) -> None:
    say(*((e.code, e.detail) if e.code == "up-to-date" else ("error", e)))
