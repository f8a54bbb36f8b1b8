"""The public face of the agent on a board without two slots: what docs/api.md tells of ota.agent, as far as it goes there.
`otactl deploy` puts it where ota.agent is."""

import gc
import os
import sys
import time

import machine
from micropython import const

from .. import steps
from ..console import say
from ..errors import OtaError, coded, require
from . import boot, port, record

_BLOCK = const(1024)


def start() -> None:
    """Begin the trial of what is tried, or look once for an update, for start_timeout_s at most. Never raises (P11)."""
    try:
        boot.start()
        if boot.current:
            return
        settings = port.settings()
        # the program does not wait for a server that is down
        if steps.run(_update(dict(settings, tries=1)), settings.get("start_timeout_s", 60) * 1000):
            machine.reset()
    except Exception as e:
        why = coded(e)
        say(*((why.code, why.detail) if why.code == "up-to-date" else ("error", why)))
    let_go()


def run(module: str) -> None:
    """Import the application, and call its main() if it has one. On trial, an exception in it fails the trial."""
    trial, app = boot.current, None
    try:
        if trial:
            trial.started()
        app = __import__(module)
        if hasattr(app, "main"):
            app.main()
    except Exception as e:
        if trial:
            sys.print_exception(e)
            # a .mpy file for another MicroPython is a ValueError
            unfit = app is None and (isinstance(e, (ImportError, SyntaxError)) or ".mpy" in str(e))
            trial.fail("app-import" if unfit else "app-crashed", repr(e))
        raise


def healthy() -> None:
    """The application works: what the `healthy` check waits for. Harmless at any other time."""
    if boot.current:
        boot.current.healthy = True
        boot.current.confirm_if_due()


def update() -> None:
    """Install the newest release and reset into it. Raises OtaError, up-to-date where there is none."""
    try:
        require(not boot.current, "unconfirmed")  # P2
        steps.run(_update(port.settings()))
    except Exception as e:
        raise coded(e)
    finally:
        let_go()
    machine.reset()


def rollback() -> None:
    """Try what ran before this release, and reset; this one is not installed again (P6). Raises OtaError: unconfirmed,
    no-rollback, record."""
    from ..install import tree

    kept = record.load()
    before, here = kept.value["before"], kept.value["release"]
    require(not boot.current, "unconfirmed")
    require(before and tree.holds(kept.other, before["sha256"]), "no-rollback")
    require(before["security_version"] >= kept.value["floor_security"], "security-version")
    kept.set(failed=(kept.value["failed"] + [[here["sequence"], "rollback"]])[-6:])
    kept.attempt(before)
    machine.reset()


def path(name: str) -> str:
    """The absolute path of a file of the application."""
    folder = sys.path[0] if sys.path[0][:5] == record.FOLDER else ""
    return folder + "/" + name


def version() -> "str | None":
    """Of the release that runs, or is tried; None where none came over the air."""
    value = record.load().value
    return value["next" if boot.current else "release"].get("version")


def status() -> dict:
    """Plain values, ready for JSON. Raises OtaError record."""
    value = record.load().value
    return {
        "chip": port.chip(), "build": getattr(sys.implementation, "_build", None),
        "micropython": ".".join(str(n) for n in sys.implementation.version[:3]), "slots": [],
        "trial": bool(boot.current), "current": value["current"], "installed": value["release"],
        "before": value["before"], "failed": [{"sequence": f[0], "reason": f[1]} for f in value["failed"]],
        "refused": value["refused"], "job": {key: value[key] for key in ("reason", "detail")},
    }  # fmt: skip


def _update(settings: dict):
    # Steps that return True once the next start tries something new. Why there was no update outlives a reset (P10).
    from . import update as way

    gc.collect()
    kept = record.load()
    try:
        yield from way.update(settings, kept, bytearray(_BLOCK))
        return True
    except Exception as e:
        why = coded(e)
        kept.note("refused", None if why.code == "up-to-date" else [why.code, why.detail[:40]])
        raise why


def let_go() -> None:
    """What an update needs makes room for the application."""
    for name in list(sys.modules):
        if name[:4] == "ota." and name.split(".")[1] in ("install", "net", "release", "config") or name[-7:] == ".update":
            del sys.modules[name]
    gc.collect()
