"""A signed release: open the envelope, find this board's target, apply the policy.

The envelope is DSSE (github.com/secure-systems-lab/dsse, protocol.md): the signature covers the
payload's exact bytes, so nothing is parsed as a release before a known key has vouched for it.
"""

import binascii
import hashlib
import json

from . import signature
from .errors import OtaError

MAX_ENVELOPE = 8192  # bytes
PAYLOAD_TYPE = "application/vnd.micropython-ota.release+json"
SCHEMA = 1
KIND = "firmware"

_MAX_INT = 0x7FFFFFFF  # what an i32 of NVS holds
_MAX_SIZE = 0x1000000  # no app image is larger than 16 MiB


def open_envelope(raw: bytes, keys: "dict[str, int]") -> dict:
    """The payload of an envelope that one of `keys` (keyid -> modulus) signed.

    Raises OtaError: envelope-too-big, envelope-not-json, envelope-type, unknown-key,
    bad-signature, schema.
    """
    if len(raw) > MAX_ENVELOPE:
        raise OtaError("envelope-too-big", len(raw))
    try:
        envelope = json.loads(raw)
        kind = envelope["payloadType"]
        body = binascii.a2b_base64(envelope["payload"])
        signatures = [(s["keyid"].lower(), s["sig"]) for s in envelope["signatures"]]
    except (ValueError, TypeError, KeyError, AttributeError):
        raise OtaError("envelope-not-json")
    if kind != PAYLOAD_TYPE:
        raise OtaError("envelope-type", str(kind)[:64])
    del envelope
    h = hashlib.sha256(f"DSSEv1 {len(kind)} {kind} {len(body)} ".encode())
    h.update(body)
    digest = h.digest()
    known = ""
    for keyid, sig in signatures:  # one good one will do: an old key's may stand beside a new's
        if keyid in keys:
            known = keyid
            try:
                if signature.verify_pss(keys[keyid], digest, binascii.a2b_base64(sig)):
                    return _payload(body)
            except (ValueError, TypeError):
                pass  # not base64: as good as wrong
    if known:
        raise OtaError("bad-signature", known[:16])
    raise OtaError("unknown-key", signatures[0][0][:16] if signatures else "none")


def _payload(body: bytes) -> dict:
    try:
        payload = json.loads(body)
        schema = payload["schema"]
    except (ValueError, TypeError, KeyError):
        raise OtaError("schema", "none")
    if type(schema) is not int or schema != SCHEMA:
        raise OtaError("schema", schema)
    return payload


def choose(payload: dict, product: str, chip: str, build: "str | None") -> dict:
    """The first target of `payload` for this board; its fields are checked.

    `build` is sys.implementation._build, None before MicroPython 1.25: then only targets that
    name no build match. Raises OtaError: wrong-product, no-target, unknown-kind, bad-release.
    """
    _check_release(payload)
    if payload["product"] != product:
        raise OtaError("wrong-product", payload["product"])
    chosen = None
    for target in payload["targets"]:
        if not isinstance(target, dict):
            raise OtaError("bad-release", "targets")
        if target.get("chip", chip) != chip:
            continue
        if target.get("build") is not None and not glob(_text(target, "build", 64), build or ""):
            continue
        if _text(target, "kind", 32) == KIND:
            chosen = chosen or target
        elif target.get("optional") is not True:
            raise OtaError("unknown-kind", target["kind"])
    if chosen is None:
        raise OtaError("no-target", chip + " " + (build or ""))
    _text(chosen, "chip", 16)
    _text(chosen, "url", 512)
    _whole(chosen, "size", 1, _MAX_SIZE)
    sha256 = _text(chosen, "sha256", 64)
    if len(sha256) != 64 or sha256.strip("0123456789abcdefABCDEF"):
        raise OtaError("bad-release", "sha256")
    return chosen


def _check_release(payload: dict) -> None:
    _text(payload, "product", 64)
    if not all(32 < ord(c) < 127 for c in _text(payload, "version", 32)):
        raise OtaError("bad-release", "version")  # consoles print it, as one word
    _text(payload, "published", 40)
    _whole(payload, "sequence", 1, _MAX_INT)
    _whole(payload, "security_version", 0, _MAX_INT)
    if not isinstance(payload.get("targets"), list):
        raise OtaError("bad-release", "targets")


def apply_policy(
    payload: dict,
    target: dict,
    *,
    installed_sequence: int,
    floor_sequence: int,
    floor_security: int,
    failed: "list[int]",
    slot_size: int,
) -> None:
    """Whether this board may take the release: sequence and security version only rise (P7).

    Raises OtaError: up-to-date, older, failed-before, security-version, too-big.
    """
    sequence = payload["sequence"]
    if sequence == installed_sequence:
        raise OtaError("up-to-date", payload["version"])
    if sequence in failed:  # P6
        raise OtaError("failed-before", payload["version"])
    if sequence <= max(installed_sequence, floor_sequence):
        raise OtaError("older", sequence)
    if payload["security_version"] < floor_security:
        raise OtaError("security-version", payload["security_version"])
    if target["size"] > slot_size:
        raise OtaError("too-big", target["size"])


def glob(pattern: str, text: str) -> bool:
    """Whether `text` matches `pattern`: * is any run of characters, ? is one."""
    p = t = 0
    star = mark = -1
    while t < len(text):
        if p < len(pattern) and pattern[p] == "*":
            star, mark = p, t
            p += 1
        elif p < len(pattern) and pattern[p] in ("?", text[t]):
            p += 1
            t += 1
        elif star >= 0:  # let the last star take one character more; never exponential
            mark += 1
            p, t = star + 1, mark
        else:
            return False
    return not pattern[p:].strip("*")


def _text(fields: dict, name: str, most: int) -> str:
    value = fields.get(name)
    if not isinstance(value, str) or not 0 < len(value) <= most:
        raise OtaError("bad-release", name)
    return value


def _whole(fields: dict, name: str, least: int, most: int) -> None:
    value = fields.get(name)
    # type(), not isinstance(): JSON's true is no number.
    if type(value) is not int or not least <= value <= most:
        raise OtaError("bad-release", name)
