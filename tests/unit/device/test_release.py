"""device/ota/release: envelopes, targets and the policy, good and bad."""

import copy
import json
from typing import Any

import pytest

from .conftest import PAYLOAD_TYPE, ReleaseKey, Run, seal

TARGET = {
    "kind": "firmware",
    "chip": "esp32",
    "build": "ESP32_GENERIC*",
    "url": "1.4.0/esp32.bin",
    "size": 1672976,
    "sha256": "ab" * 32,
}
PAYLOAD: dict[str, Any] = {
    "schema": 1,
    "product": "demo",
    "version": "1.4.0",
    "sequence": 7,
    "security_version": 1,
    "published": "2026-11-21T05:00:00Z",
    "targets": [TARGET],
}

OPEN = """
    from ota.release import envelope
    keys = {k: int(v, 16) for k, v in args["keys"].items()}
    trusted = args["version"], keys, args["threshold"]
    raw = args["raw"].encode()
    print(json.dumps(attempt(envelope.open_envelope, memoryview(raw), trusted)))
"""


def open_envelope(mpy: Run, envelope: Any, *trusted: ReleaseKey, version: int = 1, threshold: int = 1) -> Any:
    raw = envelope if isinstance(envelope, str) else json.dumps(envelope)
    keys = {k.keyid: f"{k.modulus:x}" for k in trusted}
    return mpy(OPEN, raw=raw, keys=keys, version=version, threshold=threshold)


def payload(**changes: Any) -> bytes:
    return json.dumps({**PAYLOAD, **changes}).encode()


def test_a_signed_release_opens(mpy: Run, release_key: ReleaseKey) -> None:
    assert open_envelope(mpy, seal(payload(), release_key), release_key) == {"ok": PAYLOAD}


def test_any_known_key_will_do(mpy: Run, release_key: ReleaseKey, other_key: ReleaseKey) -> None:
    both = seal(payload(), release_key, other_key)
    assert open_envelope(mpy, both, other_key) == {"ok": PAYLOAD}
    both["signatures"][0]["sig"] = both["signatures"][1]["sig"]
    assert open_envelope(mpy, both, release_key, other_key) == {"ok": PAYLOAD}


def test_the_payload_s_bytes_count_not_its_json(mpy: Run, release_key: ReleaseKey) -> None:
    odd = b'{ "schema":1,\n\t"x": "\xc3\xa9\\u00e9" }\n'
    got = open_envelope(mpy, seal(odd, release_key), release_key)
    assert got == {"ok": {"schema": 1, "x": "\u00e9\u00e9"}}


def test_a_key_id_s_letters_may_be_large(mpy: Run, release_key: ReleaseKey) -> None:
    envelope = seal(payload(), release_key)
    envelope["signatures"][0]["keyid"] = release_key.keyid.upper()
    assert open_envelope(mpy, envelope, release_key) == {"ok": PAYLOAD}


def test_an_altered_payload_is_refused(mpy: Run, release_key: ReleaseKey) -> None:
    envelope = seal(payload(), release_key)
    envelope["payload"] = seal(payload(sequence=8), release_key)["payload"]
    got = open_envelope(mpy, envelope, release_key)
    assert got == {"code": "bad-signature", "detail": release_key.keyid[:16]}


def test_a_stranger_s_release_is_refused(mpy: Run, release_key: ReleaseKey, other_key: ReleaseKey) -> None:
    envelope = seal(payload(), other_key)
    got = open_envelope(mpy, envelope, release_key)
    assert got == {"code": "unknown-key", "detail": other_key.keyid[:16]}
    envelope["signatures"][0]["keyid"] = release_key.keyid
    assert open_envelope(mpy, envelope, release_key)["code"] == "bad-signature"


def test_a_signature_for_another_type_is_refused(mpy: Run, release_key: ReleaseKey) -> None:
    envelope = seal(payload(), release_key, kind="text/plain")
    assert open_envelope(mpy, envelope, release_key)["code"] == "envelope-type"
    envelope["payloadType"] = PAYLOAD_TYPE
    assert open_envelope(mpy, envelope, release_key)["code"] == "bad-signature"


