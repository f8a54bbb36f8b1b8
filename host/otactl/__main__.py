"""`otactl`, also as `python -m otactl`."""

import sys

from otactl.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
