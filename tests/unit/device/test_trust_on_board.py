"""device/ota/release/trust.py and keys.py: which documents a board takes, and what it then trusts."""

import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from otactl.release import envelope
from otactl.workspace import dsse, keys, tls, trust
from trusting import Ring, altered, twice

from .conftest import Run

RING = Ring()
# One VM for a whole table. Each row begins with the keys of before, and tells what became of them.
TAKE = """
    from ota.release import trust
    config = {"keys": "keys.json", "ca": "ca.pem", "product": "demo"}
    told = []
    for row in args["rows"]:
        for name, text in (("keys.json", args["before"]), ("ca.pem", "old")):
            with open(name, "w") as f:
                f.write(text)
        got = attempt(trust._take, row.encode(), args["n"], config)
        with open("keys.json") as f, open("ca.pem") as g:
            told.append([got, f.read(), g.read()])
    print(json.dumps(told))
"""
LOAD = """
    from ota.release import keys
    version, release, least = keys.load("keys.json")
    _, root, enough = keys.load("keys.json", "root")
    print(json.dumps([version, sorted(release), least, sorted(root), enough]))
"""


def _ca() -> str:
    with tempfile.TemporaryDirectory() as folder:
        tls.make_ca(Path(folder), "demo")
        return (Path(folder) / "ca.pem").read_text()


CA = _ca()


def take(mpy: Run, before: str, *documents: bytes, n: int = 2) -> list[tuple[dict[str, Any], str, str]]:
    return [tuple(row) for row in mpy(TAKE, heap="4m", before=before, rows=[one.decode() for one in documents], n=n)]


def by_cable(names: str) -> str:
    return keys.for_board(RING[name].public_key() for name in names)


def held(version: int, root: str, release: str, m: int = 1, n: int = 1) -> str:
    return trust.for_board(RING.document(version, root, release, m, n))


# name: the board's keys, the document that follows, who signs it
GOOD: dict[str, tuple[str, bytes]] = {
    "a rotation": (by_cable("a"), RING.signed(RING.document(2, "b", "b"), "ab")),
    "a backup key for root": (by_cable("a"), RING.signed(RING.document(2, "r", "a"), "ar")),
    "any one key of version 1": (by_cable("ab"), RING.signed(RING.document(2, "a", "a"), "a")),
    "a threshold of two": (by_cable("a"), RING.signed(RING.document(2, "abr", "abr", 2, 2), "ar")),
    "signatures by strangers beside": (by_cable("a"), RING.signed(RING.document(2, "a", "a"), "sa")),
    "the same keys, new CA certificates": (by_cable("a"), RING.signed(RING.document(2, "a", "a", ca=CA), "a")),
}


@pytest.mark.parametrize("name", GOOD)
def test_document_is_taken(name: str, mpy: Run) -> None:
    before, document = GOOD[name]
    [(got, _, ca)] = take(mpy, before, document)
    assert got == {"ok": None}
    asked = trust.read(document)
    assert ca == (asked.ca or "old")
    assert mpy(LOAD) == [
        2,
        sorted(asked.release.keyids),
        asked.release.threshold,
        sorted(asked.root.keyids),
        asked.root.threshold,
    ]


def test_board_holds_what_deploy_would_bring(mpy: Run) -> None:
    document = RING.signed(RING.document(2, "abr", "ab", 2, 1), "ab")
    [(_, there, _)] = take(mpy, by_cable("a"), document)
    found, wanted = json.loads(there), json.loads(trust.for_board(trust.read(document)))
    for role in trust.ROLES:
        found[role]["keys"].sort()
        wanted[role]["keys"].sort()
    assert found == wanted


NEXT = RING.document(3, "rs", "b", 2)  # root: both of r and s; the board has version 2: root r of r, s; release a
BEFORE = held(2, "rs", "a")


def modulus(name: str) -> str:
    return json.loads(trust.content(RING.document(2, name, name)))["keys"][RING.keyid(name)]


