"""Every engine through the one contract: what is written, read, loaded, exported, interrupted, refused."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.controls.conftest import make_test, told
from tests.controls.test_judged_kinds import CASES, EMPTY_PASSES, FLIGHTS, HOSTILE, PLANES

import warehouse
from gitkitchen.controls.judge import judge, judge_singly
from gitkitchen.data.engines import duckdb as duckdb_engine
from gitkitchen.data.engines.contract import Engine
from gitkitchen.data.engines.errors import Interrupted, SqlError
from gitkitchen.data.engines.postgres import Engine as PostgresEngine
from gitkitchen.data.engines.postgres_server import Warehouse
from gitkitchen.data.engines.postgres_store import Relations, WarehouseStore
from gitkitchen.data.store import FolderStore
from gitkitchen.errors import Mistake
from gitkitchen.model import TestResult, TestSpec, TestState, Version

NOW = datetime(2024, 3, 10, 12, tzinfo=UTC)
ENGINES = ("duckdb", "postgres")


@pytest.fixture(scope="module")
def both(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[str], Engine]]:
    """``both(name)``: one engine a kind for the whole module; the server starts when first asked for."""
    made: dict[str, Engine] = {}
    closing: list[Any] = []

    def get(name: str) -> Engine:
        if name not in made:
            folder = FolderStore(tmp_path_factory.mktemp(name), namespace="k_x_0", zone="trusted")
            if name == "duckdb":
                made[name] = duckdb_engine.Engine(folder, threads=2)
            else:
                server: warehouse.Server = request.getfixturevalue("server")
                database = warehouse.database(server)
                address = server.dsn(database.__enter__())
                closing.append(database)
                where = Warehouse(address, project="p1")
                relations = Relations(where, namespace="k_x_0", zone="trusted")
                made[name] = PostgresEngine(WarehouseStore(folder, relations))
        return made[name]

    yield get
    for engine in made.values():
        engine.close()
    for database in closing:
        database.__exit__(None, None, None)


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest, both: Callable[[str], Engine]) -> Engine:
    """Each engine in turn."""
    return both(request.param)


def kind(engine: Engine) -> str:
    return "postgres" if isinstance(engine, PostgresEngine) else "duckdb"


def table(engine: Engine, name: str, sql: str, **more: Any) -> Version:
    """What a SELECT gives, as a registered dataset."""
    written = engine.write_table(name, sql, **more)
    version = Version(
        name, "table", "f", written.content, written.columns, written.files, written.rows,
        written.stats, relation=written.relation,
    )  # fmt: skip
    engine.register(name, version)
    return version


# --- tables ------------------------------------------------------------------------------------------


def test_rows_are_kept_and_read_by_name(engine: Engine) -> None:
    """What a SELECT gives can be read by its name, with columns, rows and counts of NULLs in the manifest."""
    version = table(engine, "t", "select 1 as id, 'a' as word union all select 2, null")
    assert [(c.name, c.type) for c in version.columns] == [("id", "INTEGER"), ("word", "VARCHAR")]
    assert version.rows == 2
    assert version.stats["word"].nulls == 1
    assert engine.fetch("select id, word from t order by id") == (["id", "word"], [(1, "a"), (2, None)])
    assert engine.fetch("select * from t order by id", limit=1)[1] == [(1, "a")]


CELLS = st.lists(st.tuples(st.integers(-3, 3) | st.none(), st.sampled_from(["", "a", 'q"', "NULL", None])))


@pytest.mark.parametrize("name", ENGINES)
@given(rows=CELLS, random=st.randoms(use_true_random=False))
@settings(max_examples=12)
def test_a_digest_is_of_the_multiset_of_rows(
    both: Callable[[str], Engine], name: str, rows: list[Any], random: Any
) -> None:
    """Order does not count; a row doubled, dropped, or with NULL for the empty text does."""
    engine = both(name)

    def digest(some: list[Any]) -> str:
        values = [
            f"select {'null' if i is None else i}::integer as i, "
            f"{'null' if w is None else repr(w) if w else chr(39) * 2}::varchar as w"
            for i, w in some
        ]
        return engine.write_table("d", " union all ".join([*values, "select 1, 'x' where false"])).content

    rows = rows[:6]
    other = list(rows)
    random.shuffle(other)
    assert digest(rows or [(0, "")]) == digest(other or [(0, "")])
    if rows:
        assert digest([*rows, rows[0]]) != digest(rows)
        assert digest([(9, None), *rows]) != digest([(9, ""), *rows])
        assert digest([(9, None), *rows]) != digest([(None, "9"), *rows])


def test_equal_tables_written_at_once_are_one(engine: Engine) -> None:
    """Threads that write equal rows at the same time, as parts of a matrix do, all get the same version."""
    found: list[Any] = []

    def write() -> None:
        try:
            found.append(engine.write_table("same", "select 7 as x, 'equal' as y").content)
        except Exception as error:  # noqa: BLE001 - it is what is looked for
            found.append(error)

    threads = [threading.Thread(target=write) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 6
    assert len(set(found)) == 1, found
    assert isinstance(found[0], str)


def test_types_and_names_are_part_of_the_digest(engine: Engine) -> None:
    """The same figures under another name or type are other content."""
    one, name, type_ = (
        engine.write_table("d", f"select {v} as {n}").content
        for v, n in (("1", "a"), ("1", "b"), ("1::bigint", "a"))
    )
    assert len({one, name, type_}) == 3


def test_digests_of_two_engines_never_meet(both: Callable[[str], Engine]) -> None:
    """Equal rows have another digest on every engine: nothing built by one is taken for the other's."""
    assert len({both(n).write_table("d", "select 1 as a").content for n in ENGINES}) == 2


