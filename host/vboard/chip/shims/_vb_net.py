"""`socket` and `select`: the board's own network, which the supervisor plays."""

import io
import select as _select

from _vb_lwip import resolve
from _vb_socket import Socket
from _vb_system import errno

_POLL = const(3)  # a request of a stream's ioctl


class socket:
    socket = Socket
    AF_INET = 2
    SOCK_STREAM = 1
    SOCK_DGRAM = 2
    SOL_SOCKET = 0xFFF
    SO_REUSEADDR = 4
    IPPROTO_TCP = 6

    @staticmethod
    def getaddrinfo(host, port, family=0, type=0, proto=0, flags=0):
        return [(2, type or 1, proto, host, (resolve(host), port))]


class _Never(io.IOBase):
    """Makes poll() look up every millisecond: a signal in the moment before it waits would go unseen for as long."""

    def ioctl(self, request, flags):
        return 0 if request == _POLL else -errno.EINVAL


_never = _Never()


def _poll():
    made = _select.poll()
    made.register(_never, 0)
    return made


class select:
    POLLIN = _select.POLLIN
    POLLOUT = _select.POLLOUT
    POLLERR = _select.POLLERR
    POLLHUP = _select.POLLHUP
    poll = _poll
