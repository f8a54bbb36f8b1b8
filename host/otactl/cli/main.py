"""The command `otactl`: all verbs, and what a signal does to them."""

import contextlib
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from types import FrameType

import otactl.cli.board_deploy
import otactl.cli.board_verbs
import otactl.cli.ca_verbs
import otactl.cli.console_verbs
import otactl.cli.dev_verb
import otactl.cli.doctor_verb
import otactl.cli.engine_verbs
import otactl.cli.hil_verb
import otactl.cli.key_verbs
import otactl.cli.new_verbs
import otactl.cli.provision_verbs
import otactl.cli.publish_verbs
import otactl.cli.push_verb
import otactl.cli.release_verbs
import otactl.cli.rollout_verbs
import otactl.cli.roster_verbs
import otactl.cli.slots_verbs
import otactl.cli.tools
import otactl.cli.trust_verbs
import otactl.cli.workspace_verbs  # noqa: F401 - a verb is one once its file is imported
from otactl.cli import told
from otactl.cli.run import run

_INTERRUPTED = 130  # as a shell has it for Ctrl-C
_TERMINATED = 143  # as a shell has it for SIGTERM


def main(words: Sequence[str] | None = None) -> int:
    """Run one verb; its exit code. A signal ends it through every `with`, so that boards are left as they were."""
    given = sys.argv[1:] if words is None else list(words)
    try:
        return _ended(given)
    finally:
        told.remember(None)


def _ended(given: Sequence[str]) -> int:
    try:
        with _terminable():
            return run(given)
    except KeyboardInterrupt as stopped:
        code, said = _INTERRUPTED, str(stopped)  # a verb may have said what becomes of its work
    except Terminated:
        code, said = _TERMINATED, ""
    if said:
        _say(said)
    else:  # at once, whatever was still being loaded
        print("otactl: stopped", file=sys.stderr)
    return code


def _say(what: str) -> None:
    from otactl.cli import display

    display.complain(told.as_typed(what))


class Terminated(SystemExit):
    """SIGTERM. An exit, because asyncio's tasks let nothing else but Ctrl-C through."""


@contextlib.contextmanager
def _terminable() -> Iterator[None]:
    """Let the first SIGTERM be an exception; the second one kills."""
    if threading.current_thread() is not threading.main_thread():  # which alone may set signals
        yield
        return

    def end(number: int, frame: FrameType | None) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        raise Terminated(_TERMINATED)

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
