"""Values in NVS that outlive a reset and a power cut. A document lies in two blobs, written in turn, as ESP-IDF 5 can
lose the old and the new value of a blob when power goes inside its update; a number is one entry, and safe as it is."""

import json

from esp32 import NVS

from ..errors import OtaError, require

_FULL = -4357  # ESP_ERR_NVS_NOT_ENOUGH_SPACE
ROOM = 1400  # bytes of the largest blob: what is larger is refused, not lost
_open = None  # one handle for the life of the program: MicroPython never gives one back


def handle():
    """The agent's namespace in NVS. Raises OtaError record."""
    global _open
    if _open is None:
        try:
            _open = NVS("ota")
        except OSError as e:
            raise OtaError("record", e.args[0])
    return _open


class Document:
    """A dict under `name` with all keys of `default`. What cannot be read is as new."""

    def __init__(self, name: str, default: dict) -> None:
        self._name, self._turn, self.value = name, 0, dict(default)
        raw = bytearray(ROOM)
        for key in (name + "0", name + "1"):
            try:
                turn, found = json.loads(bytes(raw[: handle().get_blob(key, raw)]))
                if type(turn) is int and turn > self._turn:
                    self._turn, self.value = turn, dict(default, **found)
            except (OSError, ValueError, TypeError, AttributeError):  # the last: no object
                pass

    def save(self) -> None:
        """Written when it returns. Raises OtaError record."""
        turn = self._turn + 1
        text = json.dumps([turn, self.value])
        require(len(text.encode()) <= ROOM, "record", "too large")
        key = self._name + str(turn & 1)
        try:
            try:
                handle().set_blob(key, text)
            except OSError as e:
                if e.args[0] != _FULL:
                    raise
                _forget(key)  # the older copy: the only room that is ours
                handle().set_blob(key, text)
            handle().commit()
        except OSError as e:
            raise OtaError("record", e.args[0])
        self._turn = turn


def _forget(key: str) -> None:
    try:
        handle().erase_key(key)
    except OSError:
        pass  # it is gone already


def number(name: str, default: int = 0) -> int:
    try:
        return handle().get_i32(name)
    except OSError:
        return default


def set_number(name: str, value: int) -> None:
    """Written when it returns; allocates nothing. Raises OtaError record."""
    try:
        handle().set_i32(name, value)
    except OSError as e:
        raise OtaError("record", e.args[0])
