"""Sentences for the codes of boards that ask a fleet engine; codes.py has the others."""

ENGINES: dict[str, tuple[str, str]] = {
    "engine-reply": (
        "The fleet engine's answer is no DDI, too long, or names no .swu as `otactl publish --swu` makes it.",
        "Look at what was assigned to the board, and at [board.ddi] url: docs/fleet-engines.md.",
    ),
    "engine-token": (
        "The fleet engine does not let the board in: it does not know its name, or not its token.",
        "`otactl engine add NAME`, then `otactl deploy NAME`; hawkBit: is its authentication by target token on?",
    ),
    "not-now": (
        "The fleet engine has a release for the board, but not yet: a time window, a confirmation, or it was taken back.",
        "Wait, or change that at the engine.",
    ),
}
