"""The server: a thread for each connection, and the script that says what goes wrong with which."""

import contextlib
import socket
import ssl
import tempfile
import threading
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path
from typing import Self

from cryptography import x509
from otactl.workspace import tls

from faultserver import twist
from faultserver.delivery import reset, wait_for_close
from faultserver.exchange import BadRequest, Reply, Request, Source, read_request
from faultserver.faults import AT_CONNECTION, Step, written

_PATIENCE_S = 20.0  # for a client's hello and request
_ALERT = b"\x15\x03\x03\x00\x02\x02"  # a TLS record: alert, fatal


@dataclass(frozen=True, slots=True)
class Event:
    """One request, when it is over. `status` 0: the connection came to no answer. `connection`: counts them. `headers`: of the request."""

    peer: str
    request: str
    span: str  # the Range that was asked for
    fault: str
    status: int
    sent: int
    whole: int  # bytes of body that a sound delivery of this answer would have sent
    connection: int = 0
    headers: dict[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        told = f"  {self.fault}" if self.fault != "ok" else ""
        if not self.status:
            return f"{self.peer} {self.request or 'no request'}{told}"
        span = f" ({self.span})" if self.span else ""
        return f"{self.peer} {self.request}{span} {self.status}, {self.sent} of {self.whole}{told}"


class FaultServer:
    """`port` is known once it is made; `with` serves. `script` may be added to at any time."""

    def __init__(
        self,
        source: Source,
        certificate: Path,
        key: Path,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        match: str = "*",
        other_host: str = "localhost",
        watch: Callable[[Event], None] = lambda _: None,
    ) -> None:
        """`match`: the paths that the script is for. Raises OSError (ssl.SSLError too)."""
        self._source, self._certificate = source, certificate
        self.match, self.other_host, self._watch = match, other_host, watch
        self._context = _context(certificate, key)
        self._stranger: ssl.SSLContext | None = None
        self._script: deque[Step] = deque()
        self._generation = 0  # of the ETags
        self._lock = threading.Lock()
        self._changed = threading.Condition()
        self._busy = 0  # connections
        self._connections = 0  # so far
        self._over = threading.Event()
        self._listener = socket.create_server((host, port))
        self.port: int = self._listener.getsockname()[1]

    def script(self, steps: Iterable[Step]) -> None:
        """What goes wrong from now on, in place of what is left."""
        with self._lock:
            self._script = deque(steps)

    @property
    def left(self) -> int:
        """The steps still to come."""
        return len(self._script)

    def settle(self, timeout_s: float = 5) -> None:
        """Until all connections are over and told of. Raises TimeoutError."""
        with self._changed:
            if not self._changed.wait_for(lambda: not self._busy, timeout_s):
                raise TimeoutError(f"{self._busy} connections are still open")

    def __enter__(self) -> Self:
        self._accepting = threading.Thread(target=self._accept, name="faultserver", daemon=True)
        self._accepting.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)  # wakes accept()
        self._accepting.join()  # what it waits on is soon another's descriptor
        self._listener.close()

    def run(self) -> None:
        """Serve until Ctrl-C."""
        with self, contextlib.suppress(KeyboardInterrupt):
            self._over.wait()

    def _accept(self) -> None:
        while True:
            try:
                connection, peer = self._listener.accept()
            except OSError:
                return
            self._connections += 1
            work = _Connection(self, peer[0], self._connections)
            self._count(1)
            threading.Thread(target=work.serve, args=(connection,), daemon=True).start()

    def _count(self, change: int) -> None:
        with self._changed:
            self._busy += change
            self._changed.notify_all()

    # --- what a connection asks of its server --------------------------------------------------

    def step_at_connection(self) -> Step:
        """The next step, if it begins before the request is read."""
        with self._lock:
            due = self._script and any(f.kind in AT_CONNECTION for f in self._script[0])
            return self._script.popleft() if due else ()

    def step_for(self, request: Request) -> Step:
        with self._lock:
            due = self._script and not twist.in_loop(request) and fnmatch(request.path, self.match)
            return self._script.popleft() if due else ()

    def context(self, step: Step) -> ssl.SSLContext:
        if not any(fault.kind == "bad-cert" for fault in step):
            return self._context
        with self._lock:
            self._stranger = self._stranger or _stranger(self._certificate)
            return self._stranger

    def reply(self, request: Request, step: Step) -> Reply:
        found = twist.instead(request, step, self.other_host)
        if found:
            return found
        twist.ask(request, step)
        mark = f'"{self._generation}-' if self._generation else ""
        condition = request.headers.get("if-range", "")
        if mark and condition:
            if condition.startswith(mark):
                request.headers["if-range"] = f'"{condition.removeprefix(mark)}'
            else:
                request.headers.pop("range", None)
        found = self._source.answer(request)
        for name in [name for name in found.headers if mark and name.lower() == "etag"]:
            found.headers[name] = mark + found.headers[name].lstrip('"')
        if any(fault.kind == "etag" for fault in step):
            self._generation += 1
        return found

    def tell(self, event: Event, over: bool) -> None:
        """A request is over, and its connection where it is `over`."""
        try:
            self._watch(event)
        finally:
            self._count(-over)

    @property
    def over(self) -> threading.Event:
        return self._over


