"""Expectations and declared effects through the command line: a change beyond them fails the run."""

from __future__ import annotations

import json
from typing import Any

import pytest

from shop import Shop

ORDERS = "order_id,country,amount\n" + "".join(f"{n},{'DE' if n % 3 else 'FR'},{n}.5\n" for n in range(1, 31))
RECIPE = """\
version: 1
recipe: sales
owner: "@sales"
nodes:
  orders:
    source: {file: orders.csv}
    key: [order_id]
  by_country:
    sql: by_country.sql
    key: [country]
    tests: [{rows: {min: 1}}]
  top:
    sql: select country from by_country order by revenue desc limit 1
    tests: [{rows: {equals: 1}}]
"""
SQL = "select country, count(*) as orders, sum(amount) as revenue\nfrom orders\ngroup by country\n"


def expecting(text: str) -> str:
    """The recipe with an ``expect:`` of by_country, on its line 12."""
    return RECIPE.replace(
        "    tests: [{rows: {min: 1}}]\n", f"    tests: [{{rows: {{min: 1}}}}]\n    expect: {text}\n"
    )


@pytest.fixture
def written(shop: Shop) -> Shop:
    """The recipe, committed and never run."""
    files = {"recipe.yml": RECIPE, "by_country.sql": SQL, "orders.csv": ORDERS}
    shop.commit({f"recipes/sales/{name}": text for name, text in files.items()})
    return shop


@pytest.fixture
def sales(written: Shop) -> Shop:
    assert written.cli("run").code == 0
    return written


def branch(shop: Shop, recipe: str, sql: str = SQL, **files: str) -> None:
    shop.git("checkout", "-q", "-b", "work")
    shop.commit({"recipes/sales/recipe.yml": recipe, "recipes/sales/by_country.sql": sql} | files)


def expectations(shop: Shop, kind: str = "expect") -> dict[str, Any]:
    return {t["id"]: t for n in shop.outcome()["nodes"] for t in n["tests"] if t["kind"] == kind}


LOSING = SQL.replace("from orders", "from orders where amount > 5")
ADDING = SQL.replace("count(*) as orders", "count(*) as orders, max(order_id) as max_id")


def test_a_change_within_its_limits_passes(sales: Shop) -> None:
    """Rows, columns and values as they were said: the run is green, and shows what it measured."""
    text = "{rows: 0%, columns: {max_id: added}, values: {sum(revenue): 0.5%, count(distinct country): 0}}"
    branch(sales, expecting(text), ADDING)
    said = sales.cli("run")
    assert said.code == 0, said.out + said.err
    found = expectations(sales)
    assert {t["state"] for t in found.values()} == {"passed"}
    assert len(found) == 4
    (value,) = [t for i, t in found.items() if "sum(revenue)" in i]
    assert value["observed"] == "sum(revenue) is 480, as before"


def test_a_value_that_moves_too_far_fails_the_run(sales: Shop) -> None:
    """The result has both figures and the limit; nothing is published, and what is below does not run."""
    branch(sales, expecting("{values: {sum(revenue): 0.5%}}"), LOSING)
    said = sales.cli("run")
    assert said.code == 1, said.out
    (test,) = expectations(sales).values()
    assert test["state"] == "failed"
    assert test["observed"] == "sum(revenue) is 468, 480 before: -12 (-2.5%)"
    assert test["expected"] == "sum(revenue) within 0.5% of the base"
    assert test["place"][1] == 12
    assert sales.states()["top"] == "blocked"
    assert sales.outcome()["publication"]["state"] == "withheld"
    report = sales.cli("report", "--format", "junit", "-o", "-").out
    assert "480 before: -12 (-2.5%)" in report
    lines = sales.cli("report", "--format", "github", "-o", "-").out
    assert "file=recipes/sales/recipe.yml,line=12" in lines


