"""What is read out of SQL: its tables, its meaning, its mistakes with their lines."""

from __future__ import annotations

import re
from functools import cache
from random import Random

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitkitchen.plan.cache import FactCache
from gitkitchen.plan.sql import analyse

TABLES = [
    ("select * from flights", ["flights"]),
    ("from flights", ["flights"]),
    ("from flights select carrier where delay > 1", ["flights"]),
    ('select * from Flights, "PLANES"', ["flights", "planes"]),
    ("with f as (select * from flights) select * from f", ["flights"]),
    ("with F as (select * from flights) select * from f", ["flights"]),
    ("with flights as (select * from flights) select * from flights", ["flights"]),
    ("with a as (select * from b), b as (select 1) select * from a, b", ["b"]),
    ("with a as (with b as (from c) from b) select * from a, b", ["c", "b"]),
    ("with a as (select 1) select * from (with a as (from d) from a), a", ["d"]),
    ("with recursive t as (select 1 as n union all select n + 1 from t where n < 9) from t", []),
    ("select (select max(x) from inner_one) from outer_one", ["inner_one", "outer_one"]),
    ("select * from a where x in (select x from b) and exists (from c)", ["a", "b", "c"]),
    ("select 1 from a union all select 2 from b except select 3 from c", ["a", "b", "c"]),
    ("select * from range(3) r, generate_series(1, 2), unnest([1, 2]) u(x)", []),
    ("select * from flights, unnest(flights.legs) as leg", ["flights"]),
    ("pivot flights on origin using sum(delay)", ["flights"]),
    ("from (unpivot flights on a, b)", ["flights"]),
    ("select * from a asof join b on a.t >= b.t", ["a", "b"]),
    ("select * from a positional join b", ["a", "b"]),
    ("from a semi join b using (x)", ["a", "b"]),
    ("select * from flights using sample 10%", ["flights"]),
    ("values (1), (2)", []),
    ("((select * from flights));;", ["flights"]),
    ("select 'from x' as \"from y\" -- from z\nfrom flights /* from w */", ["flights"]),
    ("select * from a, lateral (select * from b where b.x = a.x)", ["a", "b"]),
]


@pytest.mark.parametrize(("text", "tables"), TABLES, ids=[t[:60] for t, _ in TABLES])
def test_tables_are_found_and_nothing_else(text: str, tables: list[str]) -> None:
    """Every table that a query reads is found; names that it makes itself are not tables."""
    facts = analyse(text, file="q.sql")
    assert facts.problems == ()
    assert [t.name for t in facts.tables] == sorted(
        tables, key=lambda n: [t.name for t in facts.tables].index(n)
    )
    assert {t.name for t in facts.tables} == set(tables)


REFUSED = [
    ("select *\nfrom read_csv('a.csv')", 2, "`read_csv()` reads files past the recipe", "`source`"),
    ("select * from 'a.parquet'", 1, "'a.parquet' reads a file past the recipe", "`source`"),
    ('select * from "data/a.csv"', 1, '"data/a.csv" reads a file', "`source`"),
    ("from glob('*')", 1, "`glob()` reads files", "`source`"),
    ("select * from (\n select * from parquet_scan('x'))", 2, "`parquet_scan()`", "`source`"),
    ("select 1,\n (select max(x) from read_text('/etc/passwd'))", 2, "`read_text()`", "`source`"),
    ("select * from query_table('flights')", 1, "`query_table()` cannot be used", "cannot be seen"),
    ("select * from duckdb_settings()", 1, "`duckdb_settings()` cannot be used", "range"),
    ("select *\n\nfrom main.flights", 3, "`main.flights` names a schema", "write `flights`"),
    ("select * from prod.main.flights", 1, "`prod.main.flights` names a schema", "write `flights`"),
    ("from information_schema.tables", 1, "is not a dataset", "datasets themselves"),
    ("select 1;\nselect 2", 1, "more than one statement", "a node of its own"),
    ("insert into a select 1", 1, "a sql node is one query; this begins with `insert`", "SELECT"),
    ("with a as (select 1) insert into b from a", 1, "a sql node is one query", "SELECT"),
    ("copy a to 'x'", 1, "this begins with `copy`", "SELECT"),
    ("set threads = 1", 1, "this begins with `set`", "SELECT"),
    ("attach 'x.db'", 1, "this begins with `attach`", "SELECT"),
    ("selct 1", 1, "this begins with `selct`", "SELECT"),
    ("  \n -- nothing\n", 1, "this SQL is empty", "SELECT"),
    ("select *\nfrom a\nwhere", 3, "cannot be read near `where`", "needs"),
    ("select 'a", 1, "cannot be read", "not closed"),
    ("select " + "(" * 5000, 1, "nested more than 100 deep", ""),
    ("select ?", 1, "parameters without a name", "$name"),
]