class _Connection:
    """One connection, one request, one answer; more where it is kept."""

    def __init__(self, server: FaultServer, peer: str, number: int) -> None:
        self._server, self._peer, self._number = server, peer, number
        self._begin()

    def _begin(self) -> None:
        self._step: Step = ()
        self._request: Request | None = None
        self._reply = Reply(0)
        self._sent = 0

    def serve(self, plain: socket.socket) -> None:
        try:
            plain.settimeout(_PATIENCE_S)
            self._serve(plain)
        except (OSError, ValueError, BadRequest):
            pass  # the client went away, or spoke something else
        finally:
            plain.close()
            self._tell(over=True)

    def _tell(self, over: bool) -> None:
        request = self._request
        self._server.tell(
            Event(
                self._peer,
                f"{request.method} {request.path}" if request else "",
                request.headers.get("range", "") if request else "",
                written(self._step),
                self._reply.status,
                self._sent,
                len(self._reply.body),
                self._number,
                request.headers if request else {},
            ),
            over,
        )

    def _serve(self, plain: socket.socket) -> None:
        self._step = self._server.step_at_connection()
        kinds = {fault.kind: fault for fault in self._step}
        if "refuse" in kinds:
            reset(plain)
            return
        if "tls-alert" in kinds:
            plain.recv(4096)
            plain.sendall(_ALERT + bytes([int(kinds["tls-alert"].number(0, 40)) & 0xFF]))
            wait_for_close(plain, 1, self._server.over)
            return
        context = self._server.context(self._step)
        with context.wrap_socket(plain, server_side=True) as connection:
            while self._answer(connection):
                self._tell(over=False)
                self._begin()

    def _answer(self, connection: ssl.SSLSocket) -> bool:
        # Whether another request may come.
        request = self._request = read_request(connection)
        self._step = self._step or self._server.step_for(request)
        asked = Request(request.method, request.target, dict(request.headers))
        reply = self._reply = self._server.reply(asked, self._step)
        delivery = twist.spoil(reply, self._step)
        if request.headers.get("connection", "") == "close":
            reply.keeps, delivery.ending = False, "close" if delivery.ending == "keep" else delivery.ending
        body = b"" if request.method == "HEAD" else reply.body
        self._sent = delivery.send(connection, reply, body, self._server.over)
        return delivery.ending == "keep" and delivery.then in ("", "answer")


def _context(certificate: Path, key: Path) -> ssl.SSLContext:
    made = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    made.load_cert_chain(certificate, key)
    return made


def _stranger(certificate: Path) -> ssl.SSLContext:
    """A certificate for the same names, from a CA that nobody knows."""
    found = x509.load_pem_x509_certificate(certificate.read_bytes())
    try:
        names = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        hosts = names.get_values_for_type(x509.DNSName)
    except x509.ExtensionNotFound:
        hosts = []
    with tempfile.TemporaryDirectory(prefix="faultserver-") as scratch:
        folder = Path(scratch)
        tls.make_ca(folder, "stranger")
        tls.make_server(folder, list(hosts) or ["localhost"])
        return _context(folder / "server.pem", folder / "server.key")
