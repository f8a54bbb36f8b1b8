"""What makes the chip panic: it prints why and resets at once; machine.reset_cause() is then HARD."""


class Panic(Exception):
    """A CPU exception. `what` is the exception's name as ESP-IDF's panic handler spells it, `core` where it struck."""

    def __init__(self, what: str, core: int = 0) -> None:
        super().__init__(f"Guru Meditation Error: Core  {core} panic'ed ({what}). Exception was unhandled.")


class Fatal(Panic):
    """The same on an ESP8266, in the words of its SDK."""

    def __init__(self) -> None:
        Exception.__init__(self, "Fatal exception 0(IllegalInstructionCause):")


class Abort(Panic):
    """IDF called abort()."""

    def __init__(self, why: str) -> None:
        Exception.__init__(self, f"abort() was called: {why}")
