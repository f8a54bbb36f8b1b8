"""The verb `otactl push`: an update by cable."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import rich_click as click

from otactl.cli.board_verbs import tell, telling_of
from otactl.cli.options import BOARD, FILE, as_json, in_workspace, on_board, verb
from otactl.errors import UsageError

if TYPE_CHECKING:
    from otactl.board.copying import Copied
    from otactl.board.link import Link
    from otactl.board.push import Pushed
    from otactl.cli.display import Bars
    from otactl.release.offer import Offer

_KIB = 1024


@verb(BOARD, "push /dev/ttyUSB0 ESP32_GENERIC-OTA.app-bin")
@in_workspace
@on_board
@click.argument("firmware", required=False, type=FILE, help="A firmware file (default: what the channel names).")
@click.option("--version", help="A name for the release that is made of it (default: push-SEQUENCE).")
@click.option("--raw", is_flag=True, help="Send it as it is, not compressed.")
@click.option("--compare", is_flag=True, help="Before that, measure `mpremote cp` with the same bytes.")
@click.option("--anyway", is_flag=True, help="Also where main.py does not call agent.start(): a module of yours does.")
@as_json
def push(
    *,
    workspace: Path,
    board: str,
    slow: float,
    firmware: Path | None,
    version: str | None,
    raw: bool,
    compare: bool,
    anyway: bool,
    as_json: bool,
) -> int:
    """Update a board by its cable, signed and on trial as over Wi-Fi.

    The board is the first word, also where it is auto. A file that is no release yet is made one, which no channel names.
    """
    from otactl.board.push import push as send
    from otactl.cli import display
    from otactl.cli.boards import BoardWatch
    from otactl.cli.reach import reached, update_log
    from otactl.release import offer
    from otactl.workspace.workspace import Workspace

    place = Workspace.find(workspace)
    if version and firmware is None:
        raise UsageError("--version names a release that is made of a file: name that file too")
    log, copied = update_log(workspace, board), None
    with telling_of(log, as_json), display.Bars(quiet=as_json) as bars, reached(board, slow, bars, log=log) as link:
        # with the board at hand: one that is not there costs no sequence
        offered = offer.of_file(place, firmware, version) if firmware else offer.newest(place)
        for note in offered.notes:
            bars.note(f"warning: {note}")
        if compare:
            copied = _copied(link, offered, bars)
        pushed = send(link, offered, BoardWatch(bars), raw=raw, anyway=anyway)
    return tell(pushed.outcome, as_json, log, lines=_lines(pushed, copied, compare), fields=_fields(pushed, copied))


def _copied(link: "Link", offered: "Offer", bars: "Bars") -> "Copied | None":
    """None where there is no room for any of it, or nothing for this chip."""
    from otactl.board import copying, follow

    data = offered.image_for(follow.status(link)["chip"])
    bars.note("  mpremote cp writes a file first, for comparison")
    found = copying.measure(link, data, lambda done, total: bars.show("mpremote cp", done, total)) if data else None
    bars.drop("mpremote cp")
    return found


def _lines(pushed: "Pushed", copied: "Copied | None", compare: bool) -> list[str]:
    """The rates, for a person."""
    if not pushed.sent:
        return (
            ["nothing was sent: what the board needs of it was in flash"] if pushed.outcome.name == "confirmed" else []
        )
    since = f" from byte {pushed.start} on" if pushed.start else ""
    again = f" ({pushed.again} of them again)" if pushed.again else ""
    moved = f"{pushed.sent} bytes{since} in {pushed.seconds:.1f} s, {pushed.wire} on the cable{again}"
    lines = [f"push         {pushed.rate / _KIB:.1f} KiB/s  {moved}"]
    if copied:
        same = f"{copied.size} of the same bytes in {copied.seconds:.1f} s"
        lines.append(f"mpremote cp  {copied.rate / _KIB:.1f} KiB/s  {same}")
    elif compare:
        lines.append("mpremote cp  not measured: the board's filesystem has no room")
    return lines


def _fields(pushed: "Pushed", copied: "Copied | None") -> dict[str, Any]:
    """The same for a script: bytes, seconds, bytes a second."""
    told = asdict(pushed) | {"rate": round(pushed.rate)}
    del told["outcome"]
    return {"push": told, "mpremote_cp": asdict(copied) | {"rate": round(copied.rate)} if copied else None}
