"""The bench's generators make what they say, and its statistics are right."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import duckdb
import pytest
import yaml
from benchmarks.context import Context, Promise, Section, Table
from benchmarks.harness import Contestant, Failed, Stage, compete, measure
from benchmarks.report import grid, markdown
from benchmarks.stats import median, paired_excess, paired_ratio, spread
from hypothesis import given
from hypothesis import strategies as st

from benchmarks import generators as make
from benchmarks import projects, rivals, server, sixty
from benchmarks import warehouse as warehouse_section

SHAPES = {
    "chain": make.chain(30),
    "fan": make.fan(30),
    "layers": make.layers(30, 6),
    "warehouse": make.warehouse(30, 50, 6),
}


def depth(models: list[make.Model]) -> int:
    """The number of models on the longest path."""
    found: dict[str, int] = {}
    for model in models:
        found[model.name] = 1 + max((found[n] for n in model.needs), default=0)
    return max(found.values())


@pytest.mark.parametrize("shape", SHAPES)
def test_models_stand_after_what_they_read_and_duckdb_runs_them(shape: str) -> None:
    """Every model reads only earlier ones, and all statements run in the order given."""
    models = SHAPES[shape]
    with duckdb.connect() as connection:
        for number, model in enumerate(models):
            assert set(model.needs) <= {m.name for m in models[:number]}
            connection.execute(f"CREATE TABLE {model.name} AS {model.sql}")
        last = connection.execute(f"SELECT count(*), count(DISTINCT id) FROM {models[-1].name}").fetchall()
    assert last == ([(50, 50)] if shape == "warehouse" else [(1, 1)])


def test_the_graphs_have_the_shape_that_they_are_named_for() -> None:
    """A chain is as deep as it is long, a fan is two deep, layers are as deep as there are layers."""
    assert {name: depth(models) for name, models in SHAPES.items()} == {
        "chain": 30,
        "fan": 2,
        "layers": 5,
        "warehouse": 5,
    }
    assert all(m.needs == (make.name(0),) for m in SHAPES["fan"][1:])
    assert Counter(len(m.needs) for m in SHAPES["layers"]) == {0: 6, 2: 24}


def test_a_recipe_is_yaml_with_one_node_a_model_and_tests_on_the_last() -> None:
    """The written recipe parses to the wanted nodes; without files the SQL stands in it as text."""
    models = SHAPES["warehouse"]
    recipe = yaml.safe_load(make.recipe_yml(make.sql_nodes(models, files=False)))
    assert (recipe["version"], recipe["recipe"]) == (1, make.RECIPE)
    assert {name: node["sql"] for name, node in recipe["nodes"].items()} == {m.name: m.sql for m in models}
    assert [name for name, node in recipe["nodes"].items() if "tests" in node] == [models[-1].name]
    assert yaml.safe_load(make.kitchen_yml())["environments"] == {"prod": {"branch": "main"}}


def test_no_op_recipes_have_one_tested_node_beside_the_no_ops() -> None:
    """A recipe of no-ops would test nothing and end with 4, so one tested node stands beside them."""
    nodes = yaml.safe_load(make.recipe_yml(make.noop_nodes(25)))["nodes"]
    assert sum(1 for node in nodes.values() if node == {"run": "true"}) == 25
    assert [name for name, node in nodes.items() if "tests" in node] == ["probe"]


def test_a_written_project_is_a_clean_commit_on_main(tmp_path: Path) -> None:
    """SQL files named by the recipe exist, and git sees nothing uncommitted."""
    models = SHAPES["chain"]
    nodes = make.sql_nodes(models, files=True)
    make.write_recipe(tmp_path, nodes, models)
    make.commit(tmp_path, "the recipe")
    folder = tmp_path / "recipes" / make.RECIPE
    assert [(folder / str(node["sql"])).read_text("utf-8").strip() for node in nodes.values()] == [
        m.sql for m in models
    ]
    status = subprocess.run(
        ["git", "status", "--porcelain", "--branch"], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert status.stdout.strip() == "## main"


def test_a_changed_leaf_means_something_else_and_keeps_its_columns() -> None:
    """The edit of the bench is a change of data and not of layout."""
    models = SHAPES["warehouse"]
    leaf = make.leaf(models)
    assert not any(leaf.name in m.needs for m in models)
    with duckdb.connect() as connection:
        for model in models:
            connection.execute(f"CREATE TABLE {model.name} AS {model.sql}")
        after = make.changed(leaf, 3)
        connection.execute(f"CREATE TABLE after AS {after.sql}")
        found = connection.execute(
            f"SELECT count(*), min(b.amount - a.amount), max(b.amount - a.amount) "
            f"FROM {leaf.name} AS a JOIN after AS b USING (id)"
        ).fetchall()
        columns = connection.execute("DESCRIBE after").fetchall()
    assert found == [(50, 3, 3)]
    assert [c[0] for c in columns] == ["id", "grp", "amount", "label"]
    assert after.needs == leaf.needs


def test_dbt_and_sqlmesh_get_the_same_models(tmp_path: Path) -> None:
    """In their projects only the names of inputs differ, written as each tool wants them."""
    models = SHAPES["warehouse"]
    projects.write_dbt(tmp_path / "dbt", models, 2)
    projects.write_sqlmesh(tmp_path / "sqlmesh", models, 2)
    for model in models:
        dbt = (tmp_path / "dbt" / "models" / f"{model.name}.sql").read_text("utf-8")
        mesh = (tmp_path / "sqlmesh" / "models" / f"{model.name}.sql").read_text("utf-8")
        assert dbt.replace("{{ ref('", "").replace("') }}", "").strip() == model.sql
        assert mesh.split(");\n", 1)[1].replace("bench.", "").strip() == model.sql
    schema = yaml.safe_load((tmp_path / "dbt" / "models" / "schema.yml").read_text("utf-8"))
    assert schema["models"][0]["columns"][0]["data_tests"] == ["not_null", "unique"]


ROWS = {"orders": 20_000, "customers": 200_000, "products": 1000, "countries": 520}
BROKEN = {
    "id": "CASE WHEN i > 0 THEN -(i // 2) END",
    "customer_id": "CASE WHEN i > 0 THEN -1 END",
    "product_id": "CASE WHEN i > 0 THEN -1 END",
    "status": "[NULL, ' unknown 1', '', 'paid'][1 + i % 4]",
    "country": "[NULL, 'XX', 'x yz'][1 + i % 3]",
    "amount": "CASE WHEN i % 4 <> 1 THEN -2e9 END",
    "quantity": "CASE WHEN i % 4 = 0 THEN -3 END",
    "price": "CASE WHEN i = 1 THEN NULL WHEN i % 2 = 0 THEN -5000::decimal(12, 3) ELSE 5000 END",
    "gift": "i % 2 = 0",
    "created": "CASE WHEN i > 0 THEN [timestamp '1990-01-01', '2003-01-01'][1 + i % 2] END",
    "day": "[date '1990-01-01', date '1999-01-01'][1 + i % 2]",
    "email": "[NULL, 'none', 'No One @example', 'test@example.com' || repeat('x', 80)][1 + i % 4]",
}
"""Orders with everything wrong that the sixty ask about, but for a truth value that is neither."""


@pytest.fixture(scope="module")
def orders() -> sixty.Sixty:
    """The sixty tests for 20,000 orders."""
    return sixty.load(sys.executable, ROWS["orders"])


def test_there_are_sixty_different_tests_in_the_words_of_a_recipe(orders: sixty.Sixty) -> None:
    """Each of the sixty is written as another test, with its severity's neighbours beside its kind."""
    written = [sixty.yaml_test(check) for check in orders.checks]
    assert len({json.dumps(test, sort_keys=True) for test in written}) == 60
    assert {"not_null": ["amount"], "tolerate": "5%"} in written
    assert {"unique": ["customer_id", "created"]} in written
    assert {"relationships": {"column": "customer_id", "to": "customers.id"}} in written
    assert {"range": {"column": "amount", "min": 0, "max": 10_000}, "where": "gift"} in written