def test_parameters_are_values(engine: Engine) -> None:
    """What is given as a parameter is a value, whatever it looks like; a missing one is refused."""
    given: dict[str, Any] = {"word": "x'); drop table t; --", "n": -3, "ratio": 0.1, "flag": None}
    given |= {"day": date(2024, 2, 29), "exact": Decimal("1.10")}
    sql = "select $word as word, $n as n, $ratio as ratio, $flag as flag, $day as day, $exact as exact, "
    sql += "'$n' as t"
    assert engine.parameters(sql) == set(given)
    _, rows = engine.fetch(sql, params=given)
    assert rows == [(*given.values(), "$n")]
    assert engine.write_table("d", sql, params=given).rows == 1
    with pytest.raises(SqlError):
        engine.fetch("select $nothing as x")


TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=12)
VALUES = (
    TEXTS | st.integers(-(2**62), 2**62) | st.floats(allow_nan=False) | st.booleans() | st.none()
    | st.dates() | st.datetimes() | st.decimals(-(10**9), 10**9, allow_nan=False, places=4)
)  # fmt: skip


@pytest.mark.parametrize("name", ENGINES)
@given(values=st.lists(VALUES, min_size=1, max_size=6))
@settings(max_examples=25)
def test_any_value_comes_back_as_it_was_given(
    both: Callable[[str], Engine], name: str, values: list[Any]
) -> None:
    """Whatever a parameter holds, the engine reads the same value: nothing of it becomes code."""
    given_ = {f"p{number}": value for number, value in enumerate(values)}
    sql = "select " + ", ".join(f"${p} as {p} /* $p0 */" for p in given_) + " -- '$p0'"
    assert both(name).fetch(sql, params=given_)[1] == [tuple(values)]


def test_inputs_are_bound_by_name(engine: Engine) -> None:
    """Inputs stand for their versions, whatever is registered under their names; own CTEs come first."""
    one = table(engine, "one", "select 1 as x")
    table(engine, "two", "select 2 as x")
    wrong = {"two": one}
    assert rows_of(engine, engine.write_table("d", "select * from two", inputs=wrong)) == [(1,)]
    own = "with two as (select 7 as x) select * from two"
    assert rows_of(engine, engine.write_table("d", own, inputs=wrong)) == [(7,)]


ODD = ("order", "select", "user", "q", "pg_class", "pg_odd", "v", "t_1", "row", "public", "x" * 63)


@pytest.mark.parametrize("name", ODD)
def test_datasets_may_be_called_anything_that_names_allow(engine: Engine, name: str) -> None:
    """Keywords, tables of the server and our own aliases are names of datasets like others."""
    version = table(engine, name, "select 5 as x")
    sql = f'select x from "{name}"'
    assert engine.fetch(sql)[1] == [(5,)]
    assert rows_of(engine, engine.write_table("d", sql, inputs={name: version})) == [(5,)]
    view = engine.make_view("d", sql, {name: version})
    engine.register("seen", view)
    assert engine.fetch("select x from seen")[1] == [(5,)]
    assert judged(engine, [make_test("unique", name, columns=["x"])], {name: version})[0].state == "passed"


