"""What lwIP has for all sockets of the board: so many of them, and names."""

import gc
import select

from _vb_link import burn, call
from _vb_system import _board

_SOCKETS = const(10)  # CONFIG_LWIP_MAX_SOCKETS, ESP-IDF's default, which the port leaves as it is
_ENFILE = const(23)
_NO_NAME = const(-202)  # EAI_FAIL
_UNKNOWN = const(-2)  # what modlwip.c gives where no server knows the name
_NVAL = const(32)

opened = set()  # file descriptors of the sockets that are open
_held = {}  # of those with TLS: the number of its memory (vboard/chip/heap.py)


def take_place():
    """Before a socket is made. The port collects once before it says that there is no more (ENFILE)."""
    if len(opened) < _SOCKETS:
        return
    gc.collect()
    find_forgotten()
    if len(opened) >= _SOCKETS:
        raise OSError(_ENFILE)


def find_forgotten():
    """Those that nobody had any more when the heap was collected: their finalisers have closed them."""
    for fd in list(_held):
        if fd not in opened:
            let_go(fd)
    poll = select.poll()
    for fd in opened:
        poll.register(fd, 0)
    for fd, flags in poll.poll(0):
        if flags & _NVAL:
            let_go(fd)


def hold(fd, number):
    """A socket has TLS now."""
    _held[fd] = number


def let_go(fd):
    """A socket is closed, and what TLS had is free."""
    opened.discard(fd)
    if fd in _held:
        try:
            call("tls_close", _held[fd])
        except MemoryError:  # in a finaliser, where the heap is locked: find_forgotten() comes by later
            return
        del _held[fd]


def resolve(host):
    """The address of a name. On the chip lwIP is asked in one C call, which may take seconds."""
    if not host:
        return "0.0.0.0"
    ms, address = call("resolve", host)
    if ms:
        burn(ms)
    if address is None:
        raise OSError(_NO_NAME if _board["port"] == "esp32" else _UNKNOWN)
    return address
