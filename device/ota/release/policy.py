"""Is a release for this board, and may it be installed? Its fields are checked before they are looked at."""

from ..errors import fits, require
from .envelope import MOST

_MAX_INT = 0x7FFFFFFF  # what an i32 of NVS holds
# name: kinds, least and most of the number or of the length
_RELEASE = {
    "product": ((str,), 1, 64), "version": ((str,), 1, 32), "published": ((str,), 1, 40),
    "sequence": ((int,), 1, _MAX_INT), "security_version": ((int,), 0, _MAX_INT),
    "targets": ((list,), 0, MOST), "expires": ((str, None), 1, 40),
}  # fmt: skip
_ANY_TARGET = {"kind": ((str,), 1, 32), "build": ((str, None), 1, 64), "boards": ((list, None), 1, MOST)}
_KINDS = ("data", "firmware", "application")  # the first where the configuration names partitions
_TARGET = {
    "chip": ((str,), 1, 16), "url": ((str,), 1, 512), "sha256": ((str,), 64, 64),
    "size": ((int,), 1, 0x1000000),  # no app image is larger than 16 MiB
}  # fmt: skip


def choose(payload: dict, product: str, chip: str, build: "str | None", board: str, data: object) -> "dict[str, dict]":
    """The first target of each kind for this board, its fields checked and its hash in small letters. `build` is
    sys.implementation._build, None before 1.25: then only targets that name none match. `data`: whether the board takes any;
    `board`: its chip's address, for a target that names the `boards` that it is for. Raises OtaError: wrong-product,
    no-target, unknown-kind, bad-release."""
    check(payload, _RELEASE)
    require(all(32 < ord(c) < 127 for c in payload["version"]), "bad-release", "version")  # one word
    require(payload["product"] == product, "wrong-product", payload["product"])
    chosen: dict = {}
    kinds = _KINDS if data else _KINDS[1:]
    for target in payload["targets"]:
        check(target, _ANY_TARGET)
        named = target.get("boards")
        for_others = named and board not in named
        if for_others or target.get("chip", chip) != chip or not glob(target.get("build") or "*", build or ""):
            continue
        kind = target["kind"]
        require(kind in kinds or target.get("optional") is True, "unknown-kind", kind)
        if kind in chosen:
            require(kind != "data", "bad-release", kind)  # a board takes one
        elif kind in kinds:
            chosen[kind] = target if kind == "firmware" else dict(target, chip=chip)  # files are for any chip
    require(chosen, "no-target", chip + " " + (build or ""))
    for target in chosen.values():
        check(target, _TARGET)
        target["sha256"] = target["sha256"].lower()
        require(not target["sha256"].strip("0123456789abcdef"), "bad-release", "sha256")
    return chosen


def check(fields, table: dict) -> None:
    """Hold fields against a table as those above. Raises OtaError bad-release."""
    require(isinstance(fields, dict), "bad-release", "targets")
    for name, (kinds, least, most) in table.items():
        require(fits(fields.get(name), kinds, least, most), "bad-release", name)


def apply(payload: dict, targets: dict, state: dict, installed: dict, slot_size: int) -> None:
    """Whether a board with this record.state may take the release, of which it would take `targets`, as choose() gives them:
    sequence and security version only rise (P7). `installed`: the `sequence` of what runs, and the hashes of its image,
    `sha256`, and of its application, `app`, or how that begins; each may be missing. The sequence of the floor itself may be
    installed again, where what runs is something else: its image was damaged. Raises OtaError: up-to-date, older,
    failed-before, security-version, too-big."""
    sequence, security, now = payload["sequence"], payload["security_version"], installed.get("sequence", 0)
    for kind, target in targets.items() if sequence == now else ():
        known = installed.get({"firmware": "sha256", "application": "app"}.get(kind, ""), "")  # of data nothing is kept
        require(target["sha256"].startswith(known), "older", "twice")  # given out so: by an old backup
    require(sequence != now, "up-to-date", payload["version"])
    require(sequence not in [f[0] for f in state["failed"]], "failed-before", payload["version"])  # P6
    require(sequence >= state["floor_sequence"] and sequence > now, "older", sequence)
    require(security >= state["floor_security"], "security-version", security)
    firmware = targets.get("firmware")
    if firmware:
        require(firmware["size"] <= slot_size, "too-big", firmware["size"])


def glob(pattern: str, text: str) -> bool:
    """Whether `text` matches `pattern`: * is any run of characters, ? is one."""
    ends = {0}  # where in `text` the pattern up to here may end: never exponential
    for c in pattern:
        if c == "*":
            ends = set(range(min(ends, default=len(text) + 1), len(text) + 1))
        else:
            ends = {i + 1 for i in ends if text[i : i + 1] and c in ("?", text[i])}
    return len(text) in ends
