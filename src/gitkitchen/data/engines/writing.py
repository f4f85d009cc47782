"""Rows become immutable Parquet files with exact statistics and a content digest."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import reduce
from operator import xor
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gitkitchen.data.engines.contract import Draft, Written
from gitkitchen.data.engines.small import kept_cursor
from gitkitchen.data.engines.statements import refuse_folded
from gitkitchen.data.sql import inline_parameters, literal, quote_identifier, read_parquet
from gitkitchen.data.stores import Store
from gitkitchen.files import digest
from gitkitchen.model import Column, ColumnStats, FileEntry, Materialize

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

PARTITION = "__gitkitchen_partition"
GRAINS = ("hour", "day", "week", "month", "quarter", "year")
RISKY = re.compile(r"sum|huge|int128|factorial|count_?if|md5|list_|array_|aggregate|reduce|\d{19}", re.I)
"""Words of a SELECT that may give 128-bit integers; it is cheap to be wrong here, in both directions."""
RENAMED = re.compile(r"_\d+$")
"""What a second column of a name is called by DuckDB's Parquet writer, which does not say so."""
HUGE = re.compile(r"\bU?HUGEINT\b")
# A quarter of the usual rows in a group: whoever looks at a few rows waits for one group to be unpacked.
OPTIONS = "FORMAT parquet, COMPRESSION zstd, COMPRESSION_LEVEL 1, ROW_GROUP_SIZE 30720, RETURN_STATS"


FEW = 1000
WHOLE = '"the whole row, under a name that no column has"'
Measured = tuple[tuple[Column, ...], int, str]
"""Columns, rows and the content digest."""
Part = tuple[Path, Mapping[str, str | None], Any]
"""A file just written, its partition's value (None: NULL), and what RETURN_STATS says of it."""
Kept = Callable[[Sequence[FileEntry]], None]


def nobody(_files: Sequence[FileEntry]) -> None:
    """Who is told of files where nobody waits for them."""


def draft_table(
    cursor: DuckDBPyConnection, store: Store, select: str, params: Mapping[str, Any], names: str = ""
) -> Draft:
    """What ``copy_table`` does first, and most of its work: the rows in a temporary file."""
    temporary = store.scratch(".parquet")
    try:
        text = _first_text(cursor, names, select, params)
        return Draft((names, select, params), temporary, _copy(cursor, text, temporary, params))
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def copy_table(
    cursor: DuckDBPyConnection,
    store: Store,
    select: str,
    params: Mapping[str, Any],
    names: str = "",
    *,
    draft: Draft | None = None,
    kept: Kept = nobody,
) -> Written:
    """One SELECT as one Parquet file in the store. ``names``: a WITH clause for what it reads; ``draft``:
    of the same, where somebody made one. ``kept`` is told the file as soon as it is there."""
    if draft is not None and draft.asked != (names, select, params):
        draft.discard()
        draft = None
    temporary = store.scratch(".parquet") if draft is None else draft.path

    def write(text: str) -> list[Part]:
        return [(temporary, {}, _copy(cursor, text, temporary, params))]

    try:
        drafted: list[Part] | None = None if draft is None else [(temporary, {}, draft.returned)]
        return _faithful(cursor, store, (names, select), params, write, kept, drafted)
    finally:
        temporary.unlink(missing_ok=True)


def _copy(cursor: DuckDBPyConnection, text: str, target: Path, params: Mapping[str, Any]) -> Any:
    statement = f"COPY ({text}) TO {literal(str(target))} ({OPTIONS})"
    return cursor.execute(statement, dict(params) if params else None).fetchone()


def _faithful(
    cursor: DuckDBPyConnection,
    store: Store,
    query: tuple[str, str],
    params: Mapping[str, Any],
    write: Callable[[str], Sequence[Part]],
    kept: Kept,
    parts: Sequence[Part] | None = None,
) -> Written:
    """Write a SELECT so that Parquet loses nothing: no folded names, no integers turned to floats.

    The columns are asked for beforehand only where the text can hold such types (asking takes as long
    as writing a small table), and afterwards where the result shows that it should have been.
    """
    names, select = query
    if parts is None:
        parts = write(_first_text(cursor, names, select, params))
    files = _keep(store, parts)
    kept(files)
    columns, rows, content = _measured(cursor, store, files)
    suspect = any(c.type.find("DOUBLE") >= 0 or RENAMED.search(c.name) for c in columns)
    if suspect and not RISKY.search(select):
        text = _whole_text(names, select)
        safe = _kept_types(cursor, text, params)
        if safe != text:  # what was kept first is nobody's, and collected as such
            parts = write(safe)
            files = _keep(store, parts)
            columns, rows, content = _measured(cursor, store, files)
    counts = [int(row[1]) for _, _, row in parts]
    stats = merge_stats(columns, [_stats(row[4], int(row[1])) for _, _, row in parts], counts)
    return Written(columns, files, rows, content, stats)


def _whole_text(names: str, select: str) -> str:
    # The user's text has lines of its own, so that a comment at its end hides nothing of ours.
    return f"{names} SELECT * FROM (\n{select}\n)" if names else f"\n{select}\n"


