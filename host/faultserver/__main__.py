"""`python -m faultserver`."""

import sys

from faultserver.cli import main

if __name__ == "__main__":
    sys.exit(main())
