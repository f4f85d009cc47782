"""The engine on tables: exact statistics, partitions of any value, views, and what a query shows."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gitkitchen.data.engines.duckdb import Engine, SqlError, Written
from gitkitchen.data.engines.small import attached, kept_cursor
from gitkitchen.data.sql import literal, quote_identifier
from gitkitchen.data.store import FolderStore
from gitkitchen.model import Column, Materialize, Version


@pytest.fixture
def engine(store: FolderStore) -> Iterator[Engine]:
    """An engine on an empty store."""
    with Engine(store, threads=2) as made:
        yield made


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """One engine for many examples."""
    store = FolderStore(tmp_path_factory.mktemp("shared"), namespace="k", zone="trusted")
    with Engine(store, threads=2) as made:
        yield made


def dataset(engine: Engine, name: str, sql: str) -> Version:
    """What a SELECT gives, as a registered dataset."""
    written = engine.write_table(name, sql)
    version = Version(
        name, "table", f"f_{name}", written.content, written.columns, written.files, written.rows
    )
    engine.register(name, version)
    return version


def read(engine: Engine, written: Written, select: str = "*") -> list[tuple[Any, ...]]:
    """Rows of what was written, by a DuckDB of their own."""
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        files = [str(engine.store.path(f)) for f in written.files]
        return connection.execute(f"SELECT {select} FROM read_parquet($1)", [files]).fetchall()


def check_statistics(engine: Engine, written: Written) -> None:
    """Compare the manifest's figures with the rows; an extreme may be unknown and never wrong."""
    known = [c for c in written.columns if c.name in written.stats]
    asked = []
    for column in known:
        name, figures = quote_identifier(column.name), written.stats[column.name]
        asked.append(f"count(*) - count({name})")
        for function, text in (("min", figures.minimum), ("max", figures.maximum)):
            same = f"{function}({name}) IS NOT DISTINCT FROM CAST({literal(text)} AS {column.type})"
            asked.append("true" if text is None or column.type == "BLOB" else same)
    (found,) = read(engine, written, ", ".join(asked))
    for number, column in enumerate(known):
        nulls, *extremes = found[3 * number : 3 * number + 3]
        assert (written.stats[column.name].nulls, *extremes) == (nulls, True, True), column


# --- statistics -----------------------------------------------------------------------------------

CHOICES: dict[str, st.SearchStrategy[str]] = {
    "INTEGER": st.sampled_from(["-1", "0", "10", "9"]),
    "UBIGINT": st.sampled_from(["0", "18446744073709551615"]),
    "DOUBLE": st.sampled_from(["'nan'", "'inf'", "'-inf'", "0.0", "-0.0", "1.5", "1e300"]),
    "FLOAT": st.sampled_from(["'nan'", "0.1", "-2"]),
    "DECIMAL(9,2)": st.sampled_from(["1.50", "-0.01"]),
    "VARCHAR": st.sampled_from(["''", "'a'", "'B'", "'é'", "repeat('x', 500)", "'NULL'"]),
    "BOOLEAN": st.sampled_from(["true", "false"]),
    "DATE": st.sampled_from(["'2013-01-01'", "'0044-03-15'", "'9999-12-31'"]),
    "TIMESTAMP": st.sampled_from(["'2013-01-01 00:00:00.123456'", "'1969-12-31 23:59:59'"]),
    "TIMESTAMPTZ": st.sampled_from(["'2013-11-03 01:30:00-05'", "'2013-11-03 01:30:00-04'"]),
    "INTERVAL": st.sampled_from(["'1 month'", "'30 days'"]),
    "UUID": st.sampled_from(["'00000000-0000-0000-0000-000000000001'"]),
    "TIME": st.sampled_from(["'00:00:00'", "'23:59:59.5'"]),
    "INTEGER[]": st.sampled_from(["[]", "[1, NULL]"]),
    "STRUCT(a INTEGER)": st.sampled_from(["{'a': NULL}", "{'a': 1}"]),
    "BLOB": st.sampled_from(["''", "'\\x00\\xFF'"]),
}
ROWS = st.lists(st.tuples(*(st.none() | choice for choice in CHOICES.values())), max_size=5)


