"""What was: a trial that runs, how the last update and the last look ended."""

from otactl.board.codes import sentence
from otactl.board.doctor.case import Case
from otactl.board.doctor.findings import Finding, ok, skipped, warn


def trial(case: Case) -> Finding:
    if not case.status.get("slots"):
        return _no_status(case)
    if case.status["trial"]:
        return warn("a release is on trial: nothing is downloaded until it is confirmed", case.on_board("confirm"))
    return ok("none runs")


def job(case: Case) -> Finding:
    if not case.status.get("slots"):
        return _no_status(case)
    last = case.status["job"]
    if last["phase"] == "failed" and last["reason"]:
        what = f"{last['version']}: {sentence(last['reason'], last['detail'] or '')}"
        return warn(what, case.on_board("status"), code=last["reason"])
    if last["phase"] == "writing":
        return warn(
            f"{last['version']} came as far as {last['offset']} of {last['size']} bytes; the next look goes on from there",
            case.on_board("update"),
        )
    return ok(f"{last['phase']} {last['version'] or ''}".rstrip())


def look(case: Case) -> Finding:
    """What is wrong today has a row of its own: this one says what the board has met without us."""
    if not case.status.get("slots"):
        return _no_status(case)
    refused = case.status.get("refused")
    if not refused:
        return ok("well")
    if "release" in case.steps:
        return ok(f"in {refused[0]}; today's look gets further, see above")
    code, detail = [*refused, ""][:2]
    if code in (step.code for step in case.steps.values()):
        return ok(f"in {code}, as today's: see above")
    return warn(sentence(code, detail), case.on_board("status"), code=code)


def _no_status(case: Case) -> Finding:
    code = case.status.get("code", "")
    return skipped(sentence(code, case.status.get("detail", "")) if code else "the agent does not tell")