def test_nothing_to_compare_with_is_no_evidence(shop: Shop) -> None:
    """Before the first publication an expectation could not be compared, and alone is not green."""
    recipe = "version: 1\nrecipe: one\nnodes:\n  a:\n    sql: select 1 as x\n    expect: {rows: 0%}\n"
    shop.commit({"recipes/one/recipe.yml": recipe})
    said = shop.cli("run")
    assert said.code == 4
    assert "could not compare, nothing is published yet: a" in said.out
    assert "could not compare" in shop.cli("report", "--format", "markdown", "-o", "-").out
    assert "could not compare" in shop.cli("report", "--format", "junit", "-o", "-").out
    (test,) = expectations(shop).values()
    assert test["state"] == "skipped"
    assert test["observed"] == "could not compare: prod has published no 'a' yet"
    shop.replace("recipes/one/recipe.yml", "    expect", "    tests: [{rows: {min: 1}}]\n    expect")
    shop.commit()
    assert shop.cli("run").code == 0
    shop.replace("recipes/one/recipe.yml", "select 1 as x", "select 1 as x union all select 2")
    shop.commit()
    assert shop.cli("run").code == 1


def test_a_base_that_is_lost_stops_the_run(sales: Shop) -> None:
    """What was published and cannot be read is an error, never a pass."""
    branch(sales, expecting("{rows: 0%}"), LOSING)
    version = json.loads(sales.cli("show", "last", "--kitchen", "prod", "--json").out)
    (node,) = [n for n in version["nodes"] if n["node"] == "by_country"]
    fingerprint = node["build"]["fingerprint"]
    (kept,) = sales.root.glob(f".gitkitchen/store/trusted/builds/*/{fingerprint}.json")
    kept.unlink()
    assert sales.cli("run").code == 1
    (test,) = expectations(sales).values()
    assert test["state"] == "error"
    assert "not in the store" in test["message"]


def test_a_verdict_on_the_same_pair_is_reused(sales: Shop) -> None:
    """The same version against the same base is judged once, and shown as reused."""
    branch(sales, expecting("{rows: 0%}"), LOSING)
    assert sales.cli("run").code == 0
    assert sales.cli("run").code == 0
    assert [t["reused"] for t in expectations(sales).values()] == [True]


def test_an_environment_is_compared_with_what_it_publishes_now(sales: Shop) -> None:
    """After publication the same declaration goes on holding, also for a column that was added."""
    sales.commit({"recipes/sales/recipe.yml": expecting("{columns: {max_id: added}, rows: 0%}")})
    sales.commit({"recipes/sales/by_country.sql": ADDING})
    assert sales.cli("run").code == 0
    assert sales.cli("run").code == 0
    sales.commit({"recipes/sales/by_country.sql": LOSING})
    assert sales.cli("run").code == 1


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("{row: 0%}", "unknown key 'row'", "did you mean 'rows'?"),
        ("{rows: lots}", "a limit such as 0%", ""),
        ("{rows: {gone: 1%}}", "unknown key 'gone'", ""),
        ("{columns: {x: adde}}", "added, removed, retyped, changed", ""),
        ("{values: {select count(*) from orders: 1%}}", "a whole query cannot be compared", "an aggregate"),
        ("{values: {(select max(order_id) from orders): 1%}}", "a whole query", ""),
        ("{values: {sum(revenue) + (select 1 from orders): 1%}}", "reads 'orders' beside", "alone"),
        ("{values: {sum(revenue: 1%}}", "cannot be read", ""),
        ("{rows: [5%, 1%]}", "is above the most", ""),
        ("{rows: [1, 5%]}", "two ends of one kind", ""),
        ("{severity: warn}", "it expects nothing", "rows, columns or values"),
        ("{of: orders, rows: 0%}", "is no table of this node", ""),
        ("[{rows: 0%}, {rows: 0%}]", "is said twice", ""),
    ],
)
def test_mistakes_in_an_expectation_are_told_with_their_line(
    written: Shop, text: str, message: str, hint: str
) -> None:
    """`validate` names the place, what is wrong, and the word that was meant."""
    written.write({"recipes/sales/recipe.yml": expecting(text)})
    said = written.cli("validate")
    assert said.code == 2
    assert "recipes/sales/recipe.yml:12" in said.out + said.err
    assert message in said.out + said.err
    assert hint in said.out + said.err


# --- declared effects ------------------------------------------------------------------------------

EFFECTS = "version: 1\nbranch: work\nwhy: The highest order of each country.\ndatasets:\n"


def declared(datasets: str) -> dict[str, str]:
    return {"effects/work.yml": EFFECTS + datasets}


