"""``python -m gitkitchen``, and the console script: nothing is imported before Ctrl-C is understood."""

import sys
from typing import NoReturn

INTERRUPTED = 130


def start() -> NoReturn:
    """Run the command line. Ctrl-C while it is still being imported ends it without a traceback, too."""
    try:
        from gitkitchen.cli.main import entry

        entry()
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)


if __name__ == "__main__":
    start()
