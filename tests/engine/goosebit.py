"""A gooseBit of the tests' own: its real server, on sqlite, with TLS by a certificate of the workspace's CA."""

import os
import socket
import ssl
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path

import rig as rigs
from otactl.workspace.workspace import Workspace

from engine.fleet import HOST, PASSWORD, USER
from engine.served import certified

_READY_S = 60
# Tables first: the wheel has no command for that. Where names of the tests lie is told instead of a name server.
_RUN = f"""
import asyncio, socket, sys
import uvicorn
from tortoise import Tortoise
from goosebit.db.config import TORTOISE_CONF

async def tables():
    await Tortoise.init(TORTOISE_CONF)
    await Tortoise.generate_schemas()
    await Tortoise.close_connections()

asyncio.run(tables())
asked = socket.getaddrinfo
socket.getaddrinfo = lambda host, *more, **named: asked("127.0.0.1" if host in ("{rigs.HOST}", b"{rigs.HOST}") else host, *more, **named)
port, key, certificate = sys.argv[1:]
uvicorn.run(
    "goosebit:app", host="127.0.0.1", port=int(port), ssl_keyfile=key, ssl_certfile=certificate, log_level="warning"
)
"""


class Goosebit:
    """A running server; `port` of this machine."""

    def __init__(self, python: str, root: Path, place: Workspace) -> None:
        self.port = rigs.free_port()
        self.ca = (place.tls / "ca.pem").read_text()
        env = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
        env |= {
            "GOOSEBIT_DB_URI": f"sqlite://{root}/db.sqlite3",
            "GOOSEBIT_ARTIFACTS_DIR": f"{root}/artifacts",
            "GOOSEBIT_SECRET_KEY": "a-secret-of-the-test",
            "GOOSEBIT_DEVICE_AUTH": '{"enable": true, "mode": "strict"}',
            "OTEL_SDK_DISABLED": "true",
            "SSL_CERT_FILE": str(place.tls / "ca.pem"),
        }
        key, certificate = certified(place, root, [HOST, "127.0.0.1"])
        command = [python, "-c", _RUN, str(self.port), str(key), str(certificate)]
        self._log = root / "goosebit.log"
        with self._log.open("w") as log:
            self._process = subprocess.Popen(command, env=env, cwd=root, stdout=log, stderr=log)
        self._await()
        self._ask("/setup", f"username={USER}&password={PASSWORD}".encode())

    def _await(self) -> None:
        until = time.monotonic() + _READY_S
        while time.monotonic() < until and self._process.poll() is None:
            try:
                with socket.create_connection(("127.0.0.1", self.port), timeout=1):
                    return
            except OSError:
                time.sleep(0.1)
        raise AssertionError(f"gooseBit did not start:\n{self._log.read_text()}")

    def _ask(self, path: str, body: bytes) -> None:
        context = ssl.create_default_context(cadata=self.ca)
        context.check_hostname = False
        request = urllib.request.Request(f"https://127.0.0.1:{self.port}{path}", body)
        try:
            urllib.request.urlopen(request, context=context, timeout=20).close()
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{path}: {error.read()!r}\n{self._log.read_text()}") from None

    def close(self) -> None:
        self._process.kill()  # asked to end it waits for connections that are kept alive, perhaps for ever
        self._process.wait()
