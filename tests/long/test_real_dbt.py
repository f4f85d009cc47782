"""A real dbt-core with dbt-duckdb in a real kitchen: built beside, tested, published, reused."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from dbt_here import need_dbt
from shop import Shop

pytestmark = pytest.mark.long

RECIPE = """\
version: 1
recipe: r
nodes:
  orders: {source: {file: orders.csv}, key: [id]}
  marts:
    dbt: {project: ../../warehouse, python: PYTHON}
    needs: [orders]
    with: {least: 1}
    outputs: {customers: customers, by_day: by_day, rates: rates, prices: priced}
    timeout-minutes: 5
"""
PROJECT = {
    "warehouse/dbt_project.yml": "name: shop\nversion: '1.0.0'\nmodels: {shop: {+materialized: table}}\n",
    "warehouse/models/staged.sql": (
        "{{ config(materialized='view') }}\nselect * from {{ source('kitchen', 'orders') }}\n"
    ),
    "warehouse/models/customers.sql": (
        "select customer, sum(amount) as total from {{ ref('staged') }}\n"
        "where amount >= {{ var('least') }} group by 1\n"
    ),
    "warehouse/models/by_day.sql": "select customer, count(*) as n from {{ ref('staged') }} group by 1\n",
    "warehouse/models/schema.yml": """\
version: 2
sources:
  - name: kitchen
    tables: [{name: orders}]
models:
  - name: customers
    columns:
      - name: customer
        data_tests: [unique, not_null]
      - name: total
        data_tests:
          - not_null:
              config: {severity: warn}
""",
    "warehouse/seeds/rates.csv": "customer,rate\nann,2\nbob,3\n",
    "warehouse/models/priced.sql": (
        "select customer, rate * 2 as twice from {{ ref('rates') }}\n"
        "join {{ ref('customers') }} using (customer)\n"
    ),
    "warehouse/models/unit.yml": """\
version: 2
unit_tests:
  - name: it_doubles
    model: priced
    given:
      - input: ref('rates')
        rows: [{customer: x, rate: 4}]
      - input: ref('customers')
        rows: [{customer: x}]
    expect: {rows: [{customer: x, twice: 8}]}
""",
    "warehouse/tests/positive.sql": "select * from {{ ref('customers') }} where total < 0\n",
    "recipes/r/orders.csv": "id,customer,amount\n1,ann,5\n2,bob,7\n3,bob,1\n",
}


@pytest.fixture
def project(shop: Shop) -> Shop:
    """A recipe over a small real dbt project."""
    shop.commit({**PROJECT, "recipes/r/recipe.yml": RECIPE.replace("PYTHON", need_dbt())})
    return shop


def node(project: Shop, name: str = "marts") -> dict[str, Any]:
    found: dict[str, Any] = next(n for n in project.outcome()["nodes"] if n["node"] == name)
    return found


def test_the_story_of_a_dbt_project(project: Shop) -> None:
    """Built, published, reused; a failing test and a broken model keep consumers on the old data."""
    said = project.cli("run", "--quiet")
    assert said.code == 0, said.out + said.err
    rows = [{"customer": "ann", "total": 5}, {"customer": "bob", "total": 8}]
    totals = "select customer, total::int as total from customers order by 1"
    assert project.rows(totals) == rows
    assert len(project.rows("from by_day")) == 2
    tests = {t["expected"]: (t["state"], t["severity"], t["place"]) for t in node(project)["tests"]}
    assert tests["unique_customers_customer"] == ("passed", "stop", ["warehouse/models/schema.yml", 8, 0])
    assert tests["positive"][:2] == ("passed", "stop")
    assert tests["not_null_customers_total"][:2] == ("passed", "warn")
    assert tests["it_doubles"][:2] == ("passed", "stop")
    assert node(project)["metrics"]["models"] == 5.0
    assert project.rows("select customer, rate::int as rate from rates where rate > 2") == [
        {"customer": "bob", "rate": 3}
    ]
    assert len(project.rows("from prices")) == 2
    assert project.cli("query", "from staged").code != 0  # not named in outputs: it stays dbt's own

    assert project.cli("run", "--quiet").code == 0
    assert project.states() == {"orders": "reused", "marts": "reused"}

    project.commit({"recipes/r/orders.csv": "id,customer,amount\n1,ann,-5\n2,bob,7\n"})
    project.replace("recipes/r/recipe.yml", "least: 1", "least: -100")
    project.commit()
    said = project.cli("run", "--quiet")
    assert said.code == 1, said.out
    assert "test marts/logic/dbt(positive): Got 1 result" in node(project)["failure"]["message"]
    assert project.rows(totals) == rows

    project.commit(
        {"warehouse/models/by_day.sql": "select 'x'::int as customer from {{ ref('customers') }}\n"}
    )
    project.commit({"recipes/r/orders.csv": PROJECT["recipes/r/orders.csv"]})
    said = project.cli("run", "--quiet")
    assert said.code == 1, said.out
    broken = next(t for t in node(project)["tests"] if t["expected"] == "model by_day")
    assert broken["state"] == "error"
    assert "Could not convert string 'x'" in broken["message"]
    assert broken["place"][0] == "warehouse/models/by_day.sql"
    assert project.rows(totals) == rows


def test_dbts_refusals_are_told_with_file(project: Shop) -> None:
    """A compile error and a selection of nothing are red with dbt's words."""
    project.commit({"warehouse/models/by_day.sql": "select * from {{ ref('nowhere') }}\n"})
    said = project.cli("run", "--quiet")
    assert said.code == 1
    failure = node(project)["failure"]
    assert failure["place"][0] == "warehouse/models/by_day.sql"
    assert "depends on a node named 'nowhere' which was not found" in failure["message"]
    project.commit({"warehouse/models/by_day.sql": PROJECT["warehouse/models/by_day.sql"]})
    project.replace("recipes/r/recipe.yml", "warehouse, python", "warehouse, select: tag:none, python")
    project.commit()
    assert project.cli("run", "--quiet").code == 1
    assert node(project)["failure"]["message"] == "dbt selected nothing"


def test_killed_in_the_middle_it_is_run_again(project: Shop) -> None:
    """kill -9 of the whole run while dbt works: nothing is published, the same command ends the work."""
    with project.spawn("run", "--quiet") as process:
        _kill_at_work(project, process)
    assert project.cli("query", "from customers").code != 0
    said = project.cli("run", "--quiet")
    assert said.code == 0, said.out + said.err
    assert len(project.rows("from customers")) == 2


def _kill_at_work(project: Shop, process: subprocess.Popen[str]) -> None:
    runs = Path(project.root) / ".gitkitchen/runs"
    end = time.monotonic() + 120
    while not list(runs.glob("*/work/marts.*/target")) and time.monotonic() < end:
        assert process.poll() is None
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGKILL)


def test_the_page_of_dbt_is_true(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """docs/dbt.md's files, put into the project that `init` writes, pass with the command `dbt`."""
    folder = str(Path(need_dbt()).parent)
    monkeypatch.setenv("PATH", f"{os.environ['PATH']}{os.pathsep}{folder}")
    (shop.root / "kitchen.yml").unlink()
    assert shop.cli("init", "--name", "shop").code == 0
    text = (Path(__file__).parents[2] / "docs/dbt.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```(?:yaml|sql) (\S+)\n(.*?)^```", text, re.M | re.S)
    shop.commit(dict(blocks))
    said = shop.cli("run", "--quiet")
    assert said.code == 0, said.out + said.err
    assert len(blocks) == 4
    assert shop.rows("select revenue from customers")
