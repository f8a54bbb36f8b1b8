"""device/ota/net: http, against real sockets, real TLS and servers that behave badly."""

import asyncio
import functools
import hashlib
import http.server
import random
import shutil
import socket
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from .conftest import Authority, Exchange, Run, ScriptedServer

Serve = Callable[..., ScriptedServer]

BODY = random.Random(7).randbytes(100_000)
ETAG = '"v1"'

FETCH = """
    import hashlib
    def fetch(url, block=4096, ca=None, **options):
        done = 0
        try:
            r = get(url, ca=open(ca, "rb").read() if ca else None, **options)
            told = {"status": r.status, "start": r.start, "length": r.length, "total": r.total}
            told.update({"etag": r.etag, "url": r.url})
            h = hashlib.sha256()
            buf = bytearray(block)
            view = memoryview(buf)
            while True:
                n = fill(r, buf)
                h.update(view[:n])
                done += n
                if n < block:
                    break
            told["at_end"] = fill(r, buf)
            r.close()
            import binascii
            told.update({"got": done, "sha256": binascii.hexlify(h.digest()).decode()})
            return told
        except OtaError as e:
            told = {"error": e.code, "detail": e.detail, "got": done}
            return dict(told, wait=e.wait_s) if e.wait_s else told
    print(json.dumps(fetch(**args)))
"""


def sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@pytest.fixture
def fetch(mpy: Run, authority: Authority) -> Run:
    def run(url: str, **options: Any) -> Any:
        options = {"connect_timeout_s": 5, "read_timeout_s": 5, **options}
        options.setdefault("ca", str(authority.path))
        return mpy(FETCH, url=url, **options)

    return run


def plain(
    body: bytes = BODY, status: str = "200 OK", headers: str = "", length: bool = True
) -> Callable[[Exchange], None]:
    """An answer: a status line, Content-Length unless told otherwise, the body."""

    def answer(e: Exchange) -> None:
        size = f"Content-Length: {len(body)}\r\n" if length else ""
        e.send(f"HTTP/1.1 {status}\r\n{size}{headers}\r\n")
        e.send(body)

    return answer


def raw(data: bytes | str, end: str = "close") -> Callable[[Exchange], None]:
    """An answer of exactly these bytes, then "close", "cut", "reset" or "stall"."""

    def answer(e: Exchange) -> None:
        e.send(data)
        if end == "stall":
            e.stall()
        elif end == "cut":
            e.cut()
        elif end == "reset":
            e.reset()

    return answer


# Servers that are not ours


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "www"
    path.mkdir()
    (path / "fw.bin").write_bytes(BODY)
    return path


@pytest.fixture
def python_server(folder: Path, authority: Authority) -> Iterator[str]:
    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    handler = functools.partial(Quiet, directory=str(folder))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.socket = authority.context().wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"https://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.fixture
def openssl_server(folder: Path, authority: Authority) -> Iterator[str]:
    if not shutil.which("openssl"):
        pytest.skip("no openssl command")
    with socket.create_server(("127.0.0.1", 0)) as s:
        port = s.getsockname()[1]
    pem = str(authority.issue("good"))
    command = ["openssl", "s_server", "-accept", f"127.0.0.1:{port}", "-cert", pem, "-key", pem]
    with subprocess.Popen([*command, "-WWW"], cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as server:
        assert server.stdout
        while b"ACCEPT" not in (line := server.stdout.readline()):
            assert line, "openssl s_server did not start"
        threading.Thread(target=server.stdout.read, daemon=True).start()
        yield f"https://127.0.0.1:{port}"
        server.kill()


@pytest.fixture
def aiohttp_server(folder: Path, authority: Authority) -> Iterator[str]:
    web = pytest.importorskip("aiohttp.web")
    loop = asyncio.new_event_loop()
    app = web.Application()
    app.router.add_static("/", folder)
    runner = web.AppRunner(app)
    loop.run_until_complete(runner.setup())
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=authority.context())
    loop.run_until_complete(site.start())
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    yield f"https://127.0.0.1:{runner.addresses[0][1]}"
    asyncio.run_coroutine_threadsafe(runner.cleanup(), loop).result(10)
    loop.call_soon_threadsafe(loop.stop)
    thread.join(10)
    loop.close()


SERVERS = ["python_server", "openssl_server", "aiohttp_server"]


@pytest.mark.parametrize("server", SERVERS)
@pytest.mark.parametrize("size", [None, len(BODY)])
def test_gets_a_file_from_a_server_that_is_not_ours(
    server: str, size: int | None, fetch: Run, request: pytest.FixtureRequest
) -> None:
    base = request.getfixturevalue(server)
    got = fetch(f"{base}/fw.bin", size=size)
    assert (got.get("got"), got.get("sha256")) == (len(BODY), sha(BODY)), got