def rows_of(engine: Engine, written: Any) -> list[Any]:
    version = Version(
        "w", "table", "f", written.content, written.columns, written.files, relation=written.relation
    )
    engine.register("w", version)
    return engine.fetch("select * from w")[1]


def test_views_store_nothing_and_follow_their_inputs(engine: Engine) -> None:
    """A view is its text over the versions of its inputs, also when these are views."""
    base = table(engine, "base", "select 3 as x union all select 4")
    view = engine.make_view("v", "select sum(x)::bigint as s from base where x >= $least", {"base": base},
                            params={"least": 4})  # fmt: skip
    engine.register("v", view)
    upper = engine.make_view("u", "select s * 10 as s from v -- end", {"v": view})
    engine.register("base", table(engine, "other", "select 100 as x"))
    engine.register("u", upper)
    assert [(c.name, c.type) for c in view.columns] == [("s", "BIGINT")]
    assert (view.rows, view.files, view.relation) == (None, (), None)
    assert engine.fetch("select s from u")[1] == [(40,)]


def test_columns_are_told_without_running(engine: Engine) -> None:
    """The columns of a SELECT are known before it runs, in the same words on every engine."""
    sql = """select 1 as i, 1::bigint as b, 1::smallint as s, 1.5::numeric(9,2) as d,
             1::double precision as f, 1::real as r, 'x' as t, true as y, date '2024-01-01' as day,
             timestamp '2024-01-01 00:00:00' as at,
             '2024-01-01 00:00:00+00'::timestamptz as z, time '10:00' as clock, 'a'::bytea as raw,
             '00000000-0000-0000-0000-000000000001'::uuid as id, interval '1 day' as span"""
    assert [c.type for c in engine.describe(sql)] == [
        "INTEGER", "BIGINT", "SMALLINT", "DECIMAL(9,2)", "DOUBLE", "FLOAT", "VARCHAR", "BOOLEAN", "DATE",
        "TIMESTAMP", "TIMESTAMP WITH TIME ZONE", "TIME", "BLOB", "UUID", "INTERVAL",
    ]  # fmt: skip


def test_parts_of_a_matrix_become_one_table(engine: Engine) -> None:
    """Joined versions have the digest of all their rows together."""
    parts = [table(engine, f"p{n}", f"select {n} as x, 'w' as w") for n in range(3)]
    joined = engine.join("all", parts)
    union = " union all ".join(f"select {n} as x, 'w' as w" for n in (2, 0, 1))
    assert (joined.content, joined.rows) == (engine.write_table("all", union).content, 3)


# --- files -------------------------------------------------------------------------------------------

CSV = (
    "id,amount,day,at,flag,word\n"
    '1,10.50,2024-02-29,2024-02-29 10:00:00,true,"a, ""b"""\n'
    "2,-0.25,1999-12-31,1999-12-31 23:59:59.5,false,\n"
    '3,,,,,"line\nbreak"\n4,0.00,2024-01-01,2024-01-01 00:00:00,true,"é😀\\N"\n'
)


def test_files_of_a_source_are_loaded_alike(engine: Engine, tmp_path: Path) -> None:
    """A CSV gives the same columns and rows on every engine: quotes, line breaks, NULL, Unicode."""
    (tmp_path / "a.csv").write_text(CSV, encoding="utf-8")
    config = {"file": "a.csv", "options": {"types": {"amount": "DECIMAL(9,2)"}}}
    written = engine.import_file(config, [tmp_path / "a.csv"], dataset="a")
    assert [c.type for c in written.columns] == [
        "BIGINT", "DECIMAL(9,2)", "DATE", "TIMESTAMP", "BOOLEAN", "VARCHAR",
    ]  # fmt: skip
    assert sorted(rows_of(engine, written), key=str) == [
        (1, Decimal("10.50"), date(2024, 2, 29), datetime(2024, 2, 29, 10), True, 'a, "b"'),
        (2, Decimal("-0.25"), date(1999, 12, 31), datetime(1999, 12, 31, 23, 59, 59, 500000), False, None),
        (3, None, None, None, None, "line\nbreak"),
        (4, Decimal("0.00"), date(2024, 1, 1), datetime(2024, 1, 1), True, "é😀\\N"),
    ]


