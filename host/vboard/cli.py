"""`otactl virtual-board`: start one and keep it until Ctrl-C."""

import argparse
import signal
import sys
import tempfile
import threading
from pathlib import Path

from vboard.board import Board
from vboard.chips import CHIPS
from vboard.flash.table import LAYOUTS, Table, TableError
from vboard.link.wlan import Network


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--folder", help="where its flash is kept (default: a new one that is forgotten)")
    parser.add_argument("--chip", choices=list(CHIPS), default="esp32")
    parser.add_argument("--layout", default="ota", help=f"{', '.join(LAYOUTS)}, or a partition CSV (default: ota)")
    parser.add_argument("--flash-mib", type=int, help="(default: what the layout needs)")
    parser.add_argument("--heap-kib", type=int, default=160, help="what a program has (default: 160)")
    parser.add_argument("--app", help="app image for its first slot (default: a small made-up one)")
    parser.add_argument("--ssid", default="virtual", help="the Wi-Fi network that it can join (default: virtual)")
    parser.add_argument("--password", default="password", help="(default: password)")
    parser.add_argument("--port", help="make the port appear at this path as well")


def run(args: argparse.Namespace) -> int:
    """Returns when a signal says so; 2 for arguments that make no board."""
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    with tempfile.TemporaryDirectory(prefix="vboard-") as scratch:
        folder = Path(args.folder or scratch)
        try:
            layout: str | Table = args.layout
            if args.layout not in LAYOUTS:
                layout = Table.from_csv(Path(args.layout).read_text())
            board = Board(
                folder,
                chip=args.chip,
                layout=layout,
                flash_mib=args.flash_mib,
                heap_kib=args.heap_kib,
                app=Path(args.app).read_bytes() if args.app else None,
                network=Network(access_points={args.ssid: args.password}),
            )
        except (OSError, ValueError, TableError) as error:
            print(f"otactl: no such board: {error}", file=sys.stderr)
            return 2
        link = Path(args.port) if args.port else None
        with board:
            if link:
                link.unlink(missing_ok=True)
                link.symlink_to(board.port.resolve())
            board.power_on()
            print(link or board.port, flush=True)
            stop.wait()
        if link:
            link.unlink(missing_ok=True)
    return 0
