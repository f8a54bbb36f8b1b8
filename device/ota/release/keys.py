"""The release keys that a board trusts: /etc/ota/keys.json, an object of keyid -> modulus."""

import json

from micropython import const

from ..errors import OtaError, require

_KEYID = const(64)  # hex digits: the Secure Boot V2 digest of the public key
_BITS = const(3072)


def load(path: str) -> "dict[str, int]":
    """keyid -> modulus. Raises OtaError: keys-missing, keys-invalid."""
    keys = {}
    try:
        with open(path) as f:
            for keyid, modulus in json.load(f).items():
                n = keys[keyid.lower()] = int(modulus, 16)
                # A short or an even modulus is a typing error or an attack, never a 3072-bit key.
                if len(keyid) != _KEYID or n >> (_BITS - 1) != 1 or not n & 1:
                    raise ValueError
    except OSError:
        raise OtaError("keys-missing", path)
    except (ValueError, TypeError, AttributeError):
        keys = {}
    require(keys, "keys-invalid", path)
    return keys
