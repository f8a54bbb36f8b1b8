"""The release server as this machine sees it: is it here, does it listen, for whom, and does it give the channel's file."""

import http.client
import socket
import ssl
from urllib.parse import urlsplit

from otactl.board.doctor.case import Case, Reached
from otactl.board.doctor.findings import Finding, bad, broken, ok, skipped, warn
from otactl.workspace import tls
from otactl.workspace.workspace import Workspace

LOOPBACK = "127.0.0.1"
_ANSWER_S = 3.0
_STRANGE = "its certificate is not from the workspace's CA"
_REFUSED = {  # X509_V_ERR_… of OpenSSL's x509_vfy.h
    10: "its certificate has expired: was `serve` started anew since it was renewed?",
    18: _STRANGE, 19: _STRANGE, 20: _STRANGE, 21: _STRANGE,
    62: "its certificate is for another name",
    64: "its certificate is for another address",
}  # fmt: skip
_MOST = 1 << 16  # bytes of an envelope, and more


def look(place: Workspace, *, slow: float = 1.0) -> Reached:
    """Try the server of a workspace's url from here."""
    address = _address(place.host)
    mine = bool(address) and (address.startswith("127.") or address in {tls.address(), *_own()})
    if not address:
        return Reached()
    wait_s = _ANSWER_S * slow
    outside = _listens(address, place.port, wait_s)
    loopback = mine and _listens(LOOPBACK, place.port, wait_s)
    if not outside:
        return Reached(mine, address, loopback, outside)
    fault, data = _fetch(place, wait_s)
    try:
        same = not mine or data == place.channel_file.read_bytes()
    except OSError:
        same = True
    return Reached(mine, address, loopback, outside, fault, same)


def _address(host: str) -> str:
    try:
        return str(socket.getaddrinfo(host, None, socket.AF_INET)[0][4][0])
    except (OSError, UnicodeError):
        return ""


def _own() -> list[str]:
    return [name for name in tls.own_names() if name.replace(".", "").isdigit()]


def _listens(address: str, port: int, wait_s: float) -> bool:
    try:
        with socket.create_connection((address, port), timeout=wait_s):
            return True
    except OSError:
        return False


def _fetch(place: Workspace, wait_s: float) -> tuple[str, bytes]:
    """What curl would do: (why it fails or "", the channel's file)."""
    parts = urlsplit(place.channel_url)
    connection: http.client.HTTPConnection
    try:
        if parts.scheme == "https":
            context = ssl.create_default_context(cafile=str(place.tls / "ca.pem"))
            connection = http.client.HTTPSConnection(place.host, place.port, timeout=wait_s, context=context)
        else:
            connection = http.client.HTTPConnection(place.host, place.port, timeout=wait_s)
        connection.request("GET", parts.path)
        answer = connection.getresponse()
        data = answer.read(_MOST)
        connection.close()
    except ssl.SSLCertVerificationError as error:
        return _REFUSED.get(error.verify_code, f"its certificate is refused: {error.verify_message}"), b""
    except ssl.SSLError as error:
        return f"TLS fails, does the server speak it? {error.reason or error}", b""
    except (OSError, http.client.HTTPException) as error:
        return f"{error or type(error).__name__}", b""
    return ("", data) if answer.status == 200 else (f"it answers {answer.status} to {parts.path}", b"")


def server(case: Case) -> Finding:
    place, found = case.place, case.reached
    if place is None:
        return skipped(case.no_place)
    if not found.address:
        return skipped(f"this machine does not resolve {place.host}")
    where = f"{place.host} port {place.port}"
    if not found.mine:
        if found.outside:
            return ok(f"{where} answers this machine")
        return warn(
            f"{where} ({found.address}) does not answer this machine; it may answer the board",
            case.curl,
            code="connect",
        )
    if found.outside:
        return ok(f"{where}, which is this machine, listens")
    if found.loopback:
        return broken(
            f"port {place.port} listens on {LOOPBACK} only: boards do not reach it",
            case.in_workspace("serve --host 0.0.0.0"),
            code="connect",
        )
    return broken(f"nothing listens on port {place.port} of this machine", case.in_workspace("serve"), code="connect")


def served(case: Case) -> Finding:
    place, found = case.place, case.reached
    if place is None:
        return skipped(case.no_place)
    if found.fault is None:
        return skipped("the server was not reached from here")
    if found.fault:
        return broken(f"{place.channel_url}: {found.fault}", case.in_workspace("serve") if found.mine else case.curl)
    if not found.same:
        return bad(
            f"what port {place.port} serves is not this workspace's {place.channel}.json: another `serve` runs there",
            case.in_workspace("serve"),
        )
    return ok(f"{place.channel_url} comes, and its TLS is good with the workspace's CA")
