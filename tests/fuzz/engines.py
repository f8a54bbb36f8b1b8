"""The agent's parsers of what a fleet engine says, as parsers.py has the others. Nobody vouches for any of it."""

from .parsers import PARSERS, drive

URL = "https://engine.test/DEFAULT/controller/v1/lamp-1"


class _Reply:
    """A response, of which all has come."""

    def __init__(self, data: bytes) -> None:
        self._data, self._at = data, 0

    @property
    def ended(self) -> bool:
        return self._at == len(self._data)

    def fill(self, buf, have: int, want: int) -> int:
        part = self._data[self._at : self._at + want - have]
        buf[have : have + len(part)] = part
        self._at += len(part)
        return have + len(part)

    def read(self, most: int):
        return self._data[:most]
        yield

    def close(self) -> None:
        pass


def parse_swu(data: bytes):
    """The head of a .swu: its envelope, and where its files begin."""
    from ota.fleet import swu

    raw, at = drive(swu.envelope(_Reply(data)))
    return [bytes(raw), at]


def parse_engine(data: bytes):
    """What an engine answers to a look: to the poll, then for the action, then the .swu, with NULs in between."""
    from ota.fleet import ddi

    replies = data.split(b"\0", 2) + [b"", b""]

    def fetch(config: dict, url: str, send=None, **_):
        if send:
            return _Reply(b"")
        return _Reply(replies[0 if url == URL else 1 if url.startswith(URL + "/deploymentBase/") else 2])
        yield

    class Kept:
        @staticmethod
        def release_in(slot):
            return {"version": "1.0.0"}

    ddi.link = type("", (), {"fetch": staticmethod(fetch)})
    ddi.image = type("", (), {"chip": staticmethod(lambda slot: "esp32")})
    ddi._make_room = lambda: None  # what is let go is loaded once more: for each input that takes long
    said = {"url": "https://engine.test", "tenant": "DEFAULT", "id": "lamp-1", "token": "secret"}
    engine = ddi.Engine({"ddi": said, "product": "lamp"}, None, Kept())
    _, raw = drive(engine.offered())
    return [engine._swu, bytes(raw)]


PARSERS.update({"swu": parse_swu, "engine": parse_engine})
