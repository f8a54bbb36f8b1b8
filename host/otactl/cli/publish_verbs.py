"""The verbs that make a release: publish, attach-signature."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import rich_click as click

from otactl.cli.options import FILE, WORKSPACE, as_json, in_workspace, more_keys, verb, with_passphrase
from otactl.errors import UsageError
from otactl.words import counted

if TYPE_CHECKING:
    from otactl.release.publish import Published


@verb(WORKSPACE, "publish ESP32_GENERIC-OTA.app-bin --version 1.1.0")
@in_workspace
@click.argument("firmware", nargs=-1, type=FILE, help="App image or full-flash file, one for each chip.")
@click.option("--app", type=FILE, metavar="FOLDER", help="Your program: app.py and all beside it, with it or alone.")
@click.option("--data", metavar="NAME=FILE", help="What is to lie in a data partition that boards allow, or alone.")
@click.option("--unsafe", is_flag=True, help="A board with no room for a second copy of --data writes it in place.")
@click.option("--version", required=True, help="The name for people.")
@click.option("--source", is_flag=True, help="Leave .py files as they are; boards compile them in their memory.")
@click.option(
    "--chip", "chips", multiple=True, metavar="CHIP", help="An --app or --data without firmware: only for this one."
)
@click.option("--force-names", is_flag=True, help="Also files with the names of MicroPython's own modules.")
@click.option(
    "--mpy", type=int, metavar="NUMBER", help="What boards read (default: as their firmware; MicroPython 1.19+: 6)."
)
@click.option("--build", help="Only for boards whose sys.implementation._build matches this glob.")
@click.option("--channel", metavar="NAME", help="That names it then (default: that of otactl.toml).")
@click.option("--no-channel", is_flag=True, help="No channel names it yet: for `otactl rollout start`, or promote.")
@click.option("--security-version", type=int, help="Never goes down (default: as before).")
@click.option("--sequence", type=int, metavar="NUMBER", help="At least that one: after an old backup was restored.")
@click.option("--image-key", type=FILE, metavar="PEM", help="Sign the images themselves too, as espsecure does.")
@click.option("--expires", metavar="TIME", help="Boards refuse it afterwards: 30d, 12h, 8w, a date (default: never).")
@click.option(
    "--encrypt", type=FILE, metavar="PEM", help="Encrypt them for boards that have the key to this public one."
)
@click.option(
    "--encrypted", type=FILE, multiple=True, help="Or take this file of Espressif's tool; one for each image."
)
@click.option("--device-key", type=FILE, metavar="PEM", help="Check that file: the private key that opens it.")
@click.option(
    "--from", "bases", type=FILE, multiple=True, help="An image that boards run: they get a delta from it too."
)
@click.option("--no-deltas", is_flag=True, help="None from the last releases either, and nothing compressed.")
@click.option("--swu", is_flag=True, help="Also as a .swu file beside the channel, for a fleet engine.")
@click.option(
    "--payload-only", is_flag=True, help="Sign nothing: the key is elsewhere (HSM, CI); see attach-signature."
)
@more_keys
@with_passphrase
@as_json
def publish(
    *,
    workspace: Path,
    firmware: tuple[Path, ...],
    app: Path | None,
    data: str | None,
    unsafe: bool,
    source: bool,
    chips: tuple[str, ...],
    force_names: bool,
    mpy: int | None,
    version: str,
    build: str | None,
    channel: str | None,
    no_channel: bool,
    security_version: int | None,
    sequence: int | None,
    image_key: Path | None,
    expires: str | None,
    encrypt: Path | None,
    encrypted: tuple[Path, ...],
    device_key: Path | None,
    bases: tuple[Path, ...],
    no_deltas: bool,
    swu: bool,
    payload_only: bool,
    more_keys: tuple[Path, ...],
    as_json: bool,
) -> int:
    """Sign a release and let the channel point at it."""
    from otactl.cli import display, signing_shown
    from otactl.fleet.free import require_no_rollout
    from otactl.fleet.loans import before_a_release
    from otactl.release.application import Asked as AskedApplication
    from otactl.release.channels import expiring
    from otactl.release.data import Asked as AskedData
    from otactl.release.delta.offer import Asked as AskedDeltas
    from otactl.release.encrypted import Asked
    from otactl.release.publish import publish as sign
    from otactl.release.swu import require_version
    from otactl.release.swu import write as write_swu
    from otactl.workspace.workspace import Workspace

    found = Workspace.find(workspace)
    there = found.on(channel) if channel else found
    _refuse(
        (
            app is None and (source or force_names or mpy is not None),
            "--source, --force-names and --mpy are for an application: name its folder with --app",
        ),
        (chips and not (app or data), "--chip is for an application or data: name them with --app or --data"),
        (unsafe and not data, "--unsafe is for a data partition: name it with --data NAME=FILE"),
        (no_deltas and bases, "--from asks for deltas, --no-deltas for none: leave out one of them"),
        (no_channel and payload_only, "--no-channel: what is signed elsewhere goes to a channel by attach-signature"),
    )
    if swu:
        require_version(version)
    if not no_channel:
        require_no_rollout(there)
    done = sign(
        there,
        firmware,
        version,
        build=build,
        security_version=security_version,
        sequence=sequence,
        app=AskedApplication(app, source, force_names, mpy, chips) if app else None,
        partition=AskedData.parse(data, unsafe=unsafe, chips=chips) if data else None,
        image_key=image_key,
        expires=expires,
        encryption=Asked(encrypt, encrypted, device_key) if encrypt or encrypted or device_key else None,
        named=not no_channel,
        payload_only=payload_only,
        more_keys=more_keys,
        deltas=None if no_deltas else AskedDeltas(bases),
    )
    file = write_swu(there, version) if swu and not done.waits else None
    if as_json:
        release = {
            "version": done.version, "sequence": done.sequence, "expires": done.expires, "targets": done.targets,
            "waits": done.waits,
        }  # fmt: skip
        print(json.dumps(release, indent=1))
        return 0
    for note in done.notes + expiring(found) + ([] if no_channel or done.waits else before_a_release(found)):
        display.warn(note)
    _show_parts(done)
    if done.expires:
        display.show(f"  good until {done.expires}: `otactl releases renew` before that, or publish the next one")
    if file:
        display.show(f"  for a fleet engine: {display.short(file.path)}, {file.size} bytes")
    if done.waits:
        if swu:
            display.show("  no file for a fleet engine yet: `otactl engine push` writes it, once it is signed")
        signing_shown.release(there, done.version, done.waits, found.channel)
        return 0
    if there.channel != found.channel and not no_channel:
        display.show(f"only in {there.channel}: boards with the url {there.channel_url} take it")
    start = f"rollout start {done.version} --percent 10,50,100", "or `otactl releases promote`"
    display.follow_up(*start if no_channel else ("serve", "boards take it at their next look"))
    return 0


def _refuse(*rows: tuple[object, str]) -> None:
    """Raises UsageError with the words of the first row that is so."""
    for wrong, words in rows:
        if wrong:
            raise UsageError(words)


def _show_parts(done: "Published") -> None:
    from otactl.cli import display
    from otactl.release import targets

    what = f"{'prepared' if done.waits else 'published'} {done.version} (sequence {done.sequence})"
    for target in targets.firmwares(done.targets):
        display.done(f"{what} for {target['chip']}: {target['size']} bytes")
        for digest in target.get("signed_by", []):
            display.show(f"  the image itself is signed by {digest[:16]}")
        if "encryption" in target:
            display.show(f"  encrypted ({target['encryption']['scheme']}): {target['url']}")
    for line in done.deltas:
        display.show(f"  {line}")
    programs = targets.applications(done.targets)
    if programs:
        chips = " ".join(target["chip"] for target in programs if "chip" in target)
        of = f" for {chips}" if chips else ""
        display.done(
            f"{what}, application{of}: {counted(programs[0]['files'], 'file')}, {programs[0]['size']} bytes packed"
        )
        for line in done.lines:
            display.show(f"  {line}")
    for target in targets.datas(done.targets)[:1]:
        display.done(f"{what}, data for partition {target['partition']}: {target['size']} bytes")


@verb(WORKSPACE, "attach-signature 1.1.0 1.1.0.sig")
@in_workspace
@click.argument("version", help="That `publish --payload-only` has prepared.")
@click.argument("signature", required=False, type=FILE, help="The 384 bytes of a signature, or base64 of them.")
@click.option("--key", type=FILE, metavar="PUB", help="The public key that made it (default: any that boards trust).")
@more_keys
@click.option("--channel", metavar="NAME", help="That names the release then (default: that of otactl.toml).")
@with_passphrase
@as_json
def attach_signature(
    *,
    workspace: Path,
    version: str,
    signature: Path | None,
    key: Path | None,
    more_keys: tuple[Path, ...],
    channel: str | None,
    as_json: bool,
) -> int:
    """Seal a release with a signature made elsewhere, and let the channel point at it."""
    from otactl.cli import display, signing_shown
    from otactl.fleet.loans import before_a_release
    from otactl.release import pending
    from otactl.workspace.workspace import Workspace

    if not signature and not more_keys:
        raise UsageError("nothing to attach: name the file of a SIGNATURE, or a key with --with")
    found = Workspace.find(workspace)
    there = found.on(channel) if channel else found
    done = pending.attach(there, version, signature=signature, by=key, with_keys=more_keys)
    if as_json:
        print(json.dumps(asdict(done)))
        return 0
    display.done(f"{version} (sequence {done.sequence}) is signed by {', '.join(one[:16] for one in done.by)}")
    if done.waits:
        signing_shown.release(there, version, done.waits, found.channel)
        return 0
    display.show(f"  {there.channel} names it now")
    for note in before_a_release(found):
        display.warn(note)
    display.follow_up("serve", "boards take it at their next look")
    return 0
