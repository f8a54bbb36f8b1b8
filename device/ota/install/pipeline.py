"""Moves bytes from a source into a target, a block a step."""

from .. import steps
from ..errors import require

_POLL_MS = 5


def pump(source, target, view: memoryview):
    """Steps until the target has all its bytes. `view` is the block; it keeps to a grid of its own size. Raises OtaError:
    what the two raise, dropped."""
    block = len(view)
    while target.offset < target.size:
        want = min(block - target.offset % block, target.size - target.offset)
        have = source.fill(view, 0, want)
        while have < want:
            require(not source.ended, "dropped", "body")
            yield steps.wait("server", _POLL_MS)
            have = source.fill(view, have, want)
        if target.offset == 0:
            target.accept(view[:want], source.etag)
        target.write(view, want)
        yield steps.progress("download", target.offset, target.size)
