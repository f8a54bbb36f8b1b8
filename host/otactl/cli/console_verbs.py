"""The verb that only listens to a board: logs."""

from pathlib import Path

import rich_click as click

from otactl.cli.options import BOARD, FILE, on_board, verb


@verb(BOARD, "logs /dev/ttyUSB0 --file night.log")
@on_board
@click.option("--file", type=FILE, help="Add the lines to this file as well, each as it comes.")
def logs(*, board: str, slow: float, file: Path | None) -> int:
    """Show what a board's program says, with the time of each line, until Ctrl-C.

    The program is not interrupted. A reset or an unplugged port is passed over; crashes are explained.
    """
    import contextlib

    from otactl.board import logs as listening
    from otactl.board.console import Console

    with contextlib.ExitStack() as opened:
        outs: list[listening.Out] = [lambda line: print(line, flush=True)]
        if file:
            outs.append(opened.enter_context(listening.LogFile(file)))
        console = opened.enter_context(Console(board, slow=slow))
        with contextlib.suppress(KeyboardInterrupt):
            listening.watch(console, listening.Journal(*outs))
    return 0
