"""Arguments in, text and exit code out. This room alone prints and exits."""

from __future__ import annotations

import atexit
import contextlib
import gc
import os
import sys
import threading
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import NoReturn

from gitkitchen.cli.arguments import parser
from gitkitchen.errors import BUG, INFRASTRUCTURE, INTERRUPTED, MISTAKE, UNREAD, GitKitchenError, Problem

LATER = frozenset(
    (
        "coverage",
        "suggest",
        "baseline",
        "import",
    )
)
READ_SQL = ("plan", "run", "validate")
"""Commands that may have to read SQL that was never read before."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code; every known error becomes a message."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    folders = {number + 1 for number, word in enumerate(words) if word == "-C"}
    name = next((w for n, w in enumerate(words) if not w.startswith("-") and n not in folders), "")
    if name in LATER:
        complain(
            Problem(
                f"`gitkitchen {name}` is not available in this version",
                hint="`gitkitchen --help` lists what is",
            )
        )
        return MISTAKE
    try:
        options = parser().parse_args(words)
    except SystemExit as stop:
        return int(stop.code or 0)
    if options.command is None:
        parser().print_help()
        return MISTAKE
    try:
        if options.command in READ_SQL:
            from gitkitchen.plan.sql_readers import early

            options.readers = early(Path(options.folder), getattr(options, "recipe", None))
        module = import_module(f"gitkitchen.cli.{options.module}")
        return int(getattr(module, options.function)(options))
    except GitKitchenError as error:
        complain(*error.problems)
        return error.exit_code
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        # The reader of our output went away (``| head``). It may have been going to be told that a test
        # failed: never 0, but what the shell says of any program that this happens to.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return UNREAD
    except OSError as error:
        where = f" ({error.filename})" if error.filename else ""
        complain(
            Problem(f"{error.strerror or error}{where}", hint="mend this and run the same command again")
        )
        return INFRASTRUCTURE
    except Exception as error:  # noqa: BLE001 - the one place where a bug of ours becomes a report
        from gitkitchen.cli.bug import report_bug

        report_bug(error, words)
        return BUG


def complain(*problems: Problem) -> None:
    """Print problems to standard error, one a line, safe for a terminal."""
    from gitkitchen.report.problems import as_text

    print(as_text(problems), file=sys.stderr)


def entry() -> NoReturn:
    """The console script."""
    # A command makes many small values that live to its end: looking through all of them again and again
    # for cycles finds nothing and takes time.
    gc.set_threshold(500_000, 20, 20)
    code = main()
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    _end(code)


def _end(code: int) -> NoReturn:
    """End the process as Python does, but for the taking apart of all modules and values.

    That gives back memory which goes with the process, and takes a tenth of a second once the engine is
    loaded. A thread that must be waited for is left to Python.
    """
    if any(not thread.daemon for thread in threading.enumerate() if thread is not threading.main_thread()):
        sys.exit(code)
    atexit._run_exitfuncs()
    with contextlib.suppress(OSError, ValueError):
        sys.stdout.flush()
    with contextlib.suppress(OSError, ValueError):
        sys.stderr.flush()
    os._exit(code)