def test_a_query_for_rivals_finds_nothing_in_good_data_and_something_in_bad(orders: sixty.Sixty) -> None:
    """What is given to a peer as a query can fail: on broken orders each of the sixty does."""
    missed = []
    with duckdb.connect() as connection:
        for name, sql in orders.tables.items():
            connection.execute(f"CREATE TABLE {name} AS {sql}")
        columns = ", ".join(f"{value} AS {name}" for name, value in BROKEN.items())
        connection.execute(f"CREATE TABLE broken AS SELECT {columns} FROM range(40) AS numbers(i)")
        for check in orders.checks:
            if check.share is None:  # tools tolerate a share by a setting of theirs beside the query
                assert connection.execute(rivals.query(check, ROWS, "orders")).fetchall() == [], check
            if not connection.execute(rivals.query(check, ROWS, "broken")).fetchall():
                missed.append(check)
    assert [c.args for c in missed] == [{"column": "gift", "values": [True, False]}]


def test_every_contestant_is_given_all_sixty(orders: sixty.Sixty, tmp_path: Path) -> None:
    """No test is lost on the way into dbt's, Soda's and Great Expectations' own words."""
    rivals.write_dbt(tmp_path / "dbt", orders, ROWS, tmp_path, 2)
    rivals.write_soda(tmp_path / "soda", orders, ROWS)
    source = json.loads((tmp_path / "dbt" / "models" / "sources.yml").read_text("utf-8"))["sources"][0]
    generic = [test for column in source["tables"][0]["columns"] for test in column["data_tests"]]
    singular = list((tmp_path / "dbt" / "tests").glob("*.sql"))
    assert len(generic) + len(singular) == 60
    assert len(singular) < 15
    soda = yaml.safe_load((tmp_path / "soda" / "checks.yml").read_text("utf-8"))["checks for orders"]
    assert len(soda) == 60
    assert sum(1 for check in soda if "failed rows" in check) < 15
    assert len(rivals.gx_expectations(orders, ROWS)) == 60


