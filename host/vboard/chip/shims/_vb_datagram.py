"""What a socket of the board does as UDP. A datagram goes to the gateway with the address it is for in front, and comes
with the one that it is from (vboard/link/datagrams.py)."""

import socket

from _vb_link import call
from _vb_system import errno
from _vb_wait import Waiting


class Datagrams(Waiting):
    """Base of Socket: `__peer` is where send() goes, None, or 0 for a connection; `__real` the socket of the host."""

    def sendto(self, data, address):
        if self.__peer == 0:
            return self.send(data)
        if address is None:
            raise OSError(errno.ENOTCONN)
        head = bytes(int(part) for part in address[0].split("."))
        self.__real.sendto(
            head + address[1].to_bytes(2, "big") + data, socket.getaddrinfo("127.0.0.1", call("datagrams"))[0][-1]
        )
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