@pytest.mark.parametrize(
    ("server", "status", "start"),
    [
        ("python_server", 200, 0),  # ignores Range
        ("openssl_server", 200, 0),
        ("aiohttp_server", 206, 65536),
    ],
)
def test_resumes_where_the_server_can_and_starts_again_where_it_cannot(
    server: str, status: int, start: int, fetch: Run, request: pytest.FixtureRequest
) -> None:
    base = request.getfixturevalue(server)
    etag = fetch(f"{base}/fw.bin", size=len(BODY))["etag"]
    got = fetch(f"{base}/fw.bin", start=65536, size=len(BODY), etag=etag)
    assert (got["status"], got["start"]) == (status, start)
    assert got["sha256"] == sha(BODY[start:])


def test_a_file_changed_meanwhile_is_not_mixed(aiohttp_server: str, folder: Path, fetch: Run) -> None:
    # aiohttp passes over an ETag in If-Range and sends the rest of the new file.
    etag = fetch(f"{aiohttp_server}/fw.bin")["etag"]
    (folder / "fw.bin").write_bytes(BODY[::-1] + b"more")
    got = fetch(f"{aiohttp_server}/fw.bin", start=4096, etag=etag)
    assert got == {"error": "bad-range", "detail": "changed", "got": 0}


# Bodies and how they end


def chunks(*parts: bytes, last: bytes = b"0\r\n\r\n") -> bytes:
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    return head + b"".join(b"%x\r\n%s\r\n" % (len(p), p) for p in parts) + last


UNKNOWN = b"HTTP/1.0 200 ok\r\nContent-type: text/plain\r\n\r\n" + BODY[:9000]
KNOWN = b"HTTP/1.1 200 OK\r\nContent-Length: 9000\r\n\r\n" + BODY[:9000]


@pytest.mark.parametrize("tls", [True, False], ids=["tls", "plain"])
@pytest.mark.parametrize(
    ("data", "end", "size", "length"),
    [
        (KNOWN, "close", None, 9000),
        (KNOWN, "cut", None, 9000),
        (KNOWN, "stall", None, 9000),  # keeps the connection open: the length is the end
        (KNOWN + b"too much", "close", None, 9000),
        (UNKNOWN, "close", None, None),
        (UNKNOWN, "cut", None, None),
        (UNKNOWN, "close", 9000, 9000),
        (UNKNOWN, "stall", 9000, 9000),
        (chunks(BODY[:1], BODY[1:8000], BODY[8000:9000]), "close", None, None),
        (chunks(BODY[:9000], last=b"0;a=b\r\nTrailer: x\r\n\r\n"), "stall", None, None),
        (chunks(BODY[:9000]).replace(b"2328\r\n", b'002328 ; x="y"\r\n'), "cut", None, None),
    ],
)
def test_whole_body_however_it_ends(
    tls: bool,
    data: bytes,
    end: str,
    size: int | None,
    length: int | None,
    fetch: Run,
    serve: Serve,
) -> None:
    server = serve(raw(data, end), tls=tls)
    got = fetch(f"{server.base}/x", size=size, allow_http=True)
    assert got.get("sha256") == sha(BODY[:9000]), got
    assert (got["length"], got["at_end"]) == (length, 0)


@pytest.mark.parametrize("tls", [True, False], ids=["tls", "plain"])
@pytest.mark.parametrize("end", ["close", "cut", "reset"])
@pytest.mark.parametrize(
    ("data", "size"),
    [(KNOWN[:-1], None), (UNKNOWN, 9001), (chunks(BODY[:9000], last=b"")[:-3], None)],
    ids=["length", "size", "chunked"],
)
def test_a_body_cut_short_is_dropped_and_keeps_the_blocks_before(
    tls: bool, end: str, data: bytes, size: int | None, fetch: Run, serve: Serve
) -> None:
    server = serve(raw(data, end), tls=tls)
    got = fetch(f"{server.base}/x", size=size, allow_http=True)
    assert got["error"] == "dropped", got
    # A reset may overtake what was sent before it.
    assert got["got"] == 8192 or end == "reset"


LOCKED = """
    import time
    r = get(args["url"], ca=open(args["ca"], "rb").read(), size=65536)  # as the release says
    view = memoryview(bytearray(4096))
    time.sleep_ms(500)  # all of it is here by then
    total = 0
    micropython.heap_lock()
    for _ in range(4):  # a record of TLS
        total += r.fill(view, 0, 4096)
    micropython.heap_unlock()
    print(json.dumps(total))
"""


