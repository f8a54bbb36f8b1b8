"""A server of the tests' own in an engine's place: TLS by the workspace's CA, and a note of all that was asked."""

import json
import ssl
import threading
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from otactl.workspace import tls
from otactl.workspace.workspace import Workspace


@dataclass(frozen=True, slots=True)
class Asked:
    method: str
    path: str
    query: str
    headers: dict[str, str]  # names in small letters
    body: bytes

    @property
    def said(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True, slots=True)
class Reply:
    status: int = 200
    body: bytes = b""
    headers: tuple[tuple[str, str], ...] = ()


Answer = Callable[[Asked], Reply]


def as_json(value: Any, status: int = 200) -> Reply:
    return Reply(status, json.dumps(value).encode(), (("Content-Type", "application/hal+json"),))


def certified(place: Workspace, folder: Path, names: list[str]) -> tuple[Path, Path]:
    """A key and a certificate of the workspace's CA."""
    made = tls.server_files(place.tls, tls.own_ca(place.tls), names)
    for path, (data, _) in made.items():
        (folder / path.name).write_bytes(data)
    return folder / "server.key", folder / "server.pem"


class Served:
    """A running server. `asked`: what was, oldest first. `answer`: may be replaced at any time."""

    def __init__(self, place: Workspace, folder: Path, names: list[str], answer: Answer) -> None:
        self.asked: list[Asked] = []
        self.answer = answer
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        key, certificate = certified(place, folder, names)
        context.load_cert_chain(certificate, key)
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        # The handshake is the handler's, in its own thread.
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True, do_handshake_on_connect=False)
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def _reply(self) -> None:
                at = urlsplit(self.path)
                headers = {name.lower(): value for name, value in self.headers.items()}
                body = self.rfile.read(int(headers.get("content-length", 0)))
                asked = Asked(self.command, at.path, at.query, headers, body)
                outer.asked.append(asked)
                reply = outer.answer(asked)
                self.send_response(reply.status)
                for name, value in reply.headers:
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(reply.body)))
                self.end_headers()
                self.wfile.write(reply.body)

            do_GET = do_POST = do_PUT = _reply

            def log_message(self, *_: Any) -> None:
                pass

        return Handler


def part_of(data: bytes, asked: Asked) -> Reply:
    """A file, or the rest of it that was asked for, as RFC 9110 has it."""
    etag = (("ETag", '"one"'),)
    wanted = asked.headers.get("range", "")
    if not wanted or asked.headers.get("if-range", '"one"') != '"one"':
        return Reply(200, data, etag)
    start = int(wanted.removeprefix("bytes=").rstrip("-"))
    return Reply(206, data[start:], (*etag, ("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")))
