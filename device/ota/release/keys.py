"""The keys that a board trusts: /etc/ota/keys.json. The first deployment brings an object of keyid -> modulus in hex, which
is version 1: each key has every role, and signs alone. Later it is what a trust document says (release/trust.py):
{"version": N, "keys": {keyid: modulus}, "root": {"keys": [keyid…], "threshold": m}, "release": {the same}}."""

import json

from micropython import const

from ..errors import OtaError, require

_KEYID = const(64)  # hex digits: the Secure Boot V2 digest of the public key
_BITS = const(3072)


def load(path: str, role: str = "release") -> tuple:
    """Of the role, "release" or "root": the version, keyid -> modulus, how many of these keys have to sign. Raises
    OtaError: keys-missing, keys-invalid."""
    keys = {}
    try:
        with open(path) as f:
            held = json.load(f)
        version = held.get("version", 1)
        of = held[role] if version > 1 else {"keys": held, "threshold": 1}
        for keyid in of["keys"]:
            n = keys[keyid.lower()] = int(held.get("keys", held)[keyid], 16)
            # A short or an even modulus is a typing error or an attack, never a 3072-bit key.
            if len(keyid) != _KEYID or n >> (_BITS - 1) != 1 or not n & 1:
                raise ValueError
        require(0 < of["threshold"] <= len(keys), "keys-invalid", path)
        return version, keys, of["threshold"]
    except OSError:
        raise OtaError("keys-missing", path)
    except (ValueError, TypeError, AttributeError, KeyError):
        raise OtaError("keys-invalid", path)
