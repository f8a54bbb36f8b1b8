"""The verb that works in a workspace: serve."""

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING

import rich_click as click

from otactl.cli.options import PORT, WORKSPACE, in_workspace, verb
from otactl.errors import UsageError

if TYPE_CHECKING:
    from otactl.cli.display import Bars
    from otactl.cli.serve_bridges import Asked
    from otactl.server.files import Room, Watch
    from otactl.workspace.workspace import Workspace

_FEW = 100  # boards that a server should bear at once


@verb(WORKSPACE, "serve --port 8443")
@in_workspace
@click.option("--host", default="0.0.0.0", help="Address to listen on (default: all of IPv4).")
@click.option("--port", type=PORT, metavar="NUMBER", help="(default: that of the url in otactl.toml)")
@click.option("--http", is_flag=True, help="Plain HTTP (boards need allow_http).")
@click.option(
    "--client-certificates", is_flag=True, help="Only for boards with a certificate of ours (`otactl ca client`)."
)
@click.option("--no-fleet", is_flag=True, help="Do not remember which boards look, and what becomes of them.")
@click.option("--no-page", is_flag=True, help="Remember them, and show them to nobody who reaches this port.")
@click.option("--metrics", is_flag=True, help="Numbers for Prometheus at /metrics, for whoever reaches this port.")
@click.option("--mqtt", metavar="HOST", help="Tell Home Assistant of boards, by this broker: HOST[:PORT], mqtt://HOST.")
@click.option("--mqtt-install", is_flag=True, help="Boards get a release once its button is pressed there.")
def serve(
    *,
    workspace: Path,
    host: str,
    port: int | None,
    http: bool,
    client_certificates: bool,
    no_fleet: bool,
    no_page: bool,
    metrics: bool,
    mqtt: str | None,
    mqtt_install: bool,
) -> int:
    """Serve releases/ over HTTPS until Ctrl-C, and remember which boards look (`otactl boards --watch`)."""
    from otactl.cli import display
    from otactl.cli.boards import ServeLog
    from otactl.cli.serve_bridges import Asked
    from otactl.release.channels import expiring
    from otactl.server.advice import advice
    from otactl.server.limits import boards_at_once
    from otactl.server.page.page import new_token
    from otactl.server.server import Server
    from otactl.workspace import authorities, tls
    from otactl.workspace.workspace import Workspace

    if http and client_certificates:
        raise UsageError("--client-certificates: plain HTTP has none, leave out --http")
    asked = Asked(metrics, mqtt, mqtt_install)
    asked.check(remembers=not no_fleet)
    found = Workspace.find(workspace)
    scheme = "http" if http else "https"
    with display.Bars() as bars, contextlib.ExitStack() as open_files:
        token = "" if no_page else new_token()
        watch: Watch = ServeLog(bars)
        rooms: list[Room] = []
        if not no_fleet:
            rooms, watch = _rooms(found, bars, open_files, token, watch, asked)
        server = Server(
            found.releases,
            None if http else found.tls,
            host,
            found.port if port is None else port,
            watch,
            clients=authorities.own_bundle(found) if client_certificates else b"",
            rooms=rooms,
        )
        most = boards_at_once()
        if 0 < most < _FEW:
            bars.note(f"warning: this system lets {most} boards download at once: raise what `ulimit -Hn` says")
        trouble = None if http else tls.advice(found.tls, found.host)
        if trouble:
            bars.note(f"warning: {trouble}")

        def started(port: int) -> None:
            bars.note(f"serving {display.short(found.releases)} at {scheme}://{host}:{port} (Ctrl-C ends)")
            for line in advice(found, http=http, port=port) + expiring(found):
                bars.note(f"warning: {line}")
            if rooms and token:
                bars.note(f"the page, to look at: {scheme}://{found.host}:{port}/")
                bars.note(f"and to act by: {scheme}://{found.host}:{port}/#token={token}")

        server.run(started)
    return 0


def _rooms(
    place: "Workspace",
    bars: "Bars",
    open_files: contextlib.ExitStack,
    token: str,
    watch: "Watch",
    asked: "Asked",
) -> "tuple[list[Room], Watch]":
    """What the server offers beside its files, and its `watch`. Without a memory it serves all the same. `token`: of the page,
    "" for none."""
    from otactl.fleet import store
    from otactl.server.hub import Hub
    from otactl.server.page.page import Page

    if asked.mqtt:
        asked.broker(place)  # a wrong address is no warning
    try:
        kept = open_files.enter_context(store.Store(place.root / store.FILE))
        asked.hold(kept)
        hub = Hub(place, kept, lambda line: bars.note(f"warning: {line}"))
    except UsageError as error:
        if asked.install:
            raise  # it would hold nothing back
        bars.note(f"warning: boards are not remembered until this is started again without that: {error}")
        return [], watch
    more, watch = asked.rooms(place, kept, watch, bars.note)
    page = [Page(place, kept, token).room] if token else []
    return [hub.room, *page, *more], watch
