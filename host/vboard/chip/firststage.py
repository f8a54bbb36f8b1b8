"""The first stage: the ROM loads the second-stage bootloader from flash, or says why it does not.

It looks at the header's magic byte and chip id, where the segments go, and the checksum. A wrong SHA-256 it tells of,
and starts the image all the same. None of the five chips falls back to its serial loader: a chip without a sound
bootloader is reset by a watchdog for ever, and esptool gets hold of it by the boot pin.

Sources: boot logs that people posted. ESP32 with the ROM of revision 3 ("ets Jul 29 2019", the one that a virtual ESP32
has; older ones say "flash read err, 1000" where this one says "invalid header"): espressif/esp-idf#10948, #13208. S2, S3,
C3, C6: espressif/esp-idf#7734, #7821, #9547, #12110. Seen on no log: the line that ets_main.c stops at on a C6, and
whether an ESP32 looks at the SHA-256 (here it does not).
"""

from dataclasses import dataclass
from hashlib import sha256

from vboard.chips import Chip
from vboard.flash.appimage import (
    HASH_SIZE,
    HEADER_SIZE,
    MAGIC,
    Header,
    ImageError,
    body_length,
    checksum_of,
    exactly,
    walk,
)
from vboard.flash.nor import Flash
from vboard.memory import rom_loads

_TRIES = 8  # lines of a kind before the watchdog ends it, as an ESP32 prints them; the others print more
_STOPS_AT = {"esp32": "384", "esp32s2": "386", "esp32s3": "329", "esp32c3": "333"}  # lines of the ROM's ets_main.c


@dataclass(frozen=True, slots=True)
class Found:
    """The bootloader that the ROM starts, its header and all of it; None and nothing where it starts none.

    log: lines that the ROM printed.
    """

    header: Header | None
    image: bytes
    log: list[str]


def first_stage(flash: Flash, chip: Chip) -> Found:
    """Run the ROM once over `flash`."""
    read = flash.reader(chip.bootloader_offset)
    head = read(0, HEADER_SIZE)
    if head[0] != MAGIC:
        return _refused(chip, f"invalid header: 0x{int.from_bytes(head[:4], 'little'):08x}", again=True)
    header = Header.from_bytes(head)
    if header.chip_id != chip.chip_id:
        return _wrong_chip(header, chip)
    try:
        segments = walk(read, header)
        for segment in segments:
            if segment.size and not rom_loads(chip, segment.load_address, segment.load_address + segment.size - 1):
                raise ImageError(f"{segment.load_address:#010x} is no RAM")
        body = body_length(segments)
        image = exactly(read, 0, body + HASH_SIZE * header.hash_appended)
    except ImageError:
        return _refused(chip, "" if chip.name == "esp32" else "Invalid image block, can't boot.")
    if (reckoned := checksum_of(image, segments)) != (stored := image[body - 1]):
        return _wrong_checksum(chip, reckoned, stored)
    return Found(header, image, _hash_words(chip, header, image, body))


def _refused(chip: Chip, says: str, *, again: bool = False) -> Found:
    """`again`: the ROM reads the flash over and over, and says so each time; otherwise it stops."""
    if again:
        return Found(None, b"", [says] * _TRIES)
    stops = [f"ets_main.c {_STOPS_AT[chip.name]}"] if says and chip.name in _STOPS_AT else []
    return Found(None, b"", [says, *stops] if says else [])


def _wrong_chip(header: Header, chip: Chip) -> Found:
    if chip.name == "esp32":
        return _refused(chip, f"wrong chip id 0x{header.chip_id:04x}", again=True)
    says = f"Invalid chip id. Expected {chip.chip_id} read {header.chip_id}. Bootloader for wrong chip?"
    return _refused(chip, says)


def _wrong_checksum(chip: Chip, reckoned: int, stored: int) -> Found:
    if chip.name == "esp32":
        return _refused(chip, f"csum err:0x{reckoned:02x}!=0x{stored:02x}")
    return _refused(chip, f"Checksum failure. Calculated 0x{reckoned:02x} stored 0x{stored:02x}")


def _hash_words(chip: Chip, header: Header, image: bytes, body: int) -> list[str]:
    digest, stored = sha256(image[:body]).digest(), image[body:]
    if chip.name == "esp32" or not header.hash_appended or digest == stored:
        return []
    return [
        "SHA-256 comparison failed:",
        f"Calculated: {digest.hex()}",
        f"Expected: {stored.hex()}",
        "Attempting to boot anyway...",
    ]
