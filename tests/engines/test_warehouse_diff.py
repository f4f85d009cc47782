"""The same two tables on both engines give the same diff; what may differ is listed here and in the docs."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import duckdb
import psycopg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.data.test_diff_reference import NAMES, VALUES, Reference
from tests.data.test_diff_types import diff as duckdb_diff

import warehouse
from gitkitchen.data.diff_model import TableDiff
from gitkitchen.data.diff_postgres import POSTGRES
from gitkitchen.data.diff_rows import Table, compare_tables
from gitkitchen.data.engines.postgres_server import SESSION, as_text
from gitkitchen.data.engines.postgres_sql import loaded, told
from gitkitchen.data.sql import quote_identifier
from gitkitchen.model import Column
from shop import Shop

Client = psycopg.Connection[Any]
TYPES = {t: v for t, v in VALUES.items() if not t.startswith("STRUCT")} | {
    "FLOAT": st.sampled_from([0.0, 0.5, -1.5]),
    "TIMESTAMP WITH TIME ZONE": st.sampled_from([datetime(2013, 1, 1), datetime(2013, 7, 1, 0, 0, 0, 1)]),
}
KEYS = ("INTEGER", "VARCHAR", "DATE", "DOUBLE", "TIMESTAMP")
SAME = ("INTEGER", "BIGINT", "DOUBLE", "DECIMAL(9,2)", "VARCHAR", "BOOLEAN", "DATE", "TIMESTAMP")


@pytest.fixture(scope="module")
def client(server: warehouse.Server) -> Iterator[Client]:
    """A session as those of ours, in a database of its own."""
    with (
        warehouse.database(server) as name,
        psycopg.connect(server.dsn(name, "boss"), autocommit=True) as made,
    ):
        made.execute(SESSION)
        made.execute("SET default_transaction_read_only = off")
        as_text(made)
        yield made


@pytest.fixture(scope="module")
def duck() -> Iterator[Any]:
    with duckdb.connect(":memory:", config={"threads": 1}) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        yield connection


def in_postgres(client: Client, name: str, columns: Sequence[tuple[str, str]], rows: Sequence[Any]) -> Table:
    """A table of the types that PostgreSQL has for DuckDB's."""
    kinds = [f"{loaded(t[:-2])}[]" if t.endswith("[]") else loaded(t) for _, t in columns]
    made = ", ".join(f"{quote_identifier(n)} {k}" for (n, _), k in zip(columns, kinds, strict=True))
    client.execute(f"DROP TABLE IF EXISTS public.{name}; CREATE TABLE public.{name} ({made})")
    for row in rows:
        marks = ", ".join(f"%s::{k}" for k in kinds)
        client.execute(f"INSERT INTO public.{name} VALUES ({marks})", list(row))
    return Table(f"public.{name}", tuple(Column(n, t) for n, t in columns))


def in_duckdb(duck: Any, name: str, columns: Sequence[tuple[str, str]], rows: Sequence[Any]) -> Table:
    made = ", ".join(f"{quote_identifier(n)} {t}" for n, t in columns)
    duck.execute(f"CREATE OR REPLACE TABLE {name} ({made})")
    for row in rows:
        duck.execute(
            f"INSERT INTO {name} VALUES ({', '.join(f'CAST(? AS {t})' for _, t in columns)})", list(row)
        )
    return Table(name, tuple(Column(n, t) for n, t in columns))


def on_postgres(client: Client, a: Table, b: Table, key: Sequence[str] = (), **how: Any) -> TableDiff:
    def fetch(sql: str) -> list[tuple[Any, ...]]:
        return client.execute(sql.encode(), prepare=True).fetchall()

    return compare_tables(a, b, key=key, fetch=fetch, sql=POSTGRES, **how)


def plain(value: Any) -> Any:
    """A diff as plain values; numbers of any kind by what they are worth."""
    if isinstance(value, Mapping):
        return {k: plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [plain(v) for v in value]
    return float(f"{value:.12g}") if isinstance(value, float | Decimal) else value


@st.composite
def two_tables(draw: Any, types_of_rest: Sequence[str], retype: bool = False) -> Any:
    """Columns of A and B, rows of A and B, how many columns are the key."""
    keys = draw(st.integers(0, 2))
    types = [draw(st.sampled_from(KEYS)) for _ in range(keys)]
    types += [draw(st.sampled_from(types_of_rest)) for _ in range(draw(st.integers(0 if keys else 1, 3)))]
    names = draw(st.permutations(NAMES))[: len(types)]
    row = st.tuples(*(st.none() | TYPES[t] for t in types))
    a = draw(st.lists(row, max_size=5))
    b = [draw(st.just(r) | row) for r in a if draw(st.integers(0, 4))] + draw(st.lists(row, max_size=2))
    return list(zip(names, types, strict=True)), a, b, keys


@given(made=two_tables(sorted(TYPES)))
@settings(max_examples=40, deadline=None)
def test_the_diff_on_postgresql_is_what_a_patient_person_counts(client: Client, made: Any) -> None:
    """Rows, changes of each column and NULLs are those of the reference, with any key and value."""
    columns, a, b, keys = made
    names = [n for n, _ in columns]
    found = on_postgres(
        client, in_postgres(client, "a", columns, a), in_postgres(client, "b", columns, b), names[:keys]
    )
    expected = Reference(a, b, keys)
    assert (found.rows.a, found.rows.b) == (len(a), len(b))
    assert (found.rows.added, found.rows.removed) == (expected.added, expected.removed)
    if keys:
        assert (found.rows.matched, found.rows.changed) == (len(expected.matched), len(expected.changed))
        for index, column in enumerate(found.columns, start=keys):
            assert (column.changed, column.nulls_gained, column.nulls_lost) == expected.column(index)


@given(made=two_tables(SAME))
@settings(max_examples=40, deadline=None)
def test_both_engines_say_the_same(client: Client, duck: Any, made: Any) -> None:
    """Every figure, note, example row, least and greatest value and quantile is that of the other engine."""
    columns, a, b, keys = made
    key = [n for n, _ in columns][:keys]
    one = [in_duckdb(duck, "left_t", columns, a), in_duckdb(duck, "right_t", columns, b)]
    two = [in_postgres(client, "left_t", columns, a), in_postgres(client, "right_t", columns, b)]
    expected = compare_tables(*one, key=key, fetch=lambda sql: duck.execute(sql).fetchall(), examples=3)
    found = on_postgres(client, *two, key, examples=3)
    assert plain(asdict(found)) == plain(asdict(expected))