@given(ROWS, st.booleans())
@settings(max_examples=20)
def test_statistics_are_exact_or_absent(shared: Engine, rows: list[Any], parted: bool) -> None:
    """NULL counts and extremes of every type agree with the rows, in one file and in several."""
    kinds = list(CHOICES)
    selects = [
        "SELECT "
        + ", ".join(
            f"CAST({v or 'NULL'} AS {k}) AS c{n}" for n, (v, k) in enumerate(zip(row, kinds, strict=True))
        )
        for row in ([None] * len(kinds), *rows)
    ]
    sql = f"SELECT * FROM ({' UNION ALL '.join(selects)}) OFFSET 1"
    how = Materialize("partitions", "c0") if parted else None
    written = shared.write_table("d", sql, partitions=how)
    assert written.rows == len(rows)
    assert sum(f.rows or 0 for f in written.files) == len(rows)
    check_statistics(shared, written)
    known = {"c0", "c5", "c7", "c8", "c13"}
    assert known <= set(written.stats), "nulls of ordinary columns are always known"


def test_statistics_of_many_rows(engine: Engine) -> None:
    """Over several row groups the figures still are those of all rows."""
    sql = "select i, case when i % 7 > 0 then -i end as n, (i % 13)::varchar as t, i / 3 as f"
    written = engine.write_table("d", f"{sql} from range(300000) r(i)")
    check_statistics(engine, written)
    assert written.stats["i"].minimum == "0"
    assert written.stats["i"].maximum == "299999"
    assert written.stats["n"].nulls == 42_858


def test_nan_makes_extremes_unknown(engine: Engine) -> None:
    """NaN is greater than every number: where there is one, no test may believe a greatest number."""
    written = engine.write_table("d", "select unnest([1.0::double, 'nan', 2.0]) as f")
    assert (written.stats["f"].minimum, written.stats["f"].maximum) == (None, None)


def test_names_of_columns_that_look_like_paths(engine: Engine) -> None:
    """A column ``a.b`` beside a struct ``a`` with a field ``b`` has its own figures."""
    written = engine.write_table(
        "d", """select 7 as "a.b", {'b': 1} as a, null::int as "x""y", 5 as "a"".""b" """
    )
    assert {n: s.minimum for n, s in written.stats.items()} == {
        "a.b": "7",
        "a": None,
        'x"y': None,
        'a"."b': "5",
    }
    assert written.stats['x"y'].nulls == 1


# --- partitions -----------------------------------------------------------------------------------

HOSTILE = [
    "../x",
    "a/b",
    "%2F",
    "a=b",
    ".",
    "..",
    "",
    "NULL",
    "__HIVE_DEFAULT_PARTITION__",
    "\n",
    "'",
    "é",
    " ",
]


def test_partitions_of_hostile_values(engine: Engine) -> None:
    """Any text, the empty one and NULL are a partition each; no value becomes a path."""
    values = [*HOSTILE, None]
    written = engine.write_table(
        "d", f"select unnest({literal(values)}) as p, 1 as n", partitions=Materialize("partitions", "p")
    )
    assert len(written.files) == len(values)
    for file in written.files:
        ((value, number),) = read(engine, replace(written, files=(file,)))
        assert file.partition == {"p": value}
        assert number == 1
    assert [c.name for c in written.columns] == ["p", "n"]
    kept = [p for p in engine.store.root.rglob("*") if p.is_file()]
    assert sorted(kept) == sorted(engine.store.path(f) for f in written.files)


@pytest.mark.parametrize(("grain", "count"), [("day", 4), ("month", 3), ("year", 2)])
@pytest.mark.parametrize("kind", ["DATE", "TIMESTAMP", "TIMESTAMPTZ"])
def test_partitions_by_period(engine: Engine, grain: str, count: int, kind: str) -> None:
    """Days, months and years of dates and moments (in UTC) are a file each."""
    moments = ["2013-12-31 22:00:00", "2014-01-01 02:00:00", "2014-02-01 00:00:00", "2014-02-02 00:00:00"]
    sql = f"select unnest({literal(moments)})::{kind} as at"
    written = engine.write_table("d", sql, partitions=Materialize("partitions", "at", grain))
    assert len(written.files) == count
    assert written.rows == 4
    assert written.files[0].partition["at"].startswith("2013-12-31" if grain == "day" else "2013-")
    assert written.content == engine.write_table("d", sql).content


def test_partitions_of_nothing(engine: Engine) -> None:
    """An empty result is one empty file with all columns."""
    sql = "select 1 as p, 'x' as t where false"
    written = engine.write_table("d", sql, partitions=Materialize("partitions", "p"))
    assert written.columns == (Column("p", "INTEGER"), Column("t", "VARCHAR"))
    assert [f.rows for f in written.files] == [0]
    assert written.rows == 0


def test_a_partition_column_that_is_not_there(engine: Engine) -> None:
    """The name of the missing column is said."""
    with pytest.raises(SqlError, match='"nope"'):
        engine.write_table("d", "select 1 as a", partitions=Materialize("partitions", "nope"))


