"""What can go wrong, by whose fault it is; the exit code of `otactl` follows from the family."""


class OtactlError(Exception):
    """Its text is one line: what happened, where, what to do next."""

    exit_code = 1


class ReleaseError(OtactlError):
    """The firmware, the release or its signature is not as it must be."""


class BoardError(OtactlError):
    """The board refused, or is not fit for updates."""


class UsageError(OtactlError):
    """The command's words, or the workspace it was called in, are wrong."""

    exit_code = 2


class RigError(OtactlError):
    """The port, the server or a tool failed; the board and the release may be fine."""

    exit_code = 3
