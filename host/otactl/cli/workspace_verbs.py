"""The verb that works in a workspace: serve."""

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING

import rich_click as click

from otactl.cli.options import PORT, WORKSPACE, in_workspace, verb
from otactl.errors import UsageError

if TYPE_CHECKING:
    from otactl.cli.display import Bars
    from otactl.server.files import Room
    from otactl.workspace.workspace import Workspace


@verb(WORKSPACE, "serve --port 8443")
@in_workspace
@click.option("--host", default="0.0.0.0", help="Address to listen on (default: all of IPv4).")
@click.option("--port", type=PORT, metavar="NUMBER", help="(default: that of the url in otactl.toml)")
@click.option("--http", is_flag=True, help="Plain HTTP (boards need allow_http).")
@click.option(
    "--client-certificates", is_flag=True, help="Only for boards with a certificate of ours (`otactl ca client`)."
)
@click.option("--no-fleet", is_flag=True, help="Do not remember which boards look, and what becomes of them.")
def serve(
    *, workspace: Path, host: str, port: int | None, http: bool, client_certificates: bool, no_fleet: bool
) -> int:
    """Serve releases/ over HTTPS until Ctrl-C, and remember which boards look (`otactl boards --watch`)."""
    from otactl.cli import display
    from otactl.cli.boards import ServeLog
    from otactl.release.channels import expiring
    from otactl.server.advice import advice
    from otactl.server.page.page import new_token
    from otactl.server.server import Server
    from otactl.workspace import authorities, tls
    from otactl.workspace.workspace import Workspace

    if http and client_certificates:
        raise UsageError("--client-certificates: plain HTTP has none, leave out --http")
    found = Workspace.find(workspace)
    scheme = "http" if http else "https"
    with display.Bars() as bars, contextlib.ExitStack() as open_files:
        token = new_token()
        rooms = [] if no_fleet else _rooms(found, bars, open_files, token)
        server = Server(
            found.releases,
            None if http else found.tls,
            host,
            found.port if port is None else port,
            ServeLog(bars),
            clients=authorities.own_bundle(found) if client_certificates else b"",
            rooms=rooms,
        )
        trouble = None if http else tls.advice(found.tls, found.host)
        if trouble:
            bars.note(f"warning: {trouble}")

        def started(port: int) -> None:
            bars.note(f"serving {display.short(found.releases)} at {scheme}://{host}:{port} (Ctrl-C ends)")
            for line in advice(found, http=http, port=port) + expiring(found):
                bars.note(f"warning: {line}")
            if rooms:
                bars.note(f"the page, to look at: {scheme}://{found.host}:{port}/")
                bars.note(f"and to act by: {scheme}://{found.host}:{port}/#token={token}")

        server.run(started)
    return 0


def _rooms(place: "Workspace", bars: "Bars", open_files: contextlib.ExitStack, token: str) -> "list[Room]":
    """What the server offers beside its files. Without a memory it serves all the same."""
    from otactl.fleet import store
    from otactl.server.hub import Hub
    from otactl.server.page.page import Page

    try:
        kept = open_files.enter_context(store.Store(place.root / store.FILE))
        return [Hub(place, kept, lambda line: bars.note(f"warning: {line}")).room, Page(place, kept, token).room]
    except UsageError as error:
        bars.note(f"warning: boards are not remembered: {error}")
        return []
