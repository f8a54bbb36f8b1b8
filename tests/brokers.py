"""A real MQTT broker (amqtt) in a thread, for tests; what it keeps can be looked at, and a client can press a button."""

import asyncio
import json
import logging
import socket
import threading
import time
from pathlib import Path
from typing import Any, Self

import pytest

amqtt = pytest.importorskip("amqtt.broker", reason="no amqtt here: pip install -e '.[dev]'")
logging.getLogger("amqtt").setLevel(logging.CRITICAL)


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


class Broker:
    """`tls`: the folder with server.pem and server.key, None for plain. It forgets all when it stops."""

    def __init__(self, port: int, tls: Path | None = None) -> None:
        self.port = port
        listener: dict[str, Any] = {"type": "tcp", "bind": f"127.0.0.1:{port}"}
        if tls:
            listener |= {"ssl": True, "certfile": str(tls / "server.pem"), "keyfile": str(tls / "server.key")}
        plugins = {"amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": True}}
        self._config = {"listeners": {"default": listener}, "plugins": plugins}

    def __enter__(self) -> Self:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._do(self._start())
        return self

    def __exit__(self, *_: object) -> None:
        self._do(self._deaf())
        try:
            self._do(self._broker.shutdown(), 10)
        except TimeoutError:  # amqtt may wait for ever for what it has yet to tell a client that is gone
            self._do(self._hang_up())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _start(self) -> None:
        self._broker = amqtt.Broker(self._config, loop=self._loop)
        await self._broker.start()

    async def _deaf(self) -> None:
        """Nobody comes any more: who is sent away would be back before the end."""
        for server in self._broker._servers.values():
            server.instance.close()

    async def _hang_up(self) -> None:
        for transport in list(self._loop._transports.values()):  # type: ignore[attr-defined]
            transport.abort()
        await asyncio.sleep(0.5)  # they close in the loop's next turns

    def _do(self, work: Any, limit_s: float = 20) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(limit_s)

    def kept(self) -> dict[str, Any]:
        """What it keeps by topic: JSON, or text."""
        found = {topic: one.data.decode() for topic, one in [*self._broker._retained_messages.items()] if one.data}
        return {topic: json.loads(text) if text[:1] == "{" else text for topic, text in found.items()}

    def wait(self, topic: str, value: Any = None, **holds: Any) -> Any:
        """Until the topic keeps `value`, or an object that holds these; what it keeps."""
        give_up = time.monotonic() + 20
        while time.monotonic() < give_up:
            now = self.kept().get(topic)
            if now is not None and (now == value if value is not None else holds.items() <= now.items()):
                return now
            time.sleep(0.02)
        raise AssertionError(f"{topic}: {self.kept().get(topic)}, not {value or holds}")

    def users(self) -> list[tuple[str | None, str | None]]:
        """(user, password) of each client that is connected."""
        return [(one.username, one.password) for one, _ in self._broker._sessions.values()]

    def send(self, topic: str, text: str) -> None:
        """As another client would."""
        self._do(self._broker.internal_message_broadcast(topic, text.encode(), qos=1))

    def keep(self, topic: str, text: str) -> None:
        """As if another client had sent it, to be kept, before any of ours came."""
        self._do(self._broker.retain_message(None, topic, text.encode(), 1))

    def cut(self) -> None:
        """Cut each client's connection off, without a word."""
        for _, handler in self._broker._sessions.values():
            self._loop.call_soon_threadsafe(handler.writer._writer.transport.abort)
