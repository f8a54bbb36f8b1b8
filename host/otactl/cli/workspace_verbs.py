"""The verbs that work in a workspace: init, publish, attach-signature, serve."""

import json
import os
import re
from dataclasses import asdict
from pathlib import Path

import rich_click as click

from otactl.cli.options import FILE, PORT, WORKSPACE, as_json, in_workspace, more_keys, verb, with_passphrase
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


@verb(WORKSPACE, "publish ESP32_GENERIC-OTA.app-bin --version 1.1.0")
@in_workspace
@click.argument("firmware", nargs=-1, required=True, type=FILE, help="App image or full-flash file, one for each chip.")
@click.option("--version", required=True, help="The name for people.")
@click.option("--build", help="Only for boards whose sys.implementation._build matches this glob.")
@click.option("--channel", metavar="NAME", help="That names it then (default: that of otactl.toml).")
@click.option("--security-version", type=int, help="Never goes down (default: as before).")
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
    "--payload-only", is_flag=True, help="Sign nothing: the key is elsewhere (HSM, CI); see attach-signature."
)
@more_keys
@with_passphrase
@as_json
def publish(
    *,
    workspace: Path,
    firmware: tuple[Path, ...],
    version: str,
    build: str | None,
    channel: str | None,
    security_version: int | None,
    image_key: Path | None,
    expires: str | None,
    encrypt: Path | None,
    encrypted: tuple[Path, ...],
    device_key: Path | None,
    payload_only: bool,
    more_keys: tuple[Path, ...],
    as_json: bool,
) -> int:
    """Sign a release and let the channel point at it."""
    from otactl.cli import display, signing_shown
    from otactl.release.channels import expiring
    from otactl.release.encrypted import Asked
    from otactl.release.publish import publish as sign
    from otactl.workspace.workspace import Workspace

    found = Workspace.find(workspace)
    there = found.on(channel) if channel else found
    done = sign(
        there,
        firmware,
        version,
        build=build,
        security_version=security_version,
        image_key=image_key,
        expires=expires,
        encryption=Asked(encrypt, encrypted, device_key) if encrypt or encrypted or device_key else None,
        payload_only=payload_only,
        more_keys=more_keys,
    )
    if as_json:
        release = {
            "version": done.version, "sequence": done.sequence, "expires": done.expires, "targets": done.targets,
            "waits": done.waits,
        }  # fmt: skip
        print(json.dumps(release, indent=1))
        return 0
    for note in done.notes + expiring(found):
        display.warn(note)
    for target in done.targets:
        what = f"{done.version} (sequence {done.sequence}) for {target['chip']}"
        display.done(f"{'prepared' if done.waits else 'published'} {what}: {target['size']} bytes")
        for digest in target.get("signed_by", []):
            display.show(f"  the image itself is signed by {digest[:16]}")
        if "encryption" in target:
            display.show(f"  encrypted ({target['encryption']['scheme']}): {target['url']}")
    if done.expires:
        display.show(f"  good until {done.expires}: `otactl releases renew` before that, or publish the next one")
    if done.waits:
        signing_shown.release(there, done.version, done.waits, found.channel)
        return 0
    if there.channel != found.channel:
        display.show(f"only in {there.channel}: boards with the url {there.channel_url} take it")
    display.follow_up("serve", "boards take it at their next look")
    return 0


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
    display.follow_up("serve", "boards take it at their next look")
    return 0


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
        trouble = None if http else tls.advice(found.tls, found.host)
        if trouble:
            bars.note(f"warning: {trouble}")

        def started(port: int) -> None:
            bars.note(f"serving {display.short(found.releases)} at {scheme}://{host}:{port} (Ctrl-C ends)")
            for line in advice(found, http=http, port=port) + expiring(found):
                bars.note(f"warning: {line}")

        server.run(started)
    return 0
