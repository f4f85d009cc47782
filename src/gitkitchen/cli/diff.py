"""``diff``: two kitchens, environments or runs side by side."""

from __future__ import annotations

import argparse
import json
import os
import sys
from typing import TYPE_CHECKING

from gitkitchen.cli.runs import request
from gitkitchen.errors import PASSED, Mistake, Problem

if TYPE_CHECKING:
    from gitkitchen.report.comparison import Comparison
    from gitkitchen.report.diff import Values


def diff(options: argparse.Namespace) -> int:
    from gitkitchen.difference import compare, sides

    if not 0 <= options.limit <= 100:
        raise Mistake(Problem("--limit is from 0 to 100", hint="it counts example rows of each kind"))
    a, b = sides(request(options), options.a, options.b)
    local = _is_local(options.format)
    values: Values = options.values or ("all" if local else "public")
    found = compare(a, b, data=options.data, only=options.dataset, examples=options.limit)
    if options.format == "json":
        from gitkitchen.report.diff import document

        print(json.dumps(document(found, values=values), ensure_ascii=False, indent=2))
    elif options.format == "markdown":
        from gitkitchen.report.diff_markdown import markdown

        if values == "all":
            raise Mistake(
                Problem(
                    "Markdown is for others to read: it shows public values only", hint="leave --values out"
                )
            )
        sys.stdout.write(markdown(found))
    else:
        _show(found, values)
    return PASSED


def _show(found: Comparison, values: Values) -> None:
    import shutil

    from gitkitchen.report.diff import redacted
    from gitkitchen.report.diff_text import render

    colour = sys.stdout.isatty() and "NO_COLOR" not in os.environ
    unicode = (getattr(sys.stdout, "encoding", None) or "utf-8").lower().startswith("utf")
    width = shutil.get_terminal_size((120, 24)).columns
    shown = found if values == "all" else redacted(found)
    print(render(shown, colour=colour, width=width, unicode=unicode))


def _is_local(form: str) -> bool:
    """Whether what is printed stays before the eyes of who asked: a terminal, and no job of CI."""
    return form == "text" and sys.stdout.isatty() and not os.environ.get("CI")
