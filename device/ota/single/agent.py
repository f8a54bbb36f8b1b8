"""The public face of the agent on a board without two slots: what docs/api.md tells of ota.agent, as far as it goes there.
`otactl deploy` puts it where ota.agent is."""

import sys

import machine

from ..console import say
from ..errors import coded, require
from . import boot, keep, let_go, record


def start() -> None:
    """Begin the trial of what is tried, or look once for an update, for start_timeout_s at most. Never raises (P11)."""
    keep()
    try:
        boot.start()
        if boot.current:
            return
        _update(once=True)
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


def confirm() -> None:
    """End a running trial well, by hand, and reset. Raises OtaError not-on-trial."""
    require(boot.current, "not-on-trial")
    boot.current.confirm()  # type: ignore[union-attr]


def update(progress=None, *, tries: "int | None" = None) -> None:
    """Install the newest release and reset into it. Raises OtaError, up-to-date where there is none. `progress`, `tries`: as
    the agent of two slots has them."""
    keep()
    try:
        require(not boot.current, "unconfirmed")  # P2
        _update(tries=tries, progress=progress)
    except Exception as e:
        raise coded(e)
    finally:
        let_go()


def _update(once: bool = False, tries: "int | None" = None, progress=None) -> None:
    # Does not come back where there is something new. Why there was no update outlives a reset (P10).
    from .. import steps
    from . import port

    kept = record.load()
    try:
        settings = port.settings()
        del port, settings["trial"]  # what comes needs neither, and an ESP8266 the room
        limit_ms = None
        if tries:
            settings["tries"] = tries
        if once:  # the program does not wait for a server that is down
            settings["tries"], limit_ms = 1, settings["start_timeout_s"] * 1000
        steps.run(_told(_steps(settings, kept), progress), limit_ms)
        require(kept.value["trying"], "start-timeout")
    except Exception as e:
        why = coded(e)
        kept.note("refused", None if why.code == "up-to-date" else [why.code, why.detail[:40]])
        raise why
    machine.reset()


def _told(generator, progress):
    for step in generator:
        if progress and step.phase in ("download", "verify") and not step.wait_ms:
            progress(step.phase, step.done, step.total)
        yield step


def _steps(settings: dict, kept: record.Record):
    from . import look

    release, target = yield from look.look(settings, kept)
    del look
    let_go()
    from . import update

    yield from update.install(settings, kept, release, target)


def rollback() -> None:
    """Try what ran before this release, and reset; this one is not installed again (P6). Raises OtaError: unconfirmed,
    no-rollback, security-version, record."""
    from . import story

    story.rollback()


def path(name: str) -> str:
    """The absolute path of a file of the application."""
    folder = sys.path[0] if sys.path[0][:5] == record.FOLDER else ""
    return folder + "/" + name


def version() -> "str | None":
    """Of the release that runs, or is tried; None where none came over the air."""
    return record.load().value["next" if boot.current else "release"].get("version")


def status() -> dict:
    """Plain values, ready for JSON. Raises OtaError record."""
    from . import story

    return story.status()
