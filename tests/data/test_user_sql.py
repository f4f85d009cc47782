"""What user SQL may do: read datasets by name in one SELECT, and nothing else."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from gitkitchen.data.engines.duckdb import Engine, Interrupted, SqlError
from gitkitchen.data.manifest import version_from_json, version_to_json
from gitkitchen.data.store import FolderStore
from gitkitchen.errors import Infrastructure
from gitkitchen.model import Column, Materialize, Version


@pytest.fixture
def engine(store: FolderStore) -> Iterator[Engine]:
    with Engine(store, threads=2) as made:
        yield made


def table(engine: Engine, name: str, sql: str) -> Version:
    """A registered dataset of what ``sql`` gives."""
    written = engine.write_table(name, sql)
    version = Version(
        name, "table", "f", written.content, written.columns, written.files, written.rows, written.stats
    )
    engine.register(name, version)
    return version


READS_OUTSIDE = [
    "select * from read_text('/proc/self/environ')",
    "from '/proc/self/environ'",
    "from read_csv('/etc/passwd')",
    "from '/etc/passwd.csv'",
    "select * from glob('/etc/*')",
    "select * from sniff_csv('/etc/passwd')",
    "select * from \"READ_blob\"('/etc/passwd')",
    "select * from query('select * from read_text(''/proc/self/environ'')')",
    "from json_execute_serialized_sql(json_serialize_sql('from read_text(''/etc/passwd'')'))",
    "from read_csv('https://example.org/a.csv')",
    "from read_parquet('s3://bucket/a.parquet')",
    "select * from read_duckdb('/etc/passwd')",
    "select * from arrow_scan(1, 2, 3)",
    "select (select max(content) from read_text('/etc/passwd')) as hidden",
    "with a as (select * from read_text('/etc/hostname')) select * from a",
]
OTHER_STATEMENTS = [
    "copy (select 1) to '{out}'",
    "attach '{out}'",
    "pragma version",
    "call pragma_version()",
    "set threads = 1",
    "reset threads",
    "load httpfs",
    "install httpfs",
    "create table t as select 1",
    "explain select 1",
    "select 1; select 2",
    "select 1; copy (select 1) to '{out}'",
    "/* select 1 */ copy (select 1) to '{out}'",
    "select 1) to '{out}'; --",
    "select 1\n) to '{out}' (format csv) --",
    "select 1 /* */ ; /* ; */ attach '{out}' --",
    "with x as (insert into t values (1) returning *) select * from x",
    "select '\\'; attach '{out}'; --'",
    "prepare p as select 1",
    "pivot range(3) on range",
    "",
    "-- nothing",
    ";",
    "select 1 \0",
    "select '\ud800'",
]


@pytest.mark.parametrize("sql", READS_OUTSIDE)
def test_sql_reads_nothing_outside_the_store(engine: Engine, sql: str) -> None:
    """No file, environment or address can be read, by whatever function or trick."""
    with pytest.raises(SqlError):
        engine.write_table("d", sql)
    with pytest.raises(SqlError):
        engine.fetch(sql)


BEHIND_THE_GATE = [s for s in READS_OUTSIDE if not any(w in s for w in ("serialized", "query(", "arrow"))]


@pytest.mark.parametrize("sql", BEHIND_THE_GATE)
def test_the_engine_itself_is_locked(engine: Engine, sql: str) -> None:
    """Behind the gate stands a wall: the same statements fail or find nothing on a bare cursor."""
    import duckdb

    with pytest.raises(duckdb.Error):
        engine.cursor().execute(sql).fetchall()


@pytest.mark.parametrize("sql", OTHER_STATEMENTS)
def test_only_one_select_is_run(engine: Engine, tmp_path: Path, sql: str) -> None:
    """Comments, quotes and brackets hide no second statement, and nothing is written anywhere."""
    out = tmp_path / "stolen.csv"
    with pytest.raises(SqlError):
        engine.write_table("d", sql.replace("{out}", str(out)))
    assert not out.exists()
    assert not [p for p in engine.store.root.rglob("*") if p.is_file()]


@pytest.mark.parametrize("name", ["threads", "allowed_directories", "lock_configuration", "TimeZone"])
def test_settings_are_locked(engine: Engine, name: str) -> None:
    """Not even a bare cursor can change a setting."""
    import duckdb

    with pytest.raises(duckdb.InvalidInputException, match="locked"):
        engine.cursor().execute(f"SET {name} = NULL")


def test_variables_of_python_are_no_tables(engine: Engine) -> None:
    """A name never stands for a Python object that happens to have it."""
    import pyarrow as pa

    found = pa.table({"a": [1]})
    with pytest.raises(SqlError, match="found does not exist"):
        engine.fetch("select * from found")
    assert found.num_rows == 1


@pytest.mark.parametrize(
    "sql", ["select 1 as a;", "select 1 as a -- ; end", "select 1 as a ; /* x */ ;\n--;", "(select 1 as a)"]
)
def test_ends_of_statements_are_free(engine: Engine, sql: str) -> None:
    """A semicolon or a comment at the end is fine, as in any SQL prompt."""
    written = engine.write_table("d", sql)
    assert (written.rows, written.columns) == (1, (Column("a", "INTEGER"),))


def test_words_that_only_look_dangerous_are_free(engine: Engine) -> None:
    """Columns and texts may be called like functions that are refused."""
    table(engine, "orders", "select 1 as query, 'delete; insert' as \"update\"")
    names, rows = engine.fetch("select query, \"update\", 'a.b' glob 'a*' as glob from orders")
    assert (names, rows) == (["query", "update", "glob"], [(1, "delete; insert", True)])


def test_an_error_names_the_line_of_the_user(engine: Engine) -> None:
    """Lines count from the first of the user's text, in parsing, binding and running."""
    for sql in [
        "select 1,\n  fro m\nwhere where",
        "select 1,\n\n nosuch",
        "select\n 1,\n x::int from (select 'a' x)",
    ]:
        with pytest.raises(SqlError) as raised:
            engine.write_table("d", sql)
        assert raised.value.line == 3, sql
        assert "LINE" not in raised.value.message


