"""The fault server as any client sees it: what each fault does on the wire, from a folder and before another server."""

import http.client
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest
from faultserver import cli, faults
from faultserver.exchange import Folder, Upstream
from faultserver.server import Event, FaultServer
from otactl.workspace import tls

DATA = bytes(range(256)) * 200
HEAD = {"Accept-Encoding": "identity"}


class Site:
    """A folder with one file, the server on it, and a client of it."""

    def __init__(self, folder: Path, proxied: bool) -> None:
        (folder / "root").mkdir()
        (folder / "root" / "a.bin").write_bytes(DATA)
        tls.make_ca(folder, "test")
        tls.make_server(folder, ["localhost"])
        self.ca, self.events = folder / "ca.pem", list[Event]()
        pair = folder / "server.pem", folder / "server.key"
        self.servers = [FaultServer(Folder(folder / "root"), *pair, watch=self.events.append)]
        if proxied:
            behind = Upstream(f"https://localhost:{self.servers[0].port}", self.ca)
            self.servers.append(FaultServer(behind, *pair, match="*.bin"))
        self.front = self.servers[-1]

    def get(self, script: str, path: str = "/a.bin", **headers: str) -> tuple[int, dict[str, str], bytes]:
        """The answer under the faults: status, headers, body as far as it came."""
        self.front.script([faults.parse(text) for text in script.split()])
        context = ssl.create_default_context(cafile=self.ca)
        connection = http.client.HTTPSConnection("localhost", self.front.port, context=context, timeout=1)
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        try:
            connection.request("GET", path, headers=HEAD | named)
            response = connection.getresponse()
            body = b""
            try:
                while piece := response.read1(1000):
                    body += piece
            except (OSError, http.client.HTTPException):
                pass
            return response.status, {k.lower(): v for k, v in response.getheaders()}, body
        finally:
            connection.close()


@pytest.fixture(params=["folder", "proxy"])
def site(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Site]:
    made = Site(tmp_path, request.param == "proxy")
    for server in made.servers:
        server.__enter__()
    yield made
    for server in made.servers:
        server.__exit__()


def test_without_faults_all_is_well(site: Site) -> None:
    assert site.get("")[::2] == (200, DATA)
    status, headers, body = site.get("", Range="bytes=100-")
    assert (status, body) == (206, DATA[100:])
    assert headers["content-range"] == f"bytes 100-{len(DATA) - 1}/{len(DATA)}"
    assert site.get("", Range=f"bytes={len(DATA)}-")[0] == 416
    assert site.get("", "/b.bin")[0] == 404
    assert site.get("", "/../ca.pem")[0] == 404


@pytest.mark.parametrize("ending", ["cut", "reset", "stall", "garble", "etag"])
def test_body_ends_after_n_bytes(site: Site, ending: str) -> None:
    status, headers, body = site.get(f"{ending}:5000")
    assert (status, int(headers["content-length"])) == (200, len(DATA))
    assert body == DATA[:5000]
    assert site.get("")[2] == DATA


@pytest.mark.parametrize(("fault", "announced", "sent"), [
    ("short:10", -10, -10), ("long:10", 10, 0), ("extra:10", 10, 10),
])  # fmt: skip
def test_wrong_length(site: Site, fault: str, announced: int, sent: int) -> None:
    _, headers, body = site.get(fault)
    assert int(headers["content-length"]) == len(DATA) + announced
    assert len(body) == len(DATA) + sent


def test_flipped_byte_is_the_only_difference(site: Site) -> None:
    body = site.get("flip:300")[2]
    assert [i for i in range(len(DATA)) if body[i] != DATA[i]] == [300]


@pytest.mark.parametrize("fault", ["chunked", "no-length", "trickle:200000", "slow-headers:2000"])
def test_odd_but_right(site: Site, fault: str) -> None:
    _, headers, body = site.get(fault)
    assert body == DATA
    assert ("content-length" in headers) == (fault not in ("chunked", "no-length"))


def test_pace(site: Site) -> None:
    began = time.monotonic()
    site.get("trickle:100000")
    assert 0.4 < time.monotonic() - began < 3


def test_ranges_that_are_wrong(site: Site) -> None:
    assert site.get("no-range", Range="bytes=100-")[::2] == (200, DATA)
    status, headers, body = site.get("wrong-range", Range="bytes=100-")
    assert (status, body) == (206, DATA[4196:])
    assert headers["content-range"].startswith("bytes 4196-")


