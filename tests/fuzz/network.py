"""The agent's parsers of what comes over a network, as parsers.py has the others: the agent's own calls, on sockets that
give what an input says, in pieces, with waits between them, on a clock that only waits move on."""

from ota.errors import OtaError

from .parsers import PARSERS, drive, text_of

URL = "http://releases.test:8080/releases/stable.json"
READ_TIMEOUT_S = 1
MOST = 8193  # bytes of a body, as a look reads it
NOW = 850000000  # seconds since 2000: 2026-12-08


class Clock:
    """Milliseconds that pass while somebody waits; for response.py and connection.py their module `time`."""

    def __init__(self) -> None:
        self.now = 0

    def ticks_ms(self) -> int:
        return self.now

    def ticks_diff(self, later: int, earlier: int) -> int:
        return later - earlier


class Stream:
    """A connection that gives `data` in pieces; then it ends, or says nothing any more. `at`: bytes that are given."""

    def __init__(self, data: bytes, at: int, piece: int, silent: bool) -> None:
        self.data, self.at = data, at
        self._piece, self._silent = piece, silent
        self._ready = self.closed = False

    def _next(self, most: int, line: bool):
        self._ready = not self._ready
        if not self._ready and self._piece < 64:
            return None  # nothing has come yet
        part = self.data[self.at : self.at + min(most, self._piece)]
        end = part.find(b"\n") if line else -1
        part = part[: end + 1] if end >= 0 else part
        self.at += len(part)
        return part if part or not self._silent else None

    def readline(self, most: int):
        return self._next(most, True)

    def readinto(self, buf, most: int):
        part = self._next(most, False)
        if part is None:
            return None
        buf[: len(part)] = part
        return len(part)

    def write(self, data: bytes) -> int:
        return len(data)

    def close(self) -> None:
        self.closed = True


class Connections:
    """Stands for connection.connect(): each goes on where the last one stopped, so that redirects are followed."""

    def __init__(self, data: bytes, piece: int, silent: bool) -> None:
        self._data, self._piece, self._silent = data, piece, silent
        self.made: list = []

    def __call__(self, addresses: list, timeout_s: float):
        at = self.made[-1].at if self.made else 0
        self.made.append(Stream(self._data, at, self._piece, self._silent))
        return self.made[-1]
        yield


def _resolve(host: str, port: int):
    return [(host, port)]
    yield


def parse_http(data: bytes):
    """Answers of servers, redirects followed, and the body. The first byte says how they come and what was asked for."""
    from ota.net import connection, http, response

    flags = data[0] if data else 0
    clock = response.time = Clock()
    http.names = type("", (), {"resolve": staticmethod(_resolve)})
    kept = connection.connect
    connection.connect = connections = Connections(data[1:], (1, 7, 64, 4096)[flags & 3], bool(flags & 4))
    start, etag, size = (4096 if flags & 8 else 0), ('"a"' if flags & 16 else None), (5000 if flags & 32 else None)
    try:
        got = drive(
            http.get(URL, start=start, etag=etag, size=size, allow_http=True, read_timeout_s=READ_TIMEOUT_S), clock
        )
        facts = [got.url, got.status, got.start, got.length, got.total, got.etag, got.date]
        return facts + [bytes(drive(got.read(MOST), clock))]
    finally:
        connection.connect = kept
        if [one for one in connections.made if not one.closed]:
            raise AssertionError("a socket is left open")


def parse_url(data: bytes):
    """A base, and behind a line end what stands in its document."""
    from ota.net import url

    base, _, ref = text_of(data).partition("\n")
    found = url.join(base, ref)
    return [found, url.split(found)]


class Datagrams:
    """Stands for the modules socket and select where one datagram is asked for: the answer is `packet` once, made by what
    was asked."""

    AF_INET = SOCK_DGRAM = SOCK_STREAM = POLLIN = 1

    def __init__(self, packet) -> None:
        self._packet, self._asked, self._given = packet, b"", False

    def socket(self, *kind: int):
        return self

    poll = socket

    def getaddrinfo(self, *where):
        return [(1, 1, 1, "", where)]

    def register(self, *what) -> None:
        pass

    setblocking = settimeout = connect = close = register

    def send(self, data: bytes) -> int:
        self._asked = bytes(data)
        return len(data)

    def sendto(self, data: bytes, where) -> int:
        return self.send(data)

    def recv(self, most: int) -> bytes:
        self._given = True
        return self._packet(self._asked)[:most]

    def __call__(self, wait_ms: int) -> bool:  # poll() of what poll() gave
        return not self._given


class _Poll(Datagrams):
    def poll(self, *wait_ms):  # the module's, which gives a poller, and the poller's own
        return not self._given if wait_ms else self


def parse_dns(data: bytes):
    """An answer of a DNS server. The first byte says whether it has the question's number, and the question."""
    from ota.net import names

    flags = data[0] if data else 0

    def packet(asked: bytes) -> bytes:
        found = asked[:2] + data[3:] if flags & 1 else data[1:]
        return found[:12] + asked[12:] + found[12:] if flags & 2 else found

    names.socket = names.select = _Poll(packet)
    return drive(names._ask("10.0.0.1", b"releases.test"), Clock())


def parse_ntp(data: bytes):
    """An answer of a time server, and what the clock is set to."""
    from ota.net import clock, dates, timeserver

    told: list = []

    class Time:
        time = staticmethod(lambda: told[-1] if told else NOW + dates.EPOCH)
        gmtime = staticmethod(dates.time.gmtime)

    class Machine:
        def RTC(self):
            return self

        def datetime(self, fields: tuple) -> None:
            year, month, day, _, hour, minute, second, _ = fields
            told.append(dates.time.mktime((year, month, day, hour, minute, second, 0, 0)))

    def refused(*_, **__):
        raise OtaError("connect")
        yield

    clock.time = timeserver.time = Time()
    clock.machine = Machine()
    clock.store = type("", (), {"number": staticmethod(lambda name: 0)})
    timeserver.names = type("", (), {"resolve": staticmethod(_resolve)})
    timeserver.http = type("", (), {"get": staticmethod(refused), "settings": staticmethod(lambda _: {})})
    timeserver.ntptime.socket = Datagrams(lambda _: data)
    settings = {
        "ntp_host": "pool.test",
        "allow_http": True,
        "connect_timeout_s": 1,
        "read_timeout_s": 1,
        "client": None,
        "pins": None,
    }
    changed = drive(timeserver.ask(settings, URL, True))
    return [changed] + [moment - dates.EPOCH for moment in told[:1]]


def parse_date(data: bytes):
    """A date as text."""
    from ota.net import dates

    found = dates.parse(text_of(data))
    return found if found is None else found - dates.EPOCH


def parse_certificate(data: bytes):
    """A certificate's dates."""
    from ota.net import dates

    return [found if found is None else found - dates.EPOCH for found in dates.validity(data)]


PARSERS.update({
    "http": parse_http, "url": parse_url, "dns": parse_dns, "ntp": parse_ntp, "date": parse_date,
    "certificate": parse_certificate,
})  # fmt: skip
