"""The verbs `otactl keys ...`: which key signs, which ones boards trust."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

import rich_click as click

from otactl.cli.options import FILE, WORKSPACE, as_json, family, in_workspace, verb_of, with_passphrase
from otactl.errors import UsageError

if TYPE_CHECKING:
    from otactl.workspace.keyring import Held

_DEPLOY = "boards must get it before a release that it signs: `otactl deploy` to each by cable, then publish"
keys = family("keys", WORKSPACE, "The key that signs releases, and those that boards trust.", "keys list")


@verb_of(keys, "keys list")
@in_workspace
@with_passphrase
@as_json
def list_keys(*, workspace: Path, as_json: bool) -> int:
    """Show the keys of the workspace; boards get the trusted ones at the next deploy."""
    from rich.table import Table

    from otactl.cli import display
    from otactl.workspace import keyring
    from otactl.workspace.workspace import Workspace

    found = keyring.held(Workspace.find(workspace))
    if as_json:
        print(json.dumps({"keys": [_facts(one) for one in found]}))
        return 0
    table = Table("keyid", "file", "signs", "trusted", box=None, pad_edge=False)
    for one in found:
        table.add_row(one.keyid[:16], one.file.name, _yes(one.signs), _yes(one.trusted))
    display.show_table(table)
    return 0


@verb_of(keys, "keys new")
@in_workspace
@with_passphrase
@as_json
def new_key(*, workspace: Path, as_json: bool) -> int:
    """Make a new key to sign with; the old one is kept, and boards go on trusting it."""
    from otactl.workspace import keyring
    from otactl.workspace.workspace import Workspace

    made = keyring.new(Workspace.find(workspace))
    _say(made, as_json, f"{made.file} is a new key, {made.keyid[:16]}, and signs from now on: keep it safe")
    return 0


@verb_of(keys, "keys trust colleague.pub.json")
@in_workspace
@click.argument("file", type=FILE, help="A PEM, public or private, a *.pub.json, or a board's keys.json.")
@with_passphrase
@as_json
def trust_key(*, workspace: Path, file: Path, as_json: bool) -> int:
    """Have boards trust the key in a file too; only its public half is copied."""
    from otactl.workspace import keyring
    from otactl.workspace.workspace import Workspace

    made = keyring.trust(Workspace.find(workspace), file)
    _say(made, as_json, f"{made.keyid[:16]} is trusted, by {made.file}")
    return 0


@verb_of(keys, "keys passphrase keys/release.pem")
@click.argument("file", type=FILE, help="A private key, with a passphrase or without one.")
@click.option("--remove", is_flag=True, help="Keep the key without a passphrase.")
@click.option("--new-passphrase-file", type=FILE, help="Holds the new passphrase (default: it is asked for).")
@with_passphrase
def passphrase_of_key(*, file: Path, remove: bool, new_passphrase_file: Path | None) -> int:
    """Give a key a passphrase, another one, or none."""
    from otactl.cli import display
    from otactl.workspace import keys, passphrase

    if remove and new_passphrase_file:
        raise UsageError("--remove and --new-passphrase-file: which of them?")
    had = keys.is_encrypted(file)
    keys.load(file)  # the old passphrase is asked for first, and a wrong one ends it here
    if remove:
        secret = None
    elif had and not new_passphrase_file:
        secret = passphrase.another(file)
    else:
        secret = passphrase.new(file, new_passphrase_file)
    keys.encrypt(file, secret)
    display.done(f"{file} has {'no' if remove else 'a new'} passphrase; the key is the same, and boards need nothing")
    if secret and not had:
        display.show("  what the file held before may still lie on this disk, in backups and in git")
    return 0


@verb_of(keys, "keys image signing.pem")
@click.argument("file", type=FILE, help="A PEM, public or private, or an app image that is signed.")
@as_json
def image_key(*, file: Path, as_json: bool) -> int:
    """Show by what boards are told to trust a key that signs app images themselves."""
    from otactl.cli import display
    from otactl.release import image_signature

    found = image_signature.digests(file)
    if as_json:
        print(json.dumps({"keys": found}))
        return 0
    for digest in found:
        display.done(digest)
    display.show("  boards that are to ask for it get these lines, in otactl.toml, at the next `otactl deploy`:")
    display.show("  [board.image_signature]")
    display.show(f"  keys = {json.dumps(found)}")
    return 0


def _say(one: "Held", as_json: bool, text: str) -> None:
    from otactl.cli import display

    if as_json:
        print(json.dumps(_facts(one)))
        return
    display.done(text)
    display.show(f"  {_DEPLOY}")


def _facts(one: "Held") -> dict[str, object]:
    return {"keyid": one.keyid, "file": str(one.file), "signs": one.signs, "trusted": one.trusted}


def _yes(is_so: bool) -> str:
    return "yes" if is_so else "no"