def test_a_broken_file_is_told_by_its_line(engine: Engine, tmp_path: Path) -> None:
    """A line with too many fields is refused, and named."""
    (tmp_path / "a.csv").write_text("a,b\n1,2\n3,4,5\n", encoding="utf-8")
    with pytest.raises(SqlError, match=r"line 3 of a\.csv has 3 fields"):
        engine.import_file({"file": "a.csv"}, [tmp_path / "a.csv"], dataset="a")


EVERY_TYPE = """
select 1::tinyint as a, (-32768)::smallint as b, 2147483647 as c, -9223372036854775808 as d,
  18446744073709551615::ubigint as e, 0.1::float as f, 1e300::double as g, 123456789.12::decimal(20,2) as h,
  '' as i, true as j, date '0044-03-15' as k, time '23:59:59.5' as l,
  timestamp '2013-11-03 01:30:00.123456' as m,
  timestamptz '2013-11-03 01:30:00-05' as n, '\\x00\\xFF'::blob as o,
  '00000000-0000-0000-0000-000000000001'::uuid as p,
  interval '14 months 3 days 02:00:00' as q, 'NULL' as r, '\\N' as s, 'a"b,c' as t
union all select {nulls}
"""


def test_parquet_of_every_type_comes_back_from_a_process_as_it_went(engine: Engine, tmp_path: Path) -> None:
    """A node's Parquet is kept and exported for the next node without a value being changed."""
    source = tmp_path / "in.parquet"
    sql = EVERY_TYPE.replace("{nulls}", ", ".join(["null"] * 20))
    with duckdb.connect() as plain:
        plain.execute("SET TimeZone = 'UTC'")
        plain.execute(f"copy ({sql}) to '{source}' (format parquet)")
        wanted = plain.execute(f"select * replace (n::varchar as n) from '{source}'").fetchall()
    written = engine.import_parquet(source, dataset="d")
    version = Version(
        "d", "table", "f", written.content, written.columns, written.files, relation=written.relation
    )
    engine.register("d", version)
    view = engine.make_view("dv", "select * from d", {"d": version})
    for exported in (version, view):
        if exported.files:
            continue
        (path,) = engine.export("dv", exported)
        with duckdb.connect() as plain:
            plain.execute("SET TimeZone = 'UTC'")
            got = plain.execute(f"select * replace (n::varchar as n) from '{path}'").fetchall()
        assert got == [tuple(map(_plain, row)) for row in wanted]


def _plain(value: Any) -> Any:
    return Decimal(value) if value == 18446744073709551615 else value


def test_what_is_no_parquet_is_refused(engine: Engine, tmp_path: Path) -> None:
    """A node that wrote something else under the name is told so."""
    (tmp_path / "x.parquet").write_text("hello")
    with pytest.raises(ValueError, match=r"."):
        engine.import_parquet(tmp_path / "x.parquet", dataset="d")


# --- what users may not ----------------------------------------------------------------------------------

NEVER = [
    "", "-- nothing", ";", "select 1; select 2", "select 1 as a) as q; drop schema public; --",
    "create table x as select 1", "drop table t", "insert into t values (1)", "copy (select 1) to '/tmp/x'",
    "with x as (insert into t values (1) returning *) select * from x", "set threads = 1", "begin",
    "select 1 /* */ ; /* ; */ drop table t --", "select * from pg_catalog.pg_authid", "call f()",
    "select * from information_schema.tables; select 1", "explain select 1", "select 1 \0", "select '\ud800'",
]  # fmt: skip


@pytest.mark.parametrize("sql", NEVER, ids=range(len(NEVER)))
def test_only_one_select_is_run(engine: Engine, sql: str) -> None:
    """Whatever is not one SELECT over datasets is refused in words."""
    for attempt in (lambda: engine.write_table("d", sql), lambda: engine.fetch(sql)):
        with pytest.raises(SqlError):
            attempt()


