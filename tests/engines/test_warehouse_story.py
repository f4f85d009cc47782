"""A project on PostgreSQL through the command line, read by a plain client."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import psycopg

from shop import Shop

Client = psycopg.Connection[Any]
RECIPE = """\
version: 1
recipe: orders
nodes:
  orders:
    source: {file: orders.csv}
    key: [id]
    tests: [{rows: {min: 3}}, {accepted_values: {column: country, values: [DE, FR, IT]}}]
  by_country:
    sql: by_country.sql
    with: {least: 5}
    key: [country]
    tests:
      logic: [{equal: {value: sum(orders), to: select count(*) from orders where amount >= 5}}]
  best:
    sql: select * from by_country order by revenue desc limit 1
    materialize: view
    key: [country]
  doubled:
    python: step.py:doubled
    needs: [by_country]
    tests: [{rows: {same_as: by_country}}]
  parts:
    sql: select $code as country, count(*) as orders from orders where country = $code
    strategy: {matrix: {code: [DE, FR]}}
    with: {code: "${{ matrix.code }}"}
    key: [country]
  checked:
    pytest: test_it.py
    needs: [parts, best]
  shout:
    run: cp "$GITKITCHEN_INPUT_DOUBLED" "$GITKITCHEN_OUTPUT_COPIED"
    needs: [doubled]
    outputs: {copied: copied.parquet}
    tests: [{rows: {same_as: doubled}}]
  note:
    run: echo hello > "$GITKITCHEN_OUTPUT_NOTE"
    outputs: {note: note.txt}
"""
ORDERS = "id,country,amount,at,note\n1,DE,10.50,2024-01-01 10:00:00,\n2,FR,20.25,2024-01-02 11:00:00,x\n"
ORDERS += '3,DE,5.00,2024-01-03 12:00:00,"say ""hi"", ok"\n'
BY_COUNTRY = """\
-- Values come as parameters.
select country, count(*) as orders, sum(amount) as revenue
from orders
where amount >= $least
group by country
"""
STEP = "def doubled(by_country):\n    return by_country.select('country, revenue * 2 as twice')\n"
TEST = """\
def test_parts_and_a_view(kitchen):
    assert kitchen.sql("select sum(orders) from parts").fetchall() == [(3,)]
    assert kitchen.sql("select country from best").fetchall() == [("FR",)]
"""
FILES = {
    "recipes/orders/recipe.yml": RECIPE,
    "recipes/orders/orders.csv": ORDERS,
    "recipes/orders/by_country.sql": BY_COUNTRY,
    "recipes/orders/step.py": STEP,
    "recipes/orders/test_it.py": TEST,
}


def ran(shop: Shop, *words: str) -> None:
    said = shop.cli("run", "--quiet", *words)
    assert said.code == 0, said.out + said.err


def test_a_recipe_runs_and_is_read_by_a_plain_client(pg_shop: Shop, boss: Client, consumer: Client) -> None:
    """Sources, SQL, views, Python and commands make tables of the warehouse, which `prod` shows."""
    pg_shop.commit(FILES)
    ran(pg_shop)
    boss.execute("GRANT USAGE ON SCHEMA prod TO reader; GRANT SELECT ON ALL TABLES IN SCHEMA prod TO reader")
    rows = consumer.execute("SELECT country, orders, revenue FROM prod.by_country ORDER BY 1").fetchall()
    assert [(r[0], r[1], float(r[2])) for r in rows] == [("DE", 2, 15.5), ("FR", 1, 20.25)]
    assert consumer.execute("SELECT country FROM prod.best").fetchall() == [("FR",)]
    assert consumer.execute("SELECT note FROM prod.orders ORDER BY id").fetchall() == [
        (None,), ("x",), ('say "hi", ok',)
    ]  # fmt: skip
    assert consumer.execute("SELECT count(*) FROM prod.copied").fetchone() == (2,)
    states = pg_shop.states()
    shown = boss.execute("SELECT sequence, changed FROM gitkitchen_store.kitchens").fetchall()
    ran(pg_shop)
    again = boss.execute("SELECT sequence, changed FROM gitkitchen_store.kitchens").fetchall()
    assert shown == again, "what is shown already is left alone"
    assert set(pg_shop.states().values()) == {"reused"} != set(states.values())
    assert pg_shop.rows("select max(id) as m from orders") == [{"m": 3}]
    assert pg_shop.cli("query", "orders").code == 0


def test_what_the_server_does_alone_loads_no_engine_here(pg_shop: Shop) -> None:
    """SQL is built, tested and published without DuckDB: it would be loaded for nothing in every run."""
    recipe = """\
version: 1
recipe: numbers
nodes:
  numbers: {sql: "select n from generate_series(1, 5) as g(n)", key: [n], tests: [{rows: {min: 5}}]}
"""
    pg_shop.commit({"recipes/numbers/recipe.yml": recipe})
    code = (
        "import sys; from gitkitchen.cli.main import main; ended = main(sys.argv[1:]); "
        "print(*sorted({'duckdb', 'psycopg'} & sys.modules.keys())); sys.exit(ended)"
    )
    words = [sys.executable, "-c", code, "-C", str(pg_shop.root), "run", "--quiet", "numbers"]
    said = subprocess.run(words, capture_output=True, text=True, timeout=120, check=False)
    assert said.returncode == 0, said.stdout + said.stderr
    assert said.stdout.splitlines()[-1] == "psycopg"
