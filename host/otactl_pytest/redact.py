"""Nothing that the plugin writes or shows has a password in it: each known secret, and what looks like one, becomes ***."""

import json
import re
from typing import Any
from urllib.parse import quote

_SHORTEST = 4  # characters: a shorter one is hidden only where it stands alone, it would take words apart
_HIDDEN = "***"
_DEEPEST = 8  # objects within objects, of a chain of exceptions with their local variables
_WORDS = "password|passwd|psk|token|secret"
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


def clean(text: str) -> str:
    for secret in sorted(_secrets, key=len, reverse=True):
        if len(secret) >= _SHORTEST:
            text = text.replace(secret, _HIDDEN)
        else:
            text = re.sub(rf"(?<!\w){re.escape(secret)}(?!\w)", _HIDDEN, text)
    for pattern in _LOOKS_SECRET:
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
