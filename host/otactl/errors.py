"""What can go wrong, by whose fault it is; the exit code of `otactl` follows from the family."""


class OtactlError(Exception):
    """Its text is one line: what happened, where, what to do next. `code`: of docs/errors.md, where it has one."""

    exit_code = 1
    kind = "board"  # for scripts: board, release, usage, rig

    def __init__(self, text: str, *, code: str = "") -> None:
        super().__init__(text)
        self.code = code


class ReleaseError(OtactlError):
    """The firmware, the release or its signature is not as it must be."""

    kind = "release"


class BoardError(OtactlError):
    """The board refused, or is not fit for updates."""


class UsageError(OtactlError):
    """The command's words, or the workspace it was called in, are wrong."""

    exit_code = 2
    kind = "usage"


class RigError(OtactlError):
    """The port, the server or a tool failed; the board and the release may be fine."""

    exit_code = 3
    kind = "rig"