@pytest.mark.parametrize("answer", ["with a length", "without a length"])
def test_block_that_comes_in_one_piece_allocates_nothing(
    answer: str, mpy: Run, serve: Serve, authority: Authority
) -> None:
    head = "HTTP/1.1 200 OK\r\n" + ("Content-Length: 65536\r\n" if answer == "with a length" else "") + "\r\n"

    def send(e: Exchange) -> None:
        e.send(head)
        e.send(BODY[:65536])

    assert mpy(LOCKED, url=f"{serve(send).base}/x", ca=str(authority.path)) == 4 * 4096


def test_block_that_comes_in_parts_leaves_nothing_behind(mpy: Run, serve: Serve, authority: Authority) -> None:
    def send(e: Exchange) -> None:
        e.send("HTTP/1.1 200 OK\r\nContent-Length: 65536\r\n\r\n")
        for at in range(0, 65536, 1000):
            e.send(BODY[at : min(at + 1000, 65536)])

    script = """
        r = get(args["url"], ca=open(args["ca"], "rb").read())
        buf = bytearray(4096)
        total = fill(r, buf)
        gc.collect()
        before = gc.mem_alloc()
        while not r.ended:
            total += fill(r, buf)
        gc.collect()
        print(json.dumps([total, gc.mem_alloc() - before]))
    """
    total, left = mpy(script, url=f"{serve(send).base}/x", ca=str(authority.path))
    assert total == 65536
    assert left <= 64


def test_read_gives_a_small_document_and_no_more_than_asked(mpy: Run, serve: Serve, authority: Authority) -> None:
    server = serve(lambda e: (raw(UNKNOWN) if "unknown" in e.path else plain(BODY[:9000]))(e))
    script = """
        from ota import steps
        ca = open(args["ca"], "rb").read()
        print(json.dumps([
            len(steps.run(get(args["base"] + path, ca=ca).read(most)))
            for path in ("/known", "/unknown") for most in (100, 8193, 20000)
        ]))
    """
    got = mpy(script, base=server.base, ca=str(authority.path))
    assert got == [100, 8193, 9000] * 2


WITHOUT_END = """
    from ota.net.response import Response
    class Socket:  # where more has always come already
        reads = 0
        def readline(self, n):
            self.reads += 1
            return args["line"].encode()
        def readinto(self, buf, n):
            self.reads += 1
            buf[0] = 0
            return 1
    sock = Socket()
    r = Response("", sock, 1000)
    r.status = 200
    r.open({b"transfer-encoding": "chunked"}, 0, None, None)
    print(json.dumps([r.fill(memoryview(bytearray(4096)), 0, 4096), sock.reads]))
"""


@pytest.mark.parametrize("line", ["\r\n", "1\r\n"], ids=["lines of nothing", "chunks of a byte"])
def test_chunks_without_end_leave_other_tasks_their_turn(line: str, mpy: Run) -> None:
    """P11: between two steps a board does not read on for as long as a server likes."""
    got, reads = mpy(WITHOUT_END, line=line)
    assert got <= 64
    assert reads <= 64


# Stalls, at each point


SLOW = """
import time
r = get(args["url"], ca=open(args["ca"], "rb").read())
time.sleep_ms(200)
r._began = time.ticks_add(time.ticks_ms(), -args["ms"])  # so long ago
print(json.dumps(attempt(r.fill, memoryview(bytearray(512)), 0, 512)))
"""


@pytest.mark.parametrize(("ms", "slow"), [(60_000, False), (62_000, True)])
def test_less_than_512_bytes_a_second_beyond_a_minute_is_a_stall(
    ms: int, slow: bool, mpy: Run, serve: Serve, authority: Authority
) -> None:
    result = mpy(SLOW, url=f"{serve(plain(bytes(600))).base}/x", ms=ms, ca=str(authority.path))
    assert result == ({"code": "stalled", "detail": "slow"} if slow else {"ok": 512})


def test_a_connection_that_nobody_answers_times_out(fetch: Run) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        waiting = []
        # Fill the backlog: Linux then drops what comes, as a firewall does.
        while True:
            s = socket.socket()
            waiting.append(s)
            s.settimeout(0.3)
            try:
                s.connect(listener.getsockname())
            except TimeoutError:
                break
        got = fetch(f"https://127.0.0.1:{listener.getsockname()[1]}/", connect_timeout_s=0.3)
        for s in waiting:
            s.close()
    assert (got["error"], got["detail"]) == ("connect", "timeout")


def dribble(e: Exchange) -> None:
    e.send("HTTP/1.1 200 OK\r\n")
    while not e.over.wait(0.05):
        e.send("X-Wait: a little\r\n")


