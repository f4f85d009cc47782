"""The main job through the command line: run, test, publish, fail, mend, on real git and DuckDB."""

from __future__ import annotations

import hashlib
import json

import duckdb
import pytest

from gitkitchen.cli.main import LATER
from shop import Shop

ORDERS = "order_id,country,amount\n1,DE,10.5\n2,FR,20\n3,DE,30\n"
RECIPE = """\
version: 1
recipe: sales
vars: {minimum: 0, extra: 0}
variations:
  big: {vars: {minimum: 15}}
nodes:
  orders:
    source: {file: orders.csv}
    key: [order_id]
  by_country:
    sql: by_country.sql
    with: {minimum: "${{ vars.minimum }}"}
    key: [country]
    tests:
      logic: [{equal: {value: sum(orders), to: select count(*) from orders}}]
  top:
    sql: select country, revenue from by_country order by revenue desc limit 1
    tests: [{rows: {equals: 1}}]
"""
SQL = """\
select country, count(*) as orders, sum(amount) as revenue
from orders
where amount >= $minimum
group by country
"""


@pytest.fixture
def sales(shop: Shop) -> Shop:
    shop.commit(
        {
            "recipes/sales/recipe.yml": RECIPE,
            "recipes/sales/by_country.sql": SQL,
            "recipes/sales/orders.csv": ORDERS,
        }
    )
    return shop


def consumed(shop: Shop) -> str:
    """A digest of everything that consumers of production read."""
    said = shop.cli("open", "--path", "--kitchen", "main")
    assert said.code == 0, said.err
    with duckdb.connect(said.out.strip(), read_only=True) as reader:
        names = [
            r[0]
            for r in reader.execute(
                "select view_name from duckdb_views() where not internal order by 1"
            ).fetchall()
        ]
        content = [(n, reader.execute(f'select * from "{n}" order by all').fetchall()) for n in names]
    return hashlib.sha256(repr(content).encode()).hexdigest()


def test_a_recipe_runs_is_tested_and_publishes(sales: Shop) -> None:
    """A green run publishes every dataset, and consumers read them by name."""
    said = sales.cli("run")
    assert said.code == 0, said.out + said.err
    assert sales.outcome()["publication"]["state"] == "published"
    assert sales.rows("select * from by_country order by country") == [
        {"country": "DE", "orders": 2, "revenue": 40.5},
        {"country": "FR", "orders": 1, "revenue": 20.0},
    ]


def test_an_unchanged_recipe_runs_nothing_and_stays_green(sales: Shop) -> None:
    """The second run reuses every node and every verdict, ends 0 and publishes nothing new."""
    assert sales.cli("run").code == 0
    again = sales.cli("run")
    assert again.code == 0, again.out
    assert set(sales.states().values()) == {"reused"}
    assert sales.outcome()["publication"]["state"] == "unchanged"
    assert all(t["reused"] for n in sales.outcome()["nodes"] for t in n["tests"])


def test_a_failing_stop_test_keeps_consumers_on_the_old_data(sales: Shop) -> None:
    """Exit 1, nothing that consumers read changes, and the candidate can be queried."""
    assert sales.cli("run").code == 0
    before = consumed(sales)
    sales.replace("recipes/sales/by_country.sql", "group by country", "group by country, amount")
    sales.commit()
    said = sales.cli("run")
    assert said.code == 1, said.out
    assert "by_country" in said.out
    assert consumed(sales) == before
    assert sales.states()["by_country"] == "failed"
    assert sales.states()["top"] == "blocked"
    assert sales.rows("select count(*) as n from by_country") == [{"n": 2}]
    assert sales.rows("select count(*) as n from by_country", "--candidate", "last") == [{"n": 3}]


def test_publication_succeeds_while_a_reader_holds_the_file_open(sales: Shop) -> None:
    """An open reader neither blocks a publication nor sees it; a new reader sees it."""
    assert sales.cli("run").code == 0
    path = sales.cli("open", "--path").out.strip()
    with duckdb.connect(path, read_only=True) as reader:
        old = reader.execute("select sum(revenue) from by_country").fetchone()
        sales.commit({"recipes/sales/orders.csv": ORDERS + "4,IT,100\n"})
        assert sales.cli("run").code == 0
        assert reader.execute("select sum(revenue) from by_country").fetchone() == old
    with duckdb.connect(path, read_only=True) as reader:
        assert reader.execute("select sum(revenue) from by_country").fetchone() == (160.5,)


def test_only_what_changed_is_built(sales: Shop) -> None:
    """A leaf's change builds the leaf; a variable builds the node given it and what really changes below."""
    assert sales.cli("run").code == 0
    sales.replace("recipes/sales/recipe.yml", "limit 1", "limit 1 offset 0")
    sales.commit()
    assert sales.cli("run").code == 0
    assert sales.states() == {"orders": "reused", "by_country": "reused", "top": "passed"}
    assert sales.cli("run", "--set", "minimum=1").code == 0
    assert sales.states() == {"orders": "reused", "by_country": "passed", "top": "reused"}


