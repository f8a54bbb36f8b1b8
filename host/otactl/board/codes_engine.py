"""Sentences for the codes of boards that ask a fleet engine; codes.py has the others."""

ENGINES: dict[str, tuple[str, str]] = {
    "engine-reply": (
        "The fleet engine's answer is no DDI, too long, or names no .swu as `otactl publish --swu` makes it.",
        "Look at what was assigned to the board, and at [board.ddi] url: docs/fleet-engines.md.",
    ),
    "not-now": (
        "The fleet engine has a release for the board, but not yet: a time window, a confirmation, or it was taken back.",
        "Wait, or change that at the engine.",
    ),
}