def role(names: str, threshold: Any = 1) -> dict[str, Any]:
    return {"keys": [RING.keyid(name) for name in names], "threshold": threshold}


def key_under_two_names() -> bytes:
    other = "ab" * 32
    moduli = {RING.keyid("r"): modulus("r"), other: modulus("r")}
    twofold = {"keys": list(moduli), "threshold": 2}
    return RING.forged(NEXT, "r", keys=moduli, root=twofold, release=twofold)


def a_release() -> bytes:
    release = {"schema": 1, "version": 3, "product": "demo"}
    return envelope.seal(release, [RING["r"], RING["s"]])


HOSTILE: dict[str, tuple[Callable[[], bytes], str]] = {
    "signed by the old root keys alone": (lambda: RING.signed(NEXT, "r"), "trust-signature 3 too-few"),
    "signed by its own root keys alone": (lambda: RING.signed(RING.document(3, "b", "b"), "b"), "trust-signature 3 unknown-key"),
    "signed by the release keys": (lambda: RING.signed(NEXT, "ab"), "trust-signature 3 unknown-key"),
    "signed by nobody": (lambda: RING.signed(NEXT, ""), "trust-signature 3 unknown-key"),
    "with a signature twice": (lambda: twice(RING.signed(NEXT, "r")), "trust-signature 3 too-few"),
    "altered": (lambda: altered(RING.signed(NEXT, "rs")), "trust-signature 3 bad-signature"),
    "with one key under two names": (key_under_two_names, "trust-invalid 3 keyid"),
    "that skips a version": (lambda: RING.signed(RING.document(4, "rs", "b"), "rs"), "trust-invalid 3 version 4"),
    "of the version that is here": (lambda: RING.signed(RING.document(2, "rs", "b"), "rs"), "trust-invalid 3 version 2"),
    "of a version that is text": (lambda: RING.forged(NEXT, "rs", version="3"), "trust-invalid 3 version 3"),
    "without a version": (lambda: RING.forged(NEXT, "rs", version=None), "trust-invalid 3"),
    "of another product": (lambda: RING.signed(RING.document(3, "rs", "b", product="x"), "rs"), "trust-invalid 3 product x"),
    "of another schema": (lambda: RING.forged(NEXT, "rs", schema=2), "trust-invalid 3 schema"),
    "that is a release": (a_release, "trust-invalid 3 envelope-type"),
    "of a type like it": (lambda: RING.forged(NEXT, "rs", kind="application/json"), "trust-invalid 3 envelope-type"),
    "that is no JSON": (lambda: b"<html>", "trust-invalid 3 envelope-not-json"),
    "that is too big": (lambda: RING.signed(NEXT, "rs") + b" " * 8192, "trust-invalid 3 envelope-too-big"),
    "without keys": (lambda: RING.forged(NEXT, "rs", keys={}), "trust-invalid 3 root"),
    "whose keys are a list": (lambda: RING.forged(NEXT, "rs", keys=[]), "trust-invalid 3"),
    "with nine keys": (lambda: RING.forged(NEXT, "rs", keys={str(i): "AA" for i in range(9)}), "trust-invalid 3 keys"),
    "whose modulus is short": (lambda: RING.forged(NEXT, "rs", keys={RING.keyid("r"): "AAAA"}), "trust-invalid 3 modulus"),
    "whose modulus is no text": (lambda: RING.forged(NEXT, "rs", keys={RING.keyid("r"): 5}), "trust-invalid 3"),
    "whose keyid is another key's": (lambda: RING.forged(NEXT, "rs", keys={RING.keyid("r"): modulus("s")}), "trust-invalid 3 keyid"),
    "without the role root": (lambda: RING.forged(NEXT, "rs", root=None), "trust-invalid 3"),
    "whose role is empty": (lambda: RING.forged(NEXT, "rs", release=role("")), "trust-invalid 3 release"),
    "whose role has a key that is not there": (lambda: RING.forged(NEXT, "rs", release=role("x")), "trust-invalid 3 release"),
    "whose role names a key twice": (lambda: RING.forged(NEXT, "rs", release=role("bb", 2)), "trust-invalid 3 release"),
    "whose role has lists for keys": (lambda: RING.forged(NEXT, "rs", release={"keys": [[]], "threshold": 1}), "trust-invalid 3"),
    "with a threshold of none": (lambda: RING.forged(NEXT, "rs", root=role("rs", 0)), "trust-invalid 3 root"),
    "with a threshold above its keys": (lambda: RING.forged(NEXT, "rs", root=role("rs", 3)), "trust-invalid 3 root"),
    "with a threshold that is true": (lambda: RING.forged(NEXT, "rs", release=role("b", True)), "trust-invalid 3 release"),
    "with a threshold of one and a half": (lambda: RING.forged(NEXT, "rs", root=role("rs", 1.5)), "trust-invalid 3 root"),
    "whose CA certificates are no text": (lambda: RING.forged(NEXT, "rs", ca=5), "trust-invalid 3 ca"),
}  # fmt: skip


