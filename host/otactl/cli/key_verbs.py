"""The verbs `otactl keys ...` that look, and that make keys: list, new, add, export, passphrase, image."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

import rich_click as click

from otactl.cli.options import FILE, WORKSPACE, as_json, family, in_workspace, more_keys, verb_of, with_passphrase
from otactl.errors import UsageError
from otactl.words import counted

if TYPE_CHECKING:
    from otactl.workspace.workspace import Workspace

keys = family(
    "keys", WORKSPACE, "The keys that boards trust, what for, and how they change.", "keys list", usual="list"
)
role_of_key = click.option(
    "--role",
    type=click.Choice(["root", "release", "both"]),
    default="release",
    help="root says whom boards trust, release signs releases (default).",
)
out_file = click.option("--out", type=FILE, metavar="FILE", help="Where a root key is written to, such as a stick.")
encrypted = click.option("--passphrase", is_flag=True, help="Encrypt the new key; the passphrase is asked for.")


@verb_of(keys, "keys list")
@in_workspace
@as_json
def list_keys(*, workspace: Path, as_json: bool) -> int:
    """Show who may do what, and which private keys are on this machine."""
    from otactl.cli import keys_shown
    from otactl.workspace import keyring, trust
    from otactl.workspace.workspace import Workspace

    place = Workspace.find(workspace)
    now, found = trust.current(place), keyring.held(place)
    if as_json:
        roles = {role: {"keys": now.role(role).keyids, "threshold": now.role(role).threshold} for role in trust.ROLES}
        print(json.dumps({"version": now.version, **roles, "keys": [keys_shown.facts(one) for one in found]}))
        return 0
    keys_shown.table(place, now, found)
    return 0


@verb_of(keys, "keys new --role root --out /media/stick/root.pem")
@in_workspace
@role_of_key
@out_file
@click.option("--start-over", is_flag=True, help="Trust no other key from now on, by cable: the root keys are lost.")
@encrypted
@more_keys
@with_passphrase
@as_json
def new_key(
    *,
    workspace: Path,
    role: str,
    out: Path | None,
    start_over: bool,
    passphrase: bool,
    more_keys: tuple[Path, ...],
    as_json: bool,
) -> int:
    """Make a new key: to sign releases with from now on, or a root key to be kept elsewhere. The old ones stay trusted."""
    from otactl.cli import keys_shown
    from otactl.release import rotation
    from otactl.workspace import keyfiles, keyring
    from otactl.workspace.workspace import Workspace

    place = Workspace.find(workspace)
    if role != "root" and out:
        raise UsageError("--out is for a root key: one that signs releases lies in keys/")
    secret = new_secret(place, passphrase)
    if start_over:
        return keys_shown.started_over(place, rotation.start_over(place, secret), as_json)
    if role != "root" and rotation.by_cable_only(place, more_keys):
        made = keyfiles.new(place, secret)
        return keys_shown.by_cable(place, keyring.signing(place), f"{made} is a new key and signs from now on", as_json)
    done = rotation.new(place, role, secret=secret, out=out, with_keys=more_keys)
    return keys_shown.changed(place, done, as_json, key=done.made)


@verb_of(keys, "keys add colleague.pub.json")
@in_workspace
@click.argument("file", type=FILE, help="A PEM, public or private, a *.pub.json, or a board's keys.json.")
@role_of_key
@more_keys
@with_passphrase
@as_json
def add_key(*, workspace: Path, file: Path, role: str, more_keys: tuple[Path, ...], as_json: bool) -> int:
    """Have boards trust the key in a file too; only its public half is copied."""
    return _add(workspace, file, role, more_keys, as_json)


@verb_of(keys, "keys trust colleague.pub.json", hidden=True)
@in_workspace
@click.argument("file", type=FILE, help="As `keys add` takes it.")
@with_passphrase
@as_json
def trust_key(*, workspace: Path, file: Path, as_json: bool) -> int:
    """The name that `keys add` had before."""
    return _add(workspace, file, "release", (), as_json)


def _add(workspace: Path, file: Path, role: str, more_keys: tuple[Path, ...], as_json: bool) -> int:
    from otactl.cli import keys_shown
    from otactl.release import rotation
    from otactl.workspace import keyfiles, keyring
    from otactl.workspace import keys as files
    from otactl.workspace.workspace import Workspace

    place = Workspace.find(workspace)
    found = keyring.read(file)
    if rotation.by_cable_only(place, more_keys):
        keyfiles.add(place, found)
        name = files.keyid(found[0])
        return keys_shown.by_cable(place, name, f"{name[:16]} is trusted", as_json)
    return keys_shown.changed(place, rotation.add(place, found, role, more_keys), as_json, key=found[0])


@verb_of(keys, "keys export trust.json")
@in_workspace
@click.argument("file", required=False, type=FILE, help="To be written (default: to standard output).")
@as_json
def export_keys(*, workspace: Path, file: Path | None, as_json: bool) -> int:
    """Give out what boards trust: the newest trust document, or the public keys where there is none yet; no secret."""
    from otactl.cli import display
    from otactl.files import write_atomic
    from otactl.workspace import trust
    from otactl.workspace.workspace import Workspace

    place = Workspace.find(workspace)
    now = trust.current(place)
    data = trust.kept(place).read_bytes() if now.version > 1 else trust.for_board(now).encode()
    if file is None:
        print(data.decode(), end="")
        return 0
    write_atomic(file, data)
    if as_json:
        print(json.dumps({"file": str(file), "trust": now.version, "keys": len(now.keys)}))
        return 0
    what = f"trust document {now.version}" if now.version > 1 else "the public keys"
    display.done(f"{what} of {place.product!r} in {file}: {counted(len(now.keys), 'key')}, public halves only")
    return 0


@verb_of(keys, "keys passphrase keys/release.pem")
@click.argument("file", type=FILE, help="A private key, with a passphrase or without one.")
@click.option("--remove", is_flag=True, help="Keep the key without a passphrase.")
@click.option("--new-passphrase-file", type=FILE, help="Holds the new passphrase (default: it is asked for).")
@with_passphrase
@as_json
def passphrase_of_key(*, file: Path, remove: bool, new_passphrase_file: Path | None, as_json: bool) -> int:
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
    if as_json:
        print(json.dumps({"file": str(file), "encrypted": secret is not None}))
        return 0
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


@verb_of(keys, "keys device")
@in_workspace
@click.argument("file", type=FILE, required=False, help="A private PEM, or an HMAC key of 32 bytes, to take over.")
@click.option("--scheme", type=click.Choice(["rsa3072", "ecc256"]), help="Of a new key (default: rsa3072).")
@as_json
def device_key(*, workspace: Path, file: Path | None, scheme: str | None, as_json: bool) -> int:
    """Make, or show, the key by which boards open encrypted images."""
    from otactl.cli import display
    from otactl.workspace import device_key as devices
    from otactl.workspace.workspace import Workspace

    kept = devices.keep(Workspace.find(workspace), file, scheme)
    if as_json:
        print(
            json.dumps({"file": str(kept.file), "public": str(kept.public), "scheme": kept.scheme, "made": kept.made})
        )
        return 0
    what = "is new" if kept.made and file is None else "is taken over" if kept.made else "is there"
    display.done(f"{display.short(kept.file)} {what} ({kept.scheme}): keep it safe")
    display.show("  boards get it at the next `otactl deploy`, with these lines in otactl.toml:")
    display.show("  [board.encryption]")
    display.show("  required = true")
    display.show(f"  and images for them are published with --encrypt {display.short(kept.public)}")
    return 0


def new_secret(place: "Workspace", asked: bool) -> bytes | None:
    """The passphrase of a new key: where one is asked for, and where the key that signs has one."""
    from otactl.workspace import keys, passphrase

    if asked or (place.key_file.exists() and keys.is_encrypted(place.key_file)):
        return passphrase.new("the new key")
    return None
