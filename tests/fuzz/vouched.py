"""The agent's parsers of what keys have vouched for already, as parsers.py has the others: whoever has such a key, or makes a
slip with it, is still to find no hole."""

import binascii
import json

from ota.errors import OtaError

from .parsers import DEVICE, PARSERS, SPACE, File, drive, role_of


class _Written:
    # Stands for open() of files that are written, and for os beside it: what each file has at the end.
    def __init__(self) -> None:
        self.files: dict = {}
        self._path = ""

    def __call__(self, path: str, mode: str = "r"):
        self._path = path
        return self

    def __enter__(self):
        return self

    def __exit__(self, *_) -> None:
        pass

    def write(self, text: str) -> None:
        self.files[self._path] = text + ""  # a text and nothing else, as a real one has it

    def rename(self, old: str, new: str) -> None:
        self.files[new] = self.files.pop(old)


class _Vouched:
    # Stands for envelope.py, where a document's keys have signed it.
    def __init__(self, envelope) -> None:
        self._payload, self.MOST = envelope._payload, envelope.MOST

    def open_envelope(self, raw: bytes, trusted: tuple, kind: str) -> dict:
        return self._payload(raw, 1)


def parse_trust(data: bytes):
    """A trust document's payload, once its keys have vouched for it. What is taken can be read by the next look."""
    from ota.release import envelope, keys, trust

    trust.open = trust.os = written = _Written()
    load, trust.envelope = keys.load, _Vouched(envelope)
    keys.load = lambda *_: (1, {}, 1)
    try:
        trust._take(data, 2, {"keys": "keys", "ca": "ca", "product": "demo"})
    finally:
        keys.load, trust.envelope = load, envelope
    keys.open = File(written.files["keys"].encode())
    try:
        return [role_of(load("keys", role)) for role in ("release", "root")] + [written.files.get("ca")]
    except OtaError as e:
        raise AssertionError("taken, and not to be read again: " + str(e))


def parse_encryption(data: bytes):
    """A release's `encryption`. The first byte says what the others are: all of it, as JSON, or a header of one of the two
    schemes, whose magic and size are put right where it says so."""
    from ota.release import encryption

    flags, raw = (data[0] if data else 0), bytearray(data[1:600])
    if flags & 4:
        try:
            said = json.loads(data[1:])
        except (ValueError, RuntimeError):  # no look gets so far
            return None
    else:
        if flags & 2 and len(raw) >= 408:
            raw[:4], raw[404:408] = b"\xcf\xb6\x88\x07", SPACE.to_bytes(4, "little")
        said = {
            "scheme": "ecc256" if flags & 1 else "rsa3072",
            "header": binascii.b2a_base64(raw).decode(),
        }
    encryption.open = File(DEVICE[0])
    found = drive(encryption.opened({"required": True, "key": "device"}, {"size": SPACE, "encryption": said}))
    return found and list(found)


PARSERS.update({"trust": parse_trust, "encryption": parse_encryption})
