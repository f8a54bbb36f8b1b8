"""The workspace: its settings, key, release and certificate. None of it needs a board."""

import ipaddress
import shlex
from datetime import timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

from cryptography import x509

from otactl.board import agent
from otactl.board.doctor.case import Case
from otactl.board.doctor.findings import Finding, bad, broken, ok, skipped, warn
from otactl.errors import OtactlError
from otactl.release import channels, encrypted, expiry, targets
from otactl.words import counted, reason
from otactl.workspace import keyring, tls
from otactl.workspace.workspace import SETTINGS

_SOON = timedelta(days=30)
_BLOCK = 1 << 16


def settings(case: Case) -> Finding:
    if case.place is None and not _is_asked_for(case.folder):
        return skipped(case.no_place)
    if case.place is None:
        return broken(case.no_place, case.in_workspace("init --help"))
    path = case.place.root / SETTINGS
    try:
        agent.check_config(case.place.board_config(), str(path))
    except OtactlError as error:
        return broken(str(error), f"${{EDITOR:-vi}} {shlex.quote(str(path))}", code="config-invalid")
    return ok(f"{path}, product {case.place.product}, channel {case.place.channel}")


def _is_asked_for(folder: Path) -> bool:
    """Whether a workspace was named, or lies about this folder and is broken."""
    here = folder.resolve()
    return folder != Path() or any((one / SETTINGS).is_file() for one in (here, *here.parents))


def key(case: Case) -> Finding:
    if case.place is None:
        return skipped(case.no_place)
    if not case.place.key_file.exists():
        return skipped("no release is signed here: there is no keys/release.pem")
    try:
        keyring.check_signer(case.place)
    except OtactlError as error:
        return broken(str(error), case.in_workspace("keys list"))
    return ok("keys/release.pem signs, and boards are told to trust it")


def published(case: Case) -> Finding:
    if case.place is None:
        return skipped(case.no_place)
    try:
        release = channels.current(case.place)
    except OtactlError as error:
        return bad(f"the channel's release cannot be read: {error}", case.publish)
    if release is None:
        return warn(f"nothing is published in {case.place.channel} yet", case.publish)
    for target in release["targets"]:
        fault = _fault(case.place.releases / target["url"], target)
        if fault:
            return bad(f"{release['version']}: {target['url']} {fault}", case.publish, code="hash-mismatch")
    if said := expiry.advice(release, case.now):
        renew = case.in_workspace("releases renew")
        return bad(said, renew, code="expired") if expiry.is_past(release, case.now) else warn(said, renew)
    parts = targets.parts(release["targets"]).replace(" ", ", ")
    return ok(f"{release['version']} (sequence {release['sequence']}): {parts}, its files as signed")


def _fault(path: Path, target: dict[str, Any]) -> str:
    """Why a file is not what was signed; empty where it is, or where it lies on another server."""
    if "://" in target["url"]:
        return ""
    digest = sha256()
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            while block := file.read(_BLOCK):
                digest.update(block)
    except OSError as error:
        return f"cannot be read: {error.strerror}"
    signed = encrypted.served(target)
    if size != signed[0]:
        return f"has {size} bytes, {signed[0]} were signed"
    return "" if digest.hexdigest() == signed[1] else "is not the file that was signed"


def certificate(case: Case) -> Finding:
    place = case.place
    if place is None:
        return skipped(case.no_place)
    if not place.url.startswith("https:"):
        return skipped("the address is plain HTTP")
    if case.reached.address and not case.reached.mine:
        return skipped("the server is another machine, with a certificate of its own")
    if not (place.tls / "server.pem").exists():
        return skipped("none in the workspace: another server has its own")
    renew = case.in_workspace("init --renew")
    try:
        found = x509.load_pem_x509_certificate((place.tls / "server.pem").read_bytes())
    except (OSError, ValueError) as error:
        return broken(f"tls/server.pem is no certificate ({reason(error)})", renew)
    if case.now >= found.not_valid_after_utc:
        return broken(
            f"it has expired on {found.not_valid_after_utc:%Y-%m-%d}: boards refuse it", renew, code="cert-expired"
        )
    if case.now < found.not_valid_before_utc:
        return broken(
            f"it is valid from {found.not_valid_before_utc:%Y-%m-%d} on, and it is {case.now:%Y-%m-%d} here: is this clock "
            "right?",
            "timedatectl status",
            code="cert-not-yet-valid",
        )
    names = tls.server_names(place.tls)
    if place.host.lower() not in names:
        return broken(
            f"it is for {', '.join(names[:3])}, not for {place.host}: boards refuse it", renew, code="cert-host"
        )
    left = found.not_valid_after_utc - case.now
    if left < _SOON:
        return warn(f"it expires in {counted(left.days, 'day')}", renew)
    return ok(f"for {place.host}, until {found.not_valid_after_utc:%Y-%m-%d}")


def url(case: Case) -> Finding:
    place = case.place
    if place is None:
        return skipped(case.no_place)
    if place.url.startswith("http:") and place.board.get("allow_http") is not True:
        return broken(
            f"{place.url} is plain HTTP, which boards refuse: use https, or set allow_http = true below [board]",
            case.deploy,
            code="http-not-allowed",
        )
    if _is_loopback(place.host):
        here = tls.address() or "ADDRESS"
        return broken(
            f"{place.host} means the board itself, on a board: set url to https://{here}:{place.port}",
            case.deploy,
            code="connect",
        )
    return ok(place.channel_url)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
