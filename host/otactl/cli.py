"""The command `otactl`: words in, exit code out. 0 done, 1 update or board at fault, 2 usage, 3 rig."""

import argparse
import json
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from otactl import board as boards
from otactl import deploy as deploying
from otactl import publish as publishing
from otactl import tls, workspace
from otactl.board import Event, Outcome
from otactl.codes import sentence
from otactl.display import Bars, ServeLog
from otactl.errors import OtactlError
from otactl.link import Link
from otactl.serve import Server
from otactl.workspace import Workspace

_BOARD_HELP = "mpremote device: auto (default), a path, id:SERIAL, u0, socket://HOST:PORT"


def _init(args: argparse.Namespace) -> int:
    root = Path(args.workspace)
    if args.renew:
        found = Workspace.find(root)
        host = found.url.split("://")[1].split("/")[0].rsplit(":", 1)[0]
        tls.make_server(found.tls, list(dict.fromkeys([*args.names, host, *tls.own_names()])))
        print(f"new server certificate in {found.tls}; boards need nothing new")
        return 0
    wifi = None
    if args.ssid:
        password = args.password or os.environ.get("OTACTL_WIFI_PASSWORD", "")
        wifi = {"ssid": args.ssid, "password": password}
    made = workspace.create(
        root, product=args.product, names=args.names or _default_names(), port=args.port, wifi=wifi
    )
    print(f"workspace for {made.product!r} in {made.root}")
    print(f"  boards will look at {made.channel_url}")
    print(f"  keep {made.key_file} safe: boards trust what it signs, and nothing else")
    return 0


def _default_names() -> list[str]:
    """How a board on the same network reaches this machine: by its address, which needs no DNS."""
    names = tls.own_names()
    addresses = [n for n in names if n.replace(".", "").isdigit() and not n.startswith("127.")]
    return [*addresses[-1:], *names]


def _publish(args: argparse.Namespace) -> int:
    done = publishing.publish(
        Workspace.find(Path(args.workspace)),
        [Path(name) for name in args.firmware],
        args.version,
        build=args.build,
        security_version=args.security_version,
    )
    for note in done.notes:
        print(note)
    for target in done.targets:
        print(f"published {done.version} (sequence {done.sequence}) for {target['chip']}: {target['size']} bytes")
    return 0


def _serve(args: argparse.Namespace) -> int:
    found = Workspace.find(Path(args.workspace))
    with Bars() as bars:
        log = ServeLog(bars)
        server = Server(
            found.releases,
            None if args.http else found.tls,
            args.host,
            found.port if args.port is None else args.port,
            log,
        )
        scheme = "http" if args.http else "https"
        server.run(lambda port: bars.note(f"serving {found.releases} at {scheme}://{args.host}:{port} (Ctrl-C ends)"))
    return 0


def _deploy(args: argparse.Namespace) -> int:
    found = Workspace.find(Path(args.workspace))
    with Link(args.board) as link:
        done = deploying.deploy(link, found, as_py=args.py, say=print)
    print(f"deployed: {len(done.written)} written, {done.unchanged} unchanged, {len(done.removed)} removed")
    for advice in done.advice:
        print(advice)
    return 0


def _status(args: argparse.Namespace) -> int:
    with Link(args.board) as link:
        found = boards.status(link)
    if args.json:
        print(json.dumps(found, indent=1))
        return 0
    print("\n".join(_status_lines(found)))
    return 0


def _status_lines(found: dict[str, Any]) -> list[str]:
    lines = [f"chip {found['chip']}  MicroPython {found['micropython']}  build {found['build'] or '-'}"]
    installed, job = found["installed"], found["job"]
    lines.append(f"installed {installed['version'] or 'unknown'} (sequence {installed['sequence']})")
    for slot in found["slots"]:
        marks = [word for word in ("running", "boot", "next") if found[word] == slot["name"]]
        image = slot["image"] or {}
        what = image.get("release") or image.get("built") or "no image"
        lines.append(f"  {slot['name']:7} {slot['size']:#9x} {slot['state']:9} {what:22} {' '.join(marks)}".rstrip())
    lines.append(f"last job: {job['phase']} {job['version'] or ''}".rstrip())
    if job["phase"] == "writing":
        lines.append(f"  {job['offset']} of {job['size']} bytes are in flash")
    if job["reason"]:
        lines.append(f"  {sentence(job['reason'], job['detail'] or '')}")
    if found["trial"]:
        lines.append("a trial is running: `otactl confirm` ends it well, a reset rolls back")
    return lines


