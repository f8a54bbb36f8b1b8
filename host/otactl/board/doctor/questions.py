"""What a board is asked in one go: facts of its chip, flash and files. It needs no agent, and changes nothing."""

from typing import Any

from otactl.board import deploy
from otactl.board.link import Link

CONFIG, KEYS, CA = (f"{deploy.CONFIG}/{name}" for name in ("config.json", "keys.json", "ca.pem"))
_ASKING_S = 30  # it reads the head of each page of NVS
_HASHING_S = 10  # one file of the agent, on the board

# Bases of the bootloader: 0x1000 on ESP32 and S2, 0x0 on S3, C3 and C6, 0x2000 on P4 and C5.
_ASK = (
    deploy.FILES
    + """
import gc, sys, time
def _hex(b):
    return binascii.hexlify(b).decode()
def _try(f, *a):
    try:
        return f(*a)
    except Exception as e:
        return None
def _read(p, block, size):
    b = bytearray(size)
    p.readblocks(block, b, 0)
    return _hex(b)
def _flash(address, size):
    import esp
    b = bytearray(size)
    esp.flash_read(address, b)
    return _hex(b)
def _heap():
    import esp32
    heaps = esp32.idf_heap_info(esp32.HEAP_DATA)
    return [sum([h[1] for h in heaps]), max([h[2] for h in heaps])]
def _parts():
    from esp32 import Partition as P
    rows = [list(p.info())[:5] for t in (0, 1) for p in P.find(t)]
    running, found = P(P.RUNNING), {}
    found["rows"], found["running"], found["image"] = rows, running.info()[4], _read(running, 0, 32)
    found["boot"] = _try(lambda: P(P.BOOT).info()[4])
    for p in P.find(P.TYPE_DATA):
        kind, size = p.info()[1], p.info()[3]
        if kind == 0:
            found["otadata"] = [_read(p, 0, 32), _read(p, 1, 32)]
        elif kind == 2:
            found["nvs"] = [_read(p, i, 64) for i in range(size // 4096)]
    return found
def _size():
    import esp
    return esp.flash_size()
def _little():
    from esp32 import Partition as P
    return any([_read(p, i, 16)[16:] == _hex(b"littlefs") for p in P.find(P.TYPE_DATA) if p.info()[4] in ("vfs", "ffat")
        for i in range(2)])
def _facts():
    gc.collect()
    impl, room = sys.implementation, _try(os.statvfs, "/")
    return {"platform": sys.platform, "version": list(impl[1][:3]), "machine": getattr(impl, "_machine", ""),
        "mpy": getattr(impl, "_mpy", 0) & 0xFF, "build": getattr(impl, "_build", None), "date": list(time.gmtime()[:6]),
        "heap": gc.mem_free(), "idf_heap": _try(_heap), "room": room and room[0] * room[3], "path": sys.path, "littlefs": _try(_little), "flash_size": _try(_size),
        "bootloader": [_try(_flash, at, 96) for at in (0, 0x1000, 0x2000)], "parts": _try(_parts),
        "agent": _walk("/lib/ota"), "root": _names("/"),
        "boot.py": _calls("/boot.py"), "main.py": _calls("/main.py")}
"""
)


def facts(link: Link) -> dict[str, Any]:
    """Sizes in bytes, flash contents in hex; None for what the board cannot tell. Raises BoardError, RigError."""
    found: dict[str, Any] = link.value("_facts()", _ASK, timeout_s=_ASKING_S)
    texts = link.value(f"[_text(p) for p in {[CONFIG, KEYS, CA]!r}]", timeout_s=_HASHING_S)
    return found | {"texts": dict(zip((CONFIG, KEYS, CA), texts, strict=True))}


def hashes(link: Link, names: list[str]) -> dict[str, str | None]:
    """SHA-256 (hex) of the agent's files of those names, None where one is missing. After `facts`. Raises as it."""
    found = link.values("_digest", [f"{deploy.AGENT}/{name}" for name in names], timeout_s=_HASHING_S)
    return dict(zip(names, found, strict=True))