def test_the_median_is_the_middle_or_the_mean_of_the_two_middle_values() -> None:
    """Order does not matter, and nothing has no median."""
    assert median([3.0, 1.0, 2.0]) == 2.0
    assert median([4.0, 1.0, 2.0, 3.0]) == 2.5
    assert spread([2.0, 9.0, 4.0]) == (2.0, 9.0)
    with pytest.raises(ValueError, match="no value"):
        median([])


def test_a_paired_ratio_is_the_median_of_the_ratios_of_each_round() -> None:
    """One slow round of the machine slows both of a pair and leaves the ratio as it is."""
    assert paired_ratio([2.0, 20.0, 3.0], [1.0, 10.0, 1.0]) == 2.0
    assert paired_ratio([2.0, 9.0], [1.0]) == 2.0  # only rounds that both took part in count
    assert paired_excess([3.0, 5.0, 4.0], [1.0, 1.0, 1.0], 10) == pytest.approx(0.3)
    with pytest.raises(ValueError, match="no round"):
        paired_ratio([], [1.0])


@given(
    st.lists(st.tuples(st.floats(0.001, 1000), st.floats(0.001, 1000)), min_size=1, max_size=9),
    st.floats(0.01, 100),
)
def test_a_paired_ratio_scales_with_ours_and_turns_over(pairs: list[tuple[float, float]], by: float) -> None:
    """Twice the time is twice the ratio; it lies between the least and the greatest of the rounds."""
    ours, theirs = [a for a, _ in pairs], [b for _, b in pairs]
    ratio = paired_ratio(ours, theirs)
    assert paired_ratio([a * by for a in ours], theirs) == pytest.approx(ratio * by)
    low, high = spread([a / b for a, b in pairs])
    assert low <= ratio <= high


