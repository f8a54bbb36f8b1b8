"""What an app image's head tells a person; no decision hangs on it. Source: as release/image.py."""

import struct


def of(head: "bytearray | memoryview", chip: str) -> dict:
    """Facts from the first image.HEAD bytes or more of an app image for `chip`, which image.check_head() let pass."""
    segments, hashed = head[1], head[23]
    secure_version = struct.unpack_from("<I", head, 36)[0]
    return {
        "chip": chip, "segments": segments, "hash_appended": hashed == 1, "secure_version": secure_version,
        "version": _text(head, 48), "project": _text(head, 80), "idf": _text(head, 144),
        "built": (_text(head, 128, 16) + " " + _text(head, 112, 16)).strip(), "elf_sha256": bytes(head[176:208]).hex(),
    }  # fmt: skip


def _text(head: "bytearray | memoryview", offset: int, size: int = 32) -> str:
    raw = bytes(head[offset : offset + size]).split(b"\0")[0]
    return "".join(chr(c) if 32 <= c < 127 else "?" for c in raw)
