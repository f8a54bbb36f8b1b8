"""Look at a board and at what is around it, and give all rows: what cannot be reached is a row too, never an exception."""

import hashlib
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from otactl.board.doctor import application, machine, questions, software, steps, table
from otactl.board.doctor.case import Case
from otactl.board.link import Link
from otactl.board.timed import Stop, Tell
from otactl.errors import BoardError, OtactlError, RigError
from otactl.workspace.workspace import Workspace

_STATUS_S = 30  # it looks into every slot
_NO_MEMORY = "MemoryError"
_ABOUT = """
def _about():
    try:
        from ota import agent, boot, config, steps
        from ota.errors import OtaError
        from ota.install import look, update  # all that a look for an update needs
    except Exception as e:
        return {"broken": repr(e)}
    found = {"trial": bool(boot.current)}
    try:
        config.load()
    except OtaError as e:
        found["config_code"], found["config_detail"] = e.code, e.detail
    try:
        found.update(agent.status())
    except OtaError as e:
        found["code"], found["detail"] = e.code, e.detail
    return found
"""

Say = Callable[[str], None]


def examine(
    device: str,
    folder: Path,
    *,
    name: str = "",
    slow: float = 1.0,
    say: Say = lambda _: None,
    tell: Tell | None = None,
    stop: Stop | None = None,
    now: datetime | None = None,
) -> list[table.Row]:
    """All rows about the board at `device` and the workspace in `folder`. `say`: what is looked at now.

    `name`: the board's, where it has one. `slow`, `tell`, `stop`: as a Link takes them. The board's program is stopped for
    it and started anew, as for `status`.
    """
    case = Case(device, now or datetime.now(UTC), name, folder)
    try:
        case.place = Workspace.find(folder)
    except OtactlError as error:
        case.no_place = str(error)
    if case.place:
        say("this machine's server")
        case.reached = machine.look(case.place, slow=slow)
    try:
        link = Link(device, slow=slow, tell=tell, stop=stop)
    except OtactlError as error:
        case.port = str(error)
        return table.run(case)
    try:
        with link:
            _ask(case, link, say)
    except OtactlError as error:
        case.silence = str(error)
    return table.run(case)


def _ask(case: Case, link: Link, say: Say) -> None:
    """Each question from a fresh start: what one has left in the board's memory would be missing in the next."""
    say("what the board is")
    case.facts = questions.facts(link)
    if not case.facts["parts"]:  # no ESP32
        return
    software.read_config(case)
    _compare(case, link)
    if case.facts["agent"]:
        say("the agent on the board")
        link.enter_repl()
        case.status = _status(link)
        case.application = _application(case, link)
    if case.status.get("trial"):  # what the board would wait for could last longer than the trial may, and fail it
        return
    say("the board's way to its server")
    link.enter_repl()
    try:
        _walk(case, link)
    except RigError as error:
        case.broke = str(error)


def _status(link: Link) -> dict[str, Any]:
    """agent.status(), and why it cannot be told."""
    try:
        found: dict[str, Any] = link.value("_about()", _ABOUT, timeout_s=_STATUS_S)
    except BoardError as error:
        found = {"broken": str(error)}
    if _NO_MEMORY in found.get("broken", ""):
        return {"code": "no-memory", "detail": ""}
    return found


def _application(case: Case, link: Link) -> dict[str, Any] | None:
    """None where the agent, its record or the board's memory are not fit to tell: rows of their own say so."""
    if {"broken", "code"} & case.status.keys():
        return None
    link.enter_repl()
    try:
        return application.ask(link)
    except BoardError:
        return None


def _compare(case: Case, link: Link) -> None:
    """The agent's files with those of this otactl, where both are compiled."""
    try:
        files = software.written(case.config)
    except (RigError, KeyError, TypeError, AttributeError):  # the last: a configuration that is none
        return
    case.facts["mpy_written"] = software.agent.mpy_version(files)
    if any(name.endswith(".mpy") for name in case.facts["agent"]):
        digests = {name: hashlib.sha256(data).hexdigest() for name, data in files.items()}
        software.compare(case, questions.hashes(link, list(digests)), digests)


def _walk(case: Case, link: Link) -> None:
    """From the network to the release: by the agent, where it is whole, else by plain MicroPython."""
    if case.facts["agent"] and not case.status.get("broken") and not case.status.get("config_code"):
        case.steps, case.broke = steps.by_agent(link, case.config)
    elif case.place:
        case.plain = True
        place = case.place
        case.steps, case.broke = steps.plain(link, place.board, place.host, place.port)


def told(rows: list[table.Row]) -> dict[str, Any]:
    """The same for scripts."""
    checks = [
        {
            "name": row.name,
            "verdict": row.finding.verdict.value,
            "said": row.finding.said,
            "then": row.finding.then or None,
            "code": row.finding.code or None,
            "rig": row.finding.rig,
        }
        for row in rows
    ]
    return {"checks": checks}