@pytest.mark.parametrize(
    ("answer", "detail", "got"),
    [
        (None, "tls", 0),
        (raw("", "stall"), "headers", 0),
        (raw("HTTP/1.1 200", "stall"), "headers", 0),
        (raw("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n", "stall"), "headers", 0),
        (dribble, "headers", 0),
        (raw(KNOWN[:-500], "stall"), "body", 8192),
        (raw(UNKNOWN, "stall"), "body", 8192),
        (raw(chunks(BODY[:9000], last=b"5\r\n"), "stall"), "body", 8192),
    ],
    ids=["tls", "nothing", "status", "headers", "dribble", "length", "no-length", "chunked"],
)
def test_a_stall_is_noticed(answer: Any, detail: str, got: int, fetch: Run, serve: Serve) -> None:
    server = serve(answer)
    result = fetch(f"{server.base}/x", read_timeout_s=0.4)
    assert result == {"error": "stalled", "detail": detail, "got": got}


@pytest.mark.parametrize(
    ("raised", "code"),
    [
        ("OSError(errno.ETIMEDOUT)", "stalled"),
        ("OSError(-errno.ETIMEDOUT)", "stalled"),  # through TLS, before 1.28
        ("OSError(errno.EAGAIN)", "stalled"),
        ("OSError(errno.ECONNRESET)", "dropped"),
        ("OSError(-errno.ECONNRESET)", "dropped"),
        ("OSError(-0x7280)", "dropped"),
        ("OSError(-0x7280, 'MBEDTLS_ERR_SSL_CONN_EOF')", "dropped"),
        ("OSError(-0x7180)", "tls"),
        ("OSError()", "dropped"),
    ],
)
def test_what_other_versions_raise_means_the_same(raised: str, code: str, mpy: Run) -> None:
    # The unix port cannot be brought to say these; the numbers are those of the esp32 port.
    script = f"""
        import errno
        from ota.net.response import Response
        class Socket:
            def readinto(self, buf, n):
                raise {raised}
        r = Response("", Socket(), 1000)
        r.length = r._left = 9
        print(json.dumps(attempt(r.fill, memoryview(bytearray(4)), 0, 4)))
    """
    assert mpy(script)["code"] == code


# Certificates and connections


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        ("good", None),
        ("expired", "cert-expired"),
        ("future", "cert-not-yet-valid"),
        ("other-host", "cert-host"),
    ],
)
def test_certificate_faults_are_told_apart(
    kind: str, code: str | None, fetch: Run, serve: Serve, authority: Authority
) -> None:
    server = serve(plain(b"x"), context=authority.context(kind))
    got = fetch(f"{server.base}/x")
    assert got.get("error") == code
    if code:
        assert (got["detail"], server.requests) == ("127.0.0.1", [])


@pytest.mark.parametrize("kind", ["good", "expired", "other-host"])
def test_a_stranger_s_certificate_is_untrusted_whatever_else_is_wrong(
    kind: str, fetch: Run, serve: Serve, other_authority: Authority
) -> None:
    server = serve(plain(b"x"), context=other_authority.context(kind))
    assert fetch(f"{server.base}/x")["error"] == "cert-untrusted"
    assert server.requests == []


def test_the_host_in_the_url_is_the_one_verified(fetch: Run, serve: Serve, authority: Authority) -> None:
    server = serve(plain(b"x"), context=authority.context("localhost-only"))
    assert fetch(f"https://localhost:{server.port}/")["got"] == 1
    assert fetch(f"https://127.0.0.1:{server.port}/")["error"] == "cert-host"


@pytest.mark.parametrize("kind", ["bundle", "der"])
def test_ca_files_of_several_certificates_and_in_der(
    kind: str,
    fetch: Run,
    serve: Serve,
    authority: Authority,
    other_authority: Authority,
    tmp_path: Path,
) -> None:
    path = tmp_path / "ca"
    if kind == "der":
        path.write_bytes(ssl.PEM_cert_to_DER_cert(authority.path.read_text()))
    else:
        texts = [a.path.read_text() for a in (other_authority, authority)]
        path.write_text("# two\n" + "\r\nmore\r\n".join(texts))
    server = serve(plain(b"x"))
    other = serve(plain(b"x"), context=other_authority.context())
    assert fetch(f"{server.base}/x", ca=str(path))["got"] == 1
    assert fetch(f"{other.base}/x", ca=str(path))["got"] == (kind == "bundle")


