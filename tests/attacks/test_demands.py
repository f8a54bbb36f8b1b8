"""Pins and boards' own certificates: an attacker whose certificate our CA has signed, and servers that ask who comes."""

import ssl
from collections.abc import Callable

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from faultbench import STRANGER
from otactl.workspace import tls
from rig import ADDRESS, HOST

from attacks import certificates
from attacks.bench import CHANNEL, Bench, Row
from attacks.certificates import Owned
from attacks.villain import moved

TRANSPORT = "the transport: what boards ask for, and to hold it back"
NEXT_DOOR = 8444  # the port that he has at our server's address
OWN_CERTIFICATE = {"cert": "/etc/ota/client.der", "key": "/etc/ota/client.key"}


def _pin(shown: x509.Certificate) -> str:
    return tls.key_pin(shown.public_key())


def _ours(bench: Bench) -> x509.Certificate:
    found = tls.server(bench.rig.workspace.tls)
    assert found
    return found


def _shows(bench: Bench, shown: Owned, *above: Owned) -> None:
    bench.villain.context = certificates.context(bench.rig.root, shown, *above)
    bench.release()


def _of_our_ca(bench: Bench, host: str = HOST) -> Owned:
    """A certificate that our CA has signed: somebody has had it sign one for him."""
    return certificates.issued(host, certificates.own_ca(bench.rig.workspace.tls))


def _another(bench: Bench) -> None:
    bench.configure(pins=[_pin(_ours(bench))])
    _shows(bench, _of_our_ca(bench))


def _same_key(bench: Bench) -> None:
    """The pin is that of a certificate, not of its key: another one for the same key is none of the list."""
    first = _of_our_ca(bench)
    bench.configure(pins=[certificates.fingerprint(first)])
    ca = certificates.own_ca(bench.rig.workspace.tls)
    _shows(bench, certificates.issued(HOST, ca, key=first.key))


def _ours_behind(bench: Bench) -> None:
    bench.configure(pins=[_pin(_ours(bench)), certificates.fingerprint(_our_own(bench))])
    _shows(bench, _of_our_ca(bench), _our_own(bench), certificates.own_ca(bench.rig.workspace.tls))


def _our_own(bench: Bench) -> Owned:
    # Our server's certificate, in his hands as in everybody's; its key he has not.
    return Owned(_ours(bench), certificates.own_ca(bench.rig.workspace.tls).key)


def _of_the_ca(bench: Bench) -> None:
    bench.configure(pins=[_pin(certificates.own_ca(bench.rig.workspace.tls).certificate)])
    ca = certificates.own_ca(bench.rig.workspace.tls)
    _shows(bench, _of_our_ca(bench), ca)


def _after_a_redirect(bench: Bench) -> None:
    bench.configure(pins=[_pin(_ours(bench))])
    bench.release()
    bench.answer(CHANNEL, moved(f"https://{STRANGER}:{NEXT_DOOR}/stable.json"))
    bench.network.routes[ADDRESS, NEXT_DOOR] = ("127.0.0.1", bench.neighbour.port)
    bench.neighbour.context = certificates.context(bench.rig.root, _of_our_ca(bench, STRANGER))


def _plain(bench: Bench, **more: object) -> None:
    bench.configure(pins=[_pin(_ours(bench))], allow_http=True, **more)
    bench.release()


def _by_http(bench: Bench) -> None:
    _plain(bench, url=f"http://{HOST}:8443/stable.json")
    bench.villain.context = None


def _redirected_to_http(bench: Bench) -> None:
    _plain(bench)
    bench.answer(CHANNEL, moved(f"http://{STRANGER}:{NEXT_DOOR}/stable.json"))
    bench.network.routes[ADDRESS, NEXT_DOOR] = ("127.0.0.1", bench.neighbour.port)


def _heard_nothing(bench: Bench) -> None:
    assert (bench.heard, bench.heard_next_door) == ([], [])


def _next_door_heard_nothing(bench: Bench) -> None:
    assert len(bench.heard) == 1
    assert bench.heard_next_door == []


def _pin_row(
    begin: Callable[[Bench], None], code: str = "cert-pin", after: Callable[[Bench], None] = _heard_nothing
) -> Row:
    return Row(code, TRANSPORT, begin, after=after, parts=True)


PINS = {
    "pin: another certificate of our CA for our name, with another key": _pin_row(_another),
    "pin: another certificate of our CA for the same key, where the certificate is pinned": _pin_row(_same_key),
    "pin: his certificate, and ours behind it in the chain": _pin_row(_ours_behind),
    "pin: any certificate of our CA, where the CA's own key is pinned": _pin_row(_of_the_ca),
    "pin: a redirect to a host whose certificate is good, and not pinned": _pin_row(
        _after_a_redirect, after=_next_door_heard_nothing
    ),
    "pin: no TLS, which is allowed": _pin_row(_by_http, "http-not-allowed"),
    "pin: a redirect to http, which is allowed": _pin_row(
        _redirected_to_http, "redirect-to-http", _next_door_heard_nothing
    ),
}


# --- certificates of boards ---------------------------------------------------------------------------------------


def _asks(bench: Bench, ca: Owned, shown: Owned) -> None:
    """He wants a certificate of the board that `ca` has signed."""
    bench.villain.context = made = certificates.context(bench.rig.root, shown)
    made.load_verify_locations(cadata=ca.pem.decode())
    made.verify_mode = ssl.CERT_REQUIRED
    bench.release()


def _gives(bench: Bench, own: Owned) -> None:
    bench.put(OWN_CERTIFICATE["cert"], own.certificate.public_bytes(serialization.Encoding.DER))
    bench.put(
        OWN_CERTIFICATE["key"],
        own.key.private_bytes(
            serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        ),
    )
    bench.configure(client=OWN_CERTIFICATE)


def _without(bench: Bench) -> None:
    _asks(bench, certificates.own_ca(bench.rig.workspace.tls), _of_our_ca(bench))


def _refused(bench: Bench) -> None:
    _gives(bench, certificates.issued("lamp-1", certificates.own_ca(bench.rig.workspace.tls), client=True))
    _asks(bench, certificates.issued("another CA", ca=True), _of_our_ca(bench))


def _asked_by_a_stranger(bench: Bench) -> None:
    """He takes whatever is shown."""
    ca = certificates.own_ca(bench.rig.workspace.tls)
    _gives(bench, certificates.issued("lamp-1", ca, client=True))
    _asks(bench, ca, certificates.issued(HOST, ca=True))


CLIENTS = {
    "client certificate: asked for, where the board has none": Row("tls", TRANSPORT, _without, after=_heard_nothing),
    "client certificate: ours is refused": Row("client-refused", TRANSPORT, _refused, after=_heard_nothing, parts=True),
    "client certificate: asked for by a server that our CA does not know": Row(
        "cert-untrusted", TRANSPORT, _asked_by_a_stranger, after=_heard_nothing, parts=True
    ),
}

ROWS = {**PINS, **CLIENTS}


@pytest.mark.parametrize("row", ROWS.values(), ids=ROWS)
def test_demand(bench: Bench, row: Row) -> None:
    bench.attacked(row)