@pytest.mark.parametrize("salt", [0, 64])
def test_another_salt_is_refused(salt: int, mpy: Run, release_key: ReleaseKey) -> None:
    envelope = seal(payload(), release_key, salt=salt)
    assert open_envelope(mpy, envelope, release_key)["code"] == "bad-signature"


@pytest.mark.parametrize(
    ("envelope", "code"),
    [
        ("", "envelope-not-json"),
        ("<html>Please log in</html>", "envelope-not-json"),
        ("[]", "envelope-not-json"),
        ("null", "envelope-not-json"),
        ("{}", "envelope-not-json"),
        ({"payload": 5}, "envelope-not-json"),
        ({"payloadType": 5}, "envelope-type"),
        ({"signatures": 5}, "envelope-not-json"),
        ({"signatures": [5]}, "envelope-not-json"),
        ({"signatures": [{"sig": "AA"}]}, "envelope-not-json"),
        ({"signatures": [{"keyid": 5, "sig": "AA"}]}, "envelope-not-json"),
        ({"signatures": []}, "unknown-key"),
    ],
)
def test_what_is_no_envelope_is_refused(envelope: Any, code: str, mpy: Run, release_key: ReleaseKey) -> None:
    if isinstance(envelope, dict):
        envelope = {**seal(payload(), release_key), **envelope}
    assert open_envelope(mpy, envelope, release_key)["code"] == code


@pytest.mark.parametrize("sig", ["", "AAAA", "!!", 5, None])
def test_a_signature_that_is_none_is_bad(sig: Any, mpy: Run, release_key: ReleaseKey) -> None:
    envelope = seal(payload(), release_key)
    envelope["signatures"][0]["sig"] = sig
    assert open_envelope(mpy, envelope, release_key)["code"] == "bad-signature"


def test_an_envelope_has_8_kib_at_most(mpy: Run, release_key: ReleaseKey) -> None:
    envelope = json.dumps(seal(payload(), release_key))
    fits = envelope + " " * (8192 - len(envelope))
    assert open_envelope(mpy, fits, release_key) == {"ok": PAYLOAD}
    got = open_envelope(mpy, fits + " ", release_key)
    assert got == {"code": "envelope-too-big", "detail": "8193"}


@pytest.mark.parametrize("body", [b"", b"not json", b"[]", b"5", b"{}", payload(schema=2), payload(schema=True)])
def test_an_unknown_schema_is_refused(body: bytes, mpy: Run, release_key: ReleaseKey) -> None:
    assert open_envelope(mpy, seal(body, release_key), release_key)["code"] == "schema"


CHOOSE = """
    from ota.release import policy
    print(json.dumps(attempt(policy.choose, args["payload"], *args["board"])))
"""

BOARD = ["demo", "esp32", "ESP32_GENERIC-OTA"]
MAC = "240ac4000001"


def choose(mpy: Run, release: dict[str, Any], board: list[str | None] | None = None) -> Any:
    return mpy(CHOOSE, payload=release, board=[*(board or BOARD), MAC, None])


def targets(*changes: dict[str, Any]) -> dict[str, Any]:
    return {**PAYLOAD, "targets": [{**TARGET, **change} for change in changes]}


def without(fields: dict[str, Any], name: str) -> dict[str, Any]:
    return {k: v for k, v in fields.items() if k != name}


OTHER_KIND = {"kind": "files", "url": "x"}


@pytest.mark.parametrize(
    ("release", "index"),
    [
        (PAYLOAD, 0),
        ({**PAYLOAD, "targets": [without(TARGET, "build")]}, 0),
        (targets({"chip": "esp32s3"}, {}), 1),
        (targets({"build": "LOLIN*"}, {"url": "second"}, {"url": "third"}), 1),
        (targets({**OTHER_KIND, "optional": True}, {}), 1),
        (targets({**OTHER_KIND, "chip": "esp32s3"}, {}), 1),
        (targets({**OTHER_KIND, "build": "LOLIN*"}, {}), 1),
        ({**PAYLOAD, "extra": {"later": 1}}, 0),
        (targets({"boards": ["240ac4000002"]}, {"boards": ["240ac4000002", MAC]}), 1),
    ],
)
def test_the_first_target_for_the_board_is_chosen(release: dict[str, Any], index: int, mpy: Run) -> None:
    assert choose(mpy, release) == {"ok": {"firmware": release["targets"][index]}}


