"""The MQTT broker that a server tells of its boards: where it is, who we are there, and how it proves itself."""

import os
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from otactl.errors import UsageError
from otactl.words import reason

USER, PASSWORD = "OTACTL_MQTT_USER", "OTACTL_MQTT_PASSWORD"
_PORTS = {"mqtts": 8883, "mqtt": 1883}
_KEYS = ("user", "password", "ca")


@dataclass(frozen=True, slots=True)
class Broker:
    """`secure`: None for plain MQTT."""

    host: str
    port: int
    user: str | None
    password: str | None
    secure: ssl.SSLContext | None

    def __str__(self) -> str:
        return f"{'mqtts' if self.secure else 'mqtt'}://{self.host}:{self.port}"


def broker(address: str, table: dict[str, Any], root: Path) -> Broker:
    """`address`: HOST[:PORT], with mqtt:// before it for one without TLS. `table`: [mqtt] of otactl.toml in the folder `root`:
    user, password, and `ca`, the file of the CA that vouches for the broker where the system's do not. The environment goes
    before it. Raises UsageError."""
    try:
        parts = urlsplit(address if "://" in address else f"mqtts://{address}")
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port = None, None
    if not host or parts.scheme not in _PORTS or parts.path or parts.username is not None:
        raise UsageError(f"--mqtt {address}: HOST or HOST:PORT, or mqtt://HOST for a broker without TLS")
    for name, value in table.items():
        if name not in _KEYS or not isinstance(value, str):
            raise UsageError(f"otactl.toml: [mqtt] has {' and '.join(_KEYS)}, each a text, not {name} = {value!r}")
    secure = _secure(root / table["ca"] if "ca" in table else None) if parts.scheme == "mqtts" else None
    user, password = os.environ.get(USER, table.get("user")), os.environ.get(PASSWORD, table.get("password"))
    return Broker(host, port or _PORTS[parts.scheme], user, password, secure)


def _secure(ca: Path | None) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=str(ca) if ca else None)
    except OSError as error:  # an SSLError is one
        raise UsageError(f"otactl.toml: [mqtt] ca = {str(ca)!r} is no certificate to trust: {reason(error)}") from None
