"""`otactl dev --wifi`: the development loop over the network, and how boards are given back."""

import contextlib
from collections.abc import Mapping, Sequence
from pathlib import Path

from otactl.board.dev.folder import Folder
from otactl.cli import display
from otactl.cli.rows import Rows
from otactl.errors import OtactlError, UsageError
from otactl.files import locked
from otactl.fleet import borrowing, developing, lending, look, plan, store
from otactl.fleet.developing import Development
from otactl.fleet.names import Names
from otactl.fleet.store import Store
from otactl.release import drafts
from otactl.workspace import keyring
from otactl.workspace.workspace import Workspace

_SLACK_S = 120  # beside a trial's deadline: two looks, a download, two resets
_DEADLINE_S = 180  # of a trial, unless otactl.toml says another one (device/ota/entries/trial.py)


def run(workspace: Path, folder: Path, words: Sequence[str], tags: Sequence[str]) -> int:
    """Develop on boards that look at this workspace's server. 0 where all of them came back."""
    place, kept = _opened(workspace)
    watched = Folder(folder)
    with kept, contextlib.ExitStack() as held:
        keyring.signers(place)  # no key, or too few: said before a board is touched
        boards = borrowing.chosen(place, kept, words, tags)
        _lock(place, boards, held)
        guests = borrowing.borrow(place, kept, boards)
        if place.url.startswith("http:"):
            display.warn(
                f"{place.url} is no https: who is in that network can hand a draft on, and boards with an agent from before drafts "
                "take it as any release; deploy those once more first"
            )
        between_s = plan.between_looks(place.board)
        for name in boards.values():
            display.show(f"{name}: its first look is awaited; {developing.unheard(between_s)}")
        stopped: BaseException | None = None
        with Rows(list(boards.values())) as rows:
            shown = {name: rows.row(name) for name in boards.values()}
            loop = Development(place, kept, watched, shown, guests, between_s)
            try:
                loop.run()
            except (KeyboardInterrupt, SystemExit) as error:
                stopped = error
            except (OtactlError, OSError):
                with contextlib.suppress(OtactlError, OSError):  # the fault that came first is told
                    developing.give_back(place, kept, list(boards))
                raise
        well = _given_back(place, kept, boards)
        for name, tally in loop.tallies.items():
            display.show(f"  {name}: {tally}")
        if isinstance(stopped, SystemExit):
            raise stopped
        return 0 if well else 1


def back(workspace: Path, words: Sequence[str], tags: Sequence[str]) -> int:
    """Give boards back that a loop has left, as one that was killed: those named, else all. 0 where all of them came back."""
    place, kept = _opened(workspace)
    with kept, contextlib.ExitStack() as held:
        names = Names(place.root)
        boards = {one.board: names.of(one.board)[0] for one in borrowing.outstanding(kept)}
        if words or tags:
            named = borrowing.chosen(place, kept, words, tags)
            boards = {board: name for board, name in boards.items() if board in named}
        if not boards:
            display.show("nobody develops on a board over the network: nothing to give back")
            return 0
        borrowing.require_no_rollout(place, kept)
        _lock(place, boards, held)
        return 0 if _given_back(place, kept, boards) else 1


def _opened(workspace: Path) -> tuple[Workspace, Store]:
    place = Workspace.find(workspace)
    if not (place.root / store.FILE).is_file():
        raise UsageError("no board has looked at this workspace's server yet: `otactl serve`, and leave it running")
    return place, Store(place.root / store.FILE)


def _lock(place: Workspace, boards: Mapping[str, str], held: contextlib.ExitStack) -> None:
    """One loop a board. Raises RigError where another one has it."""
    (place.root / drafts.FOLDER).mkdir(exist_ok=True)
    for board in sorted(boards):
        held.enter_context(locked(place.root / drafts.FOLDER / f"{board}.lock", 0))


def _given_back(place: Workspace, kept: Store, boards: Mapping[str, str]) -> bool:
    """Offer, wait, say. Whether all have come back. Ctrl-C ends the wait at once."""
    given = _offered_back(place, kept, boards)
    versions = {board: look.named_in(drafts.path(place, sequence))[1] for board, sequence in given.items()}
    for board, version in versions.items():
        display.show(f"{boards[board]}: {version} is offered again, as sequence {given[board]}")
    for board, lent in ((one.board, one) for one in lending.every(kept) if one.board in given):
        if why := borrowing.passed_by(place, kept, lent):
            display.warn(f"{boards[board]}: {why}; it comes to the release after that")
    out = _awaited(place, kept, given, boards)
    seen = {one.said.id: one for one in kept.boards()}
    for board, version in versions.items():
        if why := borrowing.declined(seen.get(board), given[board]):
            display.failed(
                f"{boards[board]} does not take {version}: {developing.why(why)}; what ran before runs on, and `otactl dev --wifi --back "
                f"{boards[board]}` offers what it ran at first"
            )
        elif board in out:
            display.failed(
                f"{boards[board]} has not come back yet: as long as `otactl serve` runs it is offered {version} at each look, and a "
                f"reset makes it look; `otactl boards --history {boards[board]}` shows it"
            )
        else:
            display.done(f"{boards[board]}: given back, it runs {version}")
    left = borrowing.tidy(place, kept, 1)
    display.show(f"  drafts that are kept for boards: {left}")
    return not out


def _offered_back(place: Workspace, kept: Store, boards: Mapping[str, str]) -> dict[str, int]:
    """As developing.give_back(). Raises what that raises, and KeyboardInterrupt with what stays."""
    try:
        return developing.give_back(place, kept, list(boards))
    except KeyboardInterrupt:
        names = " ".join(boards.values())
        raise KeyboardInterrupt(
            f"stopped: what {names} had last from here stays there; `otactl dev --wifi --back` gives it back"
        ) from None


def _awaited(place: Workspace, kept: Store, given: Mapping[str, int], boards: Mapping[str, str]) -> list[str]:
    """The boards that have not come back within a trial's time, or before Ctrl-C."""
    deadline_s = place.board.get("trial", {}).get("deadline_s", _DEADLINE_S)
    with display.Bars() as bars:

        def tick(out: list[str], left_s: float) -> None:
            names = ", ".join(boards[board] for board in out)
            bars.wait(f"{names}: awaited for {left_s:.0f} s at most; Ctrl-C leaves at once", counts=False)

        try:
            return developing.await_back(kept, given, deadline_s + _SLACK_S, tick)
        except (KeyboardInterrupt, SystemExit):
            return developing.await_back(kept, given, 0, tick)