@pytest.mark.parametrize(
    ("release", "board", "code"),
    [
        (PAYLOAD, ["other", *BOARD[1:]], "wrong-product"),
        (PAYLOAD, ["demo", "esp32s3", "ESP32_GENERIC_S3"], "no-target"),
        (PAYLOAD, ["demo", "esp32", "LOLIN_D32"], "no-target"),
        (PAYLOAD, ["demo", "esp32", None], "no-target"),
        ({**PAYLOAD, "targets": []}, BOARD, "no-target"),
        (targets({**OTHER_KIND}, {}), BOARD, "unknown-kind"),
        (targets({}, {**OTHER_KIND}), BOARD, "unknown-kind"),
        (targets({**OTHER_KIND, "optional": 1}, {}), BOARD, "unknown-kind"),
        (targets({**OTHER_KIND, "optional": True}), BOARD, "no-target"),
        (targets({"boards": ["240ac4000002"]}), BOARD, "no-target"),
        (targets({"boards": MAC}), BOARD, "bad-release"),
        (targets({"boards": []}), BOARD, "bad-release"),
    ],
)
def test_a_release_for_others_is_refused(release: dict[str, Any], board: list[str | None], code: str, mpy: Run) -> None:
    assert choose(mpy, release, board)["code"] == code


def test_a_board_that_cannot_name_its_build_takes_what_names_none(mpy: Run) -> None:
    release = {**PAYLOAD, "targets": [TARGET, without(TARGET, "build")]}
    assert choose(mpy, release, ["demo", "esp32", None]) == {"ok": {"firmware": release["targets"][1]}}


BAD_FIELDS: list[tuple[str, Any]] = [
    ("product", 5),
    ("version", ""),
    ("version", "v" * 33),
    ("version", "1.0 beta"),
    ("version", "1.0\n"),
    ("published", 5),
    ("sequence", 0),
    ("sequence", -1),
    ("sequence", "7"),
    ("sequence", 7.0),
    ("sequence", True),
    ("sequence", 1 << 31),
    ("security_version", -1),
    ("security_version", None),
    ("targets", None),
    ("targets", {}),
    ("targets", ["x"]),
]
BAD_TARGETS: list[tuple[str, Any]] = [
    ("kind", 5),
    ("build", 5),
    ("url", ""),
    ("url", "u" * 513),
    ("size", 0),
    ("size", "1672976"),
    ("size", 1 << 25),
    ("sha256", "ab" * 31),
    ("sha256", "zz" * 32),
    ("sha256", 5),
]


@pytest.mark.parametrize(("name", "value"), BAD_FIELDS + BAD_TARGETS)
def test_a_wrong_field_is_named(name: str, value: Any, mpy: Run) -> None:
    release = copy.deepcopy(PAYLOAD)
    (release["targets"][0] if (name, value) in BAD_TARGETS else release)[name] = value
    assert choose(mpy, release) == {"code": "bad-release", "detail": name}


@pytest.mark.parametrize("name", [k for k in PAYLOAD if k != "schema"])
def test_a_missing_field_is_named(name: str, mpy: Run) -> None:
    assert choose(mpy, without(PAYLOAD, name)) == {"code": "bad-release", "detail": name}


@pytest.mark.parametrize("name", ["kind", "chip", "url", "size", "sha256"])
def test_a_target_s_missing_field_is_named(name: str, mpy: Run) -> None:
    release = {**PAYLOAD, "targets": [without(TARGET, name)]}
    assert choose(mpy, release) == {"code": "bad-release", "detail": name}


