"""A gooseBit for a demo or a test: its real server, by the Python that has it, on sqlite and with TLS."""

import json
import os
import socket
import ssl
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Self

from otactl.errors import RigError

_READY_S = 60
_ASK_S = 20
STRICT = '{"enable": true, "mode": "strict"}'  # boards that it knows, by their tokens
# Tables first: the wheel has no command for that. The socket is ours, so that nobody else gets its port meanwhile; the server
# ends when our end of its standard input does, whatever has become of us. `hosts`: names that no name server knows.
_RUN = """
import asyncio, json, os, socket, sys, threading
import uvicorn
from tortoise import Tortoise
from goosebit.db.config import TORTOISE_CONF

threading.Thread(target=lambda: (sys.stdin.read(), os._exit(0)), daemon=True).start()

async def tables():
    await Tortoise.init(TORTOISE_CONF)
    await Tortoise.generate_schemas()
    await Tortoise.close_connections()

asyncio.run(tables())
fd, key, certificate, hosts = int(sys.argv[1]), *sys.argv[2:4], json.loads(sys.argv[4])
asked = socket.getaddrinfo

def told(host, *more, **named):
    name = host.decode() if isinstance(host, bytes) else host
    return asked(hosts.get(name, host), *more, **named)

socket.getaddrinfo = told
uvicorn.run("goosebit:app", fd=fd, ssl_keyfile=key, ssl_certfile=certificate, log_level="warning")
"""


class Goosebit:
    """A running server; `port`: of this machine, by which it is https://localhost:PORT too; `database`: its sqlite file."""

    def __init__(
        self,
        python: Path,
        folder: Path,
        ca: Path,
        certificate: tuple[Path, Path],
        user: tuple[str, str],
        hosts: Mapping[str, str] | None = None,
        device_auth: str = STRICT,
    ) -> None:
        """`folder`: for its files, empty. `ca`: whom it believes, and who has made its own `certificate` (key, chain). `user`: who is
        made its administrator, and the password. `hosts`: addresses of names. `device_auth`: which boards it lets in. Raises RigError."""
        folder = folder.resolve()  # gooseBit's settings need it
        self._ca = ca
        self.database = folder / "db.sqlite3"
        env = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
        env |= {
            "GOOSEBIT_DB_URI": f"sqlite://{self.database}",
            "GOOSEBIT_ARTIFACTS_DIR": f"{folder}/artifacts",
            "GOOSEBIT_SECRET_KEY": "of-a-demo-or-a-test",
            "GOOSEBIT_DEVICE_AUTH": device_auth,
            "OTEL_SDK_DISABLED": "true",
            "SSL_CERT_FILE": str(ca.resolve()),
        }
        self._log = folder / "goosebit.log"
        with socket.create_server(("127.0.0.1", 0)) as listening, self._log.open("w") as log:
            self.port: int = listening.getsockname()[1]
            fd = listening.fileno()
            paths = [str(path.resolve()) for path in certificate]
            words = [str(python.absolute()), "-c", _RUN, str(fd), *paths, json.dumps(dict(hosts or {}))]
            try:
                self._process = subprocess.Popen(
                    words, env=env, cwd=folder, stdin=subprocess.PIPE, stdout=log, stderr=log, pass_fds=[fd]
                )
            except OSError as error:
                raise RigError(f"{python}: {error.strerror}: a Python that has gooseBit is needed") from None
        try:
            self._set_up(*user)
        except BaseException:
            self.close()
            raise

    def _set_up(self, user: str, password: str) -> None:
        """Wait for it, and make an administrator. Raises RigError."""
        context = ssl.create_default_context(cafile=str(self._ca))
        body = urllib.parse.urlencode({"username": user, "password": password}).encode()
        until = time.monotonic() + _READY_S
        while True:
            try:
                address = f"https://localhost:{self.port}/setup"
                urllib.request.urlopen(address, body, context=context, timeout=_ASK_S).close()
                return
            except urllib.error.HTTPError as error:
                raise RigError(f"gooseBit refused /setup ({error.code}): {self._log} says more") from None
            except OSError as error:
                if self._process.poll() is not None or time.monotonic() > until:
                    last = (self._log.read_text().strip() or str(error)).splitlines()[-1]
                    raise RigError(
                        f"gooseBit does not start: {last} ({self._log}): `make demo-engine` installs it"
                    ) from None
                time.sleep(0.2)

    def close(self) -> None:
        self._process.kill()  # asked to end it waits for connections that are kept alive, perhaps for ever
        self._process.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
