"""The verbs `otactl ca ...`: by which certificate authorities boards know their server, and boards' own certificates."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import rich_click as click

from otactl.cli.options import FILE, WORKSPACE, as_json, family, in_workspace, more_keys, verb_of, with_passphrase
from otactl.errors import UsageError
from otactl.words import counted

if TYPE_CHECKING:
    from cryptography import x509

    from otactl.release.handover import Handed
    from otactl.workspace.authorities import Authority
    from otactl.workspace.workspace import Workspace

_LOSES = (
    "the CA of today cannot vouch for the new one: boards that have not got that yet refuse the server from then on "
    "(cert-untrusted), those too that are switched off or away now, and take a cable"
)
_INSTEAD = {
    "own": "`otactl ca new`, then `otactl ca switch`, replace it",
    "next": "`otactl ca switch` before that, then `otactl ca new`",
    "former": "nothing needs it any more: `otactl ca remove`",
    "root": "`otactl ca fetch` with the server that is known by it",
}
ca = family(
    "ca",
    WORKSPACE,
    "The authorities by which boards know a server, and boards' own certificates.",
    "ca list",
    usual="list",
)


@verb_of(ca, "ca list")
@in_workspace
@as_json
def list_authorities(*, workspace: Path, as_json: bool) -> int:
    """Show the authorities that boards are told to trust, and when each ends."""
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
        when = "has ended" if one.ends < now else f"ends in {counted((one.ends - now).days, 'day')}"
        display.warn(f"{one.name} {when}: boards refuse what is from it then; {_INSTEAD[one.kind]}")
    return 0


@verb_of(ca, "ca fetch github.com")
@in_workspace
@click.argument("host", metavar="HOST[:PORT]", help="Of a public server, as github.com; also the one it redirects to.")
@click.option(
    "--store", type=FILE, metavar="PEM", help="File of the roots to choose from (default: Mozilla's, by certifi)."
)
@more_keys
@with_passphrase
@as_json
def fetch_root(*, workspace: Path, host: str, store: Path | None, more_keys: tuple[Path, ...], as_json: bool) -> int:
    """Have boards know a public server: by the root that its certificate goes back to."""
    from otactl.release import handover
    from otactl.workspace import public
    from otactl.workspace.workspace import Workspace

    place = Workspace.find(workspace)
    name, port = public.address(host)
    chain = public.shown(name, port)
    kept, handed = handover.keep_root(place, public.root(name, chain, store), more_keys)
    said = f"{name} is known by {kept.called}, which ends on {kept.ends:%Y-%m-%d}: {kept.file.name}"
    return _handed(place, handed, said, as_json, one=kept)


@verb_of(ca, "ca new --with /media/stick/root.pem")
@in_workspace
@more_keys
@with_passphrase
@as_json
def new_authority(*, workspace: Path, more_keys: tuple[Path, ...], as_json: bool) -> int:
    """Make a new own authority, and have boards know it beside the one of today, which goes on serving."""
    from otactl.cli import display
    from otactl.release import handover
    from otactl.workspace.workspace import Workspace

    place = Workspace.find(workspace)
    made, handed = handover.begin(place, more_keys)
    said = f"a new CA is in {display.short(made.file.parent)}; the server goes on with the one of today"
    return _handed(place, handed, said, as_json, one=made, then=("ca switch", "once most boards have looked"))


@verb_of(ca, "ca switch")
@in_workspace
@click.option("--yes", is_flag=True, help="Boards without the new CA may be lost.")
@as_json
def switch_authority(*, workspace: Path, yes: bool, as_json: bool) -> int:
    """Change the server to a certificate of the new authority."""
    from otactl.cli import display
    from otactl.workspace import authorities
    from otactl.workspace.workspace import Workspace

    place = Workspace.find(workspace)
    vouches = authorities.vouches(place)
    if not vouches and not yes:
        raise UsageError(f"{_LOSES}: say --yes where that is known; `otactl doctor BOARD` tells whether a board has it")
    former = authorities.switch(place)
    if as_json:
        print(json.dumps({"former": _facts(former), "vouches": vouches}))
        return 0
    display.done("the server has a certificate of the new CA; one that runs must be started again")
    if vouches:
        until = f"{former.ends:%Y-%m-%d}"
        display.show(
            f"  the former CA vouches for it: a board that knows only that one still knows the server, until {until}"
        )
    else:
        display.warn(_LOSES)
    display.show("  boards trust the former one until a document without it, or a deploy:")
    display.follow_up(f"ca remove {former.name}")
    return 0


@verb_of(ca, "ca remove isrg-root-x1")
@in_workspace
@click.argument("name", help="As `otactl ca list` has it.")
@click.option("--yes", is_flag=True, help="Boards that need it may be lost.")
@more_keys
@with_passphrase
@as_json
def remove_authority(*, workspace: Path, name: str, yes: bool, more_keys: tuple[Path, ...], as_json: bool) -> int:
    """Have boards trust an authority no longer."""
    from otactl.release import handover
    from otactl.workspace import authorities
    from otactl.workspace.workspace import Workspace

    place = Workspace.find(workspace)
    if not yes and (hurts := _hurts(place, authorities.removable(place, name))):
        raise UsageError(f"{hurts}: say --yes where that is known")
    gone, handed = handover.remove(place, name, more_keys)
    return _handed(place, handed, f"{gone.name} ({gone.called}) is removed", as_json, one=gone)


def _hurts(place: "Workspace", one: "Authority") -> str:
    """What boards lose without an authority, in words; empty: nothing."""
    from otactl.workspace import authorities, clients

    if one.kind == authorities.ROOT:
        return (
            f"boards whose server, or the one that it redirects to, is known by {one.name} refuse it from then on "
            "(cert-untrusted), and take a cable"
        )
    if names := clients.issued_by(place, one.certificate):
        return (
            f"the certificates of {', '.join(names)} are from {one.name}: a server that asks for one (`otactl serve "
            "--client-certificates`) lets them in no more. `otactl ca client NAME` and `otactl deploy NAME` first"
        )
    return ""


@verb_of(ca, "ca publish --with /media/stick/root.pem")
@in_workspace
@more_keys
@with_passphrase
@as_json
def publish_authorities(*, workspace: Path, more_keys: tuple[Path, ...], as_json: bool) -> int:
    """Bring boards the authorities as they are here: after a change that was broken off, or made without the root key."""
    from otactl.release import handover
    from otactl.workspace import authorities
    from otactl.workspace.workspace import Workspace

    place = Workspace.find(workspace)
    handed = handover.publish(place, more_keys)
    count = len(authorities.held(place))
    return _handed(place, handed, f"boards are to know {counted(count, 'CA')}", as_json)


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


def _handed(
    place: "Workspace",
    handed: "Handed",
    said: str,
    as_json: bool,
    *,
    one: "Authority | None" = None,
    then: tuple[str, str] = ("serve", ""),
) -> int:
    """A change of the authorities, and how it comes to boards. `one`: which one has changed. `then`: as for changed()."""
    from otactl.cli import display, keys_shown

    if as_json:
        document = keys_shown.told(place, handed.document) if handed.document else None
        print(json.dumps((_facts(one) if one else {}) | {"trust": document}))
        return 0
    display.done(said)
    if handed.document:
        return keys_shown.changed(place, handed.document, as_json=False, then=then)
    if handed.why:
        display.show(f"  {handed.why}, so it goes by cable: `otactl deploy` to each board")
    else:
        display.show("  the newest document that brings CAs has the same: boards need nothing")
    return 0


def _facts(one: "Authority") -> dict[str, Any]:
    return {
        "name": one.name,
        "kind": one.kind,
        "subject": one.called,
        "until": one.ends.isoformat(),
        "fingerprint": one.fingerprint,
        "file": str(one.file),
    }