def test_a_source_that_is_fetched_again_and_equal_runs_nothing_below(sales: Shop) -> None:
    """Rows in another order are the same content: the source is loaded, nothing below runs."""
    assert sales.cli("run").code == 0
    sales.commit({"recipes/sales/orders.csv": "order_id,country,amount\n3,DE,30\n2,FR,20\n1,DE,10.5\n"})
    assert sales.cli("run").code == 0
    assert sales.states() == {"orders": "passed", "by_country": "reused", "top": "reused"}


def test_a_changed_test_is_the_only_thing_that_runs(sales: Shop) -> None:
    """A new limit re-tests its node and rebuilds nothing."""
    assert sales.cli("run").code == 0
    sales.replace("recipes/sales/recipe.yml", "{rows: {equals: 1}}", "{rows: {min: 1}}")
    sales.commit()
    assert sales.cli("run").code == 0
    assert set(sales.states().values()) == {"reused"}
    fresh = [t["id"] for n in sales.outcome()["nodes"] for t in n["tests"] if not t["reused"]]
    assert len(fresh) == 1
    assert "top" in fresh[0]


def test_a_branch_is_a_sandbox_that_starts_complete(sales: Shop) -> None:
    """A new branch reads production's data at once, builds only its change, and production never sees it."""
    assert sales.cli("run").code == 0
    before = consumed(sales)
    sales.git("checkout", "-q", "-b", "feature/Tax-&-'more'$(x)")
    assert sales.rows("select count(*) as n from by_country") == [{"n": 2}]
    sales.replace("recipes/sales/by_country.sql", "sum(amount)", "sum(amount * 1.2)")
    sales.commit()
    assert sales.cli("run").code == 0
    assert sales.states() == {"orders": "reused", "by_country": "passed", "top": "passed"}
    assert sales.rows("select revenue from top") == [{"revenue": pytest.approx(48.6)}]
    assert consumed(sales) == before
    assert sales.rows("select revenue from top", "--kitchen", "main") == [{"revenue": 40.5}]


def test_zero_tests_is_never_green(shop: Shop) -> None:
    """A recipe without a test ends with 4 and publishes nothing."""
    shop.commit(
        {"recipes/bare/recipe.yml": "version: 1\nrecipe: bare\nnodes:\n  one: {sql: select 1 as x}\n"}
    )
    said = shop.cli("run")
    assert said.code == 4, said.out
    assert shop.outcome()["publication"]["state"] == "withheld"
    assert shop.cli("open", "--path").code == 2


def test_an_uncommitted_change_never_reaches_an_environment(sales: Shop) -> None:
    """A dirty work tree runs and is tested, and production keeps what it has."""
    assert sales.cli("run").code == 0
    before = consumed(sales)
    sales.replace("recipes/sales/by_country.sql", "sum(amount)", "sum(amount) + 1")
    said = sales.cli("run")
    assert said.code == 0
    assert "uncommitted" in said.out
    assert sales.outcome()["subject"]["dirty"] is True
    assert consumed(sales) == before


@pytest.mark.parametrize(
    "sql",
    [
        "select * from read_text('/proc/self/environ')",
        "select * from read_csv('https://example.org/x.csv')",
        "select * from '/etc/passwd'",
        "copy (select 1) to '/tmp/x'",
        "select 1; drop view orders",
        "select 1) to '/tmp/x' (format csv); --",
    ],
)
def test_sql_reads_datasets_and_nothing_else(sales: Shop, sql: str) -> None:
    """SQL of a recipe and of `query` reaches no other file, no network, and writes nothing."""
    assert sales.cli("run").code == 0
    assert sales.cli("query", sql).code == 2
    sales.commit({"recipes/sales/by_country.sql": sql})
    assert sales.cli("run").code in (1, 2)
    assert sales.rows("select count(*) as n from orders") == [{"n": 3}]


def test_settings_show_every_value_with_its_origin(sales: Shop) -> None:
    """`settings` names for each variable the layer that won."""
    said = sales.cli("settings", "--variation", "big", "--set", "extra=1", "--json")
    values = json.loads(said.out)["values"]
    assert values["minimum"]["value"] == 15
    assert "big" in values["minimum"]["origin"]
    assert values["region"]["value"] == "eu"
    assert values["region"]["origin"] == "kitchen.yml:4"
    assert values["extra"] == {"value": 1, "origin": "--set"}


def test_every_later_command_is_refused(shop: Shop) -> None:
    """A command that the design names and this version lacks is refused, never half done."""
    for name in sorted(LATER):
        said = shop.cli(name)
        assert (said.code, "is not available in this version" in said.err) == (2, True)


def test_log_lists_runs_and_report_renders_them(sales: Shop) -> None:
    """`log` shows each run with its verdict; `report` writes every format."""
    assert sales.cli("run").code == 0
    assert "passed" in sales.cli("log").out
    for form in ("html", "junit", "markdown", "json", "github"):
        said = sales.cli("report", "--format", form, "--output", "-")
        assert said.code == 0, said.err
        assert form == "github" or "by_country" in said.out


def test_a_report_does_not_stop_the_next_publication(sales: Shop) -> None:
    """A report that is written without `--output` leaves the work tree clean, and says where it lies."""
    assert sales.cli("run").code == 0
    said = sales.cli("report")
    written = said.out.removeprefix("wrote ").strip()
    assert "by_country" in (sales.root / written).read_text(encoding="utf-8")
    assert sales.git("status", "--porcelain") == ""
