"""Requests, replies, and where sound replies come from: a folder, or somebody's server."""

import http.client
import socket
import ssl
from dataclasses import dataclass, field
from hashlib import sha256
from http import HTTPStatus
from pathlib import Path
from typing import Protocol
from urllib.parse import unquote, urlsplit

_HEAD_LIMIT = 65536
_PASSED_ON = ("range", "if-range", "if-none-match", "accept", "accept-encoding", "user-agent")
_HOP_BY_HOP = ("connection", "keep-alive", "transfer-encoding", "content-length", "upgrade")


class BadRequest(Exception):
    """What came is not HTTP, or not all of it came."""


@dataclass(slots=True)
class Request:
    """Header names are in lower case."""

    method: str
    target: str
    headers: dict[str, str]

    @property
    def path(self) -> str:
        """Without query and leading slash."""
        return unquote(urlsplit(self.target).path).lstrip("/")

    @property
    def query(self) -> str:
        return urlsplit(self.target).query


@dataclass(slots=True)
class Reply:
    """An answer before it is sent. `length` None: no Content-Length."""

    status: int
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    length: int | None = None
    start: int = 0  # of the body in the file
    version: str = "1.1"  # of HTTP
    keeps: bool = False  # the connection, for another request

    def __post_init__(self) -> None:
        if self.length is None:
            self.length = len(self.body)

    def head(self) -> bytes:
        try:
            reason = HTTPStatus(self.status).phrase
        except ValueError:
            reason = "Unknown"
        lines = [f"HTTP/{self.version} {self.status} {reason}"]
        lines += [f"{name}: {value}" for name, value in self.headers.items()]
        if self.length is not None:
            lines.append(f"Content-Length: {self.length}")
        if not self.keeps:
            lines.append("Connection: close")
        return "\r\n".join([*lines, "", ""]).encode("latin-1")


class Source(Protocol):
    """Gives the sound reply."""

    def answer(self, request: Request) -> Reply: ...


def read_request(connection: socket.socket) -> Request:
    """Raises BadRequest, OSError."""
    raw = b""
    while b"\r\n\r\n" not in raw:
        more = connection.recv(4096)
        if not more or len(raw) > _HEAD_LIMIT:
            raise BadRequest("no whole request came")
        raw += more
    first, *lines = raw.partition(b"\r\n\r\n")[0].decode("latin-1").split("\r\n")
    words = first.split()
    if len(words) != 3:
        raise BadRequest(f"not HTTP: {first[:40]!r}")
    pairs = [line.partition(":") for line in lines]
    return Request(words[0], words[1], {name.lower(): value.strip() for name, _, value in pairs})


class Folder:
    """Files below a folder, with Range, If-Range, If-None-Match and an ETag of the content."""

    def __init__(self, root: Path) -> None:
        self._root = root.resolve()

    def answer(self, request: Request) -> Reply:
        path = (self._root / request.path).resolve()
        if not path.is_relative_to(self._root) or not path.is_file():
            return Reply(404, body=b"no such file\n")
        data = path.read_bytes()
        etag = f'"{sha256(data).hexdigest()[:32]}"'
        headers = {"ETag": etag, "Accept-Ranges": "bytes"}
        if request.headers.get("if-none-match") == etag:
            return Reply(304, {"ETag": etag})
        wanted = request.headers.get("range", "")
        if not wanted or request.headers.get("if-range", etag) != etag:
            return Reply(200, headers, data)
        span = _span(wanted, len(data))
        if span is None:
            return Reply(416, {"Content-Range": f"bytes */{len(data)}"})
        first, last = span
        headers["Content-Range"] = f"bytes {first}-{last}/{len(data)}"
        return Reply(206, headers, data[first : last + 1], start=first)


def _span(wanted: str, size: int) -> tuple[int, int] | None:
    """(first, last) byte of a Range header; None where the file has none of it."""
    first, _, last = wanted.removeprefix("bytes=").partition("-")
    try:
        if first:
            span = int(first), min(int(last or size), size - 1)
        else:
            span = max(0, size - int(last)), size - 1
    except ValueError:
        return 0, size - 1
    return span if span[0] <= span[1] else None


class Upstream:
    """Somebody's server: each request is passed on, and its whole answer read before ours begins."""

    def __init__(self, url: str, ca: Path | None = None) -> None:
        """Raises ValueError for an address that is none, OSError for a CA file that is not there."""
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f"not an address of a server: {url!r}; write https://HOST:PORT")
        self._secure, self._host, self._port = parts.scheme == "https", parts.hostname, parts.port
        self._prefix = parts.path.rstrip("/")
        self._context = ssl.create_default_context(cafile=ca)

    def answer(self, request: Request) -> Reply:
        kept = {name: request.headers[name] for name in _PASSED_ON if name in request.headers}
        try:
            connection = self._connection()
            try:
                connection.request(request.method, self._prefix + request.target, headers=kept)
                response = connection.getresponse()
                body = response.read()
            finally:
                connection.close()
        except (OSError, http.client.HTTPException) as error:
            return Reply(502, body=f"no answer from {self._host}: {error}\n".encode())
        headers = {k: v for k, v in response.getheaders() if k.lower() not in _HOP_BY_HOP}
        span = headers.get("Content-Range", "").removeprefix("bytes ").partition("-")[0]
        return Reply(response.status, headers, body, start=int(span) if span.isdigit() else 0)

    def _connection(self) -> http.client.HTTPConnection:
        if self._secure:
            return http.client.HTTPSConnection(self._host, self._port, timeout=30, context=self._context)
        return http.client.HTTPConnection(self._host, self._port, timeout=30)