@pytest.mark.parametrize(("text", "line", "message", "hint"), REFUSED, ids=[t[:40] for t, *_ in REFUSED])
def test_what_cannot_be_planned_is_refused_with_its_line(
    text: str, line: int, message: str, hint: str
) -> None:
    """A refusal names the file, the line in it, what is wrong and what to write instead."""
    problem = analyse(text, file="q.sql", line=11).problems[0]
    assert message in problem.message
    assert hint in problem.hint
    assert problem.place is not None
    assert (problem.place.file, problem.place.line) == ("q.sql", line + 10)
    assert "sqlglot" not in str(problem)
    assert "<" not in str(problem)


def test_parameters_and_columns_are_known() -> None:
    """Parameters are told once each; columns where the text alone says them."""
    facts = analyse("select a, sum(b) as total from t where c > $low and d < $high or $low = 1", file="q.sql")
    assert facts.parameters == ("low", "high")
    assert facts.columns == ("a", "total")
    assert analyse("select * from t", file="q.sql").columns is None


def test_functions_of_time_and_chance_are_told() -> None:
    """What answers differently each time is named; a column called `now` is not."""
    assert analyse("select now(), random(), current_date from t", file="q").impure == (
        "now",
        "random",
        "current_date",
    )
    assert analyse("select now, today as random from t", file="q").impure == ()


@pytest.mark.parametrize("call", ["age(d)", "txid_current()", "current_setting('x')", "gen_random_uuid()"])
def test_functions_of_the_session_are_told(call: str) -> None:
    """Functions that depend on today, on the session or on chance in any way are named."""
    assert analyse(f"select {call} as x from t", file="q").impure == (call.partition("(")[0],)


@pytest.mark.parametrize("sample", ["using sample 10%", "tablesample 10%"])
def test_samples_are_told(sample: str) -> None:
    """A sample is other rows each time, however it is written."""
    assert analyse(f"select * from t {sample}", file="q").impure == ("sample",)


def test_what_only_duckdb_can_read_is_searched_for_functions_of_time() -> None:
    """Without a tree the text itself is searched, so that the note is never lost."""
    facts = analyse("select now() from t where where", file="q")
    assert not facts.inferred
    assert facts.impure == ("now",)


SAME = [
    ("select a from t", "SELECT a\n  FROM t -- all\n;"),
    ("select count(*) from t", "select Count( * ) from t"),
    ("select sum(a) over (partition by b) from t", "select SUM(a) OVER (PARTITION BY b) from t"),
    ("select cast(a as integer) as b from t", "select CAST(a AS INTEGER) AS b from t"),
    ("select a from t where B > 1", "select a from t where b > 1"),
    ("select a from t where x = interval 1 day", "select a from t where x = INTERVAL 1 DAY"),
]
OTHER = [
    ("select 'a' from t", "select 'A' from t"),
    ("select a from t", 'select "a b" from t'),
    ("select a as b from t", "select a as B from t"),
    ("select 1 as date from t", "select 1 as Date from t"),
    ("select a - -1 from t", "select a --1 from t\n from t"),
    ("select a || 'x' 'y'", "select a || 'x'\n'y'"),
    ("select 1", "select 1.0"),
    ("select $a", "select $b"),
    ("select a.b", "select a, b"),
    ("select '--' from t", "select '' from t"),
    ("select id from t where j.A = 1", "select id from t where j.a = 1"),
    ("select id from t where t.j.A = 1", "select id from t where t.j.a = 1"),
    ("select id from t where (j).A = 1", "select id from t where (j).a = 1"),
    ("select id from t where j.x.y.z.A = 1", "select id from t where j.x.y.z.a = 1"),
    ("select count(*) as n from t group by j.A", "select count(*) as n from t group by j.a"),
    ("select 1 as x from t having max(j.A) = 1", "select 1 as x from t having max(j.a) = 1"),
    ("select u.id from t join u on t.j.A = u.id", "select u.id from t join u on t.j.a = u.id"),
    ("select {Date: id} from t", "select {date: id} from t"),
    ("select {Date: id} as s from t", "select {date: id} as s from t"),
    ("select {Select: id} as s from t", "select {select: id} as s from t"),
    ("select struct_pack(Date := id) as s from t", "select struct_pack(date := id) as s from t"),
    ("select Date: id from t", "select date: id from t"),
    ("select id Date from t", "select id date from t"),
    ("select 1 as Select from t", "select 1 as select from t"),
    ("select row(1)::Struct(Date int) as s", "select row(1)::struct(date int) as s"),
    ("select extract(DOW from d) from t", "select extract(dow from d) from t"),
    ("select a collate NoCase from t", "select a collate nocase from t"),
    ("select exists(select 1 from t where ID = 1)", "select exists(select 1 from t where id = 1)"),
    ("select (select max(x) from T)", "select (select max(x) from t)"),
    ("select date '2020-01-01'", "select DATE '2020-01-01'"),
    ("select a from t where alias(A) = 'a'", "select a from t where alias(a) = 'a'"),
]


