"""The same two tables on both engines give the same diff; what may differ is listed here and in the docs."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from decimal import Decimal
from typing import Any

import duckdb
import psycopg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.data.test_diff_reference import NAMES, VALUES, Reference

import warehouse
from gitkitchen.data.diff_model import TableDiff
from gitkitchen.data.diff_postgres import POSTGRES
from gitkitchen.data.diff_rows import Table, compare_tables
from gitkitchen.data.engines.postgres_server import SESSION, as_text
from gitkitchen.data.engines.postgres_sql import loaded, told
from gitkitchen.data.sql import quote_identifier
from gitkitchen.model import Column
from shop import KITCHEN_YML, Shop

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
    if value == "-0.0":
        return "0.0"  # equal to SQL, so that either may be shown for both
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


def select(client: Client, name: str, sql: str) -> Table:
    """What a SELECT gives, as a table with the types of its columns."""
    client.execute(f"DROP TABLE IF EXISTS public.{name}; CREATE TABLE public.{name} AS {sql}".encode())
    rows = client.execute(
        "SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute WHERE attrelid = %s::regclass "
        "AND attnum > 0 ORDER BY attnum",
        [f"public.{name}"],
    ).fetchall()
    return Table(f"public.{name}", tuple(Column(n, told(t)) for n, t in rows))


def selects(client: Client, a: str, b: str, key: Sequence[str] = ("id",), **how: Any) -> TableDiff:
    return on_postgres(client, select(client, "a", a), select(client, "b", b), key, **how)


@pytest.mark.parametrize(
    ("a", "b", "changed"),
    [
        ("1::integer", "1::bigint", 0),
        ("1::integer", "1.0::double precision", 0),
        ("9007199254740993::bigint", "9007199254740992::double precision", 1),
        ("9007199254740992::bigint", "9007199254740992::double precision", 0),
        ("1::integer", "1.5::double precision", 1),
        ("0.1::numeric(9,2)", "0.1::double precision", 0),
        ("0.1::numeric(9,2)", "0.1::numeric(18,4)", 0),
        ("0.1::numeric", "0.1::double precision", 0),
        ("0.1::numeric", "0.10::numeric", 0),
        ("0.1::numeric", "0.1000000000000000001::numeric", 1),
        ("1::integer", "1::numeric", 0),
        ("1e40::numeric(60,2)", "1e40::numeric", 0),
        ("'nan'::numeric", "'nan'::double precision", 0),
        ("'nan'::double precision", "1::numeric", 1),
        ("'infinity'::double precision", "1::bigint", 1),
        ("true", "1::integer", 0),
        ("true", "2::numeric", 1),
        ("false", "0::double precision", 0),
        ("0.0::double precision", "'-0.0'::double precision", 1),
        ("0.0::real", "'-0.0'::double precision", 1),
        ("'nan'::double precision", "'nan'::real", 0),
        ("0.1::real", "0.1::double precision", 1),
        ("7::integer", "'7'::text", 0),
        ("7::integer", "'007'::text", 1),
        ("'a'::varchar(3)", "'a'::text", 0),
        ("'a'::char(3)", "'a'::text", 0),
        ("'a'::text", "'A'::text", 1),
        ("'a'::text collate \"C\"", "'a'::text collate \"und-x-icu\"", 0),
        ("date '2013-01-01'", "timestamp '2013-01-01'", 0),
        ("date '2013-01-01'", "timestamp '2013-01-01 00:00:01'", 1),
        ("date 'infinity'", "timestamp 'infinity'", 0),
        ("date '5000000-01-01'", "timestamp '2013-01-01'", 1),
        ("date '5000000-01-01'", "date '5000000-01-01'", 0),
        ("timestamp '2013-01-01'", "timestamptz '2013-01-01 01:00:00+01'", 0),
        ("date '2013-01-01'", "'2013-01-01'::text", 0),
        ("interval '1 month'", "interval '30 days'", 1),
        ("interval '1 day'", "interval '24 hours'", 1),
        ("'{\"a\": 1}'::json", "'{\"a\": 1}'::json", 0),
        ("'{\"a\": 1}'::jsonb", "'{\"a\": 2}'::jsonb", 1),
        ("array[1, 2]", "array[1, null]", 1),
        ("'<a/>'::xml", "'<a/>'::xml", 0),
        ("point(1, 2)", "point(1, 3)", 1),
        ("'\\x00'::bytea", "'\\x01'::bytea", 1),
        ("null::integer", "null::text", 0),
        ("null::integer", "''::text", 1),
        ("1e308::double precision", "-1e308::double precision", 1),
    ],
)
def test_values_of_any_two_types_are_compared(client: Client, a: str, b: str, changed: int) -> None:
    """Numbers with numbers, times with times, the rest as text, types without equality too; also as a key
    and as whole rows."""
    for one, two in ((a, b), (b, a)):
        found = selects(client, f"select 1 as id, {one} as v", f"select 1 as id, {two} as v")
        assert found.rows.changed == changed
        whole = selects(client, f"select 1 as id, {one} as v", f"select 1 as id, {two} as v", ())
        assert (whole.rows.added, whole.rows.removed) == (changed, changed)
        if "null" not in one + two or "[" in one + two:
            by = selects(client, f"select {one} as id, 1 as v", f"select {two} as id, 1 as v", examples=1)
            assert (by.rows.added, by.rows.removed) == (changed, changed)


def test_numbers_without_a_precision_are_measured_exactly(client: Client) -> None:
    """The size of a change of NUMERIC is exact, NaN and infinity stand in no sum, and are told."""
    a = "select i as id, 0.1::numeric as v from generate_series(1, 3) i union all select 4, 'nan'"
    b = "select i as id, 0.3::numeric as v from generate_series(1, 3) i union all select 4, 'infinity'"
    (column,) = selects(client, a, b).columns
    assert column.changed == 4
    assert column.difference is not None
    assert (column.difference.measured, column.difference.total) == (3, Decimal("0.6"))
    assert column.a is not None
    assert (column.a.total, column.a.unusual) == (Decimal("0.3"), 1)


def test_a_renamed_column_is_found_in_postgresql(client: Client) -> None:
    """By equal content, and by the key where 9 of 10 rows agree; a constant is no evidence."""
    found = selects(
        client,
        "select i as id, i * 2 as price, 'x' as mark from generate_series(1, 50) i",
        "select i as id, i * 2 as amount, 'y' as flag from generate_series(1, 50) i",
    )
    assert [(c.kind, c.was, c.now, c.likely) for c in found.schema if c.kind == "renamed"] == [
        ("renamed", "price", "amount", True)
    ]
    assert sorted(c.kind for c in found.schema) == ["added", "removed", "renamed"]
    found = selects(
        client,
        "select i as id, i * 2 as price from generate_series(1, 100) i",
        "select i as id, case when i <= 5 then 0.5 else i * 2 end as amount from generate_series(1, 100) i",
    )
    assert "95 of 100 rows" in found.schema[0].why
    assert found.columns[0].changed == 5


@pytest.mark.long
def test_a_table_wider_than_one_statement_tells(client: Client) -> None:
    """Of 700 columns each is compared, and examples hold them all."""
    columns = ", ".join(f"i + {n} as c{n}" for n in range(700))
    a = f"select i as id, {columns} from generate_series(1, 3) i"
    found = selects(client, a, a.replace("i + 699 as", "i + 7 as").replace("i + 3 as", "null::integer as"))
    assert found.rows.changed == 3
    assert [c.column for c in found.columns if c.changed] == ["c3", "c699"]
    assert len(found.examples) == 3
    assert all(len(e.a) == len(e.b) == 701 for e in found.examples)
    assert [e.b["c699"] for e in found.examples] == ["8", "9", "10"]


@pytest.mark.long
def test_large_tables_are_estimated_and_say_so(client: Client) -> None:
    """Of more than 200,000 rows counts stay exact; distinct values are near, quantiles from a sample."""
    a = "select i as id, i % 7 as few, i::text as word, i * 0.5 as v from generate_series(1, 300000) i"
    b = a.replace("i * 0.5", "case when i <= 90000 then i else i * 0.5 end")
    for key in (("id",), ()):
        found = selects(client, a.replace("(1,", "(20001,"), b, key, examples=2)
        columns = {c.column: c for c in found.columns}
        assert found.rows.added == (20000 if key else 90000)
        profile = columns["few"].b
        assert profile is not None
        assert (profile.distinct, profile.distinct_exact) == (7, False)
        word = columns["word"].b
        assert word is not None
        assert word.distinct == pytest.approx(300000, rel=0.1)
        assert word.sampled == pytest.approx(100000, rel=0.1)
        v = columns["v"].b
        assert v is not None
        assert float(v.quantiles[2]) == pytest.approx(80000, rel=0.1)
        if key:
            assert (columns["v"].changed, found.rows.changed) == (70000, 70000)


def test_many_repeated_and_missing_keys_are_no_quadratic_work(client: Client) -> None:
    """A hundred thousand rows whose keys repeat, and some without one, are compared whole within the
    statement's time; nothing is joined twice."""
    a = "select i % 50000 as id, i as v from generate_series(1, 100000) i union all select null, 1"
    b = a.replace("100000) i", "100001) i")
    client.execute("SET statement_timeout = '60s'")
    try:
        found = selects(client, a, b, examples=1)
    finally:
        client.execute("RESET statement_timeout")
    assert (found.rows.added, found.rows.removed, found.rows.changed) == (1, 0, 0)
    assert found.rows.unkeyed.null_rows == (1, 1)
    assert any("does not tell all rows apart" in note for note in found.notes)


