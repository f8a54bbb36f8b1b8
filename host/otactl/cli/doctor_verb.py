"""The verb doctor: what is wrong with a board, this machine and this network, worst first."""

from pathlib import Path
from typing import TYPE_CHECKING

import rich_click as click

from otactl.cli.options import BOARD, as_json, in_workspace, on_board, verb

if TYPE_CHECKING:
    from otactl.board.doctor.table import Row


@verb(BOARD, "doctor -w lamp /dev/ttyUSB0")
@in_workspace
@on_board
@click.option("--all", "everything", is_flag=True, help="Also what is well.")
@as_json
def doctor(*, workspace: Path, board: str, slow: float, everything: bool, as_json: bool) -> int:
    """Say what is wrong with a board, this machine and this network, in the order in which it hurts.

    Its program is stopped for it, and started anew. Nothing on the board is changed.
    """
    from otactl.board.doctor import examine
    from otactl.board.doctor.table import exit_code
    from otactl.cli.display import Bars
    from otactl.cli.reach import Waits

    with Bars(quiet=as_json) as bars:
        rows = examine.examine(
            board,
            workspace,
            slow=slow,
            say=lambda what: bars.wait(f"looking at {what}"),
            tell=Waits(bars, moves=bars.moves),
        )
    if as_json:
        print(examine.as_json(rows))
    else:
        _show(rows, everything=everything)
    return exit_code(rows)


def _show(rows: "list[Row]", *, everything: bool) -> None:
    from otactl.board.doctor.findings import Verdict
    from otactl.cli import display

    for row in rows:
        said, verdict = f"{row.name}: {row.finding.said}", row.finding.verdict
        if verdict is Verdict.BAD:
            display.failed(said)
        elif verdict is Verdict.WARN:
            display.warn(said)
        elif verdict is Verdict.OK and everything:
            display.done(said)
        if row.finding.then:
            display.type_this(row.finding.then)
    _show_skipped(rows)
    counts = {verdict: sum(row.finding.verdict is verdict for row in rows) for verdict in Verdict}
    if not counts[Verdict.BAD]:
        display.done("nothing is bad of what could be looked at")
    display.show(
        f"{counts[Verdict.BAD]} bad, {counts[Verdict.WARN]} to watch, {counts[Verdict.OK]} well, "
        f"{counts[Verdict.SKIPPED]} not looked at"
    )


def _show_skipped(rows: "list[Row]") -> None:
    """One line for each reason."""
    from otactl.board.doctor.findings import Verdict
    from otactl.cli import display

    reasons: dict[str, list[str]] = {}
    for row in rows:
        if row.finding.verdict is Verdict.SKIPPED:
            reasons.setdefault(row.finding.said, []).append(row.name)
    for why, names in reasons.items():
        display.show(f"  {', '.join(names)}: not looked at ({why})")
