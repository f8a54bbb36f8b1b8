"""The same firmware as another image: a mark in its descriptor, and checksum and SHA-256 made anew.

For tests that need many releases and have one firmware. Source of the places: ESP-IDF esp_app_desc.h (the descriptor's
`time` is 16 bytes, of which C reads up to the first zero), esp_image_format.c (checksum and hash).
"""

from hashlib import sha256

from otactl.errors import ReleaseError
from otactl.release import firmware

_TIME, _TIME_SIZE = 0x70, 16  # of the descriptor, from the image's first byte
_MARK = 4  # bytes, the last of `time`
_HASHED = 23  # the header's byte that says whether a SHA-256 follows
_DIGEST = 32
_CHIP_ID = 12
_SIGNED = b"\xe7\x02"  # a Secure Boot V2 block begins so
_MOST = (1 << 8 * _MARK) - 1


def variant(app: bytes, number: int, *, chip: str = "") -> bytes:
    """`app` with `number` (0: as it is built) in bytes that nothing reads; it runs as before.

    `chip`: of the image, found in it unless given. What follows the image stays. Raises ReleaseError for what is no sound
    image, one that is signed by itself (its signature would no longer fit), or one whose time fills its field.
    """
    if not 0 <= number <= _MOST:
        raise ReleaseError(f"variant {number}: 0 to {_MOST}")
    name = chip or firmware.CHIPS.get(int.from_bytes(app[_CHIP_ID : _CHIP_ID + 2], "little"), "")
    if not name:
        raise ReleaseError("an image for a chip that otactl does not know")
    length = firmware.check(app, name, "the image")
    if app[length:].lstrip(b"\xff").startswith(_SIGNED):
        raise ReleaseError("the image is signed by itself (Secure Boot): a variant of it would not start")
    time = app[_TIME : _TIME + _TIME_SIZE]
    if 0 not in time[: _TIME_SIZE - _MARK]:
        raise ReleaseError("the image's descriptor has no room for a mark: its time fills the field")
    place = slice(_TIME + _TIME_SIZE - _MARK, _TIME + _TIME_SIZE)
    return _marked(app, place, number.to_bytes(_MARK, "little"), length)


def spoiled(app: bytes, offset: int) -> bytes:
    """`app` with the byte at `offset` turned over and nothing else: no bootloader starts it."""
    return app[:offset] + bytes([app[offset] ^ 0xFF]) + app[offset + 1 :]


def _marked(app: bytes, place: slice, mark: bytes, length: int) -> bytes:
    made = bytearray(app)
    body = length - (_DIGEST if app[_HASHED] == 1 else 0)
    for before, after in zip(made[place], mark, strict=True):
        made[body - 1] ^= before ^ after  # the checksum is the XOR of all bytes of data
    made[place] = mark
    if body < length:
        made[body:length] = sha256(made[:body]).digest()
    return bytes(made)
