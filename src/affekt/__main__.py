"""Run the command line as ``python -m affekt``."""

import sys

from affekt.cli import main

if __name__ == "__main__":
    sys.exit(main())