@pytest.mark.parametrize(("one", "other"), SAME)
def test_equal_meaning(one: str, other: str) -> None:
    """Comments, layout and the case of words that are no names mean nothing."""
    assert analyse(one, file="q").meaning == analyse(other, file="q").meaning


@pytest.mark.parametrize(("one", "other"), OTHER)
def test_other_meaning(one: str, other: str) -> None:
    """Literals, names that data can show, and operators mean something."""
    assert analyse(one, file="q").meaning != analyse(other, file="q").meaning


CASES = [
    "select foo, bar as baz, sum(qux) over (order by foo) from t where foo > 1",
    "select Foo as Date, count(*), upper(bar) from t group by all having count(*) > 0",
    "with cte as (select foo as inner_name from t) select cte.inner_name, inner_name as outer_name from cte",
    "select {a: foo, 'b': qux} as s, extract(year from day), current_date from t join u using (id)",
    "select case when foo > 1 then bar else 'x' end, foo in (1, 2), foo between 1 and 2, foo::bigint from t",
    "select t.foo, u.* exclude (id) replace (upper(u.bar) as bar) from t, u where t.id = u.id",
    "select t, u as whole from t join u on t.id = u.id where t.foo > 1 qualify row_number() over () < 9",
    "from t select foo + 1, [x * 2 for x in [foo]], list_transform([foo], lambda y: y + 1)",
    "select foo from t union all by name select qux as foo from t order by foo limit 5",
    "select unnest([1, 2]) as Numbers, interval 1 day, date '2020-01-01', not true, null is null from t",
    "pivot t on bar in ('x', 'y') using sum(qux) as total group by foo",
    "select * from range(3) r(i), (values (1)) v(w) where i > w",
    "select first_value(foo) over w as fv, struct_pack(Key := foo) from t window w as (order by id)",
    "select {date: id, time: foo}, {year: id} as s, struct_pack(date := id), foo date from t",
    "select extract(dow from day), bar collate nocase, exists(select 1 from u where id = 1) from t",
    "select (select max(id) from u where u.id > 1), id in (select id from u), not foo is null from t",
    "select date: id, row(id)::struct(date int), unnest({date: 1}), date '2020-01-01' from t",
    "select interval 1 day, count(*) filter (where foo > 1), any_value(id order by foo desc) from t",
    "select t.id from t left join u on t.id = u.id and exists (select 1 from u as w where w.id = t.id)",
    "select case when foo is null then 1 end, [x for x in [foo] if x > 1], id::text from t where id = 1",
    "select date_part('year', day), year(day), left(bar, 1), nullif(1, 2), trim(both 'a' from bar) from t",
    "pivot t on bar in ('x', 'y') using sum(qux), max(foo::bigint) group by foo",
    "select try_cast(bar as double), coalesce(foo, 1), date_trunc('month', day) from t",
]


@given(text=st.sampled_from(CASES), seed=st.randoms(use_true_random=False))
def test_equal_meaning_is_equal_columns_in_duckdb(text: str, seed: Random) -> None:
    """Whatever letters change their case: where the meaning is called equal, DuckDB's columns are equal."""
    words = text.split("'")  # every second one is a literal, whose case is data
    for index in range(0, len(words), 2):
        words[index] = "".join(c.swapcase() if seed.random() < 0.2 else c for c in words[index])
    varied = "'".join(words)
    if analyse(text, file="q").meaning == analyse(varied, file="q").meaning:
        assert described(varied) == described(text)


@pytest.mark.parametrize("text", CASES)
def test_one_word_in_other_case(text: str) -> None:
    """Each word alone in the other case: equal meaning gives equal columns, and most keywords are equal."""
    equal = 0
    for word in re.finditer(r"[A-Za-z_]+", text):
        before = text[: word.start()]
        if before.count("'") % 2:
            continue
        varied = before + word.group().swapcase() + text[word.end() :]
        if analyse(text, file="q").meaning == analyse(varied, file="q").meaning:
            equal += 1
            assert described(varied) == described(text)
    assert equal >= 2


@cache
def database() -> duckdb.DuckDBPyConnection:
    connection = duckdb.connect()
    connection.execute("create table t(id int, foo int, Bar varchar, qux int, day date)")
    connection.execute("create table u(id int, Bar varchar)")
    return connection


def described(text: str) -> list[tuple[str, str]]:
    return [(d[0], str(d[1])) for d in database().execute(text).description]


def test_facts_move_with_their_text() -> None:
    """The cache holds facts by content: the same text elsewhere in a file has its lines there."""
    cache = FactCache(None)
    text = "select *\nfrom a\nwhere"
    first = analyse(text, file="a.sql", line=1, cache=cache).problems[0].place
    second = analyse(text, file="b.yml", line=40, cache=cache).problems[0].place
    assert first is not None
    assert second is not None
    assert (first.line, second.line, second.file) == (3, 42, "b.yml")
