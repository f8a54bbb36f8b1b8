"""What each verb of `otactl` does with its arguments, and says; an exit code comes back."""

import argparse
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from otactl.board import deploy, follow
from otactl.board.codes import sentence
from otactl.board.follow import Outcome
from otactl.board.link import Link
from otactl.cli.display import Bars, BoardWatch, ServeLog, status_lines
from otactl.errors import UsageError
from otactl.release import publish
from otactl.server.server import Server
from otactl.workspace import tls
from otactl.workspace.create import create
from otactl.workspace.workspace import Workspace


def init(args: argparse.Namespace) -> int:
    """A new workspace, or with --renew only a new server certificate."""
    root = Path(args.workspace)
    if args.renew:
        found = Workspace.find(root)
        names = [*args.names, found.host, *tls.server_names(found.tls), *tls.own_names()]
        tls.make_server(found.tls, list(dict.fromkeys(names)))
        print(f"new server certificate in {found.tls}; boards need nothing new, a server that runs a new start")
        return 0
    made = create(
        root,
        product=args.product,
        names=args.names or _default_names(),
        port=args.port,
        wifi=_wifi(args),
    )
    print(f"workspace for {made.product!r} in {made.root}")
    print(f"  boards will look at {made.channel_url}")
    print(f"  keep {made.key_file} safe: boards trust what it signs, and nothing else")
    return 0


def _wifi(args: argparse.Namespace) -> dict[str, str] | None:
    if not args.ssid:
        if args.password:
            raise UsageError("--password without --ssid: name the network that it is for")
        return None
    if len(args.ssid.encode()) > 32:
        raise UsageError("--ssid: a network's name has 32 bytes at the most")
    password = args.password or os.environ.get("OTACTL_WIFI_PASSWORD")
    return {"ssid": args.ssid} | ({"password": password} if password else {})


def _default_names() -> list[str]:
    """How a board on the same network reaches this machine: by address, which needs no DNS."""
    address = tls.address()
    return [*([address] if address else []), *tls.own_names()]


def publish_release(args: argparse.Namespace) -> int:
    """Sign a release; --json gives what a script needs to go on."""
    done = publish.publish(
        Workspace.find(Path(args.workspace)),
        [Path(name) for name in args.firmware],
        args.version,
        build=args.build,
        security_version=args.security_version,
    )
    if args.json:
        release = {"version": done.version, "sequence": done.sequence, "targets": done.targets}
        print(json.dumps(release, indent=1))
        return 0
    for note in done.notes:
        print(note)
    for target in done.targets:
        print(f"published {done.version} (sequence {done.sequence}) for {target['chip']}: {target['size']} bytes")
    return 0


def serve(args: argparse.Namespace) -> int:
    """Serve releases/ until Ctrl-C."""
    found = Workspace.find(Path(args.workspace))
    scheme = "http" if args.http else "https"
    with Bars() as bars:
        server = Server(
            found.releases,
            None if args.http else found.tls,
            args.host,
            found.port if args.port is None else args.port,
            ServeLog(bars),
        )
        trouble = None if args.http else tls.advice(found.tls, found.host)
        if trouble:
            bars.note(f"warning: {trouble}")

        def started(port: int) -> None:
            where = f"{scheme}://{args.host}:{port}"
            bars.note(f"serving {found.releases} at {where} (Ctrl-C ends)")
            if found.path:
                bars.note(f"warning: boards look at {found.channel_url}: this server has no {found.path}; change url")
            elif port != found.port:
                bars.note(f"warning: boards look at {found.channel_url}: change url, or forward")

        server.run(started)
    return 0


def deploy_agent(args: argparse.Namespace) -> int:
    """Install the agent on a board."""
    found = Workspace.find(Path(args.workspace))
    with Link(args.board) as link:
        done = deploy.deploy(link, found, as_py=args.py, say=print)
    print(f"deployed: {len(done.written)} written, {done.unchanged} unchanged, {len(done.removed)} removed")
    for advice in done.advice:
        print(advice)
    return 0


def status(args: argparse.Namespace) -> int:
    """What a board says of itself."""
    with Link(args.board) as link:
        found = follow.status(link)
    print(json.dumps(found, indent=1) if args.json else "\n".join(status_lines(found)))
    return 0


def update(args: argparse.Namespace) -> int:
    """Have a board install the newest release; 0 where it has it in the end."""
    return _follow(args, follow.update)


def rollback(args: argparse.Namespace) -> int:
    """Have a board go back; 0 where the other release is confirmed in the end."""
    return _follow(args, follow.rollback)


def confirm(args: argparse.Namespace) -> int:
    """End a board's trial well."""
    return _follow(args, follow.confirm)


def _follow(args: argparse.Namespace, verb: Callable[..., Outcome]) -> int:
    with Bars(quiet=args.json) as bars, Link(args.board) as link:
        outcome = verb(link, BoardWatch(bars))
    done = outcome.name in ("confirmed", "up-to-date")
    if args.json:
        print(json.dumps(_as_json(outcome)))
    elif outcome.name == "confirmed":
        print(f"{outcome.version} is confirmed")
    elif outcome.name == "up-to-date":
        print(f"{outcome.version} is what the board has: nothing to do")
    else:
        where = f"{outcome.version} was rolled back, " if outcome.name == "rolled-back" else ""
        print(f"{where}{sentence(outcome.reason, outcome.detail)}")
    return 0 if done else 1


def _as_json(outcome: Outcome) -> dict[str, Any]:
    return {
        "outcome": outcome.name,
        "version": outcome.version,
        "reason": outcome.reason,
        "detail": outcome.detail,
    }


def virtual_board(args: argparse.Namespace) -> int:
    """Start a virtual board and keep it until Ctrl-C."""
    from vboard.cli import run

    return run(args)