def _first_text(cursor: DuckDBPyConnection, names: str, select: str, params: Mapping[str, Any]) -> str:
    text = _whole_text(names, select)
    return _kept_types(cursor, text, params) if RISKY.search(select) else text


def _kept_types(cursor: DuckDBPyConnection, text: str, params: Mapping[str, Any]) -> str:
    """The SELECT with 128-bit integers as types that Parquet has; it would make floats of them.

    A sum of integers is one: it becomes BIGINT, and what does not fit is refused, not rounded.
    """
    inlined = inline_parameters(text, params) if params else text
    found = cursor.execute(f"DESCRIBE ({inlined})").fetchall()
    refuse_folded([str(row[0]) for row in found])
    casts = [
        f"CAST({quote_identifier(name)} AS {HUGE.sub(_smaller, kind)}) AS {quote_identifier(name)}"
        for name, kind, *_ in found
        if HUGE.search(kind)
    ]
    return f"SELECT * REPLACE ({', '.join(casts)}) FROM ({text})" if casts else text


def _smaller(huge: re.Match[str]) -> str:
    return "BIGINT" if huge.group() == "HUGEINT" else "DECIMAL(38, 0)"


def copy_partitions(
    cursor: DuckDBPyConnection,
    store: Store,
    select: str,
    params: Mapping[str, Any],
    how: Materialize,
    names: str = "",
) -> Written:
    """One SELECT as a file or more for each value of a column, or for each period of ``grain``.

    The column stays in the files; the manifest names each file's value. No row: one empty file.
    """
    by = quote_identifier(how.by or "")
    value = f"date_trunc('{how.grain}', {by})" if how.grain in GRAINS else by
    folder = store.scratch(".parts")
    # A prepared COPY with PARTITION_BY takes no parameters: they are put in place as literals.
    inlined = inline_parameters(select, params) if params else select

    def write(text: str) -> list[Part]:
        shutil.rmtree(folder, ignore_errors=True)
        statement = (
            f"COPY (SELECT *, CAST({value} AS VARCHAR) AS {PARTITION} FROM ({text})) "
            f"TO {literal(str(folder))} "
            f"({OPTIONS}, PARTITION_BY ({PARTITION}), WRITE_PARTITION_COLUMNS false)"
        )
        rows = cursor.execute(statement).fetchall()
        if not rows:
            folder.mkdir(parents=True, exist_ok=True)
            empty = folder / "empty.parquet"
            statement = f"COPY (SELECT * FROM ({text}) LIMIT 0) TO {literal(str(empty))} ({OPTIONS})"
            return [(empty, {}, cursor.execute(statement).fetchone())]
        keys = [d[0] for d in cursor.description or ()].index("partition_keys")
        parts = [(Path(row[0]), _partition(how.by or "", row[keys]), row) for row in rows]
        return sorted(parts, key=lambda p: ([(v is not None, v or "") for v in p[1].values()], str(p[0])))

    try:
        return _faithful(cursor, store, (names, inlined), {}, write, nobody)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _partition(column: str, keys: Any) -> dict[str, str | None]:
    found = dict(keys or {})
    value = next(iter(found.values()), None)
    return {column: None if value is None else str(value)}


def keep_parquet(cursor: DuckDBPyConnection, store: Store, path: Path) -> Written:
    """Parquet files that a node wrote, as a table. ValueError where they are none.

    They are written anew: foreign writers leave NaN and exact extremes out of their statistics, and
    DuckDB would then answer wrongly. ``cursor`` may read outside the store.
    """
    import duckdb

    found = sorted(path.glob("*.parquet")) if path.is_dir() else [path]
    if not found:
        raise ValueError("the folder holds no Parquet file")
    try:
        return copy_table(cursor, store, f"SELECT * FROM {read_parquet(found)}", {})
    except (duckdb.InvalidInputException, duckdb.IOException) as error:
        raise ValueError(str(error).strip().splitlines()[0]) from error


def _keep(store: Store, parts: Sequence[Part]) -> tuple[FileEntry, ...]:
    """The files under their digests."""
    files = []
    for path, partition, row in parts:
        found, size = store.keep(path)
        files.append(FileEntry(found, size, int(row[1]), dict(partition)))
    return tuple(files)


def _measured(cursor: DuckDBPyConnection, store: Store, files: Sequence[FileEntry]) -> Measured:
    return content_of(cursor, [store.path(f) for f in files], rows=sum(f.rows or 0 for f in files))


def content_of(cursor: DuckDBPyConnection, paths: Iterable[Path], *, rows: int | None = None) -> Measured:
    """Columns, rows and the content digest: a multiset hash of the rows under their names and types.

    The sum and the exclusive-or of a 64-bit hash of each row do not depend on the rows' order, nor on
    how they are split into files; the sum counts duplicates. It guards against accident, not malice:
    what must withstand malice is compared by the files' sha256. ``rows``, where known, saves time.
    """
    source = read_parquet(paths)
    measure = _measure_few if rows is not None and rows <= FEW else _measure
    if measure is _measure:
        # Only the types, from the files' footers: one pass over many rows is enough.
        cursor.execute(f"{_hashes(source, '1')} LIMIT 0")
        columns = _columns(cursor, 1)
        columns, figures = measure(cursor, source, _values(columns) or "*COLUMNS(*)")
    else:
        columns, figures = measure(cursor, source, "*COLUMNS(*)")
        values = _values(columns)
        if values:
            columns, figures = measure(cursor, source, values)
    shape = [[c.name, c.type] for c in columns]
    return columns, figures[0], digest(["table", shape, *(str(f) for f in figures)])