@pytest.mark.parametrize(
    ("ca", "code", "detail"),
    [(None, "tls", "ca"), ("junk", "tls", "ca"), ("empty", "tls", "ca")],
)
def test_no_usable_ca_file_means_no_connection(
    ca: str | None, code: str, detail: str, mpy: Run, serve: Serve, tmp_path: Path
) -> None:
    server = serve(plain(b"x"))
    if ca:
        (tmp_path / ca).write_text("junk" if ca == "junk" else "")
        ca = str(tmp_path / ca)
    got = mpy(FETCH, url=f"{server.base}/x", ca=ca)
    assert (got["error"], got["detail"]) == (code, detail)
    assert server.requests == []


def test_plain_http_needs_leave(fetch: Run, serve: Serve) -> None:
    server = serve(plain(b"x"), tls=False)
    assert fetch(f"{server.base}/x")["error"] == "http-not-allowed"
    assert fetch(f"{server.base}/x", allow_http=True)["got"] == 1


def test_tls_to_a_plain_server_says_tls(fetch: Run, serve: Serve) -> None:
    server = serve(raw("HTTP/1.1 400 Bad Request\r\n\r\n"), tls=False)
    # The server waits for the end of a request that never comes as text.
    got = fetch(f"https://127.0.0.1:{server.port}/", read_timeout_s=0.4)
    assert got["error"] in ("tls", "stalled")


def test_nobody_listens(fetch: Run) -> None:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        got = fetch(f"https://127.0.0.1:{s.getsockname()[1]}/")
    assert (got["error"], got["detail"]) == ("connect", "ECONNREFUSED")


def test_unknown_host(fetch: Run) -> None:
    assert fetch("https://no-such-host.invalid/")["error"] == "dns"


def test_no_socket_is_left_open(mpy: Run, serve: Serve, authority: Authority) -> None:
    def answer(e: Exchange) -> None:
        if e.path == "/redirect":
            e.send("HTTP/1.1 302 x\r\nLocation: /404\r\n\r\n")
        else:
            e.send(f"HTTP/1.1 {e.path[1:]} x\r\nContent-Length: 0\r\n\r\n")

    server = serve(answer)
    bad = serve(plain(), context=authority.context("expired"))
    script = """
        import os
        ca = open(args["ca"], "rb").read()
        gc.collect()
        before = len(os.listdir("/proc/self/fd"))
        codes = [attempt(get, url, ca=ca, allow_http=True)["code"] for url in args["urls"]]
        print(json.dumps([codes, len(os.listdir("/proc/self/fd")) - before]))
    """
    plain_server = serve(answer, tls=False)
    urls = [f"{s.base}/{path}" for s in (plain_server, server) for path in ("404", "redirect")]
    urls = [*urls, f"{bad.base}/", "https://127.0.0.1:1/"]
    codes = ["http-status"] * 4 + ["cert-expired", "connect"]
    assert mpy(script, ca=str(authority.path), urls=urls) == [codes, 0]


# Redirects


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("location", ["/b/fw.bin", "fw.bin", "{base}/b/fw.bin", "//localhost:{port}/b/fw.bin"])
def test_follows_redirects_with_its_range(status: int, location: str, fetch: Run, serve: Serve) -> None:
    def answer(e: Exchange) -> None:
        if e.path == "/b/old?x=1":
            to = location.format(base=e.base, port=e.base.rsplit(":", 1)[1])
            e.send(f"HTTP/1.1 {status} x\r\nLocation: {to}\r\nContent-Length: 0\r\n\r\n")
        else:
            e.send(f"HTTP/1.1 206 x\r\nContent-Length: 60\r\nETag: {ETAG}\r\nContent-Range: bytes 40-99/100\r\n\r\n")
            e.send(BODY[40:100])

    server = serve(answer)
    got = fetch(f"{server.base}/b/old?x=1", start=40, etag=ETAG)
    assert got.get("sha256") == sha(BODY[40:100]), got
    assert got["url"].endswith("/b/fw.bin")
    assert all(f"Range: bytes=40-\r\nIf-Range: {ETAG}\r\n" in r for r in server.requests)


def test_headers_like_github_s_pass(fetch: Run, serve: Serve) -> None:
    query = "?sig=" + "x" * 1800

    def answer(e: Exchange) -> None:
        if e.path == "/download":
            policy = "content-security-policy: " + "default-src 'none'; " * 250
            many = "".join(f"x-header-{i}: value\r\n" for i in range(40))
            e.send(f"HTTP/1.1 302 Found\r\n{policy}\r\n{many}location: {e.base}/cdn{query}\r\n\r\n")
        else:
            plain(b"firmware")(e)

    server = serve(answer)
    assert fetch(f"{server.base}/download")["sha256"] == sha(b"firmware")
    assert server.requests[1].startswith(f"GET /cdn{query} HTTP/1.1\r\n")


