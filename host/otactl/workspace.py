"""The workspace: a folder with the release key, the TLS files, otactl.toml and releases/."""

import contextlib
import json
import re
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from otactl import envelope, keys, tls
from otactl.errors import OtactlError, UsageError
from otactl.files import locked, write_atomic

SETTINGS = "otactl.toml"
MAX_INT = 0x7FFFFFFF  # what a board's NVS holds
_DEFAULT_PORT = 8443
_IGNORED = (b"keys/*.pem", b"tls/*.key", b"otactl.toml", b".publishing")
_CHANNEL = re.compile(r"[0-9A-Za-z][0-9A-Za-z._-]{0,31}\Z")  # a file name


@dataclass(frozen=True, slots=True)
class Workspace:
    """`url`: where boards find releases/. `board`: what else goes into a board's config.json."""

    root: Path
    product: str
    url: str
    channel: str = "stable"
    board: dict[str, Any] = field(default_factory=dict)

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
            raw = tomllib.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:  # not TOML, or not UTF-8
            raise UsageError(f"{path}: {error}") from None
        for name in ("product", "url"):
            if name not in raw:
                raise UsageError(f"{path}: {name} is missing")
        for name, kind in (("product", str), ("url", str), ("channel", str), ("board", dict)):
            if not isinstance(raw.get(name, kind()), kind):
                raise UsageError(f"{path}: {name} must be a {'table' if kind is dict else 'text'}")
        found = cls(root, raw["product"], raw["url"], raw.get("channel", "stable"), raw.get("board", {}))
        if not _CHANNEL.match(found.channel):
            raise UsageError(f"{path}: channel {found.channel!r} is no name for a file")
        if not _is_address(found.url):
            raise UsageError(f"{path}: url {found.url!r} is not an http(s) address")
        return found

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

    def publishing(self) -> contextlib.AbstractContextManager[None]:
        """Held while a release is made: two at once would both want the same sequence."""
        return locked(self.root / ".publishing")

    def next_sequence(self) -> int:
        """One more than any that was given out here, also by a copy of this workspace.

        Raises UsageError where the numbers that a board can keep are used up.
        """
        found = max([self._counter(), *self._published()]) + 1
        if found > MAX_INT:
            raise UsageError(f"{self.root / 'sequence'}: boards know numbers up to {MAX_INT}")
        return found

    def take_sequence(self, number: int) -> None:
        """Never to be given out again, whatever becomes of the release that it was for."""
        write_atomic(self.root / "sequence", f"{number}\n".encode())

    def _counter(self) -> int:
        path = self.root / "sequence"
        try:
            return int(path.read_text())
        except FileNotFoundError:
            return 0
        except (OSError, ValueError):
            raise UsageError(f"{path} holds no number: put the last one used there") from None

    def _published(self) -> list[int]:
        public = keys.trusted(self.trusted)
        found = []
        for path in [*self.releases.glob("*.json"), *self.releases.glob("*/release.json")]:
            try:
                found.append(int(envelope.unseal(path.read_bytes(), public)["sequence"]))
            except (OtactlError, OSError, ValueError, KeyError, TypeError):
                continue  # another key's, or no release: it sets no bound here
        return found

    def board_config(self) -> dict[str, Any]:
        """What goes to /etc/ota/config.json."""
        return {"url": self.channel_url, "product": self.product, **self.board}


def _is_address(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # a port that is none
        return False


def create(
    root: Path,
    *,
    product: str,
    names: list[str],
    port: int = _DEFAULT_PORT,
    wifi: dict[str, str] | None = None,
) -> Workspace:
    """A new workspace. `names`: what boards call this machine; the first one they are told.

    Keys and a CA that are there stay: boards may trust them already. Raises UsageError where there is a workspace.
    """
    if (root / SETTINGS).exists():
        raise UsageError(f"{root} is a workspace already; its key is what your boards trust, so it stays")
    if not product or len(product) > 64:
        raise UsageError("--product: a name of 1 to 64 characters")
    if not port:
        raise UsageError("--port: boards need a number from 1 to 65535")
    known = list(dict.fromkeys([*names, *tls.own_names()]))
    if known[0].count(":") > 1:  # an IPv6 address
        raise UsageError(f"{known[0]}: boards use IPv4; give a name, or an IPv4 address, before it")
    for folder in (root, root / "keys", root / "tls", root / "releases"):
        folder.mkdir(parents=True, exist_ok=True)
    if not (root / "tls" / "ca.pem").exists():  # left by a run that was broken off
        tls.make_ca(root / "tls", product)
    tls.make_server(root / "tls", known)
    keys.keep_or_generate(root / "keys" / "release.pem")
    _ignore(root / ".gitignore")
    write_atomic(root / SETTINGS, _settings(product, known[0], port, wifi).encode(), 0o600)
    return Workspace.find(root)


def _ignore(path: Path) -> None:
    """Keep the secrets out of git; the folder may be a project of the user's, with a file of its own."""
    kept = path.read_bytes() if path.exists() else b""
    missing = [line for line in _IGNORED if line not in kept.splitlines()]
    ended = b"" if kept.endswith(b"\n") or not kept else b"\n"
    write_atomic(path, kept + ended + b"".join(line + b"\n" for line in missing))


def _settings(product: str, host: str, port: int, wifi: dict[str, str] | None) -> str:
    lines = [
        "# What the boards are called, and where they find releases/.",
        f"product = {_toml(product)}",
        'channel = "stable"',
        f"url = {_toml(f'https://{host}:{port}')}",
        "",
        "# Goes into every board's /etc/ota/config.json; docs/api.md lists all that may be here.",
    ]
    if wifi:
        lines += ["[board.wifi]", *(f"{k} = {_toml(v)}" for k, v in wifi.items()), ""]
    else:
        lines += ["# [board.wifi]", '# ssid = "..."', '# password = "..."', ""]
    lines += [
        "[board.trial]",
        "deadline_s = 180",
        'checks = [{ check = "wifi" }, { check = "server" }]',
    ]
    return "\n".join(lines) + "\n"


def _toml(text: str) -> str:
    """As TOML has it: unlike JSON, no surrogates for what is beyond 16 bits, and DEL only escaped."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
