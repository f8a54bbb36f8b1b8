"""Sentences for the codes of releases with an application; codes.py has the others."""

APPLICATION: dict[str, tuple[str, str]] = {
    # before it is taken
    "app-path": (
        "The board's boot.py does not start the application of the slot that runs.",
        "Run `otactl deploy`; a boot.py of your own needs the line of docs/applications.md.",
    ),
    "app-mpy": (
        "The application is compiled for another MicroPython than the board runs.",
        "Publish it with this board's firmware, for its .mpy version, or with --source.",
    ),
    "filesystem": (
        "The board's filesystem is no littlefs: power that goes would damage an application on it.",
        "Make it a littlefs once by cable: docs/install.md.",
    ),
    "no-space": (
        "The board's filesystem has no room for the application (bytes needed, bytes free).",
        "Delete files on the board, or publish a smaller application.",
    ),
    "app-changed": (
        "Files of the application that runs have changed again after a repair (its directory): its program writes there.",
        "Keep its data elsewhere (docs/applications.md), and publish the next version.",
    ),
    "bad-archive": (
        "The application's archive is damaged, or not as the release says.",
        "Publish it again with `otactl publish`; check the server's copy.",
    ),
    # on trial
    "app-import": (
        "The application could not be imported on trial: it is missing, or a part of it.",
        "Mend it and publish the next version.",
    ),
    "app-crashed": (
        "The application raised an exception on trial.",
        "Mend it and publish the next version.",
    ),
}
