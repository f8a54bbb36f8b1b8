"""So many boards look, update and report through one `otactl serve`: `make scale`, or python -m scale --help."""

import argparse
import asyncio
import resource
import sys
import tempfile
from pathlib import Path

from scale.play import Asked, play
from scale.served import serving, workspace

_FILES = 1024  # that the server may have open, as most shells start it


def main() -> int:
    """0: each board has its release and the server knows; 1: one has not."""
    asked = _arguments()
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with tempfile.TemporaryDirectory(prefix="scale-") as folder:
        place = workspace(Path(folder) / "lamp", asked.size)
        resource.setrlimit(resource.RLIMIT_NOFILE, (_FILES, hard))
        with serving(place) as server:
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
            print(f"an image of {asked.size:,} bytes")
            how = Asked(asked.boards, asked.speed, asked.trial, asked.spread, asked.rounds, asked.strangers)
            return 0 if asyncio.run(play(how, place, server)) else 1


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser("scale", description=__doc__)
    parser.add_argument("--boards", type=int, default=400)
    parser.add_argument("--size", type=int, default=1_600_000, help="bytes of the image")
    parser.add_argument("--speed", type=int, default=60_000, help="bytes a second of a board's link")
    parser.add_argument(
        "--trial", type=float, default=5, help="seconds from the last byte to the look that tells of it"
    )
    parser.add_argument("--spread", type=float, default=0, help="seconds over which boards begin; 0: all at once")
    parser.add_argument("--strangers", type=int, default=0, help="made-up boards that look first, each once")
    parser.add_argument("--rounds", type=int, default=5, help="looks of each board before it updates")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