def _follow(args: argparse.Namespace, verb: Callable[..., Outcome]) -> int:
    with Bars() as bars:
        seen = _Watch(bars)
        with Link(args.board) as link:
            outcome = verb(link, seen)
    if args.json:
        print(json.dumps({"outcome": outcome.name, "version": outcome.version, "reason": outcome.reason,
                          "detail": outcome.detail}))  # fmt: skip
    elif outcome.name == "confirmed":
        print(f"{outcome.version} is confirmed")
    elif outcome.name == "up-to-date":
        print(f"{outcome.version} is what the board has: nothing to do")
    else:
        where = f"{outcome.version} was rolled back, " if outcome.name == "rolled-back" else ""
        print(f"{where}{sentence(outcome.reason, outcome.detail)}")
    return 0 if outcome.name in ("confirmed", "up-to-date") else 1


class _Watch:
    """A board's events on the terminal: bars for what has a measure, lines for the rest."""

    def __init__(self, bars: Bars) -> None:
        self._bars = bars

    def __call__(self, event: Event) -> None:
        if event.name in ("download", "verify"):
            done, _, total = event.facts[0].partition("/")
            self._bars.show(event.name, int(done), int(total))
        elif event.name not in ("refused", "up-to-date", "confirmed"):
            self._bars.note("  " + " ".join([event.name, *event.facts]))


def _update(args: argparse.Namespace) -> int:
    return _follow(args, boards.update)


def _rollback(args: argparse.Namespace) -> int:
    return _follow(args, boards.rollback)


def _confirm(args: argparse.Namespace) -> int:
    return _follow(args, boards.confirm)


def _virtual_board(args: argparse.Namespace) -> int:
    from vboard.cli import run

    return run(args)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="otactl",
        description="Over-the-air updates for ESP32 boards that run stock MicroPython.",
        epilog="Exit codes: 0 done, 1 the update or the board is at fault, 2 wrong usage, "
        "3 the rig is at fault (port, server, tool).",
    )
    verbs = parser.add_subparsers(metavar="VERB", required=True)

    def verb(name: str, run: Callable[[argparse.Namespace], int], text: str, example: str) -> argparse.ArgumentParser:
        made = verbs.add_parser(name, help=text, description=text, epilog=f"example: otactl {example}")
        made.set_defaults(run=run)
        return made

    def in_workspace(made: argparse.ArgumentParser) -> None:
        made.add_argument("-w", "--workspace", default=".", help="folder of the workspace (default: this one)")

    def on_board(made: argparse.ArgumentParser) -> None:
        made.add_argument("board", nargs="?", default="auto", help=_BOARD_HELP)

    init = verb("init", _init, "make a workspace: keys, certificates, otactl.toml", "init --product lamp --ssid Home")
    in_workspace(init)
    init.add_argument("names", nargs="*", help="names or addresses that boards call this machine by")
    init.add_argument("--product", default="demo", help="boards take releases of their own product only")
    init.add_argument("--port", type=int, default=8443)
    init.add_argument("--ssid", help="Wi-Fi network for the boards")
    init.add_argument("--password", help="its password (or OTACTL_WIFI_PASSWORD in the environment)")
    init.add_argument("--renew", action="store_true", help="only a new server certificate, for other names or dates")

    publish = verb("publish", _publish, "sign a release and let the channel point at it", "publish fw.bin --version 1.1.0")
    in_workspace(publish)
    publish.add_argument("firmware", nargs="+", help="app image or full-flash file, one for each chip")
    publish.add_argument("--version", required=True, help="the name for people")
    publish.add_argument("--build", help="only for boards whose sys.implementation._build matches this glob")
    publish.add_argument("--security-version", type=int, help="never goes down (default: as before)")

    serve = verb("serve", _serve, "serve releases/ over HTTPS", "serve")
    in_workspace(serve)
    serve.add_argument("--host", default="0.0.0.0", help="address to listen on (default: all)")
    serve.add_argument("--port", type=int, help="default: that of the url in otactl.toml")
    serve.add_argument("--http", action="store_true", help="plain HTTP (boards need allow_http)")

    deploy = verb("deploy", _deploy, "install the agent, its configuration and keys on a board", "deploy /dev/ttyUSB0")
    in_workspace(deploy)
    on_board(deploy)
    deploy.add_argument("--py", action="store_true", help="install .py instead of .mpy")

    for name, run, text in (
        ("update", _update, "have a board install the newest release, and follow it to the end"),
        ("confirm", _confirm, "end a running trial well, by hand"),
        ("rollback", _rollback, "have a board go back to the release in its other slot"),
        ("status", _status, "what a board says of itself"),
    ):
        made = verb(name, run, text, f"{name} /dev/ttyUSB0")
        on_board(made)
        made.add_argument("--json", action="store_true", help="for scripts")

    virtual = verb("virtual-board", _virtual_board, "start a virtual board and print its port", "virtual-board")
    from vboard.cli import add_arguments

    add_arguments(virtual)
    return parser


def main(words: Sequence[str] | None = None) -> int:
    """Run one command; an error that a person can meet is one line on stderr."""
    args = _parser().parse_args(words)
    try:
        code: int = args.run(args)
    except OtactlError as error:
        print(f"otactl: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("otactl: stopped", file=sys.stderr)
        return 2
    return code
