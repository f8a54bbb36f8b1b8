"""`otactl ca`: authorities of our own and of others, a change from one to the next, and boards' own certificates."""

import json
import socket
import ssl
import stat
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import chains
import listening
import pytest
from chains import DAY, NOW, OLD, Issued, public_ca, public_server
from cryptography import x509
from otactl.board import settings
from otactl.cli.main import main
from otactl.errors import RigError, UsageError
from otactl.server.files import Transfer
from otactl.server.server import Server
from otactl.workspace import authorities, clients, issuing, public, tls
from otactl.workspace.workspace import Workspace

ROOT = public_ca("Public Root G1")
MIDDLE = public_ca("Public Intermediate", ROOT)
OTHER = public_ca("Another Root")
SITE = public_server("localhost", MIDDLE)
Showing = Callable[..., int]


@pytest.fixture
def showing(tmp_path: Path) -> Iterator[Showing]:
    """showing(*chain): the port of a TLS server at localhost with these certificates."""
    running: list[tuple[socket.socket, threading.Thread]] = []

    def start(*chain: Issued) -> int:
        path = tmp_path / f"chain-{len(running)}.pem"
        path.write_bytes(chains.served(*chain))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(path)
        listener = socket.create_server(("127.0.0.1", 0))

        def serve() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                    with connection, context.wrap_socket(connection, server_side=True) as secured:
                        secured.recv(1)
                except (ssl.SSLError, ConnectionError):
                    continue
                except OSError:
                    return

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        running.append((listener, thread))
        return int(listener.getsockname()[1])

    yield start
    for listener, thread in running:
        listening.end(listener, thread)


def store(folder: Path, *roots: Issued) -> Path:
    path = folder / "store.pem"
    path.write_bytes(b"".join(one.pem for one in roots))
    return path


def listed(place: Workspace) -> list[tuple[str, str]]:
    return [(one.name, one.kind) for one in authorities.held(place)]


def ca(place: Workspace, *words: object) -> int:
    return main(["ca", *map(str, words), "-w", str(place.root)])


# --- fetch ------------------------------------------------------------------------------------------------------------