@pytest.mark.parametrize("sql", ["select 1 as a;", "select 1 as a -- ; end", "(select 1 as a)"])
def test_ends_of_statements_are_free(engine: Engine, sql: str) -> None:
    """A semicolon or a comment at the end is fine."""
    assert engine.write_table("d", sql).rows == 1


def test_an_error_names_the_line_of_the_user(engine: Engine) -> None:
    """Lines count from the first of the user's text."""
    table(engine, "t", "select 'a' as x")
    for sql in ["select 1,\n\n nosuch from t", "select 1,\n2,\n nosuch(1)"]:
        with pytest.raises(SqlError) as raised:
            engine.write_table("d", sql)
        assert raised.value.line == 3, sql
        assert "nosuch" in raised.value.message


def test_two_columns_of_one_name_are_refused(engine: Engine) -> None:
    """A table whose columns could not be told apart is not written."""
    with pytest.raises(SqlError):
        engine.write_table("d", "select 1 as a, 2 as a")
    with pytest.raises(SqlError):
        engine.make_view("d", "select 1 as a, 2 as a", {})


def test_a_table_in_place_needs_a_warehouse(both: Callable[[str], Engine]) -> None:
    """DuckDB has no table in place, and says what to do."""
    with pytest.raises(Mistake, match="needs a warehouse"):
        both("duckdb").import_table("d", {"table": "a.b"})


SLOW = {
    "duckdb": "select sum(a.range * b.range % 7) as s from range(1000000) a, range(1000000) b",
    "postgres": "select sum(a * b % 7) as s from generate_series(1, 999999) a, generate_series(1, 999999) b",
}


def test_an_interrupt_ends_that_statement_alone(engine: Engine) -> None:
    """A statement that is interrupted ends at once with Interrupted; another cursor's goes on."""
    ended: list[Exception] = []
    cursor = engine.cursor()
    begun = threading.Event()

    def work() -> None:
        nonlocal cursor
        cursor = engine.cursor()
        begun.set()
        try:
            engine.write_table("slow", SLOW[kind(engine)], cursor=cursor)
        except (Interrupted, SqlError) as error:
            ended.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    assert begun.wait(30)
    for _ in range(300):
        engine.interrupt(cursor)
        thread.join(0.1)
        if not thread.is_alive():
            break
    assert not thread.is_alive()
    assert isinstance(ended[0], Interrupted)
    assert engine.fetch("select 1 as a")[1] == [(1,)]


# --- tests on data -----------------------------------------------------------------------------------------


def judged(
    engine: Engine, tests: list[TestSpec], versions: dict[str, Version], **more: Any
) -> list[TestResult]:
    """The planner's results, which must equal those of one plain query for each question."""
    cursor = engine.cursor()
    together = judge(tests, versions, cursor, now=NOW, **more)
    singly = judge_singly(tests, versions, cursor, now=NOW, **more)
    assert [told(r) for r in together] == [told(r) for r in singly]
    return together


ONLY = {"with x as (select * from t) from x where minutes > 200 -- long": "with x as (select * from t) "
        "select * from x where minutes > 200 -- long"}  # fmt: skip


def test_every_kind_of_test_says_the_same_on_every_engine(engine: Engine) -> None:
    """Each case of every kind gives the state, the texts and the failing rows that it gives on DuckDB."""
    flights = FLIGHTS.replace("::DOUBLE", "::DOUBLE PRECISION")
    versions = {"t": table(engine, "t", flights), "planes": table(engine, "planes", PLANES)}
    for kind_, args, state, observed, expected, failing in CASES:
        given_ = {**args, "sql": ONLY.get(args["sql"], args["sql"])} if "sql" in args else args
        (result,) = judged(engine, [make_test(kind_, **given_)], versions)
        assert (result.state, result.expected, result.failing) == (state, expected, failing), result
        assert result.observed.lower().startswith(observed.lower()), result
        if state == "failed" and result.failing and kind_ != "unique":
            assert len(engine.fetch(result.reproduce)[1]) == result.failing
        if failing and state == "failed":
            assert result.sample, result
    tests = [
        make_test(k, **{**a, **({"sql": ONLY[a["sql"]]} if a.get("sql") in ONLY else {})})
        for k, a, *_ in CASES
    ]
    assert [r.state for r in judged(engine, tests, versions)] == [c[2] for c in CASES]


