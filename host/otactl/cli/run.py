"""Words in, exit code out: a failure is one line on stderr, and with --json an object on stdout.

0 done, 1 the update or the board is at fault, 2 wrong usage, 3 the rig is at fault.
"""

import contextlib
import io
import json
import os
import sys
import tempfile
from collections.abc import Sequence
from typing import Any

import rich_click as click
from click.exceptions import Exit
from click.shell_completion import shell_complete

from otactl.cli import told
from otactl.cli.options import otactl
from otactl.errors import OtactlError, RigError, UsageError

_COMPLETE = "_OTACTL_COMPLETE"


def run(words: Sequence[str]) -> int:
    """Run one verb. Of exceptions only KeyboardInterrupt, SystemExit and faults of this program come out."""
    told.remember(None)
    _print_what_it_can()
    try:
        code = _completed() if _COMPLETE in os.environ else _run(list(words))
        _flush()
    except OtactlError as error:
        return _fail(error, words)
    except click.UsageError as error:
        return _fail(_usage(error), words)
    except BrokenPipeError:  # the reader of our output (head, less) has gone
        _silence()
        return 0
    except OSError as error:
        return _fail(rig_fault(error), words)
    return code


def _print_what_it_can() -> None:
    """A `?` for what standard output's encoding has no sign for, such as a name's ü where that is ASCII."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")


def _run(words: list[str]) -> int:
    try:
        with otactl.make_context("otactl", words) as ctx:
            code: int = otactl.invoke(ctx)
    except Exit as done:  # --help and --version
        return done.exit_code
    return code


def _completed() -> int:
    """What a shell asks on Tab, by the script that click writes for it (docs/otactl.md)."""
    return shell_complete(otactl, {}, "otactl", _COMPLETE, os.environ[_COMPLETE])


def _usage(error: click.UsageError) -> UsageError:
    """click's message, which may have lines and a capital, and where to read on."""
    said = " ".join(error.format_message().split())
    command = error.ctx.command_path if error.ctx else "otactl"
    return UsageError(f"{said[:1].lower()}{said[1:]} See `{command} --help`.")


def _fail(error: OtactlError, words: Sequence[str]) -> int:
    from otactl.cli import display

    display.complain(told.as_typed(str(error)))
    if "--json" in words:
        with contextlib.suppress(OSError):  # standard output may be what failed
            print(json.dumps(as_object(error)), flush=True)
    return error.exit_code


def as_object(error: OtactlError, board: str = "") -> dict[str, Any]:
    """A failure as --json has it (docs/otactl.md). `board`: the one of several that it is about."""
    message = told.as_typed(str(error), board)
    return {"error": {"kind": error.kind, "message": message, "code": error.code or None}}


def rig_fault(error: OSError) -> RigError:
    """A file or folder of this machine that failed."""
    return RigError(f"{error.filename or _unnamed()}: {error.strerror or error}")


def _flush() -> None:
    """At the interpreter's own end a failure would be a traceback."""
    if sys.stdout is None:  # it was closed before this process began
        return
    try:
        sys.stdout.flush()
    except OSError as error:
        error.filename = "standard output"
        _silence()
        raise


def _unnamed() -> str:
    """What was written where an error names no file."""
    try:
        _flush()
    except OSError as error:
        return str(error.filename)
    return f"standard output, or a file in {tempfile.gettempdir()}"


def _silence() -> None:
    """Let what is still to be written go nowhere."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
