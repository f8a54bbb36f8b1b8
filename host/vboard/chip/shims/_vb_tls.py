"""`tls`: the real mbedTLS of the unix port on the board's sockets, by the board's clock (vboard/chip/tlsclock.py)."""

import io
import tls as _tls

from _vb_link import call, program_holds
from _vb_lwip import find_forgotten, hold
from _vb_system import time


class Wire(io.IOBase):
    """A socket as mbedTLS uses it: errors come back as negative numbers. `burn_ms`: what the handshake takes once the server has answered."""

    def __init__(self, sock, burn_ms):
        self.__sock = sock
        sock.__burn = burn_ms

    def ioctl(self, request, flags):
        return self.__sock.ioctl(request, flags)

    def setblocking(self, on):
        self.__sock.setblocking(on)

    def readinto(self, buf):
        try:
            return self.__sock.__some(buf)
        except OSError as e:
            return -e.errno

    def write(self, data):
        call("tls_write", program_holds())  # what Python has taken since it was opened may be missing now
        try:
            return self.__sock.write(data)
        except OSError as e:
            return -e.errno


class SSLContext:
    def __init__(self, protocol):
        self.__real = _tls.SSLContext(protocol)
        self.verify_mode = self.__real.verify_mode
        self.verify_callback = None

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
        self.__real.verify_callback = self.verify_callback
        time.reload()  # the host may have set the clock
        # Memory of the IDF heap, until the socket is closed; the chip panics where there is not enough.
        used = program_holds()
        find_forgotten()
        hold(sock.__fd, call("tls_open", used))
        return self.__real.wrap_socket(
            Wire(sock, call("handshake")),
            server_side=server_side,
            do_handshake_on_connect=do_handshake_on_connect,
            server_hostname=server_hostname,
        )


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
