"""`socket`, `tls`, `select` and `ntptime`: the board's own network, which the supervisor plays.

Sockets are real: they go to the supervisor's gateway (vboard/link/gateway.py), which stands for the Wi-Fi link, names and
routes. TLS is the real mbedTLS of the unix port; only the dates of the server's certificate are held against the
board's clock by the supervisor, because mbedTLS here would take the host's.
"""

import select as _select
import socket as _socket
import tls as _tls

from _vb_link import call, missing
from _vb_system import errno, esp_errno, time


class _Stream:
    """Calls into a real stream; its errors come out with the esp32 port's numbers."""

    def __init__(self, stream):
        self.__stream = stream

    def __do(self, method, *args):
        try:
            return getattr(self.__stream, method)(*args)
        except OSError as e:
            raise esp_errno(e)

    def readinto(self, buf, n=-1):
        try:
            return self.__stream.readinto(buf) if n < 0 else self.__stream.readinto(buf, n)
        except OSError as e:
            raise esp_errno(e)

    def read(self, *args):
        return self.__do("read", *args)

    def readline(self, *args):
        return self.__do("readline", *args)

    def write(self, *args):
        return self.__do("write", *args)

    def setblocking(self, on):
        self.__do("setblocking", on)

    def close(self):
        self.__do("close")


class Socket(_Stream):
    def __init__(self, family=2, type=1, proto=0):
        if type != 1:
            raise OSError(errno.EOPNOTSUPP)  # no UDP on the virtual board
        self.__timeout = None
        super().__init__(_socket.socket(2, 1))

    def settimeout(self, seconds):
        self.__timeout = seconds
        self.__stream.settimeout(seconds)

    def connect(self, address):
        """Through the gateway: it opens the real connection, or answers with the error that lwIP would give."""
        ticket = call("connect", address[0], address[1], self.__timeout)
        self.__do("connect", _socket.getaddrinfo("127.0.0.1", ticket[0])[0][-1])
        self.__ticket = ticket[1]
        self.__do("write", bytes(ticket[1], "ascii"))
        answer = self.__do("read", 1)
        if not answer or answer[0]:
            raise OSError(answer[0] if answer else errno.ECONNRESET)

    def bind(self, address):
        self.__do("bind", _socket.getaddrinfo(address[0] or "0.0.0.0", address[1])[0][-1])

    def listen(self, backlog=2):
        self.__do("listen", backlog)

    def accept(self):
        connection, _ = self.__do("accept")
        made = Socket.__new__(Socket)
        _Stream.__init__(made, connection)
        return made, ("127.0.0.1", 0)

    def send(self, data):
        return self.__do("send", data)

    def sendall(self, data):
        return self.__do("sendall", data)

    def recv(self, n):
        return self.__do("recv", n)

    def setsockopt(self, *args):
        pass

    def fileno(self):
        return self.__stream.fileno()

    def makefile(self, *args):
        return self

    recvfrom = missing
    sendto = missing


class socket:
    socket = Socket
    AF_INET = 2
    SOCK_STREAM = 1
    SOCK_DGRAM = 2
    SOL_SOCKET = 0xFFF
    SO_REUSEADDR = 4
    IPPROTO_TCP = 6

    @staticmethod
    def getaddrinfo(host, port, *args):
        ms, address = call("resolve", host)
        if address is None:
            raise OSError(-202)
        return [(2, 1, 0, "", (address, port))]


class _Secure(_Stream):
    def getpeercert(self, binary):
        missing()

    def cipher(self):
        return self.__stream.cipher()


class SSLContext:
    def __init__(self, protocol):
        self.__real = _tls.SSLContext(protocol)
        self.verify_mode = self.__real.verify_mode

    def load_verify_locations(self, cadata):
        self.__real.load_verify_locations(cadata)

    def load_cert_chain(self, cert, key):
        self.__real.load_cert_chain(cert, key)

    def set_ciphers(self, names):
        self.__real.set_ciphers(names)

    def get_ciphers(self):
        return self.__real.get_ciphers()

    def wrap_socket(self, sock, *, server_side=False, do_handshake_on_connect=True, server_hostname=None):
        self.__real.verify_mode = self.verify_mode
        try:
            stream = self.__real.wrap_socket(
                sock.__stream,
                server_side=server_side,
                do_handshake_on_connect=do_handshake_on_connect,
                server_hostname=server_hostname,
            )
        except OSError as e:
            raise esp_errno(e)
        if not server_side and self.verify_mode == _tls.CERT_REQUIRED:
            call("certificate_dates", sock.__ticket)
        return _Secure(stream)


class tls:
    SSLContext = SSLContext
    CERT_NONE = 0
    CERT_OPTIONAL = 1
    CERT_REQUIRED = 2
    PROTOCOL_TLS_CLIENT = 0
    PROTOCOL_TLS_SERVER = 1
    PROTOCOL_DTLS_CLIENT = 2
    PROTOCOL_DTLS_SERVER = 3
    MBEDTLS_VERSION = _tls.MBEDTLS_VERSION


class _Poll:
    """poll() on the real streams behind the board's, which returns to the VM often enough for timer callbacks."""

    def __init__(self):
        self.__poll = _select.poll()
        self.__objects = {}  # id of the real stream -> what the program registered

    def register(self, stream, events=5):
        real = getattr(stream, "__stream", stream)
        self.__objects[id(real)] = stream
        self.__poll.register(real, events)

    def modify(self, stream, events):
        self.__poll.modify(getattr(stream, "__stream", stream), events)

    def unregister(self, stream):
        real = getattr(stream, "__stream", stream)
        self.__objects.pop(id(real), None)
        self.__poll.unregister(real)

    def poll(self, timeout=-1):
        start = time.ticks_ms()
        while True:
            ready = self.__poll.poll(5 if timeout < 0 or timeout > 5 else timeout)
            if ready or 0 <= timeout <= time.ticks_diff(time.ticks_ms(), start):
                return [(self.__objects[id(entry[0])], entry[1]) for entry in ready]

    def ipoll(self, timeout=-1, flags=0):
        return iter(self.poll(timeout))


class select:
    POLLIN = _select.POLLIN
    POLLOUT = _select.POLLOUT
    POLLERR = _select.POLLERR
    POLLHUP = _select.POLLHUP
    poll = _Poll


class ntptime:
    host = "pool.ntp.org"
    timeout = 1

    @staticmethod
    def time():
        return call("ntp", ntptime.host)

    @staticmethod
    def settime():
        call("rtc_set", ntptime.time())
        time.reload()
