"""`otactl`, also as `python -m otactl`."""

import sys


def main() -> int:
    """The command's exit code. Ctrl-C while it is still being loaded is no traceback."""
    try:
        from otactl.cli.main import main as command

        return command()
    except KeyboardInterrupt:
        print("otactl: stopped", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