def _measure(cursor: DuckDBPyConnection, source: str, values: str) -> tuple[tuple[Column, ...], list[int]]:
    """Columns, and [rows, sum, exclusive-or] over a hash of ``values``, in one statement."""
    cursor.execute(
        "SELECT count(*), sum(h), bit_xor(h), any_value(t) FILTER (WHERE false) "
        f"FROM ({_hashes(source, values)})"
    )
    columns = _columns(cursor, 3)
    row = cursor.fetchone()
    assert row is not None
    return columns, [int(figure or 0) for figure in row[:3]]


def _measure_few(
    _cursor: DuckDBPyConnection, source: str, values: str
) -> tuple[tuple[Column, ...], list[int]]:
    """The same figures, summed here: for a few rows an aggregate costs the engine more than its rows."""
    cursor = kept_cursor()
    cursor.execute(_hashes(source, values))
    columns = _columns(cursor, 1)
    hashes = [int(row[0]) for row in cursor.fetchall()]
    return columns, [len(hashes), sum(hashes), reduce(xor, hashes, 0)]


def _hashes(source: str, values: str) -> str:
    """A SELECT of each row's hash, and of a NULL whose type tells the columns.

    A row's hash is hashed once more: the engine joins columns' hashes by exclusive-or, and two rows
    that swap a value would else leave the exclusive-or over all rows as it was, and often the sum.
    """
    return f"SELECT hash(hash({values})) AS h, CASE WHEN false THEN {WHOLE} END AS t FROM {source} AS {WHOLE}"


def _columns(cursor: DuckDBPyConnection, position: int) -> tuple[Column, ...]:
    assert cursor.description is not None
    row_type = cursor.description[position][1]
    return tuple(Column(str(name), str(kind)) for name, kind in row_type.children)


def _values(columns: Sequence[Column]) -> str:
    """What of each column is hashed so that different values differ; "" where DuckDB's hash tells them.

    It takes [[1], [2]] for [[1, 2]], [] for NULL and a month for 30 days: their texts differ. (24 hours are
    a day in Parquet itself, for whoever reads them.) It takes -0.0 for 0.0: the sign is hashed beside them,
    which costs a tenth, where their texts would cost 25 times as much. NaN is NaN, whatever its sign.
    """
    values = []
    for column in columns:
        name = quote_identifier(column.name)
        if _nested(column.type) or column.type == "INTERVAL":
            values.append(f"CAST({name} AS VARCHAR)")
        elif column.type in ("FLOAT", "DOUBLE"):
            values.append(f"{name}, signbit({name}) AND {name} = 0")
        else:
            values.append(name)
    return "" if values == [quote_identifier(c.name) for c in columns] else ", ".join(values)


def _nested(kind: str) -> bool:
    return kind.endswith("]") or kind.startswith(("STRUCT(", "MAP(", "UNION(", "VARIANT"))


# --- statistics --------------------------------------------------------------------------------------


def _stats(returned: Any, rows: int) -> dict[str, ColumnStats]:
    """What COPY … RETURN_STATS says of a file's columns; only what it calls exact.

    Parts of nested columns do not count, nor do columns of which it counted no values (INTERVAL). An
    extreme beside NaN is none: NaN is greater than all numbers, and the file's figures leave it out.
    """
    found = {}
    for quoted, figures in dict(returned or {}).items():
        values = dict(figures)
        name = _WHOLE_NAME.fullmatch(quoted)
        if name is None or "null_count" not in values or values.get("num_values") != str(rows):
            continue
        ordered = values.get("has_nan") != "true"
        found[name[1].replace('""', '"')] = ColumnStats(
            int(values["null_count"]),
            values.get("min") if ordered and values.get("min_is_exact") == "true" else None,
            values.get("max") if ordered and values.get("max_is_exact") == "true" else None,
        )
    return found


_WHOLE_NAME = re.compile(r'"((?:[^"]|"")*)"')


def merge_stats(
    columns: Sequence[Column], each: Sequence[Mapping[str, ColumnStats]], rows: Sequence[int]
) -> dict[str, ColumnStats]:
    """Statistics over several files: NULLs add up; an extreme is kept only where one file has all rows.

    Extremes come as text, and text does not order as its type does.
    """
    merged = {}
    for column in columns:
        known = [s.get(column.name) for s in each]
        if any(k is None for k in known):
            continue
        nulls = sum(k.nulls for k in known if k is not None)
        filled = [k for k, n in zip(known, rows, strict=True) if k is not None and n]
        one = filled[0] if len(filled) == 1 else None
        merged[column.name] = ColumnStats(
            nulls, one.minimum if one is not None else None, one.maximum if one is not None else None
        )
    return merged
