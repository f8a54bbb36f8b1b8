"""The number that a release is known by to boards: each is given out once in a workspace."""

from otactl.errors import OtactlError, UsageError
from otactl.files import write_atomic
from otactl.release import drafts, ledger
from otactl.workspace.workspace import Workspace

MAX_INT = 0x7FFFFFFF  # what a board's NVS holds


def next_sequence(workspace: Workspace, least: int | None = None) -> int:
    """One more than any that was given out here, also by a copy of this workspace, and not below `least`: an old backup does
    not know what was given out after it.

    Raises UsageError where `least` is no such number, or the numbers that a board can keep are used up.
    """
    if least is not None and not 0 < least <= MAX_INT:
        raise UsageError(f"--sequence {least}: a number from 1 to {MAX_INT}")
    found = max(max([_counter(workspace), drafts.highest(workspace), *_published(workspace)]) + 1, least or 0)
    if found > MAX_INT:
        raise UsageError(f"{workspace.root / 'sequence'}: boards know numbers up to {MAX_INT}")
    return found


def take_sequence(workspace: Workspace, number: int) -> None:
    """Never to be given out again, whatever becomes of the release that it was for."""
    write_atomic(workspace.root / "sequence", f"{number}\n".encode())


def _counter(workspace: Workspace) -> int:
    path = workspace.root / "sequence"
    try:
        return int(path.read_text())
    except FileNotFoundError:
        return 0
    except (OSError, ValueError):
        raise UsageError(f"{path} holds no number: put the last one used there") from None


def _published(workspace: Workspace) -> list[int]:
    found = []
    for path in ledger.signed_files(workspace):
        try:
            found.append(int((ledger.vouched(workspace, path) or {})["sequence"]))
        except (OtactlError, OSError, ValueError, KeyError, TypeError):
            continue  # another's, or no release: it sets no bound here
    return found