def test_redirects_for_ever_end(fetch: Run, serve: Serve) -> None:
    server = serve(raw("HTTP/1.1 302 x\r\nLocation: /again\r\n\r\n"))
    assert fetch(f"{server.base}/x")["error"] == "too-many-redirects"
    assert len(server.requests) == 5


@pytest.mark.parametrize(
    ("location", "code"),
    [
        ("ftp://127.0.0.1/x", "bad-url"),
        ("https://", "bad-url"),
        ("/a b", "bad-url"),
        ("", "bad-response"),
        ("x" * 3000, "http-status"),  # too long to keep
    ],
)
def test_a_redirect_to_nowhere_is_refused(location: str, code: str, fetch: Run, serve: Serve) -> None:
    server = serve(raw(f"HTTP/1.1 302 x\r\nLocation: {location}\r\n\r\n"))
    assert fetch(f"{server.base}/x")["error"] == code


def test_a_redirect_to_plain_http_needs_leave(fetch: Run, serve: Serve) -> None:
    target = serve(plain(b"plain"), tls=False)
    server = serve(raw(f"HTTP/1.1 302 x\r\nLocation: {target.base}/\r\n\r\n"))
    assert fetch(f"{server.base}/x")["error"] == "redirect-to-http"
    assert target.requests == []
    assert fetch(f"{server.base}/x", allow_http=True)["got"] == 5


def test_what_a_board_says_of_itself_is_told_its_own_server_alone(mpy: Run, serve: Serve, authority: Authority) -> None:
    """Not to another port, not in plain text, wherever it is led; and to its own again when it is led back."""
    bases: list[str] = []

    def leads_to(path: str) -> Callable[[Exchange], None]:
        return lambda e: e.send(f"HTTP/1.1 302 x\r\nLocation: {path.format(*bases)}\r\n\r\n")

    def end(e: Exchange) -> None:
        e.send(f"HTTP/1.1 200 x\r\nOta-Look: {'2' * 2000 if e.path == '/end' else 3}\r\nContent-Length: 3\r\n\r\nend")

    server = serve(lambda e: leads_to("{1}/")(e) if e.path == "/begin" else end(e))
    stranger = serve(end)
    plain_one, other = serve(leads_to("{2}/"), tls=False), serve(leads_to("{0}/end"))
    bases += [server.base, plain_one.base, other.base]
    got = mpy(
        """
        from ota import steps
        def fetch(url, ca, port):
            own = (True, "127.0.0.1", port), told + "\\r\\n"
            steps.soon, steps.astray = "", True
            r = get(url, ca=open(ca, "rb").read(), allow_http=True, own=own)
            r.close()
            return r.url, steps.soon, steps.astray
        told = "Ota-Board: id=1;have=1"
        found = [fetch(url, args["ca"], args["port"]) for url in args["urls"]]
        told = "Authorization: TargetToken x"  # this is an engine
        found.append(fetch(args["urls"][1], args["ca"], args["port"]))
        told = "Ota-Board: id=1"  # a file of the release
        found.append(fetch(args["urls"][1], args["ca"], args["port"]))
        print(json.dumps(found))
        """,
        urls=[f"{stranger.base}/", f"{server.base}/begin"],
        ca=str(authority.path),
        port=server.port,
    )
    # nor is another one heard, nor more of what it says
    end_url = f"{server.base}/end"
    assert got == [[f"{stranger.base}/", "", True], [end_url, "222222", False], *[[end_url, "", True]] * 2]
    assert ["Ota-Board: id=1;have=1\r\n" in one for one in server.requests] == [True] * 2 + [False] * 4
    assert ["Ota-Board: id=1\r\n" in one for one in server.requests] == [False] * 4 + [True] * 2
    assert ["Ota-Board" in one for one in plain_one.requests + other.requests] == [False] * 6


# Range


