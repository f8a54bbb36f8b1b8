"""A socket of the board.

Sockets are real: they go to the supervisor's gateway (vboard/link/gateway.py, datagrams.py), which stands for the
link, names and routes. What the esp32 port and lwIP do with them: ports/esp32/modsocket.c.
"""

import select as _select
import socket as _socket

from _vb_link import burn, call
from _vb_lwip import let_go, opened, resolve, take_place
from _vb_datagram import Datagrams
from _vb_system import errno, esp_errno, told_errno

_SEND_BUFFER = const(5760)  # CONFIG_LWIP_TCP_SND_BUF_DEFAULT
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


class Socket(Datagrams):
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
        let_go(self.__fd)  # of one that was forgotten, and whose number this is now
        opened.add(self.__fd)
        self.__state = state
        self.__error = 0
        self.__timeout = None
        self.__retries = -1  # of waiting 100 ms; -1 is for ever
        self.__burn = 0
        self.__poll = _select.poll()
        self.__poll.register(real, 0)
        real.setblocking(False)
        self.__poll.ipoll(0)  # makes its tuple now
        if self.__peer == 0:
            real.setsockopt(1, 7, _SEND_BUFFER)  # SO_SNDBUF

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
        self.__error = told_errno(answer[0]) if answer else errno.ECONNRESET
        self.__state = _FAILED if self.__error else _READY
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
        try:
            gateway, ticket = call("connect", host, port, self.__timeout)
        except OSError as e:
            raise OSError(told_errno(e.errno))
        self.__real.setblocking(True)
        try:
            self.__real.connect(_loopback(gateway))
        except OSError as e:
            raise esp_errno(e)
        self.__real.setblocking(False)
        self.__real.write(ticket)
        self.__state = _CONNECTING
        if self.__retries == -2:
            raise OSError(errno.EINPROGRESS)
        while not self.__settled() and self.__state == _CONNECTING:
            if not self.__wait(_RD):
                raise OSError(errno.ETIMEDOUT)
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
            let_go(self.__fd)
            self.__file.close()

    # --- data ---

    def __refuse(self):
        error = self.__not_ready()
        if error is not None:
            raise error

    def __do(self, method, *args):
        """A call that raises also where it would block."""
        if not self.__ready():
            raise self.__not_ready() or OSError(errno.EAGAIN)
        while True:
            try:
                return getattr(self.__real, method)(*args)
            except OSError as e:
                if e.errno != errno.EAGAIN:
                    raise esp_errno(e)
            if not self.__wait(_RD):
                self.__late()
                raise OSError(errno.EAGAIN)

    def __some(self, buf):
        """What has come, at most `buf`; None where it would block."""
        if not self.__ready():
            return self.__refuse()
        while True:
            try:
                got = self.__real.readinto(buf)
            except OSError as e:
                raise esp_errno(e)
            if got is not None:
                if self.__burn and got:
                    ms, self.__burn = self.__burn, 0
                    burn(ms)
                return got
            if not self.__wait(_RD):
                return self.__late()

    def readinto(self, buf, n=-1):
        """All of `buf`. Waits in the host for the whole of it, so that no piece of it needs an object."""
        if self.__peer != 0:
            return self.__into(buf)
        if 0 <= n < len(buf):
            buf = memoryview(buf)[:n]
        if self.__retries == -2 or not self.__ready():
            return self.__some(buf)
        size, done = len(buf), 0
        while done < size:
            self.__real.setsockopt(1, 18, size - done)  # SO_RCVLOWAT
            late = not self.__wait(_RD)
            self.__real.setsockopt(1, 18, 1)
            try:
                got = self.__real.readinto(memoryview(buf)[done:] if done else buf)
            except OSError as e:
                raise esp_errno(e)
            if got == 0 or (late and got is None):
                return done if got == 0 else self.__late()
            done += got or 0
        return done

    def __gather(self, method, size, over):
        """Read on until `over(what came, how much in all)`, or the end; None where nothing came."""
        if not self.__ready():
            return self.__refuse()
        parts = b""
        while True:
            try:
                part = getattr(self.__real, method)(size - len(parts)) if size >= 0 else getattr(self.__real, method)()
            except OSError as e:
                raise esp_errno(e)
            if part == b"":
                return parts
            if part is not None:
                parts = parts + part if parts else part
                if over(parts):
                    return parts
            if not self.__wait(_RD):
                return self.__late() or parts or None

    def read(self, n=-1):
        if self.__peer != 0:
            return self.__datagram() if n < 0 else self.__datagram(n)
        return self.__gather("read", n, lambda parts: len(parts) == n) if n else b""

    def readline(self, n=-1):
        return self.__gather("readline", n, lambda parts: parts[-1] == 10 or len(parts) == n)

    def write(self, data, *args):
        """All of it, unless the socket does not block."""
        if self.__peer != 0 or not data:
            return self.send(data)
        done = self.__put(data)
        if not self.__ready():
            return None
        return done if done == len(data) else self.__late() or done or None

    def __put(self, data):
        if not self.__ready():
            return self.__refuse()
        if self.__retries == -2 and len(data) > _SEND_BUFFER:
            data = memoryview(data)[:_SEND_BUFFER]  # as much as lwIP has room for
        done = 0
        while True:
            try:
                done += self.__real.write(memoryview(data)[done:] if done else data) or 0
            except OSError as e:
                raise esp_errno(e)
            if done == len(data) or not self.__wait(_WR):
                return done

    def send(self, data, flags=0):
        if self.__peer != 0:
            return self.sendto(data, self.__peer)
        done = self.__put(data)
        if not done and data:
            self.__late()
            raise OSError(errno.EAGAIN)
        return done

    def sendall(self, data):
        if self.send(data) < len(data):
            raise OSError(errno.ETIMEDOUT)

    def recv(self, n, flags=0):
        return self.__do("recv", n) if self.__peer == 0 else self.recvfrom(n)[0]

    def setsockopt(self, *args):
        pass

    def fileno(self):
        return self.__fd

    def makefile(self, *args):
        return self
