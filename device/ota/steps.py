"""An update is a generator of steps, so that the blocking loop and the asyncio task drive the same code. A step says what
has just been done, or what is waited for. There is one object for all of them: a block allocates nothing (P9)."""

import time

# seconds until the next look, as the release server asked last (its header Ota-Look)
soon = ""
astray = False  # whether a look has had no answer from there, or a job has broken


class Step:
    """`phase`: download, signature, verify, or what is waited for (network, clock, server, retry). `wait_ms`:
    milliseconds until the next step is due; 0 for one that has done something: `done` of `total` bytes of the phase."""

    def __init__(self) -> None:
        self.phase = ""
        self.done = self.total = self.wait_ms = 0


_step = Step()


def progress(phase: str, done: int, total: int) -> Step:
    _step.phase = phase  # one by one: a tuple of four would be an allocation
    _step.done = done
    _step.total = total
    _step.wait_ms = 0
    return _step


def wait(phase: str, ms: int) -> Step:
    _step.phase, _step.wait_ms = phase, ms
    return _step


def run(generator, limit_ms: "int | None" = None):
    """Drive a generator of steps to its end, and give what it returns; None where `limit_ms` (None: no limit) were over
    first."""
    began = time.ticks_ms()
    try:
        while limit_ms is None or time.ticks_diff(time.ticks_ms(), began) < limit_ms:
            try:
                step = next(generator)
            except StopIteration as e:
                return e.value
            time.sleep_ms(step.wait_ms)
    finally:
        generator.close()  # its sockets and settings, also after Ctrl-C
    return None