PINNED = {
    "list": ("[1, NULL]", "{1,NULL}"),
    "float": ("1.0", "1.0"),
    "bytes": ("\\x00", "\\x00"),
    "moment": ("2013-01-01 00:00:00+00", "2013-01-01 00:00:00+00"),
    "interval": ("1 month", "1 mon"),
}
KINDS = {
    "list": ("[1, null]::integer[]", "array[1, null]::integer[]"),
    "float": ("1::double", "1::double precision"),
    "bytes": ("'\\x00'::blob", "'\\x00'::bytea"),
    "moment": ("timestamptz '2013-01-01 00:00:00+00'",) * 2,
    "interval": ("interval '1 month'",) * 2,
}


@pytest.mark.parametrize("kind", sorted(PINNED))
def test_values_are_shown_as_the_documentation_says(client: Client, duck: Any, kind: str) -> None:
    """Examples hold values as text: which of them the two engines write otherwise is pinned."""
    ours, theirs = (f"select 1 as id, {value} as v" for value in KINDS[kind])
    duck.execute(f"CREATE OR REPLACE TABLE one AS {ours}")
    types = duck.execute("DESCRIBE one").fetchall()
    one = Table("one", tuple(Column(t[0], t[1]) for t in types))
    none = Table("(select * from one where false) AS n", one.columns)
    found = compare_tables(none, one, key=("id",), fetch=lambda sql: duck.execute(sql).fetchall())
    here = selects(client, f"{theirs} where false", theirs)
    assert (found.examples[0].b["v"], here.examples[0].b["v"]) == PINNED[kind]


