"""The workspace: a folder with the release key, the TLS files, otactl.toml and releases/."""

import json
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from otactl import envelope, keys, tls
from otactl.errors import OtactlError, UsageError
from otactl.files import write_atomic

SETTINGS = "otactl.toml"
_DEFAULT_PORT = 8443


@dataclass(frozen=True, slots=True)
class Workspace:
    """`url`: where boards find releases/. `board`: what goes into a board's config.json besides url and product."""

    root: Path
    product: str
    url: str
    channel: str = "stable"
    board: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def find(cls, start: Path) -> "Workspace":
        """The workspace that `start` lies in. Raises UsageError."""
        for folder in (start.resolve(), *start.resolve().parents):
            if (folder / SETTINGS).is_file():
                return cls._load(folder)
        raise UsageError(f"no workspace at {start} (no {SETTINGS}): make one with `otactl init`")

    @classmethod
    def _load(cls, root: Path) -> "Workspace":
        path = root / SETTINGS
        try:
            raw = tomllib.loads(path.read_text())
            found = cls(root, raw["product"], raw["url"], raw.get("channel", "stable"), raw.get("board", {}))
        except tomllib.TOMLDecodeError as error:
            raise UsageError(f"{path}: {error}") from None
        except KeyError as error:
            raise UsageError(f"{path}: {error.args[0]} is missing") from None
        if urlsplit(found.url).scheme not in ("http", "https") or not urlsplit(found.url).hostname:
            raise UsageError(f"{path}: url {found.url!r} is not an http(s) address")
        return found

    @property
    def releases(self) -> Path:
        return self.root / "releases"

    @property
    def key_file(self) -> Path:
        return self.root / "keys" / "release.pem"

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
    def port(self) -> int:
        parts = urlsplit(self.url)
        return parts.port or (443 if parts.scheme == "https" else 80)

    def next_sequence(self) -> int:
        """One more than any that was ever given out, also by a copy of this workspace that published here."""
        return max([self._counter(), *self._published()]) + 1

    def take_sequence(self, number: int) -> None:
        """Never to be given out again, whatever becomes of the release that it was for."""
        write_atomic(self.root / "sequence", f"{number}\n".encode())

    def _counter(self) -> int:
        try:
            return int((self.root / "sequence").read_text())
        except FileNotFoundError:
            return 0
        except ValueError:
            raise UsageError(f"{self.root / 'sequence'} holds no number: put the last one used there") from None

    def _published(self) -> list[int]:
        public = [keys.load(self.key_file).public_key()]
        found = []
        for path in [*self.releases.glob("*.json"), *self.releases.glob("*/release.json")]:
            try:
                found.append(int(envelope.unseal(path.read_bytes(), public)["sequence"]))
            except (OtactlError, ValueError, KeyError, TypeError):
                continue  # another key's, or no release: it sets no bound here
        return found

    def board_config(self) -> dict[str, Any]:
        """What goes to /etc/ota/config.json."""
        return {"url": self.channel_url, "product": self.product, **self.board}


def create(
    root: Path,
    *,
    product: str,
    names: list[str],
    port: int = _DEFAULT_PORT,
    wifi: dict[str, str] | None = None,
) -> Workspace:
    """A new workspace. `names`: what boards call this machine, the first goes into their configuration.

    Raises UsageError where there is one already: its key may be the only one that boards trust.
    """
    if (root / SETTINGS).exists() or (root / "keys" / "release.pem").exists():
        raise UsageError(f"{root} is a workspace already; its key is what your boards trust, so it stays")
    for folder in (root, root / "keys", root / "tls", root / "releases"):
        folder.mkdir(parents=True, exist_ok=True)
    keys.generate(root / "keys" / "release.pem")
    tls.make_ca(root / "tls", product)
    known = list(dict.fromkeys([*names, *tls.own_names()]))
    tls.make_server(root / "tls", known)
    (root / ".gitignore").write_text("keys/\ntls/*.key\notactl.toml\n")
    lines = [
        "# What boards call themselves, and where they find releases/.",
        f"product = {json.dumps(product)}",
        'channel = "stable"',
        f"url = {json.dumps(f'https://{known[0]}:{port}')}",
        "",
        "# Goes into every board's /etc/ota/config.json; docs/api.md lists all that may stand here.",
    ]
    if wifi:
        lines += ["[board.wifi]", *(f"{key} = {json.dumps(value)}" for key, value in wifi.items()), ""]
    else:
        lines += ["# [board.wifi]", '# ssid = "..."', '# password = "..."', ""]
    lines += [
        "[board.trial]",
        "deadline_s = 180",
        'checks = [{ check = "wifi" }, { check = "server" }]',
    ]
    write_atomic(root / SETTINGS, ("\n".join(lines) + "\n").encode(), 0o600)
    return Workspace.find(root)
