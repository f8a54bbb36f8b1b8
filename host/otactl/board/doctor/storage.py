"""What the board has room for: the record in NVS, files, and memory for TLS."""

from otactl.board.codes import sentence
from otactl.board.doctor.case import Case
from otactl.board.doctor.findings import Finding, bad, ok, skipped, warn
from otactl.words import counted

_ENTRIES = 126  # of a page of NVS, 32 bytes each (ESP-IDF nvs_page.hpp)
_RECORD = 46  # entries that the agent's largest document takes while it is written anew (ota/boot/store.py: 1400 bytes)
_FIRST = 20  # entries of the document that announces a download
_WRITTEN = 0b10
_DEPLOYMENT = 32 << 10  # bytes: a file of the agent twice, and room for the program's own
_TLS_FREE, _TLS_PIECE = 34_000, 17_000  # bytes of the system's heap that ota/net/connection.py asks for


def nvs(case: Case) -> Finding:
    code = case.status.get("code", "")
    then = case.on_board("slots")
    if code == "record":
        return bad(sentence(code, case.status.get("detail", "")), then, code=code)
    free = free_entries([bytes.fromhex(page) for page in case.facts["parts"]["nvs"]])
    if free < _FIRST and not case.status.get("job", {}).get("sequence"):  # later an older copy would give way
        return bad(
            f"free are {counted(free, 'entry', 'entries')}: no download begins; erase values of your program's",
            then,
            code="record",
        )
    if free < _RECORD:
        return warn(
            f"free are {counted(free, 'entry', 'entries')}, the agent's record may take {_RECORD}: erase values of your program's",
            then,
        )
    return ok(f"{free} entries of 32 bytes are free")


def free_entries(heads: list[bytes]) -> int:
    """Entries that NVS can still be given, from the first 64 bytes of its pages: what is erased counts, the page that NVS
    keeps for moving does not."""
    states = [head[32 + i // 4] >> i % 4 * 2 & 3 for head in heads for i in range(_ENTRIES)]
    return max(0, (len(heads) - 1) * _ENTRIES - states.count(_WRITTEN))


def files(case: Case) -> Finding:
    room = case.facts["room"]
    then = case.mpremote("import os; print(os.listdir('/'))")
    if room is None:
        return warn("the board has no filesystem at /", case.on_board("slots"))
    if room < _DEPLOYMENT // 4:
        return bad(
            f"{room} bytes are free: a deployment ends in vfs-full; delete files of yours", then, code="vfs-full"
        )
    if room < _DEPLOYMENT:
        return warn(f"{room} bytes are free, a deployment may not fit; delete files of yours", then)
    if case.facts.get("littlefs") is False:
        return warn(
            f"{room >> 10} KiB are free on FAT, which cannot hold an application: power that goes while a file is written "
            "spoils it; provision makes a littlefs",
            case.on_board("provision --keep-files"),
            code="filesystem",
        )
    return ok(f"{room >> 10} KiB are free")


def memory(case: Case) -> Finding:
    """With the board's own program stopped: what that takes comes on top."""
    then = case.mpremote("import micropython; micropython.mem_info()")
    failed = [step.detail for step in case.steps.values() if step.code == "no-memory"]
    if failed or case.status.get("code") == "no-memory":
        said = sentence("no-memory", failed[0] if failed else "")
        return bad(f"{said} Your program was stopped for this", then, code="no-memory")
    at_tls = case.steps.get("connect")
    free, piece = (at_tls.value["heap"] if at_tls and at_tls.value else None) or case.facts["idf_heap"] or (0, 0)
    if not free:
        return skipped("this firmware does not tell")
    said = f"{free} bytes of the system's heap are free without your program, the largest piece {piece}"
    if free < _TLS_FREE or piece < _TLS_PIECE:
        return warn(f"{said}; TLS needs {_TLS_FREE}, in a piece {_TLS_PIECE}", then)
    return ok(said)
