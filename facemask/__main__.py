"""`python -m facemask`: the commands of `facemask.cli`."""

import sys

from facemask.cli import main

if __name__ == "__main__":
    sys.exit(main())
