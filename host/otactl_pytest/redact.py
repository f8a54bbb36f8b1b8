"""Nothing that the plugin writes or shows has a password or a key in it: each known secret, and what looks like one, becomes
***."""

import binascii
import json
import os
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

_SHORTEST = 4  # characters: a shorter one is hidden only where it stands alone, it would take words apart
_HIDDEN = "***"
_DEEPEST = 8  # objects within objects, of a chain of exceptions with their local variables
_WORDS = "password|passwd|passphrase|psk|token|secret"
_VARIABLES = ("OTACTL_", "BOARD_")  # how the names of those begin that this project reads
_LONGEST_LINE = 64  # characters of a PEM's
_LOOKS_SECRET = (
    # "password": "...", token='...', with escaped quotes in it
    re.compile(
        rf"""(?P<keep>\w*(?:{_WORDS})\w*["']?\s*[:=]\s*b?(?P<quote>["']))(?P<hide>(?:(?!(?P=quote))[^\\]|\\.)+)""",
        re.IGNORECASE,
    ),
    # {\"password\": \"...\"}: the same in a repr of JSON
    re.compile(
        rf"""(?P<keep>\w*(?:{_WORDS})\w*\\["']\s*[:=]\s*\\["'])(?P<hide>(?:(?!\\["']).)+)""",
        re.IGNORECASE,
    ),
    # --password ..., PASSWORD=..., ?token=...
    re.compile(
        rf"""(?P<keep>--?[\w-]*(?:{_WORDS})[\w-]*[=\s]|[\w-]*(?:{_WORDS})[\w-]*=)(?P<hide>[^\s"'&,;)\]}}]+)""",
        re.IGNORECASE,
    ),
    # wlan.connect("ssid", "...")
    re.compile(r"""(?P<keep>connect\(\s*(?:b?"[^"]*"|b?'[^']*')\s*,\s*b?["'])(?P<hide>[^"']+)"""),
    # https://user:...@host
    re.compile(r"(?P<keep>://[^/\s:@]+:)(?P<hide>[^/\s@]+)(?=@)"),
)
_KEYS = (
    # all of a PEM with a private key in it
    re.compile(r"(?P<keep>-----BEGIN [A-Z ]*PRIVATE KEY-----)(?P<hide>.+?)(?=-----END)", re.DOTALL),
    # the numbers of a device.json: no version, address or hash of decimal digits is so long
    re.compile(r"(?P<keep>)(?P<hide>\d{70,})"),
)
_secrets: set[str] = set()


def register_secret(text: str) -> None:
    """Keep `text` out of all that is written from now on, in this process."""
    if text:
        _secrets.update(_spellings(text))


def _spellings(text: str) -> set[str]:
    """As it stands in Python, in JSON, in an address and in bytes."""
    quoted = (json.dumps(text), json.dumps(text, ensure_ascii=False), repr(text), ascii(text), repr(text.encode())[1:])
    return {text, quote(text, safe=""), *(one[1:-1] for one in quoted)}


def register_from(config: object) -> None:
    """The secrets of a configuration: what stands under a name like password or token, at any depth."""
    pairs = config.items() if isinstance(config, dict) else enumerate(config) if isinstance(config, list) else ()
    for name, value in pairs:
        if isinstance(value, str) and re.search(_WORDS, str(name), re.IGNORECASE):
            register_secret(value)
        register_from(value)


def register_environment(variables: Mapping[str, str] = os.environ) -> None:
    """The passwords and passphrases that this project's variables hold."""
    for name, value in variables.items():
        if name.startswith(_VARIABLES) and re.search(_WORDS, name, re.IGNORECASE):
            register_secret(value)


def register_key(data: bytes) -> None:
    """A file with a private key, such as client.key: as a program may print it, as bytes, in hex, in base64 and as a PEM."""
    if not data:
        return
    coded = binascii.b2a_base64(data, newline=False).decode()
    pem = [coded[at : at + _LONGEST_LINE] for at in range(0, len(coded), _LONGEST_LINE)]
    _secrets.update({repr(data)[2:-1], data.hex(), data.hex().upper(), coded, *(line for line in pem if len(line) > 9)})
    if data.isascii():
        register_secret(data.decode().strip())


def clean(text: str) -> str:
    for secret in sorted(_secrets, key=len, reverse=True):
        if len(secret) >= _SHORTEST:
            text = text.replace(secret, _HIDDEN)
        else:
            text = re.sub(rf"(?<!\w){re.escape(secret)}(?!\w)", _HIDDEN, text)
    for pattern in (*_LOOKS_SECRET, *_KEYS):
        text = pattern.sub(rf"\g<keep>{_HIDDEN}", text)
    return text


def cleaned(value: Any, depth: int = 0) -> Any:
    """A report's longrepr with all its texts clean: a text, a tuple, or pytest's own objects, which are changed in place."""
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, list | tuple):
        return type(value)(cleaned(one, depth + 1) for one in value)
    if depth <= _DEEPEST and hasattr(value, "__dict__"):
        for name, one in vars(value).items():
            vars(value)[name] = cleaned(one, depth + 1)
    return value