def test_inputs_need_no_view(engine: Engine) -> None:
    """Names given as inputs shadow nothing that the query defines, and cost no view."""
    one = table(engine, "one", "select 1 as x union all select 2")
    for sql in [
        "select x from one",
        "with one as (select x from one where x < 9) select * from one",
        "from one",
    ]:
        assert engine.write_table("d", sql, inputs={"one": one}).content == one.content
    with pytest.raises(SqlError) as raised:
        engine.write_table("d", "select\n y from one", inputs={"one": one})
    assert raised.value.line == 2


def test_columns_that_fold_are_refused(engine: Engine) -> None:
    """Two columns whose names differ in case alone, or not at all, are refused with both names."""
    for sql in ["select 1 as a, 2 as A", 'select 1 as "Größe", 2 as "größe"', "select 1 as a, 2 as a"]:
        with pytest.raises(SqlError, match="rename one"):
            engine.write_table("d", sql)
    assert engine.write_table("d", 'select 1 as "a_1", 2 as "É", 3 as "é"').rows == 1


def test_whole_numbers_stay_whole(engine: Engine) -> None:
    """A sum of integers stays exact: Parquet has no 128-bit integers, and floats would round."""
    written = engine.write_table("d", "select sum(i) as s, [sum(i)] as l from (select 9007199254740993 as i)")
    assert written.columns == (Column("s", "BIGINT"), Column("l", "BIGINT[]"))
    assert written.stats["s"].maximum == "9007199254740993"
    assert (
        engine.write_table("d", "select x + 1 as y from (select factorial(5) as x)").columns[0].type
        == "BIGINT"
    )
    with pytest.raises(SqlError, match="out of range"):
        engine.write_table("d", "select sum(i) as s from (select 9223372036854775807 as i from range(2))")


