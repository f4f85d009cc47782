"""The content digest: equal rows, equal digest, whatever their order, files and threads; else another."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gitkitchen.data.engines.duckdb import Engine, Written
from gitkitchen.data.engines.writing import content_of
from gitkitchen.data.sql import literal
from gitkitchen.data.store import FolderStore

COLUMNS = {"n": "BIGINT", "t": "VARCHAR", "f": "DOUBLE", "l": "VARCHAR[]"}
VALUES = st.tuples(
    st.none() | st.integers(-3, 3),
    st.none() | st.sampled_from(["", "a", "NULL", "a, b", "['a']", "é"]),
    st.none() | st.sampled_from([0.0, 1.5, float("nan"), float("inf")]),
    st.none() | st.lists(st.none() | st.sampled_from(["", "a", "NULL", "a, b"]), max_size=3),
)
ROWS = st.lists(VALUES, max_size=8)


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    store = FolderStore(tmp_path_factory.mktemp("content"), namespace="k", zone="trusted")
    with Engine(store, threads=2) as made:
        yield made


def write(engine: Engine, rows: list[Any]) -> Written:
    names = list(COLUMNS)
    selects = [
        "SELECT " + ", ".join(f"{literal(v)}::{COLUMNS[n]} AS {n}" for n, v in zip(names, row, strict=True))
        for row in rows
    ]
    empty = "SELECT " + ", ".join(f"NULL::{COLUMNS[n]} AS {n}" for n in names) + " WHERE false"
    return engine.write_table("d", " UNION ALL ".join([empty, *selects]))


def key(row: tuple[Any, ...]) -> str:
    return json.dumps(row)


@given(ROWS, ROWS)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
def test_digests_are_equal_where_the_rows_are(engine: Engine, one: list[Any], other: list[Any]) -> None:
    """Two tables have one digest exactly where they hold the same rows, each as often."""
    same = sorted(map(key, one)) == sorted(map(key, other))
    assert (write(engine, one).content == write(engine, other).content) is same


@given(ROWS, st.randoms(use_true_random=False), st.integers(0, 8))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
def test_order_and_files_do_not_count(engine: Engine, rows: list[Any], random: Any, cut: int) -> None:
    """Rows in another order, and split over two files, have the digest that they have in one."""
    whole = write(engine, rows)
    shuffled = list(rows)
    random.shuffle(shuffled)
    parts = [write(engine, shuffled[:cut]), write(engine, shuffled[cut:])]
    paths = [engine.store.path(f) for part in parts for f in part.files]
    assert content_of(engine.cursor(), paths)[2] == whole.content
    assert whole.rows == len(rows)


def test_many_rows_count_like_few(engine: Engine) -> None:
    """The engine's sums and ours are the same sums: knowing the row count changes no digest."""
    written = engine.write_table("d", "select i, [i] as l from range(500) t(i)")
    paths = [engine.store.path(f) for f in written.files]
    assert content_of(engine.cursor(), paths) == content_of(engine.cursor(), paths, rows=500)
    assert content_of(engine.cursor(), paths)[2] == written.content


def test_threads_do_not_count(engine: Engine) -> None:
    """Half a million rows have one digest with one thread and with four, forwards and backwards."""
    sql = "select i, i % 7 as k, 'x' || (i % 1000) as t from range(500000) t(i) order by i {}"
    digests = set()
    for threads, order in itertools.product((1, 4), ("asc", "desc")):
        with Engine(engine.store, threads=threads) as other:
            digests.add(other.write_table("d", sql.format(order)).content)
    assert len(digests) == 1


DIFFERENT = [
    "select 1 as a",
    "select 1::bigint as a",
    "select 1 as b",
    "select '1' as a",
    "select 1 as a, 2 as b",
    "select 2 as b, 1 as a",
    "select 2 as a, 1 as b",
    "select null::int as a, 1 as b",
    "select 1 as a, null::int as b",
    "select 1 as a union all select 1",
    "select 1 as a union all select 1 union all select 1",
    "select null::int as a",
    "select 1 as a where false",
    "select '' as a",
    "select null::varchar as a",
    "select [[1], [2]] as a",
    "select [[1, 2]] as a",
    "select []::int[] as a",
    "select null::int[] as a",
    "select {'x': null::int} as a",
    "select null::struct(x int) as a",
    "select {'x': 1} as a",
    "select {'y': 1} as a",
    "select map {'k': 1} as a",
    "select * from (values (1, 'p'), (2, 'q')) t(a, b)",
    "select * from (values (1, 'q'), (2, 'p')) t(a, b)",
]


def test_what_differs_has_another_digest(engine: Engine) -> None:
    """Names, types, order of columns, NULLs, duplicates, nesting and swapped values all count."""
    found = {sql: engine.write_table("d", sql).content for sql in DIFFERENT}
    assert len(set(found.values())) == len(DIFFERENT)


def test_what_a_node_wrote_has_the_digest_of_its_rows(engine: Engine, tmp_path: Path) -> None:
    """A Parquet file from another writer is content like any other; what is no Parquet is refused."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.table({"a": [3, 1, 2], "t": ["x", None, "z"]}), tmp_path / "out.parquet")
    written = engine.import_parquet(tmp_path / "out.parquet")
    sql = "select * from (values (1::bigint, null), (2, 'z'), (3, 'x')) v(a, t)"
    assert written.content == engine.write_table("d", sql).content
    (tmp_path / "bad.parquet").write_text("no parquet at all, but long enough")
    with pytest.raises(ValueError):
        engine.import_parquet(tmp_path / "bad.parquet")


@pytest.mark.parametrize("rows", [1, 3000])
@pytest.mark.parametrize(
    ("kind", "one", "other"),
    [
        ("INTERVAL", "1 month", "30 days"),
        ("INTERVAL", "1 day", "23 hours"),
        ("DOUBLE", "0.0", "-0.0"),
        ("FLOAT", "0.0", "-0.0"),
        ("DOUBLE", "0.0", "nan"),
        ("STRUCT(x DOUBLE)", "{x: 0.0}", "{x: -0.0}"),
    ],
)
def test_values_that_compare_equal_and_are_not(
    engine: Engine, kind: str, one: str, other: str, rows: int
) -> None:
    """Intervals of other parts and zeros of another sign give another digest, in few rows and in many."""

    def content(value: str) -> str:
        select = f"SELECT CAST('{value}' AS {kind}) AS x, i FROM range({rows}) AS t(i)"
        return engine.write_table("d", select).content

    assert content(one) != content(other)
    assert content(one) == content(one)
    assert content(other) == content(other)


@pytest.mark.parametrize("kind", ["FLOAT", "DOUBLE"])
def test_nan_is_nan(engine: Engine, kind: str) -> None:
    """The sign of NaN says nothing and is not part of the digest."""
    found = {engine.write_table("d", f"SELECT {sign}'nan'::{kind} AS x").content for sign in ("", "-")}
    assert len(found) == 1
