"""The board of a session: leased, opened at the first test that wants it, checked before and put back after each."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from otactl.errors import OtactlError, RigError
from otactl.workspace.roster import Entry

from otactl_pytest import ladder, outcome, preflight, redact, undo
from otactl_pytest.board import Board
from otactl_pytest.evidence import Evidence
from otactl_pytest.power import Power
from otactl_pytest.preflight import Expected, WrongTarget


@dataclass
class Held:
    """`means`: what the ladder may use. `board` is opened by the first `lent`."""

    entry: Entry
    expected: Expected
    power: Power | None
    means: ladder.Means
    board: Board = field(init=False)

    def __post_init__(self) -> None:
        self.board = Board(
            self.entry.device,
            name=self.entry.name,
            chip=self.entry.chip,
            features=self.entry.features,
            power=self.power,
            slow=self.entry.slow,
        )

    def lent(self, item: pytest.Item) -> Iterator[Board]:
        """The board for one test: at its prompt, and as it was before afterwards.

        Skips the test where the board lacks what it needs. Raises RigError where it cannot be brought to answer.
        """
        self._require_features(item)
        evidence = item.stash[outcome.EVIDENCE] = Evidence(item, self.board)
        try:
            self.ready(item)
            evidence.before()
            yield self.board
            self._after(item, evidence)
        finally:
            evidence.close()

    def ready(self, item: pytest.Item | pytest.Session) -> None:
        """At its prompt, and the board that is meant. Raises RigError where the whole ladder does not help."""
        try:
            self.board.open()
            self._holds()
        except WrongTarget as error:
            self._end_session(item, error)
            raise
        except RigError as error:
            self._climb(item, error)

    def close(self, *, broken: bool) -> None:
        """Let the board's own program run, and give the port back; one that is `broken` is not brought back once more.

        Raises RigError where a test has left it deaf and nothing helps.
        """
        try:
            if self.board.is_open and not broken:
                self._hears()
            with contextlib.suppress(OtactlError):
                self.board.run_program()
        finally:
            self.board.close()

    # --------------------------------------------------------------------------------------------

    def _require_features(self, item: pytest.Item) -> None:
        wanted = [str(word) for mark in item.iter_markers("board_needs") for word in mark.args]
        lacking = [word for word in wanted if self.board.feature(word) is None]
        if lacking:
            has = ", ".join(self.board.features) or "no features"
            pytest.skip(f"{self.board.name} lacks {', '.join(lacking)}; it has {has} (--board-feature, boards.toml)")

    def _holds(self, within_s: float = ladder.LONG_S) -> None:
        """The preflight, of a board that takes the prompt within so many seconds. Raises WrongTarget, RigError."""
        self.board.fresh(within_s)
        found = preflight.check(self.board, self.expected)
        self.board.chip = found.chip
        if self.expected.mac != found.mac:  # the first look: what an agent that it has keeps secret, is kept so
            config = undo.settings_of(self.board)
            redact.register_environment()
            redact.register_from(config)
            for key in undo.keys_of(self.board, config):
                redact.register_key(key)
        self.expected = replace(self.expected, mac=found.mac)  # from now on this very board

    def _after(self, item: pytest.Item, evidence: Evidence) -> None:
        report = item.stash.get(outcome.REPORT, None)
        if report is None or report.when != "call":  # broken off by Ctrl-C: code of the test may run still
            self.board.link.let_go()
        if why := outcome.of(report):
            self._climb(item, RigError(why), raising=False)
        broken = item.config.stash.get(outcome.BROKEN, "")
        try:
            evidence.after(failed=report is not None and report.failed, broken=broken)
        finally:
            if not broken:
                self._put_back(item)

    def _hears(self) -> None:
        """A program that the last test left running may hear no Ctrl-C: the board would be left so."""
        try:
            self.board.to_prompt()
        except RigError:
            ladder.climb(self.board, self._holds, replace(self.means, expected=self.expected))

    def _put_back(self, item: pytest.Item) -> None:
        try:
            self.board.files.restore()
        except RigError as error:
            self._climb(item, error)
            self.board.files.restore()

    def _climb(self, item: pytest.Item | pytest.Session, first: RigError, *, raising: bool = True) -> None:
        """Bring the board back. Where that fails, the board counts as broken and `first` is raised with what was tried."""
        self.board.console.note(f"rig fault: {first}")
        try:
            ladder.climb(self.board, self._holds, replace(self.means, expected=self.expected))
        except WrongTarget as error:
            self._end_session(item, error)
            raise
        except RigError as error:
            left = ", ".join(self.board.files.changed)
            not_undone = f"; not put back on it: {left}" if left else ""
            item.config.stash[outcome.BROKEN] = f"{error}; it began with: {first}{not_undone}"
            if raising:
                raise RigError(f"{first}; {error}{not_undone}") from None

    def _end_session(self, item: pytest.Item | pytest.Session, error: WrongTarget) -> None:
        item.config.stash[outcome.BROKEN] = str(error)
        item.session.shouldfail = str(error)


def image_to_restore(given: Path | None) -> Path | None:
    """Raises RigError where there is no such file, before it is needed."""
    if given is not None and not given.is_file():
        raise RigError(f"--board-reflash: there is no file {given}")
    return given
