"""``query`` and ``open``: read a kitchen's datasets."""

from __future__ import annotations

import argparse
import csv
import difflib
import json
import re
import shlex
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import date, datetime, time
from typing import TYPE_CHECKING, Any

from gitkitchen import holdings, past, workplace
from gitkitchen.cli.runs import request
from gitkitchen.errors import MISTAKE, PASSED, Infrastructure, Mistake, Problem
from gitkitchen.printed import text_safe

if TYPE_CHECKING:
    from gitkitchen.data.engines.contract import Engine

_UNKNOWN = re.compile(r"""(?:[Tt]able with name|relation) "?([^\s"]{1,200})"? does not exist""")
"""How DuckDB and PostgreSQL say it; DuckDB guesses at names of its own."""
DATASET = re.compile(r"[a-z][a-z0-9_]{0,62}")


def query(options: argparse.Namespace) -> int:
    sql = sys.stdin.read() if options.sql == "-" else options.sql
    place = workplace.enter(request(options), looks=True, subject=workplace.UNASKED)
    if options.json:
        options.format = "json"
    if options.ledger:
        return _query_ledger(place, sql, options)
    candidate = past.find_run(place, options.candidate) if options.candidate else None
    with holdings.open_tables(place, candidate) as engine, _empty_is_said(place, candidate):
        if DATASET.fullmatch(sql.strip()):
            sql = f'select * from "{sql.strip()}"'
        # One row more than is shown tells whether there are more.
        limit = options.limit + 1 if options.format == "table" else None
        names, rows = engine.fetch(sql, limit=limit)
    _write(names, rows, options.format, options.limit)
    return PASSED


def _query_ledger(place: workplace.Workplace, sql: str, options: argparse.Namespace) -> int:
    """Ask the whole ledger, of all kitchens, rather than the datasets of one."""
    from gitkitchen.data.ledger_tables import VIEWS, LedgerTables

    if options.candidate:
        raise Mistake(
            Problem("--ledger reads records, and a candidate has none", hint="leave one of them out")
        )
    with LedgerTables(place.ledger) as tables:
        if DATASET.fullmatch(sql.strip()):
            sql = f'select * from "{sql.strip()}"'
        try:
            names, rows = tables.fetch(sql, limit=options.limit + 1 if options.format == "table" else None)
        except Mistake as error:
            if _UNKNOWN.search(error.problems[0].message):
                hint = f"the tables of the ledger are records, {', '.join(VIEWS)}"
                raise Mistake(Problem(error.problems[0].message, hint=hint)) from None
            raise
    _write(names, rows, options.format, options.limit)
    return PASSED


@contextmanager
def _empty_is_said(place: workplace.Workplace, candidate: str | None) -> Iterator[None]:
    """For a name that is not found, the names that there are; or that there is nothing yet which could be."""
    try:
        yield
    except Mistake as error:
        names = sorted(place.catalog().entries)
        unknown = _UNKNOWN.search(error.problems[0].message)
        if unknown and candidate is None and unknown[1].lower() in names:
            message = f"the data of '{unknown[1]}' is published, and not whole in the store"
            raise Infrastructure(Problem(message, hint="`gitkitchen run` builds it again")) from None
        if names and unknown and candidate is None:
            near = difflib.get_close_matches(unknown[1], names, n=1)
            more = ", …" if len(names) > 20 else ""
            hint = f"did you mean '{near[0]}'?" if near else f"there are {', '.join(names[:20])}{more}"
            message = f"kitchen '{place.kitchen.label}' has no dataset '{unknown[1]}'"
            raise Mistake(Problem(message, hint=hint)) from None
        if candidate is not None or names:
            raise
        nothing = Problem(
            f"kitchen '{place.kitchen.label}' has published nothing yet",
            hint="`--candidate last` reads what the last run here built",
        )
        raise Mistake(*error.problems, nothing) from None


def _write(names: Sequence[str], rows: Sequence[Sequence[Any]], form: str, limit: int) -> None:
    if form == "csv":
        writer = csv.writer(sys.stdout)
        writer.writerow(names)
        writer.writerows([["" if v is None else v for v in row] for row in rows])
        return
    if form == "json":
        documents = [dict(zip(names, row, strict=True)) for row in rows]
        print(json.dumps(documents, ensure_ascii=False, indent=1, default=_plain))
        return
    print(as_table(names, rows[:limit]))
    if len(rows) > limit:
        print(f"({limit:,} rows shown, there are more: --limit N)")
    else:
        print("(1 row)" if len(rows) == 1 else f"({len(rows):,} rows)")


def _plain(value: object) -> object:
    if isinstance(value, date | datetime | time):
        return value.isoformat()
    return value.hex() if isinstance(value, bytes | bytearray) else str(value)


def as_table(names: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """Columns side by side, numbers to the right, NULL told apart from the text ``NULL``."""
    texts = [[text_safe("∅" if v is None else str(v)) for v in row] for row in rows]
    titles = [text_safe(n) for n in names]
    widths = [max([len(t), *(len(row[i]) for row in texts)]) for i, t in enumerate(titles)]
    right = [
        bool(rows)
        and all(v is None or (isinstance(v, int | float) and not isinstance(v, bool)) for v in column)
        for column in (list(zip(*rows, strict=True)) or [()] * len(names))
    ]
    lines = ["  ".join(t.ljust(w) for t, w in zip(titles, widths, strict=True)).rstrip()]
    lines.append("  ".join("─" * w for w in widths))
    for row in texts:
        cells = (t.rjust(w) if r else t.ljust(w) for t, w, r in zip(row, widths, right, strict=True))
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


def open(options: argparse.Namespace) -> int:
    place = workplace.enter(request(options), looks=True, subject=workplace.UNASKED)
    if options.path:
        if options.candidate:
            raise Mistake(Problem("--path is the file of published data", hint="leave --candidate out"))
        catalog = workplace.repair(place)
        if not catalog.entries:
            raise Mistake(Problem("nothing is published in this kitchen yet", hint="`gitkitchen run` first"))
        where = place.show(catalog)
        if place.warehouse is not None:
            # Where psql finds them; the password is PGPASSWORD's or ~/.pgpass's affair.
            where = f"PGOPTIONS='-c search_path={where}' psql {shlex.quote(place.warehouse.shown())}"
        print(where)
        return PASSED
    candidate = past.find_run(place, options.candidate) if options.candidate else None
    with holdings.open_tables(place, candidate) as engine:
        return _prompt(engine, sorted(holdings.tables(place, candidate)))


def _prompt(engine: Engine, names: Sequence[str]) -> int:
    """A small SQL prompt: statements end with ``;``, an empty line or end of file leaves."""
    if sys.stdin.isatty():
        import readline  # noqa: F401 - importing it gives input() its history and editing

        print(f"datasets: {', '.join(names) or 'none'}\nend a SELECT with ; and leave with Ctrl-D")
    text, code, ended = "", PASSED, False
    while not ended:
        try:
            text += input(("   ...> " if text else "kitchen> ") if sys.stdin.isatty() else "") + "\n"
        except EOFError:
            ended = True
        if not text.strip() or not (ended or text.rstrip().endswith(";")):
            continue
        try:
            columns, rows = engine.fetch(text.rstrip().rstrip(";"), limit=201)
            _write(columns, rows, "table", 200)
        except Mistake as error:
            print(error, file=sys.stderr)
            # A person goes on; a script learns that something was wrong.
            code = PASSED if sys.stdin.isatty() else MISTAKE
        text = ""
    return code