@pytest.mark.parametrize(
    ("head", "code"),
    [
        ("206 x\r\nContent-Range: bytes 40-99/100", None),
        ("206 x\r\nContent-Range: bytes 40-99/*", None),
        ("206 x\r\nContent-Range: Bytes 40-99/100\r\nContent-Length: 60", None),
        ("206 x\r\nContent-Range: bytes 0-59/100", "bad-range"),
        ("206 x\r\nContent-Range: bytes 41-99/100", "bad-range"),
        ("206 x\r\nContent-Range: bytes 40-98/100", "bad-range"),
        ("206 x\r\nContent-Range: bytes 40-39/40", "bad-range"),
        ("206 x\r\nContent-Range: bytes 40-99/100\r\nContent-Length: 59", "bad-range"),
        ('206 x\r\nContent-Range: bytes 40-99/100\r\nETag: "v2"', "bad-range"),
        ("206 x\r\nContent-Range: bytes */100", "bad-range"),
        ("206 x\r\nContent-Range: bytes 40-99", "bad-range"),
        ("206 x\r\nContent-Range: lines 40-99/100", "bad-range"),
        ("206 x\r\nContent-Range: bytes 40-99999999999/100000000000", "bad-range"),
        ("206 x\r\nContent-Type: multipart/byteranges; boundary=x", "bad-range"),
        ("416 x\r\nContent-Range: bytes */30", "bad-range"),
    ],
)
def test_only_the_rest_of_the_same_file_is_taken(head: str, code: str | None, fetch: Run, serve: Serve) -> None:
    server = serve(raw(f"HTTP/1.1 {head}\r\n\r\n".encode() + BODY[40:100]))
    got = fetch(f"{server.base}/x", start=40, etag=ETAG)
    assert got.get("error") == code, got
    if code is None:
        assert (got["start"], got["length"], got["sha256"]) == (40, 60, sha(BODY[40:100]))


def test_a_206_that_nobody_asked_for_is_refused(fetch: Run, serve: Serve) -> None:
    server = serve(raw("HTTP/1.1 206 x\r\nContent-Range: bytes 9-9/10\r\n\r\nx"))
    assert fetch(f"{server.base}/x")["error"] == "bad-range"
    assert "Range" not in server.requests[0]


@pytest.mark.parametrize(
    ("headers", "etag"),
    [
        ('ETag: "abc"\r\nLast-Modified: Thu, 01 Jan 2026 00:00:00 GMT\r\n', '"abc"'),
        ('ETag: W/"abc"\r\nLast-Modified: Thu, 01 Jan 2026 00:00:00 GMT\r\n',
         "Thu, 01 Jan 2026 00:00:00 GMT"),
        ("Last-Modified: Thu, 01 Jan 2026 00:00:00 GMT\r\n", "Thu, 01 Jan 2026 00:00:00 GMT"),
        ('ETag: W/"abc"\r\n', None),
        ("", None),
    ],
)  # fmt: skip
def test_the_validator_is_one_that_if_range_allows(headers: str, etag: str | None, fetch: Run, serve: Serve) -> None:
    server = serve(plain(b"x", headers=headers))
    assert fetch(f"{server.base}/x")["etag"] == etag


# Answers


@pytest.mark.parametrize("status", [204, 304, 400, 403, 404, 429, 500, 503])
def test_a_status_that_is_no_file_is_named(status: int, fetch: Run, serve: Serve) -> None:
    server = serve(plain(b"sorry", status=f"{status} x"))
    got = fetch(f"{server.base}/x")
    assert (got["error"], got["detail"]) == ("http-status", str(status))


@pytest.mark.parametrize(
    ("headers", "wait_s"),
    [
        ("", 0),
        ("Retry-After: 120\r\n", 120),
        ("Retry-After: 1e9\r\n", 0),
        ("Retry-After: -5\r\n", 0),
        ("Retry-After: Thu, 01 Jan 2037 00:00:00 GMT\r\n", 0),  # by which clock?
        ("Retry-After: Thu, 01 Jan 2037 00:00:45 GMT\r\nDate: Thu, 01 Jan 2037 00:00:00 GMT\r\n", 45),
        ("Date: Thu, 01 Jan 2004 23:59:00 GMT\r\nRetry-After: Fri, 02 Jan 2004 00:01:00 GMT\r\n", 120),
        ("Retry-After: Thu, 01 Jan 2037 00:00:00 GMT\r\nDate: Thu, 01 Jan 2037 00:00:45 GMT\r\n", 0),
        ("Retry-After: Thu, 99 Jan 2037 00:00:45 GMT\r\nDate: Thu, 01 Jan 2037 00:00:00 GMT\r\n", 0),
        ("Retry-After: Thu, 01 Jan 2037 00:00:45 GMT\r\nDate: soon\r\n", 0),
    ],
)
def test_how_long_a_busy_server_asks_to_wait(headers: str, wait_s: int, fetch: Run, serve: Serve) -> None:
    server = serve(plain(b"busy", status="503 x", headers=headers))
    got = fetch(f"{server.base}/x")
    assert (got["error"], got["detail"], got.get("wait", 0)) == ("http-status", "503", wait_s)


def test_interim_answers_are_passed_over(fetch: Run, serve: Serve) -> None:
    early = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"
    server = serve(raw(early.encode() + KNOWN))
    assert fetch(f"{server.base}/x")["sha256"] == sha(BODY[:9000])


