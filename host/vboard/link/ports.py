"""All of a board's serial ports: its terminal, and one on the network where that is asked for."""

from collections.abc import Callable
from pathlib import Path
from selectors import BaseSelector

from vboard.link.port import Port
from vboard.link.rfc2217 import NetworkPort


class Ports:
    """What the board says goes to both. `on_data` is told whether the port that it came by has modem lines."""

    def __init__(
        self,
        path: Path,
        network_port: int | None,
        selector: BaseSelector,
        *,
        on_data: Callable[[bytes, bool], None],
        on_closed: Callable[[], None],
        on_lines: Callable[[bool, bool], None],
    ) -> None:
        """`path`: of the terminal. `network_port`: None for none, 0 for any. Raises OSError for one that is taken."""
        self._network = None
        if network_port is not None:
            self._network = NetworkPort(network_port, selector, lambda data: on_data(data, True), on_lines)
        self._terminal = Port(path, selector, lambda data: on_data(data, False), on_closed)

    @property
    def url(self) -> str | None:
        return self._network.url if self._network else None

    @property
    def open(self) -> bool:
        """Whether the terminal is open; else `look` must be called every POLL_S."""
        return self._terminal.open

    def look(self) -> None:
        self._terminal.look()

    def write(self, data: bytes) -> None:
        self._terminal.write(data)
        if self._network:
            self._network.write(data)

    def close(self) -> None:
        self._terminal.close()
        if self._network:
            self._network.close()