def test_hostile_document_changes_nothing(mpy: Run) -> None:
    told = take(mpy, BEFORE, *(make() for make, _ in HOSTILE.values()), n=3)
    for (name, (_, why)), (got, there, ca) in zip(HOSTILE.items(), told, strict=True):
        assert f"{got.get('code')} {got.get('detail')}".startswith(why), (name, got)
        assert (there, ca) == (BEFORE, "old"), name


def test_document_that_the_host_vouches_for_is_what_the_board_takes(mpy: Run) -> None:
    """trust.verify() says of every row what the board says."""
    before = RING.document(2, "rs", "a")
    for name, (make, _) in HOSTILE.items():
        with pytest.raises(trust.ReleaseError):
            print(name, trust.verify(make(), before))
    assert trust.verify(RING.signed(NEXT, "rs"), before) == NEXT
    [(got, _, _)] = take(mpy, BEFORE, RING.signed(NEXT, "rs"), n=3)
    assert got == {"ok": None}


def test_largest_document_is_taken_on_a_small_heap(mpy: Run, tmp_path: Path) -> None:
    document = RING.signed(RING.document(2, "abcrs", "a", 2, ca=CA), "ab")
    filled = RING.forged(trust.read(document), "ab", filler="x" * ((dsse.MAX_SIZE - len(document)) * 3 // 4 - 50))
    assert dsse.MAX_SIZE - 100 < len(filled) <= dsse.MAX_SIZE
    (tmp_path / "keys.json").write_text(by_cable("a"))
    (tmp_path / "document.json").write_bytes(filled)
    script = """
        from ota.release import trust
        with open("document.json", "rb") as f:
            raw = f.read()
        config = {"keys": "keys.json", "ca": None, "product": "demo"}
        print(json.dumps(attempt(trust._take, raw, 2, config)))
    """
    assert mpy(script, heap="112k") == {"ok": None}


BAD_FILES: dict[str, Any] = {
    "whose threshold is none": {"release": {"keys": ["a"], "threshold": 0}},
    "whose role is missing": {"release": None},
    "whose keys are missing": {"keys": None},
    "whose version is text": {"version": "2"},
}


@pytest.mark.parametrize("name", BAD_FILES)
def test_damaged_file_of_keys_is_refused(name: str, mpy: Run, tmp_path: Path) -> None:
    raw = json.loads(held(2, "a", "a")) | BAD_FILES[name]
    (tmp_path / "keys.json").write_text(json.dumps({key: value for key, value in raw.items() if value is not None}))
    script = "from ota.release import keys\nprint(json.dumps(attempt(keys.load, 'keys.json')))"
    assert mpy(script) == {"code": "keys-invalid", "detail": "keys.json"}
