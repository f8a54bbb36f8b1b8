"""The verb that works in a workspace: serve."""

from pathlib import Path

import rich_click as click

from otactl.cli.options import PORT, WORKSPACE, in_workspace, verb
from otactl.errors import UsageError

_FEW = 100  # boards that a server should bear at once


@verb(WORKSPACE, "serve --port 8443")
@in_workspace
@click.option("--host", default="0.0.0.0", help="Address to listen on (default: all of IPv4).")
@click.option("--port", type=PORT, metavar="NUMBER", help="(default: that of the url in otactl.toml)")
@click.option("--http", is_flag=True, help="Plain HTTP (boards need allow_http).")
@click.option(
    "--client-certificates", is_flag=True, help="Only for boards with a certificate of ours (`otactl ca client`)."
)
def serve(*, workspace: Path, host: str, port: int | None, http: bool, client_certificates: bool) -> int:
    """Serve releases/ over HTTPS until Ctrl-C."""
    from otactl.cli import display
    from otactl.cli.boards import ServeLog
    from otactl.release.channels import expiring
    from otactl.server.advice import advice
    from otactl.server.limits import boards_at_once
    from otactl.server.server import Server
    from otactl.workspace import authorities, tls
    from otactl.workspace.workspace import Workspace

    if http and client_certificates:
        raise UsageError("--client-certificates: plain HTTP has none, leave out --http")
    found = Workspace.find(workspace)
    scheme = "http" if http else "https"
    with display.Bars() as bars:
        server = Server(
            found.releases,
            None if http else found.tls,
            host,
            found.port if port is None else port,
            ServeLog(bars),
            clients=authorities.own_bundle(found) if client_certificates else b"",
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

        server.run(started)
    return 0
