"""The workspace: a folder with the release key, the TLS files, otactl.toml and releases/."""

import contextlib
import difflib
import re
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import tomlkit
from tomlkit.exceptions import TOMLKitError

from otactl.errors import UsageError
from otactl.files import locked
from otactl.words import reason

SETTINGS = "otactl.toml"
_CHANNEL = re.compile(r"[0-9A-Za-z][0-9A-Za-z._-]{0,31}\Z")  # a file name
_KEYS = {"product": str, "url": str, "channel": str, "board": dict, "engine": dict, "mqtt": dict}


@dataclass(frozen=True, slots=True)
class Workspace:
    """`url`: where boards find releases/. `board`: what else goes into a board's config.json. `engine`: which fleet
    engine there is, where there is one. `mqtt`: as server.broker has it."""

    root: Path
    product: str
    url: str
    channel: str = "stable"
    board: dict[str, Any] = field(default_factory=dict)
    engine: dict[str, Any] = field(default_factory=dict)
    mqtt: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def find(cls, start: Path) -> "Workspace":
        """The workspace that `start` lies in. Raises UsageError."""
        if not start.exists():  # a slip must not lead to a workspace further up, with another key
            raise UsageError(f"no workspace at {start}: there is no such folder")
        for folder in (start.resolve(), *start.resolve().parents):
            if (folder / SETTINGS).is_file():
                return cls._load(folder)
        raise UsageError(
            f"no workspace at {start} (no {SETTINGS}): make one with `otactl init`, or name it with --workspace"
        )

    @classmethod
    def _load(cls, root: Path) -> "Workspace":
        path = root / SETTINGS
        try:
            raw = tomlkit.parse(path.read_text(encoding="utf-8")).unwrap()
        except (OSError, ValueError, TOMLKitError) as error:  # not TOML, or not UTF-8
            raise UsageError(f"{path}: {reason(error)}") from None
        for name in raw:
            if name not in _KEYS:
                raise UsageError(f"{path}: {_unknown(name)}")
        for name in ("product", "url"):
            if name not in raw:
                raise UsageError(f"{path}: {name} is missing")
        for name, kind in _KEYS.items():
            if not isinstance(raw.get(name, kind()), kind):
                raise UsageError(f"{path}: {name} must be a {'table' if kind is dict else 'text'}")
        found = cls(
            root,
            raw["product"],
            raw["url"],
            raw.get("channel", "stable"),
            raw.get("board", {}),
            raw.get("engine", {}),
            raw.get("mqtt", {}),
        )
        if not _CHANNEL.match(found.channel):
            raise UsageError(f"{path}: channel {found.channel!r} is no name for a file")
        if not _is_address(found.url):
            raise UsageError(f"{path}: url {found.url!r} is not an http(s) address")
        return found

    def on(self, channel: str) -> "Workspace":
        """The same workspace, with another channel. Raises UsageError where that is no name for a file."""
        if not _CHANNEL.match(channel):
            raise UsageError(f"channel {channel!r}: letters, digits and ._- only, 32 at the most")
        return replace(self, channel=channel)

    @property
    def releases(self) -> Path:
        return self.root / "releases"

    @property
    def key_file(self) -> Path:
        return self.root / "keys" / "release.pem"

    @property
    def trusted(self) -> Path:
        """The folder with the keys that boards trust: every *.pub.json in it."""
        return self.root / "keys"

    @property
    def device_key_file(self) -> Path:
        """By which boards open encrypted images; where there is one."""
        return self.root / "encryption" / "device.pem"

    @property
    def tls(self) -> Path:
        return self.root / "tls"

    @property
    def channel_file(self) -> Path:
        return self.releases / f"{self.channel}.json"

    @property
    def channel_url(self) -> str:
        return f"{self.url.rstrip('/')}/{self.channel}.json"

    @property
    def host(self) -> str:
        """The name or address in `url`."""
        return urlsplit(self.url).hostname or ""

    @property
    def path(self) -> str:
        """The folder in `url`, for servers that have releases/ in one; else empty."""
        return urlsplit(self.url).path.rstrip("/")

    @property
    def port(self) -> int:
        parts = urlsplit(self.url)
        return parts.port or (443 if parts.scheme == "https" else 80)

    def publishing(self, wait_s: float = 10) -> contextlib.AbstractContextManager[None]:
        """Held while a release is made: two at once would both want the same sequence."""
        return locked(self.root / ".publishing", wait_s)

    def board_config(self) -> dict[str, Any]:
        """What goes to /etc/ota/config.json."""
        return {"url": self.channel_url, "product": self.product, **self.board}


def _unknown(name: str) -> str:
    close = difflib.get_close_matches(name, _KEYS, 1)
    advice = f"is it {close[0]}?" if close else "what boards are told goes below [board]"
    return f"unknown key {name!r} (known: {', '.join(_KEYS)}): {advice}"


def _is_address(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # a port that is none
        return False
