"""Calls of an engine's REST interface. No redirect is followed: what stands in a header is for one host."""

import json
import secrets
import ssl
import urllib.error
import urllib.parse
import urllib.request
from http.client import HTTPException
from pathlib import Path
from typing import Any

from otactl.errors import RigError, UsageError
from otactl.words import reason

_WAIT_S = 60.0
_MOST = 16 << 20  # bytes of a reply
_URL = "[engine] url in otactl.toml"
_ADVICE = {  # by words in a scheme and a reason, what mends that; the first that fits
    "WRONG_VERSION_NUMBER": f"there it speaks no TLS; {_URL} is to begin with http://, or a proxy to give it TLS",
    "http Remote end closed": f"there it speaks TLS perhaps; {_URL} is to begin with https:// then",
    "Hostname mismatch": f"its certificate is for another name: put that into {_URL}",
    "IP address mismatch": f"its certificate is for another name: put that into {_URL}",
    "CERTIFICATE_VERIFY_FAILED": "boards would not believe it either: give it a certificate of this workspace's CA; a public one "
    "is known after `otactl ca fetch HOST`",
    "Expecting value": f"what is there is no engine; is {_URL} right?",
    "": f"does it run, and is {_URL} right?",
}


class Refused(RigError):
    """The engine has answered, and does not do it. `status`: of HTTP."""

    def __init__(self, text: str, status: int) -> None:
        super().__init__(text)
        self.status = status


class _Here(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any) -> None:
        return None


class Calls:
    """`url`: of the engine; `ca`: PEM of authorities that it may have its certificate from, besides the system's."""

    def __init__(self, url: str, ca: bytes | None) -> None:
        self.url, self.authorization = url.rstrip("/"), ""
        context = ssl.create_default_context()
        if ca:
            context.load_verify_locations(cadata=ca.decode())
        self._opener = urllib.request.build_opener(_Here, urllib.request.HTTPSHandler(context=context))

    def json(self, method: str, path: str, body: Any = None) -> Any:
        """Raises RigError where the engine does not answer, or refuses (Refused); UsageError where it does not let us in."""
        return self._ask(method, path, None if body is None else json.dumps(body).encode(), "application/json")

    def form(self, method: str, path: str, fields: dict[str, str]) -> Any:
        """The same, as a page's form sends it."""
        return self._ask(method, path, urllib.parse.urlencode(fields).encode(), "application/x-www-form-urlencoded")

    def file(self, method: str, path: str, file: Path) -> Any:
        """The same, with a file in the field `file`. Source: RFC 7578."""
        mark = secrets.token_hex(16)
        head = f'--{mark}\r\nContent-Disposition: form-data; name="file"; filename="{file.name}"\r\n'
        body = head.encode() + b"Content-Type: application/octet-stream\r\n\r\n" + file.read_bytes()
        return self._ask(method, path, body + f"\r\n--{mark}--\r\n".encode(), f"multipart/form-data; boundary={mark}")

    def _ask(self, method: str, path: str, body: bytes | None, kind: str) -> Any:
        headers = {"Content-Type": kind} if body is not None else {}
        headers |= {"Authorization": self.authorization} if self.authorization else {}
        request = urllib.request.Request(self.url + path, body, headers, method=method)
        try:
            with self._opener.open(request, timeout=_WAIT_S) as reply:
                return _parsed(reply.read(_MOST))
        except urllib.error.HTTPError as error:
            said = " ".join(error.read(400).decode(errors="replace").split())
            if error.code in (401, 403):
                raise UsageError(
                    f"{self.url} does not let us in ({error.code}): check [engine] in otactl.toml, OTACTL_ENGINE_PASSWORD"
                ) from None
            raise Refused(f"{self.url}{path} refused ({error.code}): {said}", error.code) from None
        except (OSError, ValueError, HTTPException) as error:
            inner = getattr(error, "reason", error)  # of a URLError
            why = reason(inner) if isinstance(inner, Exception) else inner
            scheme = self.url.partition(":")[0]
            advice = next(then for sign, then in _ADVICE.items() if sign in f"{scheme} {inner}")
            raise RigError(f"no engine answers at {self.url} ({why}): {advice}") from None


def _parsed(raw: bytes) -> Any:
    return json.loads(raw) if raw.strip() else None
