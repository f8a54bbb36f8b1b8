"""A socket of the board.

Sockets are real: they go to the supervisor's gateway (vboard/link/gateway.py, datagrams.py), which stands for the
link, names and routes. What the esp32 port and lwIP do with them: ports/esp32/modsocket.c.
"""

import io
import select as _select
import socket as _socket

from _vb_link import burn, call
from _vb_lwip import opened, resolve, take_place
from _vb_system import errno, esp_errno, time

_POLL_MS = const(100)  # SOCKET_POLL_US: the port waits in pieces of this
_NEW = const(0)
_CONNECTING = const(1)
_READY = const(2)
_FAILED = const(3)
_CLOSED = const(4)
_POLL = const(3)  # requests of a stream's ioctl
_CLOSE = const(4)
_RD = const(1)  # what it answers
_WR = const(4)
_ERR = const(8)
_HUP = const(16)
_NVAL = const(32)


def _loopback(port):
    return _socket.getaddrinfo("127.0.0.1", port)[0][-1]


class Socket(io.IOBase):
    """A stream of its own for `select` and `tls`; the calls of a program are its methods. None of those for reading
    allocates while there is no error."""

    def __init__(self, family=2, type=1, proto=0):
        take_place()
        self.__adopt(_socket.socket(2, type), _NEW if type == 1 else _READY, 0 if type == 1 else None)

    def __adopt(self, real, state, peer):
        self.__real = real
        self.__fd = real.fileno()
        self.ioctl = self.__request  # what streams are asked by; no name of the class, as on the chip
        self.__file = open(self.__fd, "r+b")  # has a finaliser, as the chip's sockets; a real one here has none
        self.__peer = peer  # of a datagram socket: where send() goes, or None; 0 is a connection
        opened.add(self.__fd)
        self.__state = state
        self.__error = 0
        self.__timeout = None
        self.__retries = -1  # of waiting 100 ms; -1 is for ever
        self.__burn = 0
        self.__poll = _select.poll()
        self.__poll.register(real, 0)
        self.__poll.ipoll(0)  # makes its tuple now
        if self.__peer == 0:
            real.setsockopt(1, 7, 5760)  # SO_SNDBUF: lwIP takes no more either (CONFIG_LWIP_TCP_SND_BUF_DEFAULT)

    # --- waiting ---

    def settimeout(self, seconds):
        self.__timeout = seconds
        ms = None if seconds is None else int(seconds * 1000)
        # Shorter than 100 ms: one wait of 100 ms, then EAGAIN, as if it were not blocking.
        self.__retries = -1 if ms is None else ms // _POLL_MS if ms else -2
        if self.__state != _CONNECTING:
            self.__apply()

    def __apply(self):
        if self.__retries >= 0:
            self.__real.settimeout((self.__retries + 1) / 10)
        else:
            self.__real.settimeout(None if self.__retries == -1 else 0)

    def setblocking(self, on):
        self.settimeout(None if on else 0)

    def __would_block(self):
        return self.__retries in (-2, 0)

    def __fault(self, e):
        """The port's error for one of the host's; None for "not now", which streams answer with None."""
        if e.errno in (11, 110):  # EAGAIN, ETIMEDOUT: the host's calls do not agree on which a time limit is
            return None if self.__would_block() else OSError(errno.ETIMEDOUT)
        return esp_errno(e)

    def __not_ready(self):
        """What a stream's read or write comes to before and after a connection: None, or an error."""
        if self.__state == _CONNECTING and not self.__settled():
            return None
        if self.__state == _FAILED and self.__error:
            error, self.__error = self.__error, 0  # lwIP tells it once
            return OSError(error)
        return OSError(errno.EBADF if self.__state == _CLOSED else errno.ENOTCONN)

    def __ready(self):
        return self.__state == _READY or (self.__state == _CONNECTING and self.__settled())

    def __settled(self):
        """Look whether the gateway has answered: with 0, or the error that lwIP would have."""
        answer = self.__real.read(1)
        if answer is None:
            return False
        self.__error = answer[0] if answer else errno.ECONNRESET
        self.__state = _FAILED if self.__error else _READY
        self.__apply()
        return self.__state == _READY

    def __request(self, request, flags):
        if request == _POLL:
            return self.__flags(flags)
        if request == _CLOSE:
            self.close()
            return 0
        return -errno.EINVAL

    def __flags(self, asked):
        if self.__state == _CLOSED:
            return _NVAL
        if self.__state == _NEW:
            return asked & _WR | _HUP
        if not self.__ready():
            return asked & (_RD | _WR | _HUP) if self.__state == _FAILED else 0
        self.__poll.modify(self.__real, asked & (_RD | _WR))
        for _, found in self.__poll.ipoll(0):
            if found & (_ERR | _HUP):  # lwIP shows the end and errors as readable and writable
                return asked & (_RD | _WR | _HUP)
            return found & (_RD | _WR)
        return 0

    # --- connections ---

    def connect(self, address):
        """Through the gateway: it opens the real connection, or answers with the error that lwIP would give."""
        host, port = address
        host = resolve(host)
        if self.__peer != 0:
            self.__peer = (host, port)
            return
        gateway, ticket = call("connect", host, port, self.__timeout)
        self.__real.settimeout(None)
        try:
            self.__real.connect(_loopback(gateway))
        except OSError as e:
            raise esp_errno(e)
        self.__real.write(ticket)
        self.__real.setblocking(False)
        self.__state = _CONNECTING
        if self.__retries == -2:
            raise OSError(errno.EINPROGRESS)
        self.__poll.modify(self.__real, _RD)
        start = time.ticks_ms()
        while not self.__settled() and self.__state == _CONNECTING:
            if 0 <= self.__retries and time.ticks_diff(time.ticks_ms(), start) > (self.__retries + 1) * _POLL_MS:
                raise OSError(errno.ETIMEDOUT)
            self.__poll.ipoll(5)
        if self.__state == _FAILED:
            raise self.__not_ready()

    def bind(self, address):
        if self.__peer == 0:
            self.__state = _READY
            self.__do("bind", _socket.getaddrinfo(address[0] or "0.0.0.0", address[1])[0][-1])

    def listen(self, backlog=2):
        self.__state = _READY
        self.__do("listen", backlog)

    def accept(self):
        take_place()
        made = Socket.__new__(Socket)
        made.__adopt(self.__do("accept")[0], _READY, 0)
        return made, ("127.0.0.1", 0)

    def close(self):
        if self.__state != _CLOSED:
            self.__state = _CLOSED
            opened.discard(self.__fd)
            self.__file.close()

    # --- data ---

    def __do(self, method, *args):
        """A call that raises also where it would block."""
        if not self.__ready():
            raise self.__not_ready() or OSError(errno.EAGAIN)
        try:
            return getattr(self.__real, method)(*args)
        except OSError as e:
            raise self.__fault(e) or OSError(errno.EAGAIN)

    def readinto(self, buf, n=-1):
        if not self.__ready():
            return self.__refuse()
        if self.__peer != 0:
            return self.__into(buf)
        try:
            got = self.__real.readinto(buf) if n < 0 else self.__real.readinto(buf, n)
        except OSError as e:
            return self.__refuse(self.__fault(e))
        if self.__burn and got:
            ms, self.__burn = self.__burn, 0
            burn(ms)
        return got

    def __refuse(self, error=0):
        error = self.__not_ready() if error == 0 else error
        if error is not None:
            raise error

    def __stream(self, method, *args):
        """A stream's method that gives None where it would block."""
        if not self.__ready():
            return self.__refuse()
        try:
            return getattr(self.__real, method)(*args)
        except OSError as e:
            return self.__refuse(self.__fault(e))

    def read(self, *args):
        return self.__stream("read", *args) if self.__peer == 0 else self.__datagram(*args)

    def readline(self, *args):
        return self.__stream("readline", *args)

    def write(self, data, *args):
        return self.__stream("write", data, *args) if self.__peer == 0 else self.send(data)

    def send(self, data, flags=0):
        return self.__do("send", data) if self.__peer == 0 else self.sendto(data, self.__peer)

    def sendall(self, data):
        if self.send(data) < len(data):
            raise OSError(errno.ETIMEDOUT)

    def recv(self, n, flags=0):
        return self.__do("recv", n) if self.__peer == 0 else self.recvfrom(n)[0]

    # A datagram goes to the gateway with the address it is for in front, and comes with the one that it is from.

    def sendto(self, data, address):
        if self.__peer == 0:
            return self.send(data)
        if address is None:
            raise OSError(errno.ENOTCONN)
        head = bytes(int(part) for part in address[0].split("."))
        self.__real.sendto(head + address[1].to_bytes(2, "big") + data, _loopback(call("datagrams")))
        return len(data)

    def recvfrom(self, n, flags=0):
        if self.__peer == 0:
            return self.recv(n), ("0.0.0.0", 0)
        data = self.__do("recv", 6 + n)
        return data[6:], (".".join(str(part) for part in data[:4]), int.from_bytes(data[4:6], "big"))

    def __into(self, buf):
        data = self.__datagram(len(buf))
        if data is not None:
            buf[: len(data)] = data
            return len(data)

    def __datagram(self, n=1500):
        """A datagram as a stream reads it: None where it would block."""
        try:
            return self.recv(n)
        except OSError as e:
            if e.errno != errno.EAGAIN:
                raise

    def setsockopt(self, *args):
        pass

    def fileno(self):
        return self.__fd

    def makefile(self, *args):
        return self
