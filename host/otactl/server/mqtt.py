"""Tells an MQTT broker, and Home Assistant through it, of the fleet; boards hold no MQTT code.

All that is told is kept by the broker (retained), so that a Home Assistant that starts later finds it. Only what has changed is
told again."""

import asyncio
import contextlib
import json
import logging
from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import dataclass

import aiomqtt
from aiohttp import web

from otactl.errors import OtactlError
from otactl.fleet import homeassistant
from otactl.fleet.homeassistant import Messages
from otactl.fleet.table import Row
from otactl.server.broker import Broker
from otactl.words import reason

_LOOK_S = 1.0  # between two looks at the fleet
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 1.0, 60.0  # before a broker that is away is tried again
_LAST_WORD_S = 2.0
_QUIET = logging.Logger("otactl.mqtt")  # noqa: LOG001 - what goes wrong is told by `tell`
_QUIET.addHandler(logging.NullHandler())


@dataclass(frozen=True, slots=True)
class Fleet:
    """What the bridge asks. `rows`: the fleet now; `waits`: of a board's id, (version that is held back from it, whether it is
    wanted); `want`: lets it have that, the version, "" for none; None: boards have no button."""

    rows: Callable[[], list[Row]]
    waits: Callable[[str], tuple[str, bool]] = lambda board: ("", False)
    want: Callable[[str], str] | None = None


class Bridge:
    """`product`: of the workspace; `tell` gets a line where a connection begins or ends, or a button is pressed."""

    def __init__(self, broker: Broker, product: str, fleet: Fleet, tell: Callable[[str], None]) -> None:
        self._broker, self._product, self._fleet, self._tell = broker, product, fleet, tell
        self._hub = homeassistant.hub_topic(product)
        self._told: dict[str, bytes] = {}  # topic -> what the broker has
        self._strangers = 0

    def room(self, app: web.Application) -> None:
        """Runs beside the server."""
        app.cleanup_ctx.append(self._beside)

    async def _beside(self, app: web.Application) -> AsyncIterator[None]:
        task = asyncio.get_running_loop().create_task(self._run())
        yield
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task

    async def _run(self) -> None:
        pause = _FIRST_PAUSE_S
        while True:
            try:
                async with self._connected() as client:
                    self._tell(f"{self._broker}: connected")
                    pause = _FIRST_PAUSE_S
                    await self._bridge(client)
            except (aiomqtt.MqttError, OSError, OtactlError) as error:  # of the network, of boards.toml
                if pause == _FIRST_PAUSE_S:
                    self._tell(f"{self._broker}: {reason(error) or 'lost'}; tried again until it answers")
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE_S)

    @contextlib.asynccontextmanager
    async def _connected(self) -> AsyncIterator[aiomqtt.Client]:
        broker = self._broker
        client = aiomqtt.Client(
            broker.host,
            broker.port,
            username=broker.user,
            password=broker.password,
            tls_context=broker.secure,
            will=aiomqtt.Will(self._hub, homeassistant.OFFLINE, qos=1, retain=True),
            logger=_QUIET,
        )
        await _open(client)
        try:
            yield client
        except asyncio.CancelledError:  # an orderly end: the broker sends no will
            with contextlib.suppress(aiomqtt.MqttError, TimeoutError):
                await client.publish(self._hub, homeassistant.OFFLINE, qos=1, retain=True, timeout=_LAST_WORD_S)
            raise
        finally:
            await _close(client)

    async def _bridge(self, client: aiomqtt.Client) -> None:
        """Until the connection ends. Raises MqttError."""
        self._told.clear()  # the broker may be another one, or have lost all
        if self._fleet.want:
            await client.subscribe(homeassistant.install_topic("+"), qos=1)
        await client.publish(self._hub, homeassistant.ONLINE, qos=1, retain=True)
        work = [asyncio.ensure_future(one) for one in (self._telling(client), self._listening(client))]
        try:
            done, _ = await asyncio.wait(work, return_when=asyncio.FIRST_COMPLETED)
            for one in done:
                one.result()
        finally:
            for one in work:
                one.cancel()
            await asyncio.gather(*work, return_exceptions=True)

    async def _telling(self, client: aiomqtt.Client) -> None:
        while True:
            wanted = await asyncio.to_thread(self._messages)
            for topic, payload in wanted.items():
                if self._told.get(topic) != payload:
                    await client.publish(topic, payload, qos=1, retain=True)
                    self._told[topic] = payload
            for topic in [*self._told.keys() - wanted.keys()]:
                await client.publish(
                    topic, b"", qos=1, retain=True
                )  # forgotten, or named no more: the broker forgets it too
                del self._told[topic]
            await asyncio.sleep(_LOOK_S)

    def _messages(self) -> dict[str, bytes]:
        rows = self._fleet.rows()
        told = [row for row in rows if homeassistant.is_told(row)]
        self._note_strangers(len(rows) - len(told))
        found: dict[str, bytes] = {}
        for row in told:
            waiting, pressed = self._fleet.waits(row.id)
            button = self._fleet.want is not None
            of_it = homeassistant.messages(row, self._product, button=button, waiting=waiting, pressed=pressed)
            found |= dict(_encoded(of_it))
        return found

    def _note_strangers(self, count: int) -> None:
        if count > self._strangers:
            self._tell(f"Home Assistant is not told of boards without a name in boards.toml or boards.csv: {count}")
        self._strangers = count

    async def _listening(self, client: aiomqtt.Client) -> None:
        async for message in client.messages:
            board = str(message.topic).split("/")[1]
            # one that the broker has kept was pressed who knows when, for who knows what
            if self._fleet.want and not message.retain and message.payload == homeassistant.INSTALL.encode():
                version = await asyncio.to_thread(self._fleet.want, board)
                if version:
                    self._tell(f"{board}: {version} is wanted, it is offered at the next look")


async def _open(client: aiomqtt.Client) -> None:
    """Connect, to the end also where it is cancelled meanwhile: half a connection would stay behind. Raises MqttError."""
    opening = asyncio.ensure_future(client.__aenter__())
    try:
        await asyncio.shield(opening)
    except asyncio.CancelledError:
        with contextlib.suppress(aiomqtt.MqttError):
            await opening
            await _close(client)
        raise


async def _close(client: aiomqtt.Client) -> None:
    with contextlib.suppress(aiomqtt.MqttError):  # it is lost already
        await client.__aexit__(None, None, None)


def _encoded(messages: Messages) -> Iterable[tuple[str, bytes]]:
    for topic, value in messages.items():
        yield topic, value.encode() if isinstance(value, str) else json.dumps(value).encode()