@pytest.mark.parametrize(
    ("data", "code", "detail"),
    [
        ("SSH-2.0-OpenSSH_9.2\r\n", "bad-response", "not HTTP"),
        ("\r\n\r\n", "bad-response", "not HTTP"),
        ("HTTP/2 200\r\n\r\n", "bad-response", "not HTTP"),
        ("HTTP/1.1 abc\r\n\r\n", "bad-response", "not HTTP"),
        ("HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n", "bad-response", "headers"),
        ("HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n", "bad-response", "length"),
        ("HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n", "bad-response",
         "length"),
        ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\ncontent-length: 6\r\n\r\n", "bad-response",
         "headers"),
        (b"HTTP/1.1 200 OK\r\nETag: \xff\xfe\r\n\r\n", "bad-response", "headers"),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", "bad-response",
         "transfer-encoding"),
        ("HTTP/1.1 200 OK\r\n" + "A: b\r\n" * 100 + "\r\n", "bad-response", "headers"),
        ("HTTP/1.1 200 OK\r\nA: " + "b" * 300_000, "bad-response", "headers"),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n", "bad-response", "chunk"),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-5\r\n", "bad-response", "chunk"),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffff\r\n", "bad-response",
         "chunk"),
        ("", "dropped", "headers"),
        ("HTTP/1.1 200 OK\r\nContent-Le", "dropped", "headers"),
    ],
)  # fmt: skip
def test_what_is_no_answer_is_refused(data: bytes | str, code: str, detail: str, fetch: Run, serve: Serve) -> None:
    server = serve(raw(data))
    got = fetch(f"{server.base}/x")
    assert (got.get("error"), got.get("detail")) == (code, detail)


def test_the_request_is_what_servers_expect(fetch: Run, serve: Serve) -> None:
    server = serve(plain(b"x"))
    fetch(f"{server.base}/a/b?c=d#part")
    assert server.requests[0].split("\r\n") == [
        "GET /a/b?c=d HTTP/1.1",
        f"Host: 127.0.0.1:{server.port}",
        "User-Agent: micropython-ota",
        "Connection: close",
        "Accept-Encoding: identity",
        "",
        "",
    ]


# URLs

URLS: list[tuple[str, list[Any] | None]] = [
    ("https://host/a", [True, "host", 443, "/a"]),
    ("http://host", [False, "host", 80, "/"]),
    ("https://host:8443/a/b?x=1#y", [True, "host", 8443, "/a/b?x=1"]),
    ("https://host/?u=http://x/", [True, "host", 443, "/?u=http://x/"]),
    ("https:///a", None),
    ("https://host:x/", None),
    ("https://host:0/", None),
    ("https://host:65536/", None),
    ("https://user:secret@host/", None),
    ("https://user@host/", None),
    ("https://host?x=/", None),
    ("https://host#x", None),
    ("https://[::1]/", None),
    ("https://[", None),
    ("https://host\\@other/", None),
    ("ftp://host/", None),
    ("host/a", None),
    ("", None),
    ("https://host/a b", None),
    ("https://host/a\r\nX: y", None),
    ("https://hôst/", None),
]


def test_urls_are_taken_apart(mpy: Run) -> None:
    script = """
        from ota.net.url import split
        print(json.dumps([attempt(split, url) for url in args["urls"]]))
    """
    for (url, parts), got in zip(URLS, mpy(script, urls=[u for u, _ in URLS]), strict=True):
        shown = "".join(c if " " <= c <= "~" else "?" for c in url)  # one line of ASCII, whatever was asked
        expected = {"code": "bad-url", "detail": shown} if parts is None else {"ok": parts}
        assert got == expected, url


JOINS = [
    ("https://h:1/r/stable.json", "1.4.0/fw.bin", "https://h:1/r/1.4.0/fw.bin"),
    ("https://h:1/r/stable.json?a=/b", "fw.bin?c=/d", "https://h:1/r/fw.bin?c=/d"),
    ("https://h:1/r/stable.json", "/fw.bin", "https://h:1/fw.bin"),
    ("https://h:1", "fw.bin", "https://h:1/fw.bin"),
    ("https://h:1", "/fw.bin", "https://h:1/fw.bin"),
    ("https://h:1/r/", "//cdn/fw.bin", "https://cdn/fw.bin"),
    ("https://h:1/r/", "http://cdn/fw.bin", "http://cdn/fw.bin"),
    ("https://h:1/r/", "fw.bin?u=http://x", "https://h:1/r/fw.bin?u=http://x"),
]


def test_relative_urls_are_joined(mpy: Run) -> None:
    script = """
        from ota.net.url import join
        print(json.dumps([join(base, ref) for base, ref in args["pairs"]]))
    """
    got = mpy(script, pairs=[(base, ref) for base, ref, _ in JOINS])
    assert got == [joined for _, _, joined in JOINS]
