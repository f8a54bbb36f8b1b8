"""The verbs `otactl keys ...` that change what boards trust: rotate, revoke, threshold, sign, resign."""

import json
from pathlib import Path

import rich_click as click

from otactl.cli.key_verbs import encrypted, keys, new_secret, out_file
from otactl.cli.options import FILE, as_json, in_workspace, more_keys, verb_of, with_passphrase
from otactl.errors import UsageError


@verb_of(keys, "keys rotate --with /media/stick/root.pem")
@in_workspace
@click.option(
    "--role", type=click.Choice(["root", "release"]), help="Only in this one (default: all that the key has)."
)
@out_file
@encrypted
@more_keys
@with_passphrase
@as_json
def rotate_key(
    *,
    workspace: Path,
    role: str | None,
    out: Path | None,
    passphrase: bool,
    more_keys: tuple[Path, ...],
    as_json: bool,
) -> int:
    """Put a new key in the place of the one that signs, which boards trust no longer then."""
    from otactl.cli import keys_shown
    from otactl.release import rotation
    from otactl.workspace.workspace import Workspace

    place = Workspace.find(workspace)
    secret = new_secret(place, passphrase)
    done = rotation.rotate(place, role, secret=secret, out=out, with_keys=more_keys)
    return keys_shown.changed(place, done, as_json)


@verb_of(keys, "keys revoke 0123456789abcdef --with /media/stick/root.pem")
@in_workspace
@click.argument("keyid", help="Its first digits will do: see `keys list`.")
@encrypted
@more_keys
@with_passphrase
@as_json
def revoke_key(*, workspace: Path, keyid: str, passphrase: bool, more_keys: tuple[Path, ...], as_json: bool) -> int:
    """Have boards trust a key no longer, lost or stolen. The last one for releases gets a successor."""
    from otactl.cli import keys_shown
    from otactl.release import rotation
    from otactl.workspace.workspace import Workspace

    place = Workspace.find(workspace)
    secret = new_secret(place, passphrase)
    done = rotation.revoke(place, keyid, secret=secret, out=None, with_keys=more_keys)
    return keys_shown.changed(place, done, as_json)


@verb_of(keys, "keys threshold release 2")
@in_workspace
@click.argument("role", type=click.Choice(["root", "release"]))
@click.argument("number", type=click.IntRange(min=1), help="So many of its keys have to sign.")
@more_keys
@with_passphrase
@as_json
def threshold_of_role(*, workspace: Path, role: str, number: int, more_keys: tuple[Path, ...], as_json: bool) -> int:
    """Say how many keys of a role have to sign."""
    from otactl.cli import keys_shown
    from otactl.release import rotation
    from otactl.workspace.workspace import Workspace

    place = Workspace.find(workspace)
    return keys_shown.changed(place, rotation.threshold(place, role, number, more_keys), as_json)


@verb_of(keys, "keys sign keys/trust-3.partial.json --with /media/stick/root.pem")
@in_workspace
@click.argument("file", type=FILE, help="A trust document that waits for signatures.")
@more_keys
@click.option("--signature", type=FILE, metavar="FILE", help="One made elsewhere, over the bytes of trust-N.dsse.")
@click.option("--key", type=FILE, metavar="PUB", help="The public key that made it (default: any root key).")
@with_passphrase
@as_json
def sign_trust(
    *,
    workspace: Path,
    file: Path,
    more_keys: tuple[Path, ...],
    signature: Path | None,
    key: Path | None,
    as_json: bool,
) -> int:
    """Sign a trust document that waits for signatures; once there are enough, boards get it."""
    from otactl.cli import keys_shown
    from otactl.release import pending, rotation
    from otactl.workspace import keyring
    from otactl.workspace.workspace import Workspace

    if key and not signature:
        raise UsageError("--key says who made a --signature: name that too; a private key goes with --with")
    place = Workspace.find(workspace)
    raw = pending.signature_in(signature) if signature else None
    by = keyring.read(key) if key else ()
    return keys_shown.changed(place, rotation.sign(place, file, more_keys, signature=raw, by=by), as_json)


@verb_of(keys, "keys resign --with /media/stick/release.pem")
@in_workspace
@more_keys
@with_passphrase
@as_json
def resign_releases(*, workspace: Path, more_keys: tuple[Path, ...], as_json: bool) -> int:
    """Sign what is published with today's keys: after a change that was broken off, or made where the keys were not."""
    from otactl.cli import display, keys_shown
    from otactl.release import resign
    from otactl.workspace import keyfiles
    from otactl.workspace.workspace import Workspace

    place = Workspace.find(workspace)
    keyfiles.settle(place)
    done = resign.resign(place, more_keys)
    if as_json:
        print(json.dumps(keys_shown.files(place, done)))
        return 0
    if not (done.anew or done.left or done.strange):
        display.done("everything is signed by the keys that boards trust")
    keys_shown.releases(place, done)
    return 0
