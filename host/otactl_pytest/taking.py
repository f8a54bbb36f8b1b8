"""From the options to a board: which one, leased; its switch; what it must be."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from otactl.errors import OtactlError, RigError
from otactl.workspace.roster import Entry

from otactl_pytest import ladder, lease, outcome, settings, virtual
from otactl_pytest.held import Held, image_to_restore
from otactl_pytest.lease import Lease
from otactl_pytest.power import Power
from otactl_pytest.power import parse as parse_power
from otactl_pytest.preflight import Expected


@contextlib.contextmanager
def from_pool(config: pytest.Config) -> Iterator[tuple[str, Lease, virtual.VirtualBoard | None]]:
    """The device string of a board of the pool, and the running virtual board where it is one.

    Raises UsageError, RigError; the session's other tests with a board are skipped then.
    """
    with contextlib.ExitStack() as opened:
        with _broken_unless(config):
            boards = lease.pool(settings.words(config), settings.boards_file(config), config.getoption("--board-tag"))
            taken = lease.take(boards, config.getoption("--board-wait"), lambda text: _say(config, text))
            opened.callback(taken.release)
            if not lease.is_virtual(taken.entry.device):
                made, device = None, taken.entry.device
            else:
                made = virtual.VirtualBoard(taken.entry.device.partition(":")[2])
                opened.callback(made.close)
                device = made.device
        yield device, taken, made


@contextlib.contextmanager
def held(
    config: pytest.Config, entry: Entry, power: Power | None, expected: Expected, *, leased: bool
) -> Iterator[Held]:
    """The board itself; a device that a fixture of the project's own gave is leased here."""
    with contextlib.ExitStack() as opened:
        with _broken_unless(config):
            if not leased:
                taken = lease.take([entry], config.getoption("--board-wait"), lambda text: _say(config, text))
                opened.callback(taken.release)
            means = ladder.Means(_image(config, entry, opened))
            found = Held(entry, expected, power, means)
            opened.callback(lambda: found.close(broken=outcome.BROKEN in config.stash))
        yield found


def _image(config: pytest.Config, entry: Entry, opened: contextlib.ExitStack) -> Path | None:
    """What the last rung writes back. Raises RigError."""
    if not config.getoption("--board-backup"):
        return image_to_restore(config.getoption("--board-reflash"))
    import tempfile

    from otactl.board.slots_rom import RomSource
    from otactl.files import write_private

    folder = opened.enter_context(tempfile.TemporaryDirectory(prefix="board-backup-"))
    path = Path(folder) / "flash.bin"
    with RomSource(entry.device) as source:
        write_private(path, source.read(0, source.flash_size))
    return path


def entry(config: pytest.Config, device: str, leased: Entry | None) -> Entry:
    """What is known of the board at `device`, by boards.toml and the options. Raises UsageError."""
    known = leased or lease.named(device, settings.boards_file(config))
    features = (*known.features, *(virtual.FEATURES if lease.is_virtual(known.device) else ()))
    return lease.with_options(
        Entry(known.name, device, known.chip, known.mac, known.tags, features, known.power, known.slow),
        chip=config.getoption("--board-chip"),
        power=config.getoption("--board-power"),
        features=config.getoption("--board-feature"),
        slow=config.getoption("--board-slow"),
    )


def power(config: pytest.Config, found: Entry) -> Power | None:
    """Raises UsageError for a word that means no switch."""
    with _broken_unless(config):
        return parse_power(found.power, lambda text: _ask(config, text)) if found.power else None


def expected(config: pytest.Config, found: Entry) -> Expected:
    return Expected(chip=found.chip, mac=found.mac, micropython=config.getoption("--board-micropython"))


@contextlib.contextmanager
def _broken_unless(config: pytest.Config) -> Iterator[None]:
    """Without a board one test tells why, and the rest is skipped."""
    try:
        yield
    except (OtactlError, OSError) as error:
        config.stash[outcome.BROKEN] = f"no board: {error}"
        raise


def _say(config: pytest.Config, text: str) -> None:
    with _uncaptured(config):
        print(f"\n{text}", flush=True)


def _ask(config: pytest.Config, text: str) -> None:
    import sys

    with _uncaptured(config):
        if not sys.stdin.isatty():
            raise RigError("the board's power is switched by hand, and there is nobody at a terminal")
        input(f"\n{text}: ")


@contextlib.contextmanager
def _uncaptured(config: pytest.Config) -> Iterator[None]:
    """pytest's own capture is held off, standard input too."""
    capture = config.pluginmanager.getplugin("capturemanager")
    if capture is None:
        yield
        return
    capture.suspend(in_=True)
    try:
        yield
    finally:
        capture.resume()
