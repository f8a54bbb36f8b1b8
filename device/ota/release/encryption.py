"""What a release says of its encrypted image, in the format of Espressif's esp_encrypted_img (version 2.7.1): a header of 512
bytes, then the image under AES-256-GCM. The header came with the signed release, so nothing of it is an attacker's.

header: magic (4 bytes), AES key (384; unwrap.py), IV (16), size (4, little-endian), tag (16), zeros."""

import binascii
import json

from ..errors import require
from . import unwrap


def opened(wanted: dict, target: dict):
    """Steps that return (AES key, IV) of a target's image, None where it is not encrypted. `wanted`: the configuration's
    entry `encryption`. P1: what does not open is refused here, before a byte of the image is asked for. Raises OtaError
    bad-release, encryption, encryption-key."""
    said = target.get("encryption")
    if said is None:
        require(not wanted["required"], "encryption", "none")
        return None
    try:
        scheme = str(said["scheme"])
        header = binascii.a2b_base64(said["header"])
        header += bytes(512 - len(header))  # its last zeros may be left out
        good = header[:4] == b"\xcf\xb6\x88\x07" and header[404:408] == target["size"].to_bytes(4, "little")
    except (ValueError, TypeError, KeyError):
        good = False
    require(good, "bad-release", "encryption")
    key = None
    try:
        with open(wanted["key"]) as f:
            keys = json.load(f)
        require(scheme in keys, "encryption", scheme[:16])
        key = yield from getattr(unwrap, scheme)(header[4:388], keys[scheme])
    except (OSError, ValueError, TypeError):  # no such file, or none that `otactl deploy` wrote
        pass
    require(key, "encryption-key", scheme)
    return key, header[388:404]
