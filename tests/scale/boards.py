"""A board as its server sees one: a connection for each look and each download, TLS, `Ota-Board`, and a link of its own speed.

What it is told it believes, but for the image's hash: signatures are the business of real boards, and cost the server nothing."""

import asyncio
import base64
import json
import socket
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

_WINDOW = 5760  # bytes that an ESP32 takes unread: TCP_WND of lwIP there
_READ = 4096
_PATIENCE_S = 120


class Unserved(Exception):
    """A board did not get what it asked for."""


@dataclass(slots=True)
class Waits:
    """Seconds that boards waited, one for each: until a look's answer was there (`behind`: of these, the TLS handshake), and
    for a whole image."""

    looks: list[float] = field(default_factory=list)
    handshakes: list[float] = field(default_factory=list)
    downloads: list[float] = field(default_factory=list)


@dataclass(slots=True)
class Board:
    """`speed`: bytes a second of its link. `have`, `phase`: as the header tells them."""

    id: str
    port: int
    secure: ssl.SSLContext
    speed: int
    waits: Waits
    have: int = 1
    phase: str = "idle"

    async def look(self) -> dict[str, Any]:
        """What the channel names: a release's payload."""
        began = time.monotonic()
        body = bytearray()
        opened = await self._get("/stable.json", body.extend, 0)
        self.waits.handshakes.append(opened - began)
        self.waits.looks.append(time.monotonic() - began)
        payload: dict[str, Any] = json.loads(base64.b64decode(json.loads(body)["payload"]))
        return payload

    async def update(self, release: dict[str, Any], trial_s: float) -> None:
        """Take the image, restart, be content with it, and say so."""
        target, digest, began = release["targets"][0], sha256(), time.monotonic()
        self.phase = "writing"
        await self._get(f"/{target['url']}", digest.update, self.speed)
        self.waits.downloads.append(time.monotonic() - began)
        if digest.hexdigest() != target["sha256"]:
            raise Unserved(f"{self.id}: other bytes than were signed")
        await asyncio.sleep(trial_s)
        self.have, self.phase = release["sequence"], "confirmed"
        await self.look()

    def _header(self) -> str:
        job = self.have if self.phase == "confirmed" else self.have + 1
        return f"id={self.id};product=lamp;have={self.have};phase={self.phase};seq={job};up=731;heap=81234;rssi=-61"

    async def _get(self, path: str, take: Callable[[bytes], object], speed: int) -> float:
        """Hands the body to `take`, no faster than `speed` (0: as it comes). When TLS was up, by time.monotonic()."""
        async with asyncio.timeout(None if speed else _PATIENCE_S):
            reader, writer = await asyncio.open_connection(
                sock=await self._socket(), ssl=self.secure, server_hostname="localhost", limit=_READ
            )
            try:
                opened = time.monotonic()
                ask = f"GET {path} HTTP/1.1\r\nHost: localhost:{self.port}\r\nUser-Agent: micropython-ota\r\n"
                ask += f"Ota-Board: {self._header()}\r\nAccept-Encoding: identity\r\nConnection: close\r\n\r\n"
                writer.write(ask.encode())
                head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
                if " 200 " not in head.split("\r\n")[0]:
                    raise Unserved(f"{self.id}: {path}: {head.splitlines()[0]}")
                await self._body(reader, int(head.partition("content-length:")[2].split()[0]), take, speed)
            finally:
                writer.transport.abort()  # as a board does it that has what it came for
        return opened

    async def _socket(self) -> socket.socket:
        sock = socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _WINDOW)
        sock.setblocking(False)
        await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", self.port))
        return sock

    async def _body(self, reader: asyncio.StreamReader, left: int, take: Callable[[bytes], object], speed: int) -> None:
        began, taken = time.monotonic(), 0
        while left:
            piece = await reader.read(min(_READ, left))
            if not piece:
                raise Unserved(f"{self.id}: cut off with {left} bytes to come")
            take(piece)
            left -= len(piece)
            taken += len(piece)
            early = taken / speed - (time.monotonic() - began) if speed else 0
            if early > 0:
                await asyncio.sleep(early)
