"""A signed release: open the envelope, find this board's target, apply the policy. The envelope is DSSE
(github.com/secure-systems-lab/dsse, protocol.md): the signature covers the payload's exact bytes, so nothing is parsed
as a release before a known key has vouched for it."""

import binascii
import hashlib
import json

from . import signature
from .config import fits
from .errors import OtaError, require

MAX_ENVELOPE = 8192  # bytes
PAYLOAD_TYPE = "application/vnd.micropython-ota.release+json"
_MAX_INT = 0x7FFFFFFF  # what an i32 of NVS holds
# name: kinds, least and most of the number or of the length
_RELEASE = {
    "product": ((str,), 1, 64), "version": ((str,), 1, 32), "published": ((str,), 1, 40),
    "sequence": ((int,), 1, _MAX_INT), "security_version": ((int,), 0, _MAX_INT),
    "targets": ((list,), 0, MAX_ENVELOPE),
}  # fmt: skip
_ANY_TARGET = {"kind": ((str,), 1, 32), "build": ((str, None), 1, 64)}
_TARGET = {
    "chip": ((str,), 1, 16), "url": ((str,), 1, 512), "sha256": ((str,), 64, 64),
    "size": ((int,), 1, 0x1000000),  # no app image is larger than 16 MiB
}  # fmt: skip


def open_envelope(raw: bytes, keys: "dict[str, int]") -> dict:
    """The payload of an envelope that one of `keys` (keyid -> modulus) signed. Raises OtaError: envelope-too-big,
    envelope-not-json, envelope-type, unknown-key, bad-signature, schema."""
    require(len(raw) <= MAX_ENVELOPE, "envelope-too-big", len(raw))
    try:
        envelope = json.loads(raw)
        kind = envelope["payloadType"]
        body = binascii.a2b_base64(envelope["payload"])
        signatures = [(s["keyid"].lower(), s["sig"]) for s in envelope["signatures"]]
    except (ValueError, TypeError, KeyError, AttributeError):
        raise OtaError("envelope-not-json")
    require(kind == PAYLOAD_TYPE, "envelope-type", str(kind)[:64])
    del envelope
    digest = hashlib.sha256(f"DSSEv1 {len(kind)} {kind} {len(body)} ".encode() + body).digest()
    refusal = OtaError("unknown-key", signatures[0][0][:16] if signatures else "none")
    for keyid, sig in signatures:  # one good one will do: an old key's may stand beside a new's
        if keyid in keys:
            refusal = OtaError("bad-signature", keyid[:16])
            try:
                if signature.verify_pss(keys[keyid], digest, binascii.a2b_base64(sig)):
                    return _payload(body)
            except (ValueError, TypeError):
                pass  # not base64: as good as wrong
    raise refusal


def _payload(body: bytes) -> dict:
    try:
        payload = json.loads(body)
        require(fits(payload["schema"], (int,), 1, 1), "schema", payload["schema"])
        return payload
    except (ValueError, TypeError, KeyError):
        raise OtaError("schema", "none")


def choose(payload: dict, product: str, chip: str, build: "str | None") -> dict:
    """The first target for this board, its fields checked. `build` is sys.implementation._build, None before 1.25: then
    only targets that name none match. Raises OtaError: wrong-product, no-target, unknown-kind, bad-release."""
    _check(payload, _RELEASE)
    require(all(32 < ord(c) < 127 for c in payload["version"]), "bad-release", "version")  # one word
    require(payload["product"] == product, "wrong-product", payload["product"])
    chosen: dict = {}
    for target in payload["targets"]:
        _check(target, _ANY_TARGET)
        if target.get("chip", chip) != chip or not glob(target.get("build") or "*", build or ""):
            continue
        known = target["kind"] == "firmware"
        require(known or target.get("optional") is True, "unknown-kind", target["kind"])
        chosen = chosen or (target if known else {})
    require(chosen, "no-target", chip + " " + (build or ""))
    _check(chosen, _TARGET)
    require(not chosen["sha256"].strip("0123456789abcdefABCDEF"), "bad-release", "sha256")
    return chosen


def _check(fields, table: dict) -> None:
    require(isinstance(fields, dict), "bad-release", "targets")
    for name, (kinds, least, most) in table.items():
        require(fits(fields.get(name), kinds, least, most), "bad-release", name)


def apply_policy(payload: dict, target: dict, state: dict, slot_size: int) -> None:
    """Whether a board with this record.state may take the release: sequence and security version only rise (P7).
    Raises OtaError: up-to-date, older, failed-before, security-version, too-big."""
    sequence, installed = payload["sequence"], state["installed"]["sequence"]
    security = payload["security_version"]
    require(sequence != installed, "up-to-date", payload["version"])
    require(sequence not in [f[0] for f in state["failed"]], "failed-before", payload["version"])  # P6
    require(sequence > max(installed, state["floor_sequence"]), "older", sequence)
    require(security >= state["floor_security"], "security-version", security)
    require(target["size"] <= slot_size, "too-big", target["size"])


def glob(pattern: str, text: str) -> bool:
    """Whether `text` matches `pattern`: * is any run of characters, ? is one."""
    ends = {0}  # where in `text` the pattern up to here may end: never exponential
    for c in pattern:
        if c == "*":
            ends = set(range(min(ends, default=len(text) + 1), len(text) + 1))
        else:
            ends = {i + 1 for i in ends if text[i : i + 1] and c in ("?", text[i])}
    return len(text) in ends
