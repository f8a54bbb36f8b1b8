"""A plan's steps onto the flash: each looks first whether it is done, and in pieces, so that a run can be taken up again."""

from collections.abc import Callable
from typing import Protocol

from otactl.board.provision.facts import Flash
from otactl.board.provision.plan import Plan, Step
from otactl.errors import RigError

_PIECE = 0x20000  # bytes that are compared, written and told of at a time

Progress = Callable[[str, int, int], None]  # what, bytes done, bytes in all


class Loader(Flash, Protocol):
    """A board in its ROM loader. `write` erases what it writes to, and reads back what it wrote."""


def run(loader: Loader, plan: Plan, progress: Progress = lambda *_: None) -> int:
    """Carry out all steps in their order; gives the bytes that were not there yet. Raises RigError."""
    written = sum(_carry_out(loader, step, progress) for step in plan.steps if not loader.same(step.offset, step.data))
    if lost := next((step for step in plan.steps if not loader.same(step.offset, step.data)), None):
        raise RigError(
            f"{lost.what} at {lost.offset:#x} is not there any more: a later step has written over it, as where a flash is "
            f"smaller than the {loader.flash_size >> 20} MiB that it says"
        )
    return written


def _carry_out(loader: Loader, step: Step, progress: Progress) -> int:
    size = len(step.data)
    progress(step.what, 0, size)
    if step.erases:
        loader.erase(step.offset, size)
        if not loader.same(step.offset, step.data):
            raise RigError(
                f"{step.what} at {step.offset:#x} is not blank after its erase: is the flash protected, or worn?"
            )
        progress(step.what, size, size)
        return size
    written = 0
    for at in range(0, size, _PIECE):
        piece = step.data[at : at + _PIECE]
        if not loader.same(step.offset + at, piece):
            loader.write(step.offset + at, piece)
            written += len(piece)
        progress(step.what, at + len(piece), size)
    return written


def backup(loader: Loader, progress: Progress = lambda *_: None) -> bytes:
    """All of the flash. Raises RigError."""
    kept = bytearray()
    while len(kept) < loader.flash_size:
        kept += loader.read(len(kept), min(_PIECE, loader.flash_size - len(kept)))
        progress("backup", len(kept), loader.flash_size)
    return bytes(kept)
