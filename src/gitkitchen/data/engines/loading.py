"""A source's files as a SELECT: the only statements that may read outside the store, all written here."""

from __future__ import annotations

import codecs
import csv
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb

from gitkitchen.data.engines.errors import SqlError
from gitkitchen.data.sql import file_literal, literal
from gitkitchen.errors import Mistake, Problem

# The options of a CSV source, in the words of docs/nodes.md, and DuckDB's names for them.
CSV_OPTIONS = {
    "delimiter": "delim",
    "quote": "quote",
    "escape": "escape",
    "header": "header",
    "nulls": "nullstr",
    "types": "types",
    "skip": "skip",
    "encoding": "encoding",
    "decimal": "decimal_separator",
    "dateformat": "dateformat",
    "timestampformat": "timestampformat",
    "sample_rows": "sample_size",
}
# What a CSV is where nothing is declared. The engine guesses types, header and escape, but never lets go
# of lines that do not fit: without these it skips leading lines, and others for comments.
CSV_DEFAULTS = {
    "sample_size": -1,
    "quote": '"',
    "comment": "",
    "strict_mode": True,
    "null_padding": False,
    "ignore_errors": False,
}
DELIMITERS = ",;\t|"
BEGINNING = 1_000_000
JSON_OPTIONS = {"format": "format", "types": "columns", "sample_rows": "sample_size"}
SUFFIXES = {
    ".csv": "csv",
    ".tsv": "csv",
    ".txt": "csv",
    ".json": "json",
    ".jsonl": "json",
    ".ndjson": "json",
    ".parquet": "parquet",
}


def format_of(config: Mapping[str, Any], paths: Sequence[Path]) -> str:
    """The format that a source declares, or the one that its files' names tell (CSV where they do not)."""
    declared = config.get("format")
    if declared:
        return str(declared)
    known = {SUFFIXES.get(path.suffix.lower(), "csv") for path in paths}
    if len(known) > 1:
        names = ", ".join(sorted(known))
        raise Mistake(Problem(f"the source has files of several formats ({names})", hint="declare `format:`"))
    return known.pop() if known else "csv"


def scan(config: Mapping[str, Any], paths: Sequence[Path]) -> str:
    """The SELECT that loads a source. All rows of a CSV decide its types but for ``sample_rows``."""
    files = "[" + ", ".join(file_literal(p) for p in paths) + "]"
    options = dict(config.get("options") or {})
    form = format_of(config, paths)
    if form == "parquet":
        return f"SELECT * FROM read_parquet({files}, union_by_name = true, hive_partitioning = false)"
    if form == "json":
        named = _named(options, JSON_OPTIONS, {"format": "auto"})
        return f"SELECT * FROM read_json({files}, union_by_name = true, hive_partitioning = false{named})"
    many = ", union_by_name = true" if len(paths) > 1 else ""
    selects = []
    for (delimiter, skip), group in _by_dialect(options, paths).items():
        files = "[" + ", ".join(file_literal(p) for p in group) + "]"
        named = _named(options, CSV_OPTIONS, {**CSV_DEFAULTS, "delim": delimiter, "skip": skip})
        selects.append(f"SELECT * FROM read_csv({files}, hive_partitioning = false{many}{named})")
    return " UNION ALL BY NAME ".join(selects)


def _by_dialect(options: Mapping[str, Any], paths: Sequence[Path]) -> dict[tuple[str, int], list[Path]]:
    """The files under the delimiter and the lines to skip that are declared, or that each one shows."""
    groups: dict[tuple[str, int], list[Path]] = {}
    for path in paths:
        groups.setdefault(_dialect(path, options), []).append(path)
    return groups


def _dialect(path: Path, options: Mapping[str, Any]) -> tuple[str, int]:
    """The delimiter that a CSV's first line has most of, outside quotes, and the empty lines before it.

    The comma where the line has none. What is declared is taken as it is.
    """
    declared, skip = options.get("delimiter"), options.get("skip")
    if declared is not None and skip is not None:
        return str(declared), int(skip)
    with path.open("rb") as handle:
        lines = handle.read(BEGINNING).decode(_encoding(options), "replace").splitlines(keepends=True)
    if skip is None:
        skip = next((n for n, line in enumerate(lines) if line.strip("\r\n")), 0)
    if declared is not None:
        return str(declared), skip
    quote = re.escape(str(options.get("quote") or '"'))
    bare = re.sub(f"{quote}.*?{quote}", "", "".join(lines[skip:]), flags=re.DOTALL)
    first = (bare.splitlines() or [""])[0]
    return max(DELIMITERS, key=first.count), skip


def _encoding(options: Mapping[str, Any]) -> str:
    """Python's name of the encoding that is declared."""
    try:
        name = codecs.lookup(str(options.get("encoding") or "utf-8")).name
    except LookupError:
        return "latin-1"
    return "utf-8-sig" if name == "utf-8" else name


@contextmanager
def told_by_line(config: Mapping[str, Any], paths: Sequence[Path]) -> Iterator[None]:
    """What is wrong in a CSV: its line and the cause, without what the engine's sniffer tried."""
    try:
        yield
    except (duckdb.InvalidInputException, duckdb.ConversionException) as error:
        if format_of(config, paths) != "csv":
            raise
        options, text = dict(config.get("options") or {}), str(error)
        ragged = None
        if "sniffing file" in text or "Number of Columns" in text:
            ragged = next((said for p in paths if (said := _ragged(p, options))), None)
        cause = ragged or re.split(r"\n\s*\n|\nThe search space|\nPossible", text.strip())[0]
        cause = re.sub(r"\.?\s*\n\s*", "; ", cause).removeprefix("Invalid Input Error: ")
        raise SqlError(f"{cause.rstrip('.')}; mend the file, or say in `options:` how it is read") from error


def _ragged(path: Path, options: Mapping[str, Any]) -> str | None:
    """The first record of a CSV that has more or fewer fields than its first, or an open quote; in words."""
    delimiter, skip = _dialect(path, options)
    width, first, start = 0, 0, skip + 1
    quote, escape = str(options.get("quote") or '"'), options.get("escape")
    try:
        with path.open(encoding=_encoding(options), errors="replace", newline="") as handle:
            for _ in range(skip):
                handle.readline()
            reader = csv.reader(
                handle,
                strict=True,
                delimiter=delimiter,
                quotechar=quote,
                escapechar=None if escape in (None, "", quote) else str(escape),
            )
            for row in reader:
                if row and not width:
                    width, first = len(row), start
                if row and len(row) != width:
                    have = f"{len(row)} field{'s' if len(row) > 1 else ''}"
                    return f"line {start} of {path.name} has {have}, and line {first} has {width}"
                start = skip + reader.line_num + 1
    except csv.Error:
        return f"line {start} of {path.name} has a quote that is not closed, or not where a field begins"
    except (TypeError, ValueError):  # a delimiter of several characters, which Python cannot read
        pass
    return None


def _named(options: Mapping[str, Any], names: Mapping[str, str], defaults: Mapping[str, Any]) -> str:
    chosen = {**defaults, **{names[k]: v for k, v in options.items() if k in names and v is not None}}
    if isinstance(chosen.get("nullstr"), list):
        # The empty field is NULL too, as without the option.
        chosen["nullstr"] = list(dict.fromkeys(["", *chosen["nullstr"]]))
    return "".join(f", {name} = {literal(value)}" for name, value in chosen.items())
