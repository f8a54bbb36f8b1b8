"""Code for the board that several parts ask it with. Each is the beginning of what is run there, or a part of a file."""

# _hash(path): SHA-256 of a file, in hex; raises OSError where it cannot be read
HASH = """
import hashlib, binascii
def _hash(path):
    h = hashlib.sha256()
    with open(path, "rb") as f:
        while True:
            b = f.read(512)
            if not b:
                return binascii.hexlify(h.digest()).decode()
            h.update(b)
"""

# _otadata(): the two entries as they lie in flash, 32 bytes each, in hex; none where the table has no otadata
OTADATA = """
from binascii import hexlify
from esp32 import Partition
def _otadata():
    found, raw = [], bytearray(32)
    for part in Partition.find(Partition.TYPE_DATA, subtype=0):
        for sector in (0, 1):
            part.readblocks(sector, raw)
            found.append(hexlify(raw).decode())
    return found
"""

# The agent's record in NVS (device/ota/boot/store.py): _record() as a dict, blobs in hex; _set_record(wanted). What is
# wanted goes over what is there and the rest is erased last: a reset in the middle leaves no board without a record
RECORD = """
import binascii
from esp32 import NVS
_BLOBS, _NUMBERS = ("job0", "job1", "state0", "state1"), ("offset", "proven", "filler")
def _record():
    nvs, found, raw = NVS("ota"), {}, bytearray(1984)
    for key in _BLOBS:
        try:
            found[key] = binascii.hexlify(raw[:nvs.get_blob(key, raw)]).decode()
        except OSError:
            pass
    for key in _NUMBERS:
        try:
            found[key] = nvs.get_i32(key)
        except OSError:
            pass
    return found
def _set_record(wanted):
    nvs = NVS("ota")
    for key in wanted:
        if not isinstance(wanted[key], str):
            nvs.set_i32(key, wanted[key])
            continue
        blob = binascii.unhexlify(wanted[key])
        try:
            nvs.set_blob(key, blob)
        except OSError:  # full: what this one replaces is room
            nvs.erase_key(key)
            nvs.set_blob(key, blob)
    nvs.commit()
    for key in _BLOBS + _NUMBERS:
        if key not in wanted:
            try:
                nvs.erase_key(key)
            except OSError:
                pass
    nvs.commit()
"""
