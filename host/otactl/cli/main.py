"""The command `otactl`: words in, exit code out.

0 done, 1 the update or the board is at fault, 2 wrong usage, 3 the rig is at fault.
"""

import argparse
import sys
from collections.abc import Callable, Sequence

from otactl import __version__
from otactl.cli import commands
from otactl.errors import OtactlError, RigError, UsageError

_INTERRUPTED = 130  # as a shell has it for Ctrl-C
_BOARD_HELP = "mpremote device: auto (default), a path, id:SERIAL, u0, socket://HOST:PORT"
_VIRTUAL = "virtual-board"

Run = Callable[[argparse.Namespace], int]


def main(words: Sequence[str] | None = None) -> int:
    """Run one command; an error that a person can meet is one line on stderr."""
    given = sys.argv[1:] if words is None else list(words)
    try:
        args = _parser(with_board=_VIRTUAL in given[:1]).parse_args(given)
        code: int = args.run(args)
    except KeyboardInterrupt:
        print("otactl: stopped", file=sys.stderr)
        return _INTERRUPTED
    except OtactlError as error:
        return _fail(error)
    except BrokenPipeError:  # the reader of our output (head, less) has gone
        sys.stderr.close()
        return 0
    except OSError as error:  # a file or folder of this machine
        where = f"{error.filename}: " if error.filename else ""
        return _fail(RigError(f"{where}{error.strerror or error}"))
    return code


def _fail(error: OtactlError) -> int:
    print(f"otactl: {error}", file=sys.stderr)
    return error.exit_code


class _Verbs:
    """The parser, a verb at a time; each has an example in its help."""

    def __init__(self) -> None:
        self.parser = argparse.ArgumentParser(
            prog="otactl",
            description="Over-the-air updates for ESP32 boards that run stock MicroPython.",
            epilog="Exit codes: 0 done, 1 the update or the board is at fault, 2 wrong usage, "
            "3 the rig is at fault (port, server, tool). `otactl VERB --help` has an example.",
        )
        self.parser.add_argument("--version", action="version", version=f"otactl {__version__}")
        self._verbs = self.parser.add_subparsers(metavar="VERB", required=True)

    def add(self, name: str, run: Run, text: str, example: str) -> argparse.ArgumentParser:
        made = self._verbs.add_parser(
            name,
            help=text,
            description=f"{text[0].upper()}{text[1:]}.",
            epilog=f"example: otactl {example}",
        )
        made.set_defaults(run=run)
        return made


def _in_workspace(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("-w", "--workspace", default=".", help="folder of the workspace (default: this one)")


def _on_board(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("board", nargs="?", default="auto", help=_BOARD_HELP)


def _as_json(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("--json", action="store_true", help="for scripts")


def _port(text: str) -> int:
    if not text.isdecimal() or int(text) > 0xFFFF:
        raise argparse.ArgumentTypeError(f"{text!r} is no port")
    return int(text)


def _parser(*, with_board: bool) -> argparse.ArgumentParser:
    verbs = _Verbs()
    _add_workspace_verbs(verbs)
    _add_board_verbs(verbs)
    virtual = verbs.add(
        _VIRTUAL,
        commands.virtual_board,
        "start a virtual board and print its port",
        "virtual-board --chip esp32s3 --port /tmp/board",
    )
    if with_board:  # needs a POSIX system: the other verbs must run without
        try:
            from vboard.cli import add_arguments
        except ImportError as error:
            raise UsageError(f"no virtual board on this system: {error}") from None

        add_arguments(virtual)
    return verbs.parser


def _add_workspace_verbs(verbs: _Verbs) -> None:
    init = verbs.add(
        "init",
        commands.init,
        "make a workspace: keys, certificates, otactl.toml",
        "init --product lamp --ssid Home laptop.local",
    )
    _in_workspace(init)
    init.add_argument("names", nargs="*", help="names or addresses by which boards call this machine")
    init.add_argument("--product", default="demo", help="boards take releases of their own product only")
    init.add_argument("--port", type=_port, default=8443, help="of the server (default: 8443)")
    init.add_argument("--ssid", help="Wi-Fi network for the boards")
    init.add_argument("--password", help="its password (or OTACTL_WIFI_PASSWORD in the environment)")
    init.add_argument(
        "--renew",
        action="store_true",
        help="only a new server certificate, for more names or when it expires",
    )

    publish = verbs.add(
        "publish",
        commands.publish_release,
        "sign a release and let the channel point at it",
        "publish ESP32_GENERIC-OTA.app-bin --version 1.1.0",
    )
    _in_workspace(publish)
    publish.add_argument("firmware", nargs="+", help="app image or full-flash file, one for each chip")
    publish.add_argument("--version", required=True, help="the name for people")
    publish.add_argument("--build", help="only for boards whose sys.implementation._build matches this glob")
    publish.add_argument("--security-version", type=int, help="never goes down (default: as before)")
    _as_json(publish)

    serve = verbs.add("serve", commands.serve, "serve releases/ over HTTPS", "serve --port 8443")
    _in_workspace(serve)
    serve.add_argument("--host", default="0.0.0.0", help="address to listen on (default: all of IPv4)")
    serve.add_argument("--port", type=_port, help="default: that of the url in otactl.toml")
    serve.add_argument("--http", action="store_true", help="plain HTTP (boards need allow_http)")


def _add_board_verbs(verbs: _Verbs) -> None:
    deploy = verbs.add(
        "deploy",
        commands.deploy_agent,
        "install the agent, its configuration and keys on a board",
        "deploy /dev/ttyUSB0",
    )
    _in_workspace(deploy)
    _on_board(deploy)
    deploy.add_argument("--py", action="store_true", help="install .py instead of .mpy")
    for name, run, text in (
        (
            "update",
            commands.update,
            "have a board install the newest release, and follow it to the end",
        ),
        ("confirm", commands.confirm, "end a running trial well, by hand"),
        ("rollback", commands.rollback, "have a board go back to the release in its other slot"),
        ("status", commands.status, "show what a board says of itself"),
    ):
        verb = verbs.add(name, run, text, f"{name} /dev/ttyUSB0")
        _on_board(verb)
        _as_json(verb)
