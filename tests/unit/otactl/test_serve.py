"""The server, over real sockets and real TLS."""

import contextlib
import http.client
import logging
import socket
import ssl
import struct
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from otactl.errors import RigError, UsageError
from otactl.files import write_atomic
from otactl.server import sending
from otactl.server.files import Transfer
from otactl.server.server import Server
from otactl.workspace import tls
from otactl.workspace.workspace import Workspace

BODY = bytes(range(256)) * 300  # several chunks


class Client:
    """One request a connection, as boards do it."""

    def __init__(self, place: Workspace, server: Server) -> None:
        self.place, self.server = place, server
        self.seen: list[Transfer] = []

    def connect(self) -> http.client.HTTPSConnection:
        context = ssl.create_default_context(cafile=str(self.place.tls / "ca.pem"))
        return http.client.HTTPSConnection("127.0.0.1", self.server.port, context=context, timeout=10)

    def get(self, path: str = "/1.0.0/esp32.bin", method: str = "GET", **headers: str):
        connection = self.connect()
        try:
            names = {name.replace("_", "-"): value for name, value in headers.items()}
            connection.request(method, path, headers=names)
            answer = connection.getresponse()
            return answer, answer.read()
        finally:
            connection.close()

    def ended(self, path: str) -> Transfer:
        """The last report on a file, once it is there."""
        give_up = time.monotonic() + 10
        while time.monotonic() < give_up:
            for one in [*self.seen]:
                if one.path == path and one.over:
                    return one
            time.sleep(0.01)
        raise AssertionError(f"no end of {path}: {self.seen[-3:]}")

    def open(self, path: str, window: int) -> ssl.SSLSocket:
        """A connection that asked for a file and has read the headers; `window` bytes fit into its system's buffer."""
        raw = socket.socket()
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, window)
        raw.connect(("127.0.0.1", self.server.port))
        context = ssl.create_default_context(cafile=str(self.place.tls / "ca.pem"))
        made = context.wrap_socket(raw, server_hostname="127.0.0.1")
        made.settimeout(10)
        made.sendall(f"GET /{path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += made.recv(1)
        return made


@pytest.fixture
def client(place: Workspace) -> Iterator[Client]:
    (place.releases / "1.0.0").mkdir()
    (place.releases / "1.0.0" / "esp32.bin").write_bytes(BODY)
    (place.releases / "stable.json").write_text("{}")
    seen: list[Transfer] = []
    with Server(place.releases, place.tls, "127.0.0.1", 0, seen.append) as server:
        made = Client(place, server)
        made.seen = seen
        yield made


def test_a_file_comes_whole_with_length_and_a_strong_tag(client: Client) -> None:
    answer, body = client.get()
    assert (answer.status, body) == (200, BODY)
    assert answer.headers["Content-Length"] == str(len(BODY))
    assert answer.headers["Accept-Ranges"] == "bytes"
    assert answer.headers["ETag"].startswith('"')


@pytest.mark.parametrize(
    ("wanted", "first", "last"),
    [
        ("bytes=0-", 0, len(BODY)),
        ("bytes=4096-", 4096, len(BODY)),
        ("bytes=10-19", 10, 20),
        ("bytes=10-999999", 10, len(BODY)),
        ("bytes=-100", len(BODY) - 100, len(BODY)),
        (f"bytes={len(BODY) - 1}-", len(BODY) - 1, len(BODY)),
    ],
)
def test_a_range_is_answered_with_that_part(client: Client, wanted, first: int, last: int) -> None:
    answer, body = client.get(Range=wanted)
    assert body == BODY[first:last]
    if last - first == len(BODY):
        assert answer.status == 200
    else:
        assert answer.status == 206
        assert answer.headers["Content-Range"] == f"bytes {first}-{last - 1}/{len(BODY)}"


@pytest.mark.parametrize("wanted", [f"bytes={len(BODY)}-", "bytes=999999-1000000"])
def test_a_range_past_the_end_is_refused_with_the_size(client: Client, wanted: str) -> None:
    answer, _ = client.get(Range=wanted)
    assert (answer.status, answer.headers["Content-Range"]) == (416, f"bytes */{len(BODY)}")
    assert client.seen[-1].status == 416


@pytest.mark.parametrize("wanted", ["bytes=0-1,5-9", "lines=1-2", "bytes=x-", "bytes=9-3"])
def test_a_range_of_a_kind_not_known_gives_the_whole_file(client: Client, wanted: str) -> None:
    answer, body = client.get(Range=wanted)
    assert (answer.status, body) == (200, BODY)


def test_if_range_with_the_tag_of_the_file_goes_on(client: Client) -> None:
    tag = client.get()[0].headers["ETag"]
    answer, body = client.get(Range="bytes=5000-", If_Range=tag)
    assert (answer.status, body) == (206, BODY[5000:])


@pytest.mark.parametrize("tag", ['"other"', "W/{tag}", "Wed, 21 Oct 2099 07:28:00 GMT", "garbage"])
def test_if_range_with_anything_else_gives_the_whole_file(client: Client, tag: str) -> None:
    own = client.get()[0].headers["ETag"]
    answer, body = client.get(Range="bytes=5000-", If_Range=tag.format(tag=own))
    assert (answer.status, body) == (200, BODY)


def test_a_file_replaced_under_the_same_name_gets_another_tag(client: Client) -> None:
    path = client.place.releases / "1.0.0" / "esp32.bin"
    before = client.get()[0].headers["ETag"]
    write_atomic(path, BODY[::-1])
    answer, body = client.get(Range="bytes=5000-", If_Range=before)
    assert (answer.status, body) == (200, BODY[::-1])


def test_the_tag_is_of_the_content_so_that_a_copy_elsewhere_has_the_same(client: Client) -> None:
    (client.place.releases / "copy.bin").write_bytes(BODY)
    assert client.get("/copy.bin")[0].headers["ETag"] == client.get()[0].headers["ETag"]


def test_a_client_that_has_the_file_already_is_told_so(client: Client) -> None:
    tag = client.get()[0].headers["ETag"]
    answer, body = client.get(If_None_Match=f'"x", {tag}')
    assert (answer.status, body) == (304, b"")


def test_head_gives_the_headers_alone(client: Client) -> None:
    answer, body = client.get(method="HEAD")
    assert (answer.status, body) == (200, b"")
    assert answer.headers["Content-Length"] == str(len(BODY))


@pytest.mark.parametrize(
    "path",
    [
        "/absent.bin",
        "/",
        "/1.0.0",
        "/1.0.0/",
        "/../otactl.toml",
        "/%2e%2e/otactl.toml",
        "/1.0.0/..%2f..%2fkeys/release.pem",
        "/%2Fetc/passwd",
        "//etc/passwd",
        "/a%00b",
        "/.hidden",
        "/" + "x" * 5000,
    ],
)
def test_nothing_but_release_files_comes_out(client: Client, path: str) -> None:
    (client.place.releases / ".hidden").write_text("half a release")
    answer, body = client.get(path)
    assert (answer.status, body) == (404, b"no such release file\n")
    assert client.seen[-1].status == 404


def test_a_link_that_leads_out_is_not_followed(client: Client) -> None:
    (client.place.releases / "link.pem").symlink_to(client.place.key_file)
    assert client.get("/link.pem")[0].status == 404


def test_an_empty_file_is_served(client: Client) -> None:
    (client.place.releases / "empty.bin").write_bytes(b"")
    answer, body = client.get("/empty.bin")
    assert (answer.status, body, answer.headers["Content-Length"]) == (200, b"", "0")


def test_other_methods_are_refused(client: Client) -> None:
    assert client.get(method="POST")[0].status == 405


def test_progress_is_told_to_the_end(client: Client) -> None:
    client.get(Range="bytes=4096-")
    client.ended("1.0.0/esp32.bin")
    told = [one for one in client.seen if one.path == "1.0.0/esp32.bin"]
    assert [one.over for one in told] == [False] * (len(told) - 1) + [True]
    assert all(one.start == 4096 and one.size == len(BODY) for one in told)
    assert [one.done for one in told] == sorted(one.done for one in told)
    assert told[-1].done == len(BODY)
    assert told[-1].peer == "127.0.0.1"


WINDOW = 8192  # asked for; Linux doubles it, and holds that much, TLS records and all
AHEAD = 2 * WINDOW + 16384  # what the client's system holds, and the record that TLS has not handed out yet


def test_what_is_told_never_runs_ahead_of_a_slow_client(client: Client) -> None:
    size = 800_000
    (client.place.releases / "big.bin").write_bytes(bytes(size))
    began = time.monotonic()
    ahead, read = [], 0
    with client.open("big.bin", WINDOW) as slow:
        while read < size:
            read += len(slow.recv(8192))
            seen = [*client.seen]  # before the next read: what is told now was taken before it
            ahead.append(max((one.done for one in seen if one.path == "big.bin"), default=0) - read)
            time.sleep(0.01)
    took = time.monotonic() - began
    last = client.ended("big.bin")
    told = time.monotonic() - began  # the server looks now and then, so that it knows of the last byte a little later
    assert max(ahead) < AHEAD
    assert (last.done, last.size) == (size, size)
    assert took - 0.5 < last.seconds <= told
    assert took > 0.9, "not slow at all"


def test_a_slow_client_holds_up_nobody_else(client: Client) -> None:
    (client.place.releases / "big.bin").write_bytes(bytes(800_000))
    with client.open("big.bin", WINDOW):
        began = time.monotonic()
        assert client.get()[1] == BODY
        assert time.monotonic() - began < 2
        assert not any(one.path == "big.bin" and one.over for one in client.seen)


@pytest.mark.parametrize("hard", [False, True])
def test_a_client_that_is_cut_off_is_told_with_how_far_it_came(client: Client, hard: bool) -> None:
    (client.place.releases / "big.bin").write_bytes(bytes(800_000))
    slow = client.open("big.bin", WINDOW)
    read = 0
    while read < 200_000:
        read += len(slow.recv(8192))
    time.sleep(0.3)  # seconds are those until the last byte, not until the end was noticed
    if hard:  # as a power cut is seen: a reset
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    slow.close()
    last = client.ended("big.bin")
    assert read <= last.done < read + AHEAD
    assert last.seconds < 1


def test_a_client_that_falls_silent_is_given_up(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sending, "_PATIENCE_S", 0.5)
    (client.place.releases / "big.bin").write_bytes(bytes(800_000))
    with client.open("big.bin", WINDOW):
        last = client.ended("big.bin")
    assert 0 <= last.done < AHEAD


def test_where_the_system_does_not_tell_the_count_is_that_of_this_process(client: Client, monkeypatch) -> None:
    monkeypatch.setattr(sending, "_SIOCOUTQ", 0)
    assert client.get()[1] == BODY
    assert client.ended("1.0.0/esp32.bin").done == len(BODY)


def test_a_client_that_goes_away_does_no_harm(client: Client, caplog) -> None:
    big = client.place.releases / "big.bin"
    big.write_bytes(bytes(8 << 20))
    with caplog.at_level(logging.WARNING):
        connection = client.connect()
        connection.request("GET", "/big.bin")
        connection.getresponse().read(1000)
        assert connection.sock is not None
        connection.sock.shutdown(socket.SHUT_RDWR)
        connection.close()
        assert client.get()[1] == BODY
    broken = client.ended("big.bin")
    assert broken.done < broken.size
    assert not caplog.records, caplog.text


@pytest.mark.parametrize(
    "asked", [b"GET / HTTP/9.9\r\n\r\n", b"GET /x HTTP/1.1\r\nA\0B: c\r\n\r\n", b"GET /" + b"a" * 20_000]
)
def test_what_is_no_http_is_a_line_and_no_traceback(client: Client, caplog, asked: bytes) -> None:
    with caplog.at_level(logging.WARNING):
        connection = client.connect()
        connection.connect()
        connection.sock.sendall(asked)
        assert b" 400 " in connection.sock.recv(100)
        connection.close()
        assert client.get()[0].status == 200
    assert not caplog.records, caplog.text
    assert [(t.peer, t.status) for t in client.seen if t.status == 400] == [("127.0.0.1", 400)]


def test_a_fault_of_the_server_itself_is_logged_with_its_traceback(client: Client, caplog, monkeypatch) -> None:
    monkeypatch.setattr("otactl.server.files._range", lambda *_: 1 / 0)
    assert client.get()[0].status == 500
    assert "ZeroDivisionError" in caplog.text


def trusting(client: Client, name: str = "127.0.0.1", **settings):
    """A TLS client; `trust` its CA file, `at` its date, and the versions that it speaks."""

    def connect(port: int) -> None:
        context = ssl.create_default_context(cafile=str(settings.get("trust", client.place.tls / "ca.pem")))
        context.maximum_version = settings.get("most", ssl.TLSVersion.TLSv1_3)
        context.minimum_version = settings.get("least", ssl.TLSVersion.TLSv1_2)
        context.set_ciphers("ALL:@SECLEVEL=0")
        with socket.create_connection(("127.0.0.1", port), timeout=10) as raw:
            context.wrap_socket(raw, server_hostname=name).recv(1)

    return connect


def saying(text: bytes, *, reset: bool = False):
    def connect(port: int) -> None:
        with socket.create_connection(("127.0.0.1", port), timeout=10) as raw:
            raw.sendall(text)
            if reset:
                raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            else:
                raw.shutdown(socket.SHUT_WR)
                raw.recv(100)

    return connect


def another_ca(client: Client) -> Path:
    folder = client.place.root / "stranger"
    folder.mkdir()
    tls.make_ca(folder, "lamp")
    return folder / "ca.pem"


V2 = ssl.TLSVersion.TLSv1_2  # what boards speak: they refuse within the handshake, TLS 1.3 clients after it
V1 = ssl.TLSVersion.TLSv1


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1 is deprecated")
@pytest.mark.parametrize(
    ("visit", "why"),
    [
        (lambda c: trusting(c, trust=another_ca(c), most=V2), "refused our certificate, it does not know our CA"),
        (lambda c: trusting(c, trust=another_ca(c)), "refused our certificate, it does not know our CA"),
        (lambda c: trusting(c, "other.local", most=V2), "refused our certificate, it is not for the name"),
        (lambda c: trusting(c, least=V1, most=V1), "speaks only TLS versions that are too old"),
        (lambda c: saying(b"GET / HTTP/1.1\r\n\r\n"), "spoke plain HTTP to this TLS port"),
        (lambda c: saying(b"SSH-2.0-OpenSSH_9.2\r\n"), "spoke no TLS (a scanner?)"),
        (lambda c: saying(b""), "hung up before the TLS handshake was over (a scanner?)"),
        (lambda c: saying(b"", reset=True), "hung up before the TLS handshake was over (a scanner?)"),
    ],
)
def test_a_handshake_that_fails_is_one_line_that_says_why(client: Client, caplog, visit, why: str) -> None:
    with caplog.at_level(logging.WARNING):
        with contextlib.suppress(OSError):
            visit(client)(client.server.port)
        told = client.ended("")
        assert (told.peer, told.status) == ("127.0.0.1", 0)
        assert told.why.startswith(why)
        assert client.get()[1] == BODY
    client.ended("1.0.0/esp32.bin")
    assert [one.why for one in client.seen if one.why] == [told.why]
    assert not caplog.records, caplog.text


def test_an_expired_certificate_is_said_to_be_that(client: Client) -> None:
    tls.make_server(client.place.tls, ["127.0.0.1"], days=-1)
    with Server(client.place.releases, client.place.tls, "127.0.0.1", 0, client.seen.append) as server:
        with pytest.raises(ssl.SSLCertVerificationError):
            trusting(client, most=V2)(server.port)
        assert client.ended("").why.startswith("refused our certificate, it has expired")


def test_who_begins_no_handshake_is_let_go_of_at_the_end(client: Client, caplog) -> None:
    with Server(client.place.releases, client.place.tls, "127.0.0.1", 0, client.seen.append) as server:
        mute = socket.create_connection(("127.0.0.1", server.port), timeout=10)
        time.sleep(0.1)
    assert mute.recv(1) == b""
    mute.close()
    assert not caplog.records, caplog.text


def test_without_tls_it_speaks_plain_http(client: Client) -> None:
    with Server(client.place.releases, None, "127.0.0.1", 0, lambda _: None) as server:
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
        connection.request("GET", "/1.0.0/esp32.bin")
        assert connection.getresponse().read() == BODY
        connection.close()


def test_a_port_in_use_says_so(client: Client) -> None:
    busy = Server(client.place.releases, client.place.tls, "127.0.0.1", client.server.port, lambda _: None)
    with pytest.raises(RigError, match=f"port {client.server.port}.*--port"), busy:
        pass


def test_an_address_that_is_not_ours_says_so(client: Client) -> None:
    other = Server(client.place.releases, None, "203.0.113.1", 0, lambda _: None)
    with pytest.raises(RigError, match=r"203\.0\.113\.1"), other:
        pass


@pytest.mark.parametrize("name", ["server.pem", "server.key"])
def test_a_broken_certificate_says_how_to_get_another(place: Workspace, name: str) -> None:
    (place.tls / name).write_text("x")
    with pytest.raises(UsageError, match="--renew"):
        Server(place.releases, place.tls, "127.0.0.1", 0, lambda _: None)


def test_a_certificate_and_key_that_do_not_belong_together_are_noticed(place: Workspace, tmp_path: Path) -> None:
    (place.tls / "server.key").write_bytes((place.tls / "ca.key").read_bytes())
    with pytest.raises(UsageError, match="--renew"):
        Server(place.releases, place.tls, "127.0.0.1", 0, lambda _: None)
