"""A new workspace: its folders, key and certificates, and an otactl.toml to begin with."""

from pathlib import Path

import tomlkit

from otactl.errors import UsageError
from otactl.files import write_atomic
from otactl.workspace import keys, tls
from otactl.workspace.workspace import SETTINGS, Workspace

_DEFAULT_PORT = 8443
_IGNORED = (
    b"keys/*.pem",
    b"tls/*.key",
    b"tls/*/*.key",
    b"engine/*.token",
    b"otactl.toml",
    b".publishing",
    b"fleet.db*",
    b"drafts/",
)
_NEW = """\
# What the boards are called, and where they find releases/.
product = ""
channel = "stable"
url = ""

# Goes into every board's /etc/ota/config.json; docs/api.md lists all that may be here.
{wifi}
[board.trial]
deadline_s = 180
checks = [{{ check = "wifi" }}, {{ check = "server" }}]
"""
_WIFI = "[board.wifi]\n"
_NO_WIFI = """\
# [board.wifi]
# ssid = "..."
# password = "..."
"""


def create(
    root: Path,
    *,
    product: str,
    names: list[str],
    port: int = _DEFAULT_PORT,
    wifi: dict[str, str] | None = None,
    secret: bytes | None = None,
) -> Workspace:
    """A new workspace. `names`: what boards call this machine; the first one they are told. `secret`: the passphrase of
    a new key.

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
    keys.keep_or_generate(root / "keys" / "release.pem", secret)
    keep_secret(root)
    write_atomic(root / SETTINGS, _settings(product, known[0], port, wifi).encode(), 0o600)
    return Workspace.find(root)


def keep_secret(root: Path) -> None:
    """Keep the secrets of a workspace out of git; its folder may be a project of the user's, with a file of its own."""
    path = root / ".gitignore"
    kept = path.read_bytes() if path.exists() else b""
    missing = [line for line in _IGNORED if line not in kept.splitlines()]
    if not missing:
        return
    ended = b"" if kept.endswith(b"\n") or not kept else b"\n"
    write_atomic(path, kept + ended + b"".join(line + b"\n" for line in missing))


def _settings(product: str, host: str, port: int, wifi: dict[str, str] | None) -> str:
    made = tomlkit.parse(_NEW.format(wifi=_WIFI if wifi else _NO_WIFI))
    made.update(product=product, url=f"https://{host}:{port}")
    if wifi:
        made["board"]["wifi"].update(wifi)
    return tomlkit.dumps(made)