# --- views ----------------------------------------------------------------------------------------


def test_a_view_is_its_sql_over_versions(engine: Engine) -> None:
    """A view has columns and a content of its own, no rows counted, and reads what it was made on."""
    a = dataset(engine, "a", "select unnest([1, 2]) as n")
    view = engine.make_view("v", "select n + $more as n from a -- end", {"a": a}, params={"more": 10})
    assert view.columns == (Column("n", "INTEGER"),)
    assert (view.rows, view.files) == (None, ())
    engine.register("v", view)
    dataset(engine, "a", "select 100 as n")
    assert engine.fetch("select * from v order by n")[1] == [(11,), (12,)]
    again = engine.make_view("v", "select n + 10 as n from v", {"v": view})
    engine.register("w", again)
    assert engine.fetch("select max(n) from w")[1] == [(22,)]
    assert again.content != view.content
    other = engine.make_view("v", "select n + $more as n from a -- end", {"a": a}, params={"more": 11})
    assert other.content != view.content


def test_errors_of_views_name_the_line(engine: Engine) -> None:
    """A mistake in a view's SQL is found when it is made, at the user's own line."""
    with pytest.raises(SqlError) as caught:
        engine.make_view("v", "select 1 as a,\n\n  nope", {})
    assert caught.value.line == 3
    assert "nope" in caught.value.message


# --- what a query shows ---------------------------------------------------------------------------


def test_a_query_needs_no_package_for_time_zones(engine: Engine) -> None:
    """Moments with a zone, also in lists, come as text in UTC, in order, under any column names."""
    names, rows = engine.fetch(
        "select timestamptz '2013-11-03 01:30:00-05' + interval (i) hour as t, "
        "[timestamptz '2013-11-03 01:30:00-04'] as t, i as t from range(3) r(i) order by i desc -- end",
        limit=2,
    )
    assert names == ["t", "t", "t"]
    assert rows == [
        ("2013-11-03 08:30:00+00", "['2013-11-03 05:30:00+00']", 2),
        ("2013-11-03 07:30:00+00", "['2013-11-03 05:30:00+00']", 1),
    ]


def test_a_query_counts_lines_from_its_first(engine: Engine) -> None:
    """The line in an error is the one in the text that was typed."""
    with pytest.raises(SqlError) as caught:
        engine.fetch("select 1,\n nope")
    assert caught.value.line == 2


@pytest.mark.parametrize(
    "how",
    ["from '{}'", 'from "{}"', "from E'{}'", "from $${}$$", "with a as (from '{}') from a", "from /**/ '{}'"],
)
def test_a_zone_does_not_leak_through_paths(store: FolderStore, how: str) -> None:
    """A file of the store is no table for user SQL: trusted SQL never reads a sandbox by its path."""
    sandbox = FolderStore(store.root, namespace="k_fix_1", zone="sandbox")
    with Engine(sandbox) as other:
        (file,) = other.write_table("d", "select 'secret' as s").files
    with Engine(store) as mine:
        for path in (str(sandbox.path(file)), f"{store.root}/sandbox/*/files/*/*.parquet"):
            with pytest.raises(SqlError, match=r"is not for recipes|Parser Error"):
                mine.write_table("d", how.format(path))
        found = mine.fetch("select 'a/b' as t, 4 / 2 as n, $$/x$$ as d, E'\\\\' as e")[1]
        assert found == [("a/b", 2.0, "/x", "\\")]


def test_intervals_are_fetched_as_text(engine: Engine) -> None:
    """A month is a month and not 30 days: intervals come as DuckDB writes them, also inside of others."""
    sql = (
        "SELECT INTERVAL '1 month' AS a, INTERVAL '30 days' AS a, [INTERVAL '1 hour'] AS b, NULL::INTERVAL, 1"
    )
    assert engine.fetch(sql)[1] == [("1 month", "30 days", "['01:00:00']", None, 1)]


def test_a_thread_keeps_its_small_cursor_until_the_instance_is_given_up(tmp_path: Path) -> None:
    """Each thread has one cursor of its own for short statements; after a damaged file, which ends the
    instance, it gets another one that answers."""
    first = kept_cursor()
    assert kept_cursor() is first
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(kept_cursor).result() is not first
    (tmp_path / "damaged.duckdb").write_bytes(b"no database" * 2000)
    with pytest.raises(duckdb.Error), attached(tmp_path / "damaged.duckdb"):
        pass
    second = kept_cursor()
    assert second is not first
    assert second.execute("SELECT current_setting('TimeZone')").fetchall() == [("UTC",)]
