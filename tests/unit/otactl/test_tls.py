"""Certificates, judged by OpenSSL and used by real connections."""

import socket
import ssl
import stat
import subprocess
import sys
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from otactl.errors import UsageError
from otactl.workspace import tls

NAMES = ["laptop.local", "192.168.7.5", "localhost"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("tls")
    tls.make_ca(made, "lamp")
    tls.make_server(made, NAMES)
    return made


@pytest.fixture
def copy(folder: Path, tmp_path: Path) -> Path:
    for file in folder.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    return tmp_path


def certificate(folder: Path, name: str = "server.pem") -> x509.Certificate:
    return x509.load_pem_x509_certificate((folder / name).read_bytes())


def handshake(folder: Path, name: str, *, strict: bool = False) -> None:
    """Connect as a client that trusts the folder's CA and calls the server `name`."""
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    server.load_cert_chain(folder / "server.pem", folder / "server.key")
    client = ssl.create_default_context(cafile=str(folder / "ca.pem"))
    if strict:
        client.verify_flags |= ssl.VERIFY_X509_STRICT
    here, there = socket.socketpair()

    def serve() -> None:
        try:
            with server.wrap_socket(there, server_side=True) as secured:
                secured.recv(1)
        except OSError:
            pass  # the client's verdict is what counts

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        with client.wrap_socket(here, server_hostname=name):
            pass
    finally:
        here.close()
        thread.join()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("strict", [False, True])
def test_each_name_is_accepted(folder: Path, name: str, strict: bool) -> None:
    handshake(folder, name, strict=strict)


@pytest.mark.parametrize("name", ["other.local", "192.168.7.6", "127.0.0.1"])
def test_another_name_is_not(folder: Path, name: str) -> None:
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(folder, name)


def test_openssl_accepts_the_chain_under_its_strict_rules(folder: Path) -> None:
    command = ["openssl", "verify", "-x509_strict", "-purpose", "sslserver"]
    done = subprocess.run(
        [*command, "-CAfile", folder / "ca.pem", folder / "server.pem"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_private_keys_are_for_their_owner_only(folder: Path) -> None:
    for name in ("ca.key", "server.key"):
        assert stat.S_IMODE((folder / name).stat().st_mode) == 0o600


def test_keys_are_on_p256_which_a_board_verifies_quickly(folder: Path) -> None:
    for name in ("ca.pem", "server.pem"):
        assert certificate(folder, name).public_key().key_size == 256


def test_a_clock_a_day_behind_still_finds_it_valid(folder: Path) -> None:
    yesterday = datetime.now(UTC) - timedelta(days=1)
    assert certificate(folder).not_valid_before_utc < yesterday
    assert certificate(folder, "ca.pem").not_valid_before_utc < yesterday


def test_an_address_is_a_dns_name_as_well_for_old_mbedtls(folder: Path) -> None:
    found = certificate(folder).extensions.get_extension_for_class(x509.SubjectAlternativeName)
    assert "192.168.7.5" in found.value.get_values_for_type(x509.DNSName)
    assert tls.server_names(folder) == NAMES[:2] + NAMES[2:]


def test_renewing_keeps_the_ca_and_changes_the_rest(copy: Path) -> None:
    before = {file.name: file.read_bytes() for file in copy.iterdir()}
    tls.make_server(copy, ["new.local"])
    after = {file.name: file.read_bytes() for file in copy.iterdir()}
    changed = {name for name in before if before[name] != after[name]}
    assert changed == {"server.pem", "server.key"}
    handshake(copy, "new.local")
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(copy, "laptop.local")


def test_a_disk_that_fills_up_leaves_the_old_pair_that_belongs_together(copy: Path) -> None:
    before = {file.name: file.read_bytes() for file in copy.iterdir()}
    program = "import resource, sys; from pathlib import Path; from otactl.workspace import tls\n"
    program += "resource.setrlimit(resource.RLIMIT_FSIZE, (600, 600))  # a key has room, a certificate has not\n"
    program += "tls.make_server(Path(sys.argv[1]), ['new.local'])"
    done = subprocess.run([sys.executable, "-c", program, copy], capture_output=True, text=True, check=False)
    assert f"File too large: '{copy / 'server.pem'}'" in done.stderr
    assert {file.name: file.read_bytes() for file in copy.iterdir()} == before
    handshake(copy, "laptop.local")


def test_a_ca_that_did_not_fit_on_the_disk_can_be_made_again(tmp_path: Path) -> None:
    program = "import resource, sys; from pathlib import Path; from otactl.workspace import tls\n"
    program += "resource.setrlimit(resource.RLIMIT_FSIZE, (400, 400))\ntls.make_ca(Path(sys.argv[1]), 'lamp')"
    done = subprocess.run([sys.executable, "-c", program, tmp_path], capture_output=True, text=True, check=False)
    assert "ca.pem" in done.stderr
    assert list(tmp_path.iterdir()) == []
    tls.make_ca(tmp_path, "lamp")
    with pytest.raises(FileExistsError):
        tls.make_ca(tmp_path, "lamp")


def test_a_server_certificate_never_outlives_its_ca(copy: Path) -> None:
    tls.make_server(copy, NAMES, days=100 * 365)
    assert certificate(copy).not_valid_after_utc == certificate(copy, "ca.pem").not_valid_after_utc


@pytest.mark.parametrize(
    ("days", "host", "says"),
    [
        (365, "laptop.local", None),
        (365, "LAPTOP.local", None),
        (365, "192.168.7.5", None),
        (365, "other.local", "not for other.local"),
        (20, "laptop.local", "expires in 19 days"),
        (-1, "laptop.local", "has expired"),
    ],
)
def test_advice_before_boards_refuse_it(copy: Path, days: int, host: str, says) -> None:
    tls.make_server(copy, NAMES, days=days)
    found = tls.advice(copy, host)
    assert (found is None) if says is None else (says in str(found) and "--renew" in str(found))


@pytest.mark.parametrize("name", ["", "a b", "-x", "x" * 64, "a..b", "http://x", "x" * 300, "ü" * 80])
def test_a_name_that_is_none_is_refused_and_nothing_changes(copy: Path, name: str) -> None:
    before = (copy / "server.pem").read_bytes()
    with pytest.raises(UsageError, match="neither a host name nor an address"):
        tls.make_server(copy, ["fine.local", name])
    assert (copy / "server.pem").read_bytes() == before


@pytest.mark.parametrize(("given", "kept"), [("münchen.local", "xn--mnchen-3ya.local"), ("::1", "::1"), ("A.B", "a.b")])
def test_names_are_kept_as_certificates_carry_them(copy: Path, given: str, kept: str) -> None:
    tls.make_server(copy, [given])
    assert tls.server_names(copy) == [kept]


def test_a_damaged_certificate_has_no_names_so_that_it_can_be_renewed(copy: Path) -> None:
    (copy / "server.pem").write_text("nothing")
    assert tls.server_names(copy) == []


def test_a_certificate_without_names_is_for_no_host(copy: Path) -> None:
    (copy / "server.pem").write_bytes((copy / "ca.pem").read_bytes())
    assert "not for lamp.local" in str(tls.advice(copy, "lamp.local"))


@pytest.mark.parametrize("broken", ["ca.pem", "ca.key"])
def test_a_broken_ca_says_where_and_what_to_do(copy: Path, broken: str) -> None:
    (copy / broken).write_text("nothing")
    with pytest.raises(UsageError, match=r"no usable CA in .*: bring it back, or make a new workspace"):
        tls.make_server(copy, NAMES)


def test_own_names_are_ones_that_a_certificate_can_carry(copy: Path) -> None:
    found = tls.own_names()
    assert {"localhost", "127.0.0.1"} <= set(found)
    tls.make_server(copy, found)
    assert set(tls.server_names(copy)) >= {name.lower() for name in found}