def test_a_longer_text_is_a_compatible_change(client: Client) -> None:
    """Every value of VARCHAR(3) fits VARCHAR(9) and text; the other way round it may not."""
    for was, now, breaking in (("varchar(3)", "varchar(9)", False), ("varchar(3)", "text", False),
                               ("text", "varchar(9)", True), ("varchar(9)", "varchar(3)", True)):  # fmt: skip
        found = selects(client, f"select 1 as id, 'a'::{was} as v", f"select 1 as id, 'a'::{now} as v")
        assert [(c.kind, c.breaking) for c in found.schema] == [("retyped", breaking)]
        assert found.rows.changed == 0


# --- through the command line -------------------------------------------------------------------------

RECIPE = """\
version: 1
recipe: sales
owner: "@sales"
nodes:
  orders: {source: {file: orders.csv}, key: [order_id]}
  priced: {sql: priced.sql, key: [order_id], public: [order_id, price]}
  loose: {sql: "select country, amount from priced", tests: [{rows: {min: 1}}]}
  shown: {sql: "select order_id, price from priced where price > 20", materialize: view, key: [order_id]}
  totals:
    sql: select country, count(*) as orders, sum(price)::bigint as total from priced group by country
    key: [country]
    tests: [{rows: {min: 1}}]
"""
PRICED = (
    "select order_id, country, amount, (amount * 2)::bigint as price, note, day from orders "
    "where order_id <> 0\n"
)
ORDERS = "order_id,country,amount,note,day\n" + "".join(
    f"{n},{'DE' if n % 3 else 'FR'},{n}.5,{'x' * (n % 4)},2024-01-{1 + n % 28:02}\n" for n in range(1, 41)
)
CHANGED = (
    "select order_id, country, amount, (case when order_id < 5 then 7 else amount * 2 end)::bigint as price, "
    "(case when order_id < 3 then null else note end) as remark, "
    "day + (case when order_id = 9 then 3 else 0 end)::integer as day, "
    "1.5::double precision as rate from orders where order_id <> 12 "
    "union all select 100, 'PT', 1.5, 3, 'xx', date '2024-02-01', 2.5\n"
)