def test_contestants_take_turns_and_a_failing_one_is_named_and_left_out(tmp_path: Path) -> None:
    """Rounds are interleaved, the order turns, and a failure is told with its reason and no figures."""
    order: list[str] = []

    def one(name: str, code: int, rounds: int | None = None) -> Contestant:
        argv = (sys.executable, "-c", f"print('because of {name}'); raise SystemExit({code})")
        stage = Stage("only", argv, before=lambda: order.append(name))
        return Contestant(name, tmp_path, (stage,), rounds=rounds)

    told: list[str] = []
    series = compete([one("a", 0), one("b", 7), one("c", 0, rounds=1)], 2, tmp_path, told.append)
    assert order == ["a", "b", "c", "a"]
    assert [len(series.of(name, "only")) for name in "abc"] == [2, 0, 1]
    assert series.skipped == {"b": "exit code 7: because of b"}
    assert series.of("a", "only")[0].wall > 0
    assert series.peak("a", "only") > 2**20


def test_a_command_that_hangs_or_does_not_exist_is_a_reason_and_no_crash(tmp_path: Path) -> None:
    """Whatever a peer does, the bench goes on and says what happened."""
    with pytest.raises(Failed, match="not done in 0 s"):
        measure(["sleep", "30"], cwd=tmp_path, log=tmp_path / "log", timeout=0.3)
    with pytest.raises(Failed, match="cannot start nothing-like-this: No such file"):
        measure(["nothing-like-this"], cwd=tmp_path, log=tmp_path / "log")


def test_the_page_tells_a_missed_promise_and_who_was_left_out() -> None:
    """Bounds that are missed, peers that are missing and figures not taken are all visible."""
    table = Table("Models", ("", "wall s"), (("GitKitchen", "1.23"), ("a|b", "10.5")))
    promises = (
        Promise("a full run", 1.5, "times", 1.2),
        Promise("a leaf", 1.0, "s", 2.0),
        Promise("help", 0.2, "s", None),
    )
    section = Section("b", "Models", (table,), ("what is in it",), promises, {"dbt": "no network"}, {})
    page = markdown([section], {"cores": "2"}, {"dbt": {"dbt-core": "1.11"}}, quick=True)
    assert "| a full run |" in page
    assert "| met |" in " ".join(page.split())
    assert "**missed**" in page
    assert "not measured" in page
    assert "- dbt: no network" in page
    assert "rehearsal" in page
    assert grid(table).splitlines()[-1] == "| a\\|b       |   10.5 |"


def test_the_newest_server_is_taken_or_the_one_that_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of all that are installed the highest version, unless the variable names a folder; one without the
    programs is refused by its name."""
    for version in ("99.1", "9.6.24"):
        (tmp_path / version).mkdir()
        for program in ("initdb", "postgres"):
            script = tmp_path / version / program
            script.write_text(f"#!/bin/sh\necho 'postgres (PostgreSQL) {version} (Debian {version}-1)'\n")
            script.chmod(0o755)
    monkeypatch.delenv(server.NAMED, raising=False)
    monkeypatch.setenv("PATH", f"{tmp_path / '99.1'}:/usr/bin:/bin")
    assert server.programs() == tmp_path / "99.1"
    monkeypatch.setenv(server.NAMED, str(tmp_path / "9.6.24"))
    assert server.programs() == tmp_path / "9.6.24"
    monkeypatch.setenv(server.NAMED, str(tmp_path))
    with pytest.raises(Failed, match="GITKITCHEN_POSTGRES_BIN names no folder"):
        server.programs()


def test_a_section_without_a_server_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without PostgreSQL its promises stand as not measured, with the reason, and never as met."""

    def missing() -> Path:
        raise Failed("PostgreSQL (initdb, postgres) is not installed")

    monkeypatch.setattr(server, "programs", missing)
    context = Context(tmp_path, tmp_path, 1, True, False, lambda _: None)
    section = warehouse_section.run(context)
    assert [(p.measured, p.met) for p in section.promises] == [(None, None)] * 3
    assert "not installed" in markdown([section], {}, {}, quick=True)
