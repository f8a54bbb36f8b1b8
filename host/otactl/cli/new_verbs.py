"""The verbs that begin something: init, a workspace; new, a project."""

import json
import os
import re
from pathlib import Path

import rich_click as click

from otactl.cli.options import FILE, PORT, WORKSPACE, as_json, in_workspace, verb, with_passphrase
from otactl.errors import UsageError

_WPA_PASSWORD = re.compile(rb".{8,63}|[0-9A-Fa-f]{64}")  # IEEE 802.11-2020, J.4.1: a passphrase, or the key itself


@verb(WORKSPACE, "init --product lamp --ssid Home laptop.local")
@in_workspace
@click.argument("names", nargs=-1, help="Names or addresses by which boards call this machine.")
@click.option("--product", default="demo", help="Boards take releases of their own product only.")
@click.option("--port", type=PORT, metavar="NUMBER", default=8443, help="Of the server (default: 8443).")
@click.option("--ssid", help="Wi-Fi network for the boards.")
@click.option("--password", help="Its password (or OTACTL_WIFI_PASSWORD in the environment).")
@click.option("--passphrase", is_flag=True, help="Encrypt the release key; the passphrase is asked for.")
@with_passphrase
@click.option("--renew", is_flag=True, help="Only a new server certificate, for more names or when it expires.")
@as_json
def init(
    *,
    workspace: Path,
    names: tuple[str, ...],
    product: str,
    port: int,
    ssid: str | None,
    password: str | None,
    passphrase: bool,
    renew: bool,
    as_json: bool,
) -> int:
    """Make a workspace: keys, certificates, otactl.toml."""
    from otactl.cli import display
    from otactl.workspace import keys, tls
    from otactl.workspace import passphrase as secrets
    from otactl.workspace.create import create
    from otactl.workspace.workspace import Workspace

    if renew:
        made = Workspace.find(workspace)
        known = [*names, made.host, *tls.server_names(made.tls), *tls.own_names()]
        kept = tls.make_server(made.tls, list(dict.fromkeys(known)), pins=made.board.get("pins") or ())
    else:
        made = create(
            workspace,
            product=product,
            names=list(names) or _default_names(),
            port=port,
            wifi=_wifi(ssid, password),
            secret=secrets.new(workspace / "keys" / "release.pem") if passphrase else None,
        )
    if as_json:
        print(json.dumps({"workspace": str(made.root), "product": made.product, "url": made.channel_url}))
    elif renew:
        where = display.short(made.tls)
        display.done(f"new server certificate in {where}; boards need nothing new, a server that runs a new start")
        if kept:
            display.show("  with the key of before, as boards are told to hold the server to it (pins)")
    else:
        display.done(f"workspace for {made.product!r} in {display.short(made.root)}")
        display.show(f"  boards will look at {made.channel_url}")
        display.show(f"  keep {display.short(made.key_file)} safe: boards trust what it signs, and nothing else")
        if passphrase and not keys.is_encrypted(made.key_file):
            display.warn(f"the key was there already, without a passphrase: `otactl keys passphrase {made.key_file}`")
        display.follow_up("publish FIRMWARE.bin --version 1.0.0")
    return 0


@verb(WORKSPACE, "new lamp --ssid Home --password secret42")
@click.argument("folder", metavar="NAME", type=FILE, help="Of the project; a folder of that name is made.")
@click.option("--host", "names", multiple=True, metavar="NAME", help="By which boards call this machine; repeatable.")
@click.option("--port", type=PORT, metavar="NUMBER", default=8443, help="Of the server (default: 8443).")
@click.option("--ssid", help="Wi-Fi network for the boards.")
@click.option("--password", help="Its password (or OTACTL_WIFI_PASSWORD in the environment).")
@as_json
def new(
    *, folder: Path, names: tuple[str, ...], port: int, ssid: str | None, password: str | None, as_json: bool
) -> int:
    """Make a project: a program with its check and tests, a workspace, an example for CI."""
    from otactl.cli import display
    from otactl.workspace import project

    made = project.make(folder, names=list(names) or _default_names(), port=port, wifi=_wifi(ssid, password))
    if as_json:
        print(json.dumps({"project": str(made.root), "product": made.product, "url": made.channel_url}))
        return 0
    display.done(
        f"project {made.product!r} in {display.short(made.root)}: app/, tests/, a workspace; its README says what next"
    )
    display.show(f"  boards will look at {made.channel_url}")
    display.show(f"  keep {display.short(made.key_file)} safe: boards trust what it signs, and nothing else")
    display.follow_up(f"deploy -w {folder} --app {folder} /dev/ttyUSB0", "or `pytest` in it first, without a board")
    return 0


def _wifi(ssid: str | None, password: str | None) -> dict[str, str] | None:
    if not ssid:
        if password:
            raise UsageError("--password without --ssid: name the network that it is for")
        return None
    if len(ssid.encode()) > 32:
        raise UsageError("--ssid: a network's name has 32 bytes at the most")
    if password is None:
        password = os.environ.get("OTACTL_WIFI_PASSWORD")
    if not password:  # an open network
        return {"ssid": ssid}
    if not _WPA_PASSWORD.fullmatch(password.encode()):
        raise UsageError(f"--password: WPA has 8 to 63 bytes, or 64 hex digits, this has {len(password.encode())}")
    return {"ssid": ssid, "password": password}


def _default_names() -> list[str]:
    """How a board on the same network reaches this machine: by address, which needs no DNS."""
    from otactl.workspace import tls

    address = tls.address()
    return [*([address] if address else []), *tls.own_names()]