def compared(shop: Shop) -> dict[str, Any]:
    """The diff of a changed branch against production, of a project made anew."""
    files = {"recipe.yml": RECIPE, "priced.sql": PRICED, "orders.csv": ORDERS}
    shop.commit({f"recipes/sales/{name}": text for name, text in files.items()})
    assert shop.cli("run", "--quiet").code == 0
    shop.git("checkout", "-q", "-b", "work")
    shop.commit({"recipes/sales/priced.sql": CHANGED})
    said = shop.cli("run", "--quiet")
    assert said.code == 0, said.err
    said = shop.cli("diff", "--data", "--json", "--values", "all")
    assert said.code == 0, said.err
    document: dict[str, Any] = json.loads(said.out)
    return document


def told_alike(document: dict[str, Any]) -> Any:
    """Without what names a run, a tree or a table, and bytes."""
    del document["a"], document["b"]
    for one in document["datasets"]:
        for side in ("a", "b"):
            one[side] = {k: v for k, v in one[side].items() if k in ("rows", "format")}
    return plain(document)


@pytest.mark.long
def test_a_project_on_either_engine_has_the_same_diff_document(pg_shop: Shop, database: str) -> None:
    """Tables, views, datasets without a key, renamed and new columns, NULLs: one document."""
    found = told_alike(compared(pg_shop))
    states = {d["dataset"]: d["state"] for d in found["datasets"]}
    assert states == dict.fromkeys(("loose", "priced", "shown", "totals"), "changed") | {
        "orders": "identical"
    }
    pg_shop.git("checkout", "-q", "main")
    for folder in ("store", "ledger"):
        (pg_shop.root / ".gitkitchen" / folder).rename(pg_shop.root / ".gitkitchen" / f"{folder}-before")
    pg_shop.git("branch", "-q", "-D", "work")
    pg_shop.commit({"kitchen.yml": KITCHEN_YML})
    assert found == told_alike(compared(pg_shop))


@pytest.mark.long
def test_runs_and_markdown_are_compared_in_a_warehouse(pg_shop: Shop, database: str) -> None:
    """A run against what its environment has, one dataset of it, and the forms for people."""
    compared(pg_shop)
    said = pg_shop.cli("diff", "last", "--data", "--dataset", "priced", "--format", "markdown")
    assert said.code == 0, said.err
    assert "renamed" in said.out, said.out
    said = pg_shop.cli("diff", "prod", "work", "--data")
    assert (said.code, "could not be compared" in said.out) == (0, False), said.out