def test_an_empty_table_fails_nothing_but_rows_and_freshness(engine: Engine) -> None:
    """Without rows no row can fail, on any engine."""
    flights = FLIGHTS.replace("::DOUBLE", "::DOUBLE PRECISION")
    versions = {"t": table(engine, "t", f"{flights} WHERE FALSE"), "planes": table(engine, "planes", PLANES)}
    results = judged(engine, [make_test(k, **a) for k, a in EMPTY_PASSES], versions)
    assert {r.state for r in results} == {TestState.PASSED}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_and_values_stay_names_and_values(engine: Engine, name: str) -> None:
    """Quotes, comments, line breaks and Unicode in columns and values change no judgement."""
    quoted = '"' + name.replace('"', '""') + '"'
    text = "'" + name.replace("'", "''") + "'"
    versions = {
        "t": table(engine, "t", f"SELECT {text} AS {quoted} UNION ALL SELECT 'other'"),
        "u": table(engine, "u", f"SELECT {text} AS k"),
    }
    results = judged(
        engine,
        [
            make_test("not_null", column=name),
            make_test("unique", columns=[name]),
            make_test("accepted_values", column=name, values=[name]),
            make_test("relationships", columns=[name], to_dataset="u", to_columns=["k"]),
            make_test("range", column=name, min=0),
        ],
        versions,
        keys={"t": [name]},
    )
    assert [r.failing for r in results] == [0, 0, 1, 1, None]
    assert results[2].sample == ({name: "other"},)
    assert results[4].state is TestState.ERROR


def test_moments_with_a_zone_are_compared(engine: Engine) -> None:
    """A test of values compares moments whatever zone they were written in."""
    versions = {"t": table(engine, "t", "select timestamptz '2024-03-10 12:00:00+01' as moment")}
    results = judged(
        engine,
        [
            make_test("equal", value="max(moment)", to="select timestamptz '2024-03-10 11:00:00+00'"),
            make_test("value", sql="max(moment)", min="2024-03-10T11:00:00Z", max="2024-03-10T11:00:01Z"),
            make_test("range", column="moment", max="2024-03-10T10:59:59Z"),
            make_test("freshness", column="moment", max_age=7200),
        ],
        versions,
    )
    assert [r.state for r in results] == [
        TestState.PASSED, TestState.PASSED, TestState.FAILED, TestState.PASSED
    ]  # fmt: skip


def test_views_are_judged_like_tables(engine: Engine) -> None:
    """A dataset that is a view has no row count in its manifest, and is asked."""
    base = table(engine, "base", "select 1 as x union all select 1")
    view = engine.make_view("t", "select * from base", {"base": base})
    engine.register("t", view)
    results = judged(engine, [make_test("rows", min=2), make_test("unique", columns=["x"])], {"t": view})
    assert [r.state for r in results] == [TestState.PASSED, TestState.FAILED]


def test_a_mistake_in_a_test_is_its_own_error(engine: Engine) -> None:
    """SQL that fails is an error of its test, with the engine's reason, and spoils no other test."""
    versions = {"t": table(engine, "t", "select 1 as x")}
    wrong, right = judged(
        engine,
        [make_test("equal", value="sum(nosuch)", to=1), make_test("equal", value="sum(x)", to=1)],
        versions,
    )
    assert (wrong.state, right.state) == (TestState.ERROR, TestState.PASSED)
    assert "nosuch" in wrong.message
    (writes,) = judged(engine, [make_test("no_rows", sql="delete from t")], versions)
    assert writes.state is TestState.ERROR


def test_versions_of_a_sandbox_are_no_environments_tables(both: Callable[[str], Engine]) -> None:
    """On a warehouse the same content has another table in every zone."""
    engine = both("postgres")
    assert isinstance(engine, PostgresEngine)
    relations = engine.relations
    other = Relations(relations.warehouse, namespace="k_y_1", zone="sandbox")
    third = replace_namespace(other, "k_z_2")
    names = {r.name("d", "c") for r in (relations, other, third)}
    assert len(names) == 3
    assert all(len(n) < 63 for n in names)
    assert other.zones == (other.zone, relations.zone)
    assert relations.zones == (relations.zone,)


def replace_namespace(relations: Relations, namespace: str) -> Relations:
    return Relations(relations.warehouse, namespace=namespace, zone="sandbox")
