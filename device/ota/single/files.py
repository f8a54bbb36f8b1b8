"""A document where there is no NVS: two files, written in turn, each with the beginning of its own SHA-256 in front. littlefs
keeps the old content of a file until the new one is closed, so one of the two can be read whatever power does."""

import hashlib
import json

from ..errors import OtaError


def _sum(raw: bytes) -> bytes:
    return hashlib.sha256(raw).digest()[:4]


class Document:
    """As boot/store.py has it."""

    def __init__(self, name: str, default: dict) -> None:
        self._path, self._turn, self.value = "/etc/ota/" + name, 0, dict(default)
        for place in "01":
            try:
                with open(self._path + place, "rb") as f:
                    raw = f.read()
                turn, found = json.loads(raw[4:])
                if raw[:4] == _sum(raw[4:]) and turn > self._turn:
                    self._turn, self.value = turn, dict(default)
                    self.value.update(found)
            except (OSError, ValueError, TypeError):
                pass

    def save(self) -> None:
        """Written when it returns. Raises OtaError record."""
        turn = self._turn + 1
        raw = json.dumps([turn, self.value]).encode()
        try:
            with open(self._path + str(turn & 1), "wb") as f:
                f.write(_sum(raw) + raw)
        except OSError as e:
            raise OtaError("record", e.args[0])
        self._turn = turn
