"""The stub's READ_FLASH: a stream of blocks, so many on their way as the host allows, then their MD5."""

import hashlib
from collections.abc import Iterator

from vboard.flash.nor import Flash


class Reading:
    """`frames` gives what may be sent now; `acknowledged` is told how many bytes have come in all."""

    def __init__(self, flash: Flash, start: int, size: int, block: int, ahead: int) -> None:
        self._flash, self._start, self._size = flash, start, size
        self._block, self._ahead = block, ahead * block
        self._sent = self._received = 0
        self._md5 = hashlib.md5(usedforsecurity=False)
        self.over = False

    def acknowledged(self, received: int) -> None:
        self._received = received

    def frames(self) -> Iterator[bytes]:
        while self._sent < self._size and self._sent - self._received < self._ahead:
            data = self._flash.read(self._start + self._sent, min(self._block, self._size - self._sent))
            self._md5.update(data)
            self._sent += len(data)
            yield data
        if self._received >= self._size and not self.over:
            self.over = True
            yield self._md5.digest()
