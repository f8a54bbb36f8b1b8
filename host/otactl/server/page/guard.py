"""Who may see the page and who may act by it, and what a browser is told to do with it.

A page of somebody else's, in the browser of somebody who can reach this server, must neither read nor act. It reads nothing
under our address, as DNS rebinding would have it (the Host is not ours), and acts nowhere (the Origin is not ours, and it has no
token)."""

import hmac
import ipaddress
from urllib.parse import urlsplit

from aiohttp import web

from otactl.workspace import tls
from otactl.workspace.workspace import Workspace

HEADERS = {
    "Content-Security-Policy": "default-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-cache",
}
_BEARER = "Bearer "


class Guard:
    """`token`: lets its bearer act."""

    def __init__(self, place: Workspace, token: str) -> None:
        self._names = {"localhost", *(name.lower() for name in [place.host, *tls.server_names(place.tls)])}
        self._url, self._token = place.url, token

    def look(self, request: web.Request) -> None:
        """Raises HTTPMisdirectedRequest where the server was called by a name that it does not go by."""
        host = _name(f"//{request.host}")
        if not (host in self._names or _is_address(host)):
            raise web.HTTPMisdirectedRequest(text=f"this server is not {host}: its page is at {self._url}/\n")

    def act(self, request: web.Request) -> None:
        """Raises HTTPForbidden for a page of another origin, HTTPUnauthorized without the right token."""
        origin = request.headers.get("Origin")
        if origin is not None and urlsplit(origin).netloc.lower() != request.host.lower():
            raise web.HTTPForbidden(text="only this server's own page may ask for that\n")
        given = request.headers.get("Authorization", "")
        token = given.removeprefix(_BEARER).encode(errors="surrogateescape")  # bytes as they came
        right = given.startswith(_BEARER) and hmac.compare_digest(token, self._token.encode())
        if not right:
            raise web.HTTPUnauthorized(
                text="this takes the token that `otactl serve` has printed\n",
                headers={"WWW-Authenticate": _BEARER.strip()},
            )


def _name(address: str) -> str:
    try:
        return (urlsplit(address).hostname or "").removesuffix(".")
    except ValueError:  # brackets around no address
        return ""


def _is_address(host: str) -> bool:
    """An address cannot be rebound: no name server gives it out."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