@pytest.mark.parametrize(
    ("board", "code"),
    [
        ({}, None),
        ({"installed": 0, "floor_sequence": 0}, None),
        ({"slot_size": 1672976}, None),
        ({"floor_security": 1}, None),
        ({"failed": [5, 6]}, None),
        ({"installed": 7}, "up-to-date"),
        ({"installed": 7, "sha256": TARGET["sha256"], "app": "cd" * 8}, "up-to-date"),
        ({"installed": 7, "sha256": "99" * 32}, "older"),  # the number was given out twice: nothing of it runs here
        ({"installed": 7, "sha256": TARGET["sha256"], "app": "99" * 8}, "older"),
        ({"installed": 7, "sha256": "99" * 32, "names": ["application"]}, "up-to-date"),  # names no image
        ({"installed": 7, "sha256": TARGET["sha256"], "app": "99" * 8, "names": ["firmware"]}, "up-to-date"),
        ({"installed": 8}, "older"),
        ({"floor_sequence": 8}, "older"),  # went back: what was newer before is refused still
        ({"floor_sequence": 7}, None),  # its image was damaged, and the bootloader went back: again, then
        ({"floor_sequence": 7, "installed": 0}, None),  # nobody knows what runs
        ({"floor_sequence": 7, "failed": [7]}, "failed-before"),  # it was left by request
        ({"failed": [6, 7]}, "failed-before"),
        ({"floor_security": 2}, "security-version"),
        ({"slot_size": 1672975}, "too-big"),
    ],
)
def test_policy(board: dict[str, Any], code: str | None, mpy: Run) -> None:
    script = """
        from ota.release import policy
        payload = args["payload"]
        print(json.dumps(attempt(
            policy.apply, payload, args["targets"], args["state"], args["installed"], args["slot_size"]
        )))
    """
    told = {"installed": 6, "floor_sequence": 6, "floor_security": 0, "failed": [], **board}
    slot_size = told.pop("slot_size", 1769472)
    installed = {"sequence": told.pop("installed"), "sha256": told.pop("sha256", ""), "app": told.pop("app", "")}
    targets = {"firmware": TARGET, "application": {"sha256": "cd" * 32}}
    targets = {kind: targets[kind] for kind in told.pop("names", targets)}
    told["failed"] = [[sequence, "check-wifi"] for sequence in told["failed"]]
    got = mpy(script, payload=PAYLOAD, targets=targets, state=told, installed=installed, slot_size=slot_size)
    assert got.get("code") == code
    assert ("twice" in str(got.get("detail"))) == bool({"sha256", "app"} & set(board) and code == "older")


GLOBS = [
    ("ESP32_GENERIC", "ESP32_GENERIC", True),
    ("ESP32_GENERIC", "ESP32_GENERIC-OTA", False),
    ("ESP32_GENERIC*", "ESP32_GENERIC-OTA", True),
    ("*", "", True),
    ("*", "anything", True),
    ("", "", True),
    ("", "x", False),
    ("?", "", False),
    ("?", "x", True),
    ("*-OTA", "ESP32_GENERIC-OTA", True),
    ("*-OTA", "ESP32_GENERIC-OTA2", False),
    ("*OTA", "OTA-OTA", True),
    ("a*b?c*", "a-xx-bbc", True),
    ("a*b?c", "a-xx-bc", False),
    ("**x", "x", True),
    ("esp32*", "ESP32_GENERIC", False),
    ("[a]", "a", False),
    ("*a" * 12 + "b", "a" * 60, False),  # takes for ever where the matching is naive
]


def test_glob(mpy: Run) -> None:
    script = """
        from ota.release import policy
        print(json.dumps([policy.glob(*pair) for pair in args["pairs"]]))
    """
    got = mpy(script, pairs=[(pattern, text) for pattern, text, _ in GLOBS])
    assert list(zip(GLOBS, got, strict=True)) == [(row, row[2]) for row in GLOBS]


@pytest.mark.parametrize("deep", ['{"payloadType":' + "[" * 7000, "[" * 8000, '{"a":' * 1500])
def test_json_of_endless_nesting_is_a_code(deep: str, mpy: Run, release_key: ReleaseKey) -> None:
    assert open_envelope(mpy, deep, release_key)["code"] == "envelope-not-json"
