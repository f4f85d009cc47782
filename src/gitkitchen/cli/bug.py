"""An unexpected error is a bug of ours: it becomes a report that is ready to paste."""

from __future__ import annotations

import platform
import sys
import tempfile
import traceback
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from gitkitchen import __version__

LIBRARIES = ("duckdb", "sqlglot", "PyYAML", "jsonschema", "jinja2", "rich")


def report_bug(error: Exception, words: Sequence[str]) -> None:
    """Write the report beside other temporary files and say where; the terminal gets three lines."""
    lines = [
        f"gitkitchen {__version__}, Python {platform.python_version()}, {platform.platform()}",
        "libraries: " + ", ".join(f"{name} {_version(name)}" for name in LIBRARIES),
        # Only the command's name: arguments may hold what nobody wants to paste.
        f"command: gitkitchen {words[0] if words else ''} … ({len(words)} arguments)",
        "",
        *traceback.format_exception(error),
    ]
    with tempfile.NamedTemporaryFile(
        "w", prefix="gitkitchen-bug-", suffix=".txt", delete=False, encoding="utf-8"
    ) as file:
        file.write("\n".join(lines))
    print(f"This is a bug in GitKitchen: {type(error).__name__}: {error}", file=sys.stderr)
    print(f"A report ready to paste is in {Path(file.name)}", file=sys.stderr)
    print("Nothing was published by this command unless it said so.", file=sys.stderr)


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "absent"