def test_etag_changes_half_way(site: Site) -> None:
    before = site.get("")[1]["etag"]
    assert site.get("", Range="bytes=100-", If_Range=before)[0] == 206
    assert site.get("etag:5000")[1]["etag"] == before
    status, headers, body = site.get("", Range="bytes=100-", If_Range=before)
    assert (status, body) == (200, DATA)
    assert headers["etag"] != before
    assert site.get("", Range="bytes=100-", If_Range=headers["etag"])[0] == 206


@pytest.mark.parametrize(("fault", "location"), [
    ("redirect:301", "/a.bin"), ("redirect:302:other-host", "https://localhost:{port}/a.bin"),
    ("redirect:307:http", "http://localhost:{port}/a.bin"), ("redirect-loop", "/a.bin?fault-loop"),
])  # fmt: skip
def test_redirect(site: Site, fault: str, location: str) -> None:
    status, headers, _ = site.get(fault)
    assert str(status) in (*fault.split(":"), "302")
    assert headers["location"] == location.format(port=site.front.port)


def test_loop_has_no_end_but_asking_anew(site: Site) -> None:
    for _ in range(3):
        assert site.get("", "/a.bin?fault-loop")[0] == 302
    assert site.get("")[0] == 200


def test_status_with_retry_after(site: Site) -> None:
    status, headers, _ = site.get("status:503:7")
    assert (status, headers["retry-after"]) == (503, "7")


@pytest.mark.parametrize(("fault", "error"), [
    ("refuse", ConnectionResetError), ("tls-alert", ssl.SSLError), ("bad-cert", ssl.SSLCertVerificationError),
])  # fmt: skip
def test_before_the_request(site: Site, fault: str, error: type[Exception]) -> None:
    with pytest.raises(error):
        site.get(fault)
    assert site.get("")[0] == 200


def test_script_is_for_matching_paths_one_step_for_each_request(site: Site) -> None:
    site.front.match = "*.bin"
    assert site.get("status:500", "/other.json")[0] == 404
    assert site.front.left == 1
    assert site.get("ok chunked+cut:5000")[2] == DATA


def test_every_fault_reads_as_it_is_written() -> None:
    for i in range(500):
        for step in faults.random_script(Random(i), 1000):
            assert faults.parse(faults.written(step)) == step
    assert set(faults.KINDS) == {line.split(":")[0].split("[")[0].split()[0] for line in faults.listing().splitlines()}


@pytest.mark.parametrize(("words", "says"), [
    (["--fault", "cutt:9"], "did you mean cut?"), (["--fault", "cut"], "is not written as cut:N"),
    (["--fault", "cut:-1"], "cut:N"), (["--fault", "redirect:200"], "redirect:CODE"),
    (["--proxy", "example"], "https://HOST:PORT"),
])  # fmt: skip
def test_wrong_usage_is_one_line(capsys: pytest.CaptureFixture[str], words: list[str], says: str) -> None:
    assert cli.main(words) == 2
    assert says in capsys.readouterr().err


def test_command(tmp_path: Path) -> None:
    site = Site(tmp_path, proxied=False)
    words = [sys.executable, "-m", "faultserver", "--root", str(tmp_path / "root"), "--port", "0"]
    words += ["--cert", str(tmp_path / "server.pem"), "--key", str(tmp_path / "server.key")]
    words += ["--fault", "cut:100", "--random", "2", "--seed", "5", "--match", "*.bin"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as running:
        try:
            assert running.stdout
            lines = [running.stdout.readline() for _ in range(3)]
            assert lines[0] == "seed 5\n"
            assert lines[2].startswith("faults: cut:100 ")
            context = ssl.create_default_context(cafile=site.ca)
            port = int(lines[1].split()[-1])
            connection = http.client.HTTPSConnection("localhost", port, context=context, timeout=5)
            connection.request("GET", "/a.bin")
            with pytest.raises(http.client.IncompleteRead):
                connection.getresponse().read()
            connection.close()
            line = running.stdout.readline()
            assert line.endswith(f"GET a.bin 200, 100 of {len(DATA)}  cut:100\n")
        finally:
            running.kill()
