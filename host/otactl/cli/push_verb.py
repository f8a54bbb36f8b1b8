"""The verb `otactl push`: an update by cable."""

import dataclasses
import threading
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import rich_click as click
from click.shell_completion import CompletionItem

from otactl.cli.board_verbs import follow_in_row, tell, telling_of
from otactl.cli.options import (
    BOARD,
    FILE,
    as_json,
    complete_boards,
    in_workspace,
    slow_link,
    verb,
    with_passphrase,
    with_tags,
)
from otactl.errors import UsageError

if TYPE_CHECKING:
    from otactl.board.copying import Copied
    from otactl.board.follow import Outcome, Watch
    from otactl.board.link import Link
    from otactl.board.push import Pushed
    from otactl.cli.display import Bars
    from otactl.cli.many import Ending
    from otactl.cli.rows import Row
    from otactl.cli.shown import Shown
    from otactl.release.offer import Offer
    from otactl.workspace.roster import Entry
    from otactl.workspace.workspace import Workspace

_KIB = 1024
_FIRMWARE = (".bin", ".app-bin")


def _firmware_apart(ctx: click.Context, _: click.Parameter, words: tuple[str, ...]) -> tuple[str, ...]:
    """The boards; a last word that is a file, or has the name of one, is the firmware."""
    found = bool(words) and (Path(words[-1]).is_file() or Path(words[-1]).suffix in _FIRMWARE)
    ctx.params["firmware"] = Path(words[-1]) if found else None
    return words[:-1] if found else words


def _boards_and_files(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    return [*complete_boards(ctx, param, incomplete), CompletionItem(incomplete, type="file")]


@verb(BOARD, "push /dev/ttyUSB0 ESP32_GENERIC-OTA.app-bin")
@in_workspace
@click.argument(
    "boards",
    nargs=-1,
    metavar="[BOARD]... [FIRMWARE]",
    callback=_firmware_apart,
    shell_complete=_boards_and_files,
    help="Names of boards.toml, all, or mpremote devices (default: auto); a firmware file (default: what the channel names).",
)
@with_tags
@slow_link
@click.option(
    "--app", type=FILE, metavar="FOLDER", help="Your program: app.py and all beside it, with firmware or alone."
)
@click.option("--version", help="A name for the release that is made of it (default: push-SEQUENCE).")
@click.option("--raw", is_flag=True, help="Send it as it is, not compressed.")
@click.option("--compare", is_flag=True, help="Before that, measure `mpremote cp` with the same bytes.")
@click.option("--anyway", is_flag=True, help="Also where main.py does not call agent.start(): a module of yours does.")
@with_passphrase
@as_json
def push(
    *,
    workspace: Path,
    boards: tuple[str, ...],
    tags: tuple[str, ...],
    slow: float,
    firmware: Path | None,
    app: Path | None,
    version: str | None,
    raw: bool,
    compare: bool,
    anyway: bool,
    as_json: bool,
) -> int:
    """Update boards by their cables, signed and on trial as over Wi-Fi.

    A file or a folder that is no release yet is made one, which no channel names.
    """
    from otactl.board.push import push as send
    from otactl.cli import chosen, display, many
    from otactl.cli.boards import BoardWatch
    from otactl.cli.reach import reached, update_log
    from otactl.workspace import keyring
    from otactl.workspace.workspace import Workspace

    place = Workspace.find(workspace)
    if version and firmware is None and app is None:
        raise UsageError("--version names a release that is made of a file or a folder: name that too")
    meant = chosen.boards(boards, tags, workspace, slow)
    if firmware or app:
        keyring.unlock(place)
    offers = _Offers(place, firmware, app, version)

    def in_row(entry: "Entry", row: "Row") -> "Ending":
        done: list[Pushed] = []

        def run(link: "Link", watch: "Watch") -> "Outcome":
            done.append(send(link, offers.get(row), watch, raw=raw, anyway=anyway))
            return done[0].outcome

        ending = follow_in_row(run, entry, row, update_log(workspace, entry.name))
        for line in _lines(done[0], None, compare=False):
            row.say(line)
        return dataclasses.replace(ending, told=ending.told | _fields(done[0], None))

    if meant.several and compare:
        raise UsageError("--compare is for one board at a time")
    if meant.several:
        return many.run(meant.entries, in_row, as_json=as_json)
    (entry,) = meant.entries
    log, copied = update_log(workspace, entry.name), None
    with (
        telling_of(log, as_json),
        display.Bars(quiet=as_json) as bars,
        reached(entry.device, entry.slow, bars, log=log) as link,
    ):
        offered = offers.get(bars)
        if compare:
            copied = _copied(link, offered, bars)
        pushed = send(link, offered, BoardWatch(bars), raw=raw, anyway=anyway)
    return tell(
        pushed.outcome, as_json, log, lines=_lines(pushed, copied, compare=compare), fields=_fields(pushed, copied)
    )


class _Offers:
    """What is sent: made once, with the first board at hand, so that boards that are not there cost no sequence."""

    def __init__(self, place: "Workspace", firmware: Path | None, app: Path | None, version: str | None) -> None:
        self._place, self._firmware, self._app, self._version = place, firmware, app, version
        self._made: Offer | None = None
        self._one_thread = threading.Lock()

    def get(self, shown: "Shown") -> "Offer":
        """Raises as release.offer."""
        with self._one_thread:
            if self._made is None:
                self._made = self._make()
                for note in self._made.notes:
                    shown.note(f"warning: {note}")
            return self._made

    def _make(self) -> "Offer":
        from otactl.release import offer
        from otactl.release.application import Asked

        if self._app:
            return offer.of_folder(self._place, Asked(self._app), self._firmware, self._version)
        if self._firmware:
            return offer.of_file(self._place, self._firmware, self._version)
        return offer.newest(self._place)


def _copied(link: "Link", offered: "Offer", bars: "Bars") -> "Copied | None":
    """None where there is no room for any of it, or nothing for this chip."""
    from otactl.board import copying, follow

    data = offered.image_for(follow.status(link)["chip"])
    bars.note("  mpremote cp writes a file first, for comparison")
    found = copying.measure(link, data, lambda done, total: bars.show("mpremote cp", done, total)) if data else None
    bars.drop("mpremote cp")
    return found


def _lines(pushed: "Pushed", copied: "Copied | None", *, compare: bool) -> list[str]:
    """The rates, for a person."""
    if not pushed.sent:
        return (
            ["nothing was sent: what the board needs of it was in flash"] if pushed.outcome.name == "confirmed" else []
        )
    since = f" from byte {pushed.start} on" if pushed.start else ""
    again = f" ({pushed.again} of them again)" if pushed.again else ""
    moved = f"{pushed.sent} bytes{' of a delta' if pushed.delta else ''}{since} in {pushed.seconds:.1f} s, {pushed.wire} on the cable{again}"
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
