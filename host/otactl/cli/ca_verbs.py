"""The verbs `otactl ca ...`: by which certificate authorities boards know their server, and boards' own certificates."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import rich_click as click

from otactl.cli.options import FILE, WORKSPACE, as_json, family, in_workspace, verb_of
from otactl.errors import UsageError

if TYPE_CHECKING:
    from cryptography import x509

    from otactl.workspace.authorities import Authority

_DEPLOY = "boards get it at their next `otactl deploy`, by cable"
_LOSES = (
    "boards that have not got the new CA refuse the server from then on (cert-untrusted), those too that are switched off "
    "or away now; only `otactl deploy` by cable brings them back"
)
ca = family("ca", WORKSPACE, "The authorities by which boards know a server, and boards' own certificates.", "ca list")


@verb_of(ca, "ca list")
@in_workspace
@as_json
def list_authorities(*, workspace: Path, as_json: bool) -> int:
    """Show the authorities that boards are told to trust at the next deploy, and when each ends."""
    from rich.table import Table

    from otactl.cli import display
    from otactl.workspace import authorities
    from otactl.workspace.workspace import Workspace

    place = Workspace.find(workspace)
    found = authorities.held(place)
    if as_json:
        print(json.dumps({"authorities": [_facts(one) for one in found]}))
        return 0
    table = Table("name", "kind", "subject", "until", "fingerprint", box=None, pad_edge=False)
    for one in found:
        table.add_row(one.name, one.kind, one.called, f"{one.ends:%Y-%m-%d}", one.fingerprint[:16])
    display.show_table(table)
    for one in authorities.soon(place, now := datetime.now(UTC)):
        when = "has ended" if one.ends < now else f"ends in {(one.ends - now).days} days"
        display.warn(f"{one.name} {when}: boards refuse what is from it then")
    return 0


@verb_of(ca, "ca fetch github.com")
@in_workspace
@click.argument("host", metavar="HOST[:PORT]", help="Of a public server, as github.com; also the one it redirects to.")
@click.option(
    "--store", type=FILE, metavar="PEM", help="File of the roots to choose from (default: Mozilla's, by certifi)."
)
@as_json
def fetch_root(*, workspace: Path, host: str, store: Path | None, as_json: bool) -> int:
    """Store the root that a public server's certificate goes back to, so that boards know that server."""
    from otactl.workspace import authorities, public
    from otactl.workspace.workspace import Workspace

    place = Workspace.find(workspace)
    name, port = public.address(host)
    chain = public.shown(name, port)
    kept = authorities.keep_root(place, public.root(name, chain, store))
    _say(kept, as_json, f"{name} is known by {kept.called}, which ends on {kept.ends:%Y-%m-%d}: {kept.file.name}")
    return 0


@verb_of(ca, "ca new")
@in_workspace
@as_json
def new_authority(*, workspace: Path, as_json: bool) -> int:
    """Make a new own authority; boards get it besides the one of today, which goes on serving."""
    from otactl.cli import display
    from otactl.workspace import authorities
    from otactl.workspace.workspace import Workspace

    made = authorities.begin(Workspace.find(workspace))
    _say(made, as_json, f"a new CA is in {display.short(made.file.parent)}: keep its key safe")
    if not as_json:
        display.show("  the server goes on with the CA of today; once every board has both: `otactl ca switch`")
    return 0


@verb_of(ca, "ca switch --yes")
@in_workspace
@click.option("--yes", is_flag=True, help="Boards without the new CA may be lost.")
@as_json
def switch_authority(*, workspace: Path, yes: bool, as_json: bool) -> int:
    """Change the server to a certificate of the new authority, once boards have it."""
    from otactl.cli import display
    from otactl.workspace import authorities
    from otactl.workspace.workspace import Workspace

    if not yes:
        raise UsageError(f"{_LOSES}: say --yes where that is known; `otactl doctor BOARD` tells whether a board has it")
    former = authorities.switch(Workspace.find(workspace))
    if as_json:
        print(json.dumps({"former": _facts(former)}))
        return 0
    display.done("the server has a certificate of the new CA; one that runs must be started again")
    display.show(f"  boards trust the former one too, until `otactl ca remove {former.name}` and a deploy")
    display.warn(_LOSES)
    return 0


@verb_of(ca, "ca remove isrg-root-x1")
@in_workspace
@click.argument("name", help="As `otactl ca list` has it.")
@as_json
def remove_authority(*, workspace: Path, name: str, as_json: bool) -> int:
    """Let boards trust an authority no longer, from their next deploy on."""
    from otactl.cli import display
    from otactl.workspace import authorities
    from otactl.workspace.workspace import Workspace

    gone = authorities.remove(Workspace.find(workspace), name)
    if as_json:
        print(json.dumps(_facts(gone)))
        return 0
    display.done(f"{gone.name} ({gone.called}) is removed; boards trust it until their next deploy")
    return 0


@verb_of(ca, "ca client lamp-1")
@in_workspace
@click.argument("name", help="Of the board, in boards.toml.")
@as_json
def client_certificate(*, workspace: Path, name: str, as_json: bool) -> int:
    """Make a board a certificate of its own, for a server that asks for one (`otactl serve --client-certificates`)."""
    from otactl.cli import display
    from otactl.workspace import clients
    from otactl.workspace.workspace import Workspace

    made = clients.make(Workspace.find(workspace), name)
    if as_json:
        print(json.dumps({"name": name, "until": f"{made.not_valid_after_utc:%Y-%m-%d}"}))
        return 0
    display.done(f"{name} has a certificate of its own, until {made.not_valid_after_utc:%Y-%m-%d}")
    display.show(f"  the board gets it, with its key, by `otactl deploy {name}`")
    return 0


@verb_of(ca, "ca pin")
@in_workspace
@click.argument("host", metavar="[HOST[:PORT]]", default="", help="Another server's, as it shows it now, unverified.")
@as_json
def pin_certificate(*, workspace: Path, host: str, as_json: bool) -> int:
    """Show by what boards may pin the server's certificate, or its key."""
    from otactl.cli import display
    from otactl.workspace import issuing, public, tls
    from otactl.workspace.workspace import Workspace

    found = public.shown(*public.address(host))[0] if host else _own_server(Workspace.find(workspace).tls)
    pins = {"key": tls.key_pin(found.public_key()), "certificate": issuing.fingerprint(found)}
    if as_json:
        print(json.dumps(pins))
        return 0
    display.done(f"key          {pins['key']}")
    display.done(f"certificate  {pins['certificate']}")
    display.show(
        "  boards that are to hold the server to its key get these lines, in otactl.toml, at the next `otactl deploy`:"
    )
    display.show("  [board]")
    display.show(f"  pins = {json.dumps([pins['key']])}")
    display.show(
        "  with a second one for a key that is kept elsewhere: a board with a pin for a lost key takes a cable"
    )
    return 0


def _own_server(folder: Path) -> "x509.Certificate":
    from otactl.workspace import tls

    found = tls.server(folder)
    if found is None:
        raise UsageError(f"there is no {folder / 'server.pem'}: name the server, as `otactl ca pin github.com`")
    return found


def _say(one: "Authority", as_json: bool, text: str) -> None:
    from otactl.cli import display

    if as_json:
        print(json.dumps(_facts(one)))
        return
    display.done(text)
    display.show(f"  {_DEPLOY}")


def _facts(one: "Authority") -> dict[str, Any]:
    return {
        "name": one.name,
        "kind": one.kind,
        "subject": one.called,
        "until": one.ends.isoformat(),
        "fingerprint": one.fingerprint,
        "file": str(one.file),
    }