def test_times_with_a_zone_are_utc(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """The machine's time zone changes no text and no day of a time with a zone."""
    monkeypatch.setenv("TZ", "Pacific/Apia")
    with Engine(engine.store) as other:
        for one in (engine, other):
            sql = "select t::varchar, t::date::varchar from (select '2024-03-10 23:30:00+00'::timestamptz t)"
            assert one.fetch(sql)[1] == [("2024-03-10 23:30:00+00", "2024-03-10")]


def test_parameters_are_values(engine: Engine) -> None:
    """A value never becomes SQL, neither in a table, nor in a view, nor in partitions."""
    evil = "'); drop table x; --"
    assert engine.write_table("d", "select $a as x", params={"a": evil}).stats["x"].maximum == evil
    view = engine.make_view("v", "select $a as x -- $a", {}, params={"a": evil})
    engine.register("v", view)
    assert engine.fetch("select x from v")[1] == [(evil,)]
    parts = engine.write_table(
        "d", "select $a as x", params={"a": evil}, partitions=Materialize("partitions", "x")
    )
    assert [f.partition for f in parts.files] == [{"x": evil}]


def test_the_engine_s_advice_is_kept(engine: Engine) -> None:
    """A message of several lines is told whole on one line; of many candidates the first few are named."""
    table(engine, "t", "select 1 as amount, 'x' as label")
    with pytest.raises(SqlError) as near:
        engine.fetch("select\n  labl\nfrom t")
    assert near.value.line == 2
    assert near.value.message.endswith('"labl" not found in FROM clause! Candidate bindings: "label"')
    with pytest.raises(SqlError) as many:
        engine.fetch("select sum(label) from t")
    assert "Candidate functions: sum(" in many.value.message
    assert "\n" not in many.value.message
    assert many.value.message.count("->") == 4
    assert many.value.message.endswith(" more")


def test_partitions_keep_their_values(engine: Engine) -> None:
    """Each value has a file of its own, NULL and no text too; the digest is the whole table's."""
    sql = "select * from (values (1, 'a/b=c'), (2, NULL), (3, 'é %'), (4, 'a/b=c'), (5, '')) t(i, \"p q\")"
    how = Materialize("partitions", "p q")
    written = engine.write_table("d", sql, partitions=how)
    rows = {f.partition["p q"]: f.rows for f in written.files}
    assert rows == {None: 1, "": 1, "a/b=c": 2, "é %": 1}
    version = Version("d", "table", "f", written.content, written.columns, written.files, 5)
    assert version_from_json(json.loads(json.dumps(version_to_json(version)))) == version
    assert written.content == engine.write_table("d", sql).content


def test_partitions_by_period_and_without_rows(engine: Engine) -> None:
    """A grain cuts time into periods; no row at all still gives a file with the columns."""
    sql = "select date '2024-01-30' + i::int as day, i from range({}) t(i)"
    how = Materialize("partitions", "day", "month")
    months = engine.write_table("d", sql.format(5), partitions=how)
    assert [f.partition["day"][:7] for f in months.files] == ["2024-01", "2024-02"]
    none = engine.write_table("d", sql.format(0), partitions=how)
    assert (none.rows, len(none.files), [c.name for c in none.columns]) == (0, 1, ["day", "i"])
    version = Version("e", "table", "f", none.content, none.columns, none.files, 0)
    engine.register("e", version)
    assert engine.fetch("select * from e") == (["day", "i"], [])


def test_an_interrupt_stops_its_own_statement(engine: Engine) -> None:
    """The statement of the cursor ends with Interrupted; one on another cursor goes on."""
    mine, other = engine.cursor(), engine.cursor()
    done: list[int] = []
    thread = threading.Thread(
        target=lambda: done.append(
            other.execute("select count(*) from range(30000000) t(i) where hash(i) % 7 = 1").rowcount
        )
    )
    timer = threading.Timer(0.3, engine.interrupt, [mine])
    thread.start()
    timer.start()
    with pytest.raises(Interrupted):
        engine.write_table(
            "d",
            "select count(*) from range(100000000) a(i), range(100000) b(j) where hash(i + j) = 1",
            cursor=mine,
        )
    thread.join()
    assert done
    assert not list((engine.store.root / "tmp").glob("*.parquet"))


def test_a_store_that_cannot_be_written_is_infrastructure(tmp_path: Path) -> None:
    """A store whose place is taken by a file is named, with the reason and what to do."""
    (tmp_path / "store").write_text("a file")
    with pytest.raises(
        Infrastructure, match=r"the store .*store cannot be written: .*; run the same command"
    ):
        Engine(FolderStore(tmp_path / "store", namespace="k", zone="trusted"))
