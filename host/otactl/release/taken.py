"""Names of modules that an application must leave alone: it stands first in sys.path, and would hide them from all others.

Source: what real builds name in themselves (a test holds that against them), MicroPython ports/esp32/boards/manifest.py, and
the modules that py/objmodule.c registers there. Those of C that a file cannot hide are never imported from one: as bad a
surprise.
"""

_BUILT_IN = """
_asyncio _espnow _onewire _thread _webrepl array binascii bluetooth btree builtins cmath collections cryptolib deflate errno
esp esp32 framebuf gc hashlib heapq io json machine math micropython network os platform random re select socket struct sys
time tls uctypes vfs websocket
"""
_FROZEN = """
_boot aioespnow apa106 asyncio dht ds18x20 espnow flashbdev inisetup mip neopixel ntptime onewire requests ssl uasyncio umqtt
upysh urequests webrepl webrepl_setup
"""
BUILT_IN, FROZEN = frozenset(_BUILT_IN.split()), frozenset(_FROZEN.split())


def whose(module: str) -> str:
    """Whose module has that name, for a sentence: "MicroPython's own time". Empty where it is free."""
    if module == "ota":
        return "the agent"
    if module in BUILT_IN | FROZEN:
        return f"MicroPython's own {module}"
    if module[:1] == "u" and module[1:] in BUILT_IN:  # the name of before 1.21, which still works
        return f"MicroPython's own {module[1:]}"
    return ""
