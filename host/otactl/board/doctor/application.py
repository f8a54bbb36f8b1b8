"""The application of the slot that runs: is it what was installed, and does anything else come before it."""

from typing import Any

from otactl.board.doctor.case import Case
from otactl.board.doctor.findings import Finding, bad, ok, skipped
from otactl.board.link import Link
from otactl.board.moving import leftovers
from otactl.errors import OtactlError
from otactl.release import channels
from otactl.words import counted

_READING_S = 60  # every file of it
# for the board: what lies in the running slot's directory, and what the record says of it
_ASK = """
def _application():
    from ota.boot import record, slots
    from ota.install import tree
    found, kept = slots.Slots(), record.load()
    place = tree.FOLDER + found.label
    names = [name for name, _ in tree.walk(place)]
    reading, sha256 = tree.read(place, memoryview(bytearray(512))), ""
    while names:
        try:
            next(reading)
        except StopIteration as e:
            sha256 = e.value.sha256
            break
    release = kept.release_in(found.running) or {}
    came = [entry for entry in kept.state["releases"] if entry[2] == release.get("sequence")]
    return {"place": place, "names": names, "sha256": sha256, "was": release.get("app", ""),
        "version": release.get("version"), "again": len(came) > 1}
"""


def ask(link: Link) -> dict[str, Any]:
    """Of a board with an agent that loads, at a fresh prompt. Raises BoardError, RigError."""
    found: dict[str, Any] = link.value("_application()", _ASK, timeout_s=_READING_S)
    beside = leftovers.find(link, found["place"], found["names"]) if found["names"] else leftovers.Leftovers([], [])
    return found | {"hide": beside.hide, "hidden": beside.hidden}


def tree(case: Case) -> Finding:
    found = case.application
    if found is None:
        return skipped("the board does not tell")
    place, was = found["place"], found["was"]
    if was and not found["sha256"].startswith(was):
        how = "differs from" if found["names"] else "is gone, it was"
        said = f"{place} {how} what was installed with {found['version']}"
        if found["again"] or not _has_application(case):
            why = "it was mended once already, so its program writes there: " if found["again"] else ""
            return bad(
                f"{said}; {why}publish the folder under the next version",
                case.in_workspace("publish --app FOLDER --version NEXT"),
                code="app-changed" if found["again"] else "",
            )
        return bad(f"{said}: the next look brings it once more", case.on_board("update"))
    if not found["names"]:
        return ok("none: the program lies in /")
    how = "as installed" if was else "by cable, or not told in the record yet"
    return ok(f"{counted(len(found['names']), 'file')} in {place}, {how}")


def _has_application(case: Case) -> bool:
    """Whether the channel's release has one, as far as it is known here."""
    try:
        release = channels.current(case.place) if case.place else None
    except OtactlError:
        return True
    return release is None or any(target["kind"] == "application" for target in release["targets"])


def alone(case: Case) -> Finding:
    found = case.application
    if found is None:
        return skipped("the board does not tell")
    if not found["names"]:
        return ok("there is no application that it could hide")
    if found["hide"]:
        first = found["hide"][0]
        return bad(
            f"found before the application's own: {', '.join(found['hide'])}; have boot.py put {found['place']} first, or "
            "remove them",
            case.mpremote(f"import os; os.remove({first!r})"),
        )
    said = f"; unused beside it: {', '.join(found['hidden'])}" if found["hidden"] else ""
    return ok(f"nothing is found before it{said}")