def test_a_table_that_is_gone_is_no_difference_of_nothing(
    pg_shop: Shop, database: str, server: warehouse.Server
) -> None:
    """A version whose table somebody dropped is unreadable, and not shown as equal or empty."""
    compared(pg_shop)
    with server.admin(database) as boss:
        row = boss.execute(
            "SELECT manifest::json -> 'versions' -> 'priced' ->> 'relation' FROM gitkitchen_store.builds "
            "WHERE zone ~ '^sandbox' AND manifest ~ 'remark' AND manifest::json ->> 'node' = 'priced'"
        ).fetchone()
        assert row is not None
        boss.execute(f"DROP TABLE gitkitchen_store.{row[0]} CASCADE")
    said = pg_shop.cli("diff", "--data", "--json", "--dataset", "priced")
    (one,) = json.loads(said.out)["datasets"]
    assert one["state"] == "unreadable"
    assert one["data"] is None


@pytest.mark.parametrize(
    ("expect", "code"),
    [
        ("{rows: {added: 1, removed: 1, changed: 50%}}", 0),
        ("{rows: {added: 0}}", 1),
        ("{rows: {changed: 2}}", 1),
        ("{columns: {remark: added, note: removed, rate: added, price: 3, day: 1}}", 0),
        ("{columns: {remark: added, note: removed, rate: added, price: 2, day: 1}}", 1),
        ("{columns: {remark: added, note: removed}}", 1),
        ("{values: {sum(price): 50%}}", 0),
    ],
    ids=["rows", "rows-added", "rows-changed", "columns", "column-beyond", "column-undeclared", "values"],
)
def test_every_expectation_is_judged_in_a_warehouse(
    pg_shop: Shop, database: str, expect: str, code: int
) -> None:
    """Rows by key, columns and values are judged as on DuckDB: none is left unevaluated."""
    files = {"recipe.yml": RECIPE, "priced.sql": PRICED, "orders.csv": ORDERS}
    pg_shop.commit({f"recipes/sales/{name}": text for name, text in files.items()})
    assert pg_shop.cli("run", "--quiet").code == 0
    pg_shop.git("checkout", "-q", "-b", "work")
    recipe = RECIPE.replace("sql: priced.sql,", f"sql: priced.sql, expect: {expect},")
    pg_shop.commit({"recipes/sales/priced.sql": CHANGED, "recipes/sales/recipe.yml": recipe})
    said = pg_shop.cli("run", "--quiet")
    assert said.code == code, said.out + said.err
    tests = [t for n in pg_shop.outcome()["nodes"] for t in n["tests"] if t["kind"] == "expect"]
    assert {t["state"] for t in tests} == {"failed" if code else "passed"}, tests


def test_declared_effects_are_judged_in_a_warehouse(pg_shop: Shop, database: str) -> None:
    """What a branch declares passes; what it changes beyond that fails with the rows, though tests pass."""
    files = {"recipe.yml": RECIPE, "priced.sql": PRICED, "orders.csv": ORDERS}
    pg_shop.commit({f"recipes/sales/{name}": text for name, text in files.items()})
    assert pg_shop.cli("run", "--quiet").code == 0
    pg_shop.git("checkout", "-q", "-b", "work")
    effect = (
        "version: 1\nbranch: work\nwhy: Prices of old orders.\ndatasets:\n"
        "  priced: {columns: {price: 10%}}\n  totals: any\n"
    )
    sql = PRICED.replace("(amount * 2)", "(case when order_id = 15 then 7 else amount * 2 end)")
    pg_shop.commit({"effects/prices.yml": effect, "recipes/sales/priced.sql": sql})
    said = pg_shop.cli("run", "--quiet")
    tests = [t for n in pg_shop.outcome()["nodes"] for t in n["tests"] if t["kind"] == "effect"]
    # `loose` has the same rows, `shown` has one row less, which nobody declared.
    assert (said.code, sorted(t["state"] for t in tests)) == (1, ["failed"] + ["passed"] * 4)
    (failed,) = [t for t in tests if t["state"] == "failed"]
    assert failed["dataset"] == "shown"
    assert "-1 rows" in failed["message"]
    pg_shop.commit({"effects/prices.yml": effect + "  shown: {rows: {removed: 1}}\n"})
    assert pg_shop.cli("run", "--quiet").code == 0