def test_a_branch_changes_what_it_declares_and_nothing_else(sales: Shop) -> None:
    """All tests pass, and a change beyond the declaration fails the run; within it, the run is green."""
    branch(sales, RECIPE, ADDING, **declared("  by_country: {columns: {max_id: added}}\n"))
    assert sales.cli("run").code == 0
    assert sales.states()["effects/work.yml"] == "passed"
    sales.commit({"recipes/sales/by_country.sql": LOSING})
    said = sales.cli("run")
    assert said.code == 1, said.out + said.err
    states = {t["state"] for n in sales.outcome()["nodes"] for t in n["tests"] if t["kind"] != "effect"}
    assert states == {"passed"}
    assert sales.states()["effects/work.yml"] == "failed"


def test_an_undeclared_change_shows_its_numbers_and_its_place(sales: Shop) -> None:
    """What changed in which rows, a sample of them, and the line of the declaration."""
    branch(sales, RECIPE, LOSING, **declared("  {}\n"))
    said = sales.cli("run")
    assert said.code == 1
    (test,) = [t for t in expectations(sales, "effect").values() if t["state"] == "failed"]
    assert "2 rows changed (100%)" in test["observed"]
    assert "orders in 2" in test["observed"]
    assert test["place"][0] == "effects/work.yml"
    assert test["sample"][0]["revenue"].count("→") == 1
    assert "effects/work.yml" in said.out
    assert "The highest order of each country." in said.out


def test_a_dataset_that_comes_or_goes_is_declared(sales: Shop) -> None:
    """A new dataset and one that is no longer made are changes too."""
    more = RECIPE + "  extra:\n    sql: select 1 as x\n    tests: [{rows: {min: 1}}]\n"
    branch(
        sales, more.replace("top:", "best:"), **declared("  extra: added\n  best: added\n  top: removed\n")
    )
    said = sales.cli("run")
    assert said.code == 0, said.out + said.err
    sales.commit(declared("  extra: added\n"))
    assert sales.cli("run").code == 1
    failed = [t["dataset"] for t in expectations(sales, "effect").values() if t["state"] == "failed"]
    assert sorted(failed) == ["best", "top"]


def test_a_declaration_is_about_its_own_branch(sales: Shop) -> None:
    """In another branch, and after the merge in the environment, the file says nothing."""
    branch(sales, RECIPE, LOSING, **{"effects/other.yml": EFFECTS.replace("work", "other") + "  {}\n"})
    assert sales.cli("run").code == 0
    assert "effects/other.yml" not in sales.states()
    sales.git("checkout", "-q", "main")
    sales.git("merge", "-q", "work")
    assert sales.cli("run").code == 0


@pytest.mark.parametrize(
    ("files", "message"),
    [
        (declared("  by_contry: any\n"), "did you mean 'by_country'?"),
        (declared("  by_country: anything\n"), "added, removed, any"),
        (declared("  by_country: {columns: {x: gone}}\n"), "added, removed, retyped, changed"),
        (declared("  by_country: {values: {sum((select 1 from top)): 1%}}\n"), "reads 'top' beside"),
        (declared("  by_country: {value: {}}\n"), "did you mean 'values'?"),
        ({"effects/work.yml": "version: 1\ndatasets: {}\n"}, "branch"),
        ({"effects/work.yml": "version: 1\nbranch: [\n"}, "effects/work.yml"),
        ({"effects/work.yml": EFFECTS + "  {}\n", "effects/b.yml": EFFECTS + "  {}\n"}, "one file"),
        ({"effects/work.yaml": EFFECTS + "  {}\n"}, "rename it to work.yml"),
    ],
    ids=["dataset", "word", "column", "sql", "key", "branch", "syntax", "twice", "ending"],
)
def test_mistakes_in_a_declaration_are_told(written: Shop, files: dict[str, str], message: str) -> None:
    """`validate` and `run` refuse a declaration that cannot be meant, with its line."""
    branch(written, RECIPE, SQL, **files)
    said = written.cli("validate")
    assert said.code == 2
    assert message in said.out + said.err
    assert "effects/" in said.out + said.err
    assert written.cli("run").code == (0 if "effects/work.yaml" in files else 2)
