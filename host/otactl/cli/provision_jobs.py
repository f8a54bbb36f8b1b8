"""What `provision` does to each board, be it one, several at once, or those that are plugged in one after the other."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from otactl.board import deploy as deploying
from otactl.board.provision import flashmap, one
from otactl.board.provision.look import Look, Watch, Wishes, look
from otactl.board.provision.names import Names
from otactl.board.provision.one import Done
from otactl.cli import many as boards
from otactl.cli.many import Ending
from otactl.cli.rows import Row
from otactl.cli.shown import Shown
from otactl.errors import UsageError
from otactl.workspace.roster import Entry
from otactl.workspace.workspace import Workspace


@dataclass(frozen=True, slots=True)
class Jobs:
    """The same for every board of a command. `place`: the workspace to deploy from, None without an agent."""

    wishes: Wishes
    names: Names
    place: Workspace | None
    dry_run: bool = False
    backup: Path | None = None

    def slower(self, slow: float) -> "Jobs":
        return replace(self, wishes=replace(self.wishes, slow=slow))

    def look(self, device: str, watch: Watch) -> Look:
        """Raises as look.look does, and where the board is to be named and cannot be."""
        found = look(device, self.wishes, watch)
        self.names.for_board(found.mac)
        one.require_carried(found, self.wishes)
        return found

    def carry_out(self, found: Look, watch: Watch) -> Done:
        """Provision the board, and write its name down. Raises as one.provision does."""
        name = self.names.for_board(found.mac)
        done = one.provision(found, self.wishes, watch, workspace=self.place, backup=self.backup, name=name)
        if name:
            self.names.note(name, found.mac, found.plan.facts.chip, found.device)
        return done

    def whole(self, device: str, row: Row) -> Ending:
        """A board from its port to its verdict, for a table. Nobody is asked: without a yes it is refused."""
        watch = watched(row)
        found = self.look(device, watch)
        name, chip = self.names.for_board(found.mac), found.plan.facts.chip
        who = " ".join(word for word in (name, chip, found.mac) if word)
        if self.dry_run:
            lost = "; ".join(loss.what for loss in one.losses(found, self.wishes))
            outcome = "ready" if found.plan.ready else "would be flashed"
            return Ending(
                True, outcome, why=f"{who}{f', would lose {lost}' * bool(lost)}", told=told(found, None, name)
            )
        one.require_yes(found, self.wishes)
        row.say(f"{who}: {'takes updates already' if found.plan.ready else '; '.join(found.plan.why)}")
        done = self.carry_out(found, watch)
        for advice in done.deployed.advice if done.deployed else ():
            row.say(f"! {advice}")
        if done.returned and done.returned.left:
            row.say(f"! left as they are on the board now: {', '.join(done.returned.left)}")
        outcome = "ready" if found.plan.ready else "provisioned"
        return Ending(True, outcome, done.micropython, who, told(found, done, name))


def many(entries: Sequence[Entry], jobs: Jobs, *, as_json: bool) -> int:
    """All at once; 1 where one failed."""
    return boards.run(entries, lambda entry, row: jobs.slower(entry.slow).whole(entry.device, row), as_json=as_json)


def watched(shown: Shown) -> Watch:
    """Told on a terminal by bars or a row; a thread is stopped by its row."""

    def progress(what: str, done: int, size: int) -> None:
        check()
        if done < size:
            shown.show(what, done, size)
        else:
            shown.drop(what)

    def check() -> None:
        if shown.stop:
            shown.stop.check()

    return Watch(shown.wait, shown.wait if shown.moves or not shown.stop else shown.note, progress, check)


def told(found: Look, done: Done | None, name: str) -> dict[str, Any]:
    """For scripts."""
    about = flashmap.as_json(found.plan) | {"name": name or None}
    if done:
        back = done.returned.count if done.returned else 0
        about |= {"written": done.written, "returned": back, "micropython": done.micropython}
        about["deployed"] = done.deployed is not None
    return about


def workspace(start: Path | None, *, needed: bool) -> Workspace | None:
    """The one named, or that of this folder; None where there is none and none is `needed`.

    Raises UsageError, also where it is needed and boards could not be deployed to from it: better now than once they
    are flashed.
    """
    try:
        found = Workspace.find(start or Path())
    except UsageError:
        if needed or start is not None:
            raise
        return None
    if needed:
        deploying.check(found)
    return found