def test_root_of_a_public_server_is_stored_and_goes_to_boards_behind_our_own(
    place: Workspace, showing: Showing, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    port = showing(SITE, MIDDLE)
    assert ca(place, "fetch", f"localhost:{port}", "--store", store(tmp_path, OTHER, ROOT)) == 0
    told = capsys.readouterr().out
    assert f"known by Public Root G1, which ends on {ROOT.certificate.not_valid_after_utc:%Y-%m-%d}" in told
    assert (place.tls / "roots" / "public-root-g1.pem").read_bytes() == ROOT.pem
    assert settings.files(place, "")["/etc/ota/ca.pem"] == (place.tls / "ca.pem").read_bytes() + ROOT.pem


def test_same_root_is_stored_once(place: Workspace) -> None:
    authorities.keep_root(place, ROOT.certificate)
    authorities.keep_root(place, ROOT.certificate)
    authorities.keep_root(place, public_ca("Public Root G1").certificate)
    assert [name[:14] for name, _ in listed(place)] == ["own", "public-root-g1", "public-root-g1"]


UNKNOWN: dict[str, tuple[list[Issued], list[Issued]]] = {
    "its root is not in the store": ([SITE, MIDDLE], [OTHER]),
    "its intermediate is not shown": ([SITE], [ROOT]),
    "it has expired": ([public_server("localhost", MIDDLE, dates=OLD), MIDDLE], [ROOT]),
    "it is not valid yet": ([public_server("localhost", MIDDLE, dates=(NOW + DAY, NOW + 9 * DAY)), MIDDLE], [ROOT]),
    "it is for another host": ([public_server("other.test", MIDDLE), MIDDLE], [ROOT]),
    "its intermediate is no CA": (
        [public_server("localhost", leaf := public_server("shop.test", ROOT)), leaf],
        [ROOT],
    ),
}


@pytest.mark.parametrize(("chain", "roots"), UNKNOWN.values(), ids=UNKNOWN)
def test_nothing_is_stored_where(
    place: Workspace,
    showing: Showing,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    chain: list[Issued],
    roots: list[Issued],
) -> None:
    assert ca(place, "fetch", f"localhost:{showing(*chain)}", "--store", store(tmp_path, *roots)) == 3
    assert "does not go back to a root" in " ".join(capsys.readouterr().err.split())
    assert listed(place) == [("own", "own")]


def test_public_store_is_one_of_real_roots(showing: Showing) -> None:
    with pytest.raises(RigError, match="does not go back to a root of the public store"):
        public.root("localhost", public.shown("localhost", showing(SITE, MIDDLE)))


def test_server_that_speaks_no_tls_or_is_not_there() -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute:
        port = mute.getsockname()[1]
        with pytest.raises(RigError, match="it does not answer in TLS"):
            public.shown("127.0.0.1", port, timeout_s=0.2)
    with pytest.raises(RigError, match="refused"):
        public.shown("127.0.0.1", port)


@pytest.mark.parametrize("text", ["", "a b", "github.com:0", "github.com:https", "https://github.com"])
def test_what_is_no_address(text: str) -> None:
    with pytest.raises(UsageError):
        public.address(text)


def test_boards_get_no_more_than_they_can_hold(place: Workspace) -> None:
    def fill() -> None:
        for number in range(30):
            authorities.keep_root(place, public_ca(f"Root {number}").certificate)

    with pytest.raises(UsageError, match="8192 are the most"):
        fill()
    assert len(authorities.bundle(place)) <= 8192


# --- the change-over --------------------------------------------------------------------------------------------------


def serves(place: Workspace, trust: bytes) -> bool:
    """Whether a client that trusts `trust` takes what `otactl serve` shows."""
    context = ssl.create_default_context(cadata=trust.decode())
    with Server(place.releases, place.tls, "127.0.0.1", 0, lambda _: None) as server:
        try:
            with socket.create_connection(("127.0.0.1", server.port), timeout=10) as raw:
                context.wrap_socket(raw, server_hostname="127.0.0.1").close()
            return True
        except ssl.SSLCertVerificationError:
            return False


def test_change_from_one_authority_to_the_next(place: Workspace) -> None:
    before = authorities.bundle(place)
    assert ca(place, "new") == 0
    both = authorities.bundle(place)
    assert both.startswith(before)
    assert (serves(place, before), serves(place, both)) == (True, True)
    names = tls.server_names(place.tls)
    assert ca(place, "switch") == 0
    assert (serves(place, before), serves(place, both)) == (True, True)
    assert serves(place, (place.tls / "ca.pem").read_bytes())
    assert tls.server_names(place.tls) == names
    (former,) = [one for one in authorities.held(place) if one.kind == "former"]
    assert former.certificate.public_bytes(issuing.PEM) == before
    assert not (place.tls / "next" / "ca.pem").exists()
    assert ca(place, "remove", former.name) == 0
    assert listed(place) == [("own", "own")]
    assert not list((place.tls / "former").iterdir())
    tls.make_server(place.tls, names)  # `otactl init --renew`
    assert serves(place, before)  # a board that slept through all of it


def test_authority_of_before_cannot_vouch_for_the_next(place: Workspace, capsys: pytest.CaptureFixture[str]) -> None:
    chains.authority_of_before(place.tls, "lamp releases")
    tls.make_server(place.tls, ["127.0.0.1"])
    before = authorities.bundle(place)
    assert ca(place, "new") == 0
    both = authorities.bundle(place)
    assert ca(place, "switch") == 2  # what may be lost was not agreed to
    assert "cannot vouch for the new one" in " ".join(capsys.readouterr().err.split())
    assert serves(place, before)
    assert ca(place, "switch", "--yes") == 0
    assert (serves(place, before), serves(place, both)) == (False, True)


def test_vouching_goes_back_four_times_and_no_further_than_what_has_not_ended(
    place: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = []
    for _ in range(5):
        known.append((place.tls / "ca.pem").read_bytes())
        authorities.begin(place)
        authorities.drop(authorities.switch(place))
    assert [serves(place, one) for one in known] == [False, True, True, True, True]
    monkeypatch.setattr(tls, "CA_DAYS", -1)  # a CA that ends before the next one is there
    authorities.begin(place)
    authorities.switch(place)
    assert [serves(place, one) for one in known] == [False] * 5


def test_server_keeps_its_key_where_boards_hold_it_to_that(place: Workspace) -> None:
    pin = tls.key_pin(tls.server(place.tls).public_key())  # type: ignore[union-attr]
    pinned = replace(place, board={**place.board, "pins": [pin]})
    authorities.begin(pinned)
    authorities.switch(pinned)
    assert tls.key_pin(tls.server(place.tls).public_key()) == pin  # type: ignore[union-attr]


def test_change_that_was_broken_off_is_taken_up(place: Workspace) -> None:
    authorities.begin(place)
    waiting = {path: path.read_bytes() for path in (place.tls / "next").iterdir()}
    authorities.switch(place)
    before = {path: path.read_bytes() for path in place.tls.rglob("*") if path.is_file()}
    for path, data in waiting.items():  # all was written, and the new CA was not taken away yet
        path.write_bytes(data)
    authorities.switch(place)
    assert {path: path.read_bytes() for path in place.tls.rglob("*") if path.is_file()} == before


REFUSED = {
    "a second new one": (["new"], ["new"], "holds a new CA already"),
    "a switch to none": ([], ["switch", "--yes"], "there is no new CA"),
    "the own one removed": ([], ["remove", "own"], "the server's certificate is from it"),
    "one removed that is not there": (["new"], ["remove", "nxet"], "(there are: next)"),
}


@pytest.mark.parametrize(("first", "words", "why"), REFUSED.values(), ids=REFUSED)
def test_refused_is(
    place: Workspace, capsys: pytest.CaptureFixture[str], first: list[str], words: list[str], why: str
) -> None:
    assert not first or ca(place, *first) == 0
    before = authorities.bundle(place)
    assert ca(place, *words) == 2
    assert why in " ".join(capsys.readouterr().err.split())
    assert authorities.bundle(place) == before


def test_keys_are_private_and_stay_out_of_git(place: Workspace) -> None:
    (place.root / ".gitignore").write_text("build\n")  # of a workspace that is older
    authorities.begin(place)
    authorities.switch(place)
    clients.make(place, "lamp-1")
    keys = [*place.tls.rglob("*.key")]
    assert len(keys) == 4
    assert {stat.S_IMODE(path.stat().st_mode) for path in keys} == {0o600}
    assert {"build", "tls/*.key", "tls/*/*.key"} <= set((place.root / ".gitignore").read_text().splitlines())


def test_list_tells_what_ends(place: Workspace, capsys: pytest.CaptureFixture[str]) -> None:
    authorities.keep_root(place, public_ca("Old Root", dates=OLD).certificate)
    authorities.keep_root(place, public_ca("Ending Root", dates=(NOW - DAY, NOW + 9 * DAY)).certificate)
    assert ca(place, "list") == 0
    told = capsys.readouterr().out
    assert "old-root has ended" in told
    assert "ending-root ends in 8 days" in told or "ending-root ends in 9 days" in told
    assert "own ends" not in told
    assert ca(place, "list", "--json") == 0
    found = json.loads(capsys.readouterr().out)["authorities"]
    assert [(one["name"], one["kind"]) for one in found] == listed(place)
    assert datetime.fromisoformat(found[0]["until"]) > datetime.now(UTC)


# --- boards' own certificates, and pins --------------------------------------------------------------------------------


def asked(place: Workspace, name: str) -> tuple[bool, list[str]]:
    """Whether `serve --client-certificates` answers who comes with the certificate of a board; what it tells of him."""
    told: list[Transfer] = []
    trusted = authorities.own_bundle(place)
    context = ssl.create_default_context(cafile=str(place.tls / "ca.pem"))
    context.maximum_version = ssl.TLSVersion.TLSv1_2  # as boards
    if name:
        context.load_cert_chain(place.tls / "clients" / f"{name}.pem", place.tls / "clients" / f"{name}.key")
    with Server(place.releases, place.tls, "127.0.0.1", 0, told.append, clients=trusted) as server:
        try:
            raw = socket.create_connection(("127.0.0.1", server.port), timeout=10)
            with raw, context.wrap_socket(raw, server_hostname="127.0.0.1") as secured:
                secured.sendall(b"GET /x HTTP/1.1\r\nHost: x\r\n\r\n")
                return secured.recv(8).startswith(b"HTTP/1.1"), []
        except OSError:
            pass
    return False, [one.why for one in told if one.why]


def test_server_that_asks_takes_boards_of_ours_only(place: Workspace) -> None:
    clients.make(place, "lamp-1")
    assert asked(place, "lamp-1") == (True, [])
    well, told = asked(place, "")
    assert not well
    assert told[0].startswith("has no certificate of its own: `otactl ca client NAME`")


def test_certificate_of_the_server_is_none_of_a_board(place: Workspace) -> None:
    """Nor is one of a public authority, whose customers are not ours."""
    clients.make(place, "lamp-1")
    authorities.keep_root(place, ROOT.certificate)
    folder = place.tls / "clients"
    stranger = chains.issue("lamp-1", ROOT)
    for pem, key in (
        ((place.tls / "server.pem").read_bytes(), (place.tls / "server.key").read_bytes()),
        (stranger.pem, stranger.key_as(chains.PEM)),
    ):
        (folder / "thief.pem").write_bytes(pem)
        (folder / "thief.key").write_bytes(key)
        well, told = asked(place, "thief")
        assert not well
        assert told[0].startswith("its own certificate is refused here")


def test_certificate_of_a_former_authority_is_taken_until_it_is_removed(
    place: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    clients.make(place, "lamp-1")
    authorities.begin(place)
    former = authorities.switch(place)
    assert asked(place, "lamp-1")[0]
    assert ca(place, "remove", former.name) == 2
    assert "the certificates of lamp-1 are from" in " ".join(capsys.readouterr().err.split())
    assert ca(place, "remove", former.name, "--yes") == 0
    assert not asked(place, "lamp-1")[0]


def test_board_gets_its_own_certificate_and_nobody_else_s(place: Workspace) -> None:
    for name in ("lamp-1", "lamp-2"):
        assert ca(place, "client", name) == 0
    files = settings.files(place, "lamp-1")
    own = x509.load_der_x509_certificate(files["/etc/ota/client.der"])
    assert issuing.common_name(own) == "lamp-1"
    assert json.loads(files["/etc/ota/config.json"])["client"] == {
        "cert": "/etc/ota/client.der",
        "key": "/etc/ota/client.key",
    }
    assert files["/etc/ota/client.key"]
    others = settings.files(place, "lamp-3")
    assert "/etc/ota/client.key" not in others
    assert "client" not in json.loads(others["/etc/ota/config.json"])


@pytest.mark.parametrize("name", ["", "..", "../ca", "a/b", ".hidden", "x" * 65])
def test_no_board_has_such_a_name(place: Workspace, name: str) -> None:
    with pytest.raises(UsageError):
        clients.make(place, name)
    assert clients.of(place, name) is None


def configured(place: Workspace, line: str) -> Workspace:
    path = place.root / "otactl.toml"
    head, _, rest = path.read_text().partition("[board.trial]")
    path.write_text(f"{head}[board]\n{line}\n[board.trial]{rest}")
    return Workspace.find(place.root)


def test_where_all_boards_are_to_have_one_a_board_without_is_not_deployed(place: Workspace) -> None:
    told = configured(place, "client = {}")
    with pytest.raises(UsageError, match="has no certificate of its own"):
        settings.files(told, "lamp-1")
    clients.make(told, "lamp-1")
    assert settings.files(told, "lamp-1")["/etc/ota/client.key"]


def test_pins_are_those_of_the_certificate(
    place: Workspace, showing: Showing, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ca(place, "pin", "--json") == 0
    own = json.loads(capsys.readouterr().out)
    key = tls.server(place.tls).public_key()  # type: ignore[union-attr]
    assert own["key"] == chains.sha256(key.public_bytes(chains.DER, chains.SPKI))
    assert ca(place, "pin", f"localhost:{showing(SITE, MIDDLE)}", "--json") == 0
    assert json.loads(capsys.readouterr().out) == {
        "key": chains.sha256(SITE.public_key),
        "certificate": chains.sha256(SITE.der),
    }


@pytest.mark.parametrize("pinned", [True, False])
def test_renewing_keeps_a_key_that_boards_hold_the_server_to(place: Workspace, pinned: bool) -> None:
    def pin() -> str:
        return tls.key_pin(tls.server(place.tls).public_key())  # type: ignore[union-attr]

    before, certificate = pin(), (place.tls / "server.pem").read_bytes()
    if pinned:
        configured(place, f'pins = ["{before.upper()}"]')
    assert main(["init", "--renew", "-w", str(place.root)]) == 0
    assert (pin() == before) == pinned
    assert (place.tls / "server.pem").read_bytes() != certificate
