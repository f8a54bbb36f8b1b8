"""Where a release's bytes come from. A source knows its own offset; a transform is a source that reads another one."""

from ..errors import require
from ..net import link


class HttpSource:
    """A file on a server. `url` is absolute; `size` (bytes) is what the signed release says of it. Where `url` ends with #at=
    BYTES it begins there, inside another file."""

    def __init__(self, config: dict, url: str, size: int) -> None:
        self._url, _, at = url.partition("#at=")
        self._at = int(at or 0)
        self._config, self.size = config, size
        self._response = None  # type: ignore
        self.offset = 0  # of the next byte that fill() gives
        self.etag: "str | None" = None  # of the file, for the next open()

    def open(self, offset: int, etag: "str | None"):
        """Steps until the first byte may come: from `offset` on, or from 0 where the server has no ranges, or another file
        by now. Raises OtaError: what link.fetch() raises, size-mismatch."""
        self.close()
        at = self._at
        found = yield from link.fetch(self._config, self._url, start=at + offset, etag=etag, size=self.size)
        self._response, self.offset = found, found.start - at
        self.etag = found.etag
        require(self.offset >= 0, "bad-range", "whole")  # no ranges here, or another file around it
        require(at or found.total in (None, self.size), "size-mismatch", found.total)
        found.url = found.date = None  # what nobody asks for while blocks come in

    def fill(self, buf, have: int, want: int) -> int:
        """As Response.fill()."""
        now = self._response.fill(buf, have, want)  # type: ignore
        self.offset += now - have
        return now

    @property
    def ended(self) -> bool:
        return self._response is None or self._response.ended

    def close(self) -> None:
        if self._response:
            self._response.close()
        self._response = None
