"""The board's serial port on the network, by RFC 2217: bytes, and the modem lines that a terminal does not have.

pyserial's own server speaks the protocol; esptool and mpremote open it as rfc2217://HOST:PORT?ign_set_control.
"""

import socket
import time
from collections.abc import Callable
from selectors import EVENT_READ, BaseSelector

from serial.rfc2217 import PortManager

_PATIENCE_S = 1.0  # for a host that is slow to read; what it does not take then is lost, as on a wire


class _Uart:
    """What PortManager takes for the serial port: lines that tell, and settings without effect."""

    baudrate, bytesize, parity, stopbits = 115200, 8, "N", 1
    xonxoff = rtscts = break_condition = False
    cts = dsr = ri = cd = False

    def __init__(self, changed: Callable[[bool, bool], None]) -> None:
        self._dtr = self._rts = False
        self._changed = changed

    def set(self, *, dtr: bool, rts: bool) -> None:
        self._dtr, self._rts = dtr, rts
        self._changed(dtr, rts)

    @property
    def dtr(self) -> bool:
        return self._dtr

    @dtr.setter
    def dtr(self, level: bool) -> None:
        self.set(dtr=level, rts=self._rts)

    @property
    def rts(self) -> bool:
        return self._rts

    @rts.setter
    def rts(self, level: bool) -> None:
        self.set(dtr=self._dtr, rts=level)

    def reset_input_buffer(self) -> None:
        """Nothing is buffered here."""

    reset_output_buffer = reset_input_buffer


class NetworkPort:
    """Listens on `port` of this machine's loopback (0: any free one). One host at a time, as with a cable."""

    def __init__(
        self,
        port: int,
        selector: BaseSelector,
        on_data: Callable[[bytes], None],
        on_lines: Callable[[bool, bool], None],
    ) -> None:
        """`on_lines` gets DTR and RTS, True where asserted. Raises OSError for a port that is taken."""
        self._selector, self._on_data = selector, on_data
        self._uart = _Uart(on_lines)
        self._host: socket.socket | None = None
        self._listener = socket.create_server(("127.0.0.1", port))
        selector.register(self._listener, EVENT_READ, self._accept)

    @property
    def url(self) -> str:
        return f"rfc2217://127.0.0.1:{self._listener.getsockname()[1]}?ign_set_control"

    def _accept(self) -> None:
        host, _ = self._listener.accept()
        if self._host:
            host.close()
            return
        host.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        host.setblocking(False)
        self._host = host
        self._selector.register(host, EVENT_READ, self._readable)
        self._telnet = PortManager(self._uart, _Raw(self._send))

    def _readable(self) -> None:
        assert self._host
        try:
            data = self._host.recv(65536)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._hang_up()
            return
        typed = b""
        for byte in self._telnet.filter(data):
            typed += byte
        if typed:
            self._on_data(typed)

    def _hang_up(self) -> None:
        assert self._host
        self._selector.unregister(self._host)
        self._host.close()
        self._host = None
        self._uart.set(dtr=False, rts=False)

    def write(self, data: bytes) -> None:
        """What the board says; lost where nobody listens."""
        self._send(data.replace(b"\xff", b"\xff\xff"))

    def _send(self, data: bytes) -> None:
        deadline = time.monotonic() + _PATIENCE_S
        while self._host and data and time.monotonic() < deadline:
            try:
                data = data[self._host.send(data) :]
            except BlockingIOError:
                time.sleep(0.001)
            except OSError:
                return

    def close(self) -> None:
        if self._host:
            self._host.close()
        self._listener.close()


class _Raw:
    def __init__(self, write: Callable[[bytes], None]) -> None:
        self.write = write
