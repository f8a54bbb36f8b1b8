"""Nothing that the plugin writes or shows has a password in it: each known secret, and what looks like one, becomes ***."""

import json
import re
from typing import Any

_SHORTEST = 4  # characters: a shorter one would take words apart
_HIDDEN = "***"
_LOOKS_SECRET = (
    # "password": "...", token='...' (the escaped form too, as in a repr of JSON)
    re.compile(
        r"""(?P<keep>\w*(?:password|passwd|psk|token|secret)\w*\\?["']?\s*[:=]\s*\\?["'])(?P<hide>[^"'\\]+)""",
        re.IGNORECASE,
    ),
    # wlan.connect("ssid", "...")
    re.compile(r"""(?P<keep>connect\(\s*(?:b?"[^"]*"|b?'[^']*')\s*,\s*b?["'])(?P<hide>[^"']+)"""),
    # https://user:...@host
    re.compile(r"(?P<keep>://[^/\s:@]+:)(?P<hide>[^/\s@]+)(?=@)"),
)
_secrets: set[str] = set()


def register_secret(text: str) -> None:
    """Keep `text` out of all that is written from now on, in this process, also as JSON and Python write it."""
    if len(text) >= _SHORTEST:
        written = (json.dumps(text), json.dumps(text, ensure_ascii=False), repr(text), ascii(text))
        _secrets.update([text, *(one[1:-1] for one in written)])


def register_from(config: object) -> None:
    """The secrets of a configuration: what stands under a name like password or token, at any depth."""
    pairs = config.items() if isinstance(config, dict) else enumerate(config) if isinstance(config, list) else ()
    for name, value in pairs:
        if isinstance(value, str) and re.search("password|passwd|psk|token|secret", str(name), re.IGNORECASE):
            register_secret(value)
        register_from(value)


def clean(text: str) -> str:
    for secret in sorted(_secrets, key=len, reverse=True):
        text = text.replace(secret, _HIDDEN)
    for pattern in _LOOKS_SECRET:
        text = pattern.sub(rf"\g<keep>{_HIDDEN}", text)
    return text


def clean_report(found: Any, depth: int = 0) -> None:
    """All texts in a report's own objects (pytest's ReprExceptionInfo and what it is made of), in place."""
    if depth > 8 or not hasattr(found, "__dict__"):
        return
    for name, value in vars(found).items():
        vars(found)[name] = _cleaned(value, depth)


def _cleaned(value: Any, depth: int) -> Any:
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, list | tuple):
        return type(value)(_cleaned(one, depth + 1) for one in value)
    clean_report(value, depth + 1)
    return value
