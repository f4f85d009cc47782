"""What somebody changes by hand in a schema that consumers read is reported once; views are shown again."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

import psycopg
import pytest

from gitkitchen.premises import find_premises
from gitkitchen.promote.moves import moves_of
from gitkitchen.promote.shapes import Incident, stream_of
from lengths import some
from shop import Shop

Client = psycopg.Connection[Any]
FILES = {
    "recipes/numbers/recipe.yml": (
        "version: 1\nrecipe: numbers\nnodes:\n  seed: {source: {file: seed.csv}, key: [id]}\n"
        "  totals: {sql: select sum(n) as total from seed, tests: [{rows: {min: 1}}]}\n"
    ),
    "recipes/numbers/seed.csv": "id,n\n0,1\n1,2\n",
}


@pytest.fixture
def numbers(pg_shop: Shop) -> Shop:
    """A project whose environment has published once, and was looked at once."""
    pg_shop.commit(FILES)
    assert pg_shop.cli("run", "--quiet").code == 0
    assert codes(pg_shop) == []
    return pg_shop


def codes(shop: Shop, *words: str) -> list[str]:
    said = shop.cli("reconcile", "prod", "--json", *words)
    assert said.code == 0, said.err
    return [f["code"] for f in json.loads(said.out)["found"]]


def incidents(shop: Shop) -> list[tuple[str, bool, str]]:
    moves = moves_of(find_premises(shop.root).ledger.read(stream_of("prod")))
    return [(m.kind, m.closed, m.said) for m in moves if isinstance(m, Incident)]


def text_of(boss: Client) -> str:
    row = boss.execute("SELECT pg_get_viewdef('prod.totals'::regclass)").fetchone()
    assert row is not None
    return str(row[0])


@pytest.mark.parametrize("how", ["changed", pytest.param("dropped", marks=pytest.mark.long)])
def test_a_view_that_was_changed_is_reported_and_shown_again(numbers: Shop, boss: Client, how: str) -> None:
    """Replaced or dropped by hand: one incident with its name, the view as published, its grants kept."""
    before = text_of(boss)
    boss.execute("GRANT SELECT ON prod.totals TO reader")
    assert codes(numbers, "--accept-grants") == []
    if how == "changed":
        inner = before.rstrip(" ;\n")
        boss.execute(f"CREATE OR REPLACE VIEW prod.totals AS SELECT * FROM ({inner}) x WHERE false")
    else:
        boss.execute("DROP VIEW prod.totals")
    found = codes(numbers)
    assert found[:2] == ["drift-data", "closed"]
    assert text_of(boss) == before
    kinds = [(kind, closed) for kind, closed, _ in incidents(numbers)]
    assert kinds[:2] == [("drift-data", False), ("drift-data", True)]
    assert "'totals'" in incidents(numbers)[0][2]
    if how == "changed":
        assert found[2:] == []
        assert codes(numbers) == []


def test_views_that_changed_places_are_both_reported(numbers: Shop, boss: Client) -> None:
    """Two views over the same columns that show each other's tables are told apart, all others left alone."""
    recipe = FILES["recipes/numbers/recipe.yml"]
    for name in ("left", "right"):
        recipe += f"  {name}_sum: {{sql: select sum(n) + {len(name)} as total from seed, key: [total]}}\n"
    numbers.commit({"recipes/numbers/recipe.yml": recipe})
    assert numbers.cli("run", "--quiet").code == 0
    assert codes(numbers) == []
    rows = boss.execute(
        "SELECT viewname, definition FROM pg_views WHERE schemaname = 'prod' AND viewname LIKE '%sum'"
    ).fetchall()
    one, other = sorted(rows)
    for view, text in ((one[0], other[1]), (other[0], one[1])):
        boss.execute(f"CREATE OR REPLACE VIEW prod.{view} AS {text}")
    assert codes(numbers)[:2] == ["drift-data", "closed"]
    said = incidents(numbers)[0][2]
    assert "'left_sum'" in said
    assert "'right_sum'" in said
    assert "totals" not in said
    assert codes(numbers) == []


def test_rights_that_were_changed_are_reported_until_they_are_accepted(numbers: Shop, boss: Client) -> None:
    """A grant by hand is named once; accepted, it is what shall be; taken away again, it is named anew."""
    boss.execute("GRANT SELECT ON prod.totals TO PUBLIC; GRANT USAGE ON SCHEMA prod TO reader")
    assert codes(numbers) == ["drift-grants"]
    assert codes(numbers) == []
    said = incidents(numbers)[-1][2]
    assert "view 'totals': PUBLIC SELECT was given" in said
    assert "the schema: reader USAGE was given" in said
    assert codes(numbers, "--accept-grants") == ["closed"]
    assert codes(numbers) == []
    boss.execute("REVOKE SELECT ON prod.totals FROM PUBLIC")
    assert codes(numbers) == ["drift-grants"]
    assert "view 'totals': PUBLIC SELECT was taken" in incidents(numbers)[-1][2]
    boss.execute("GRANT SELECT ON prod.totals TO PUBLIC")
    assert codes(numbers) == ["closed"]


@pytest.mark.long
def test_new_data_is_no_drift(numbers: Shop, boss: Client) -> None:
    """A publication, and views that are new, accuse nobody."""
    numbers.commit({"recipes/numbers/seed.csv": "id,n\n0,5\n"})
    assert numbers.cli("run", "--quiet").code == 0
    recipe = FILES["recipes/numbers/recipe.yml"] + "  fresh: {sql: select 1 as x, key: [x]}\n"
    numbers.commit({"recipes/numbers/recipe.yml": recipe})
    assert numbers.cli("run", "--quiet").code == 0
    assert codes(numbers) == []
    assert incidents(numbers) == []
    assert boss.execute("SELECT total FROM prod.totals").fetchone() is not None


def harm(boss: Client, how: str) -> None:
    """Write to the table on which `prod.totals` stands."""
    row = boss.execute(
        "SELECT DISTINCT c.relname FROM pg_depend d JOIN pg_rewrite r ON r.oid = d.objid "
        "JOIN pg_class c ON c.oid = d.refobjid WHERE r.ev_class = 'prod.totals'::regclass "
        "AND c.relkind = 'r'"
    ).fetchone()
    assert row is not None
    table = f"gitkitchen_store.{row[0]}"
    at_once = boss.info.server_version >= 150_000
    if not at_once:
        counted(boss, table, lambda figures: figures[0] > 0)  # what the run itself put there
    before = counted(boss, table)
    boss.execute(how.format(table).encode())
    if at_once:
        boss.execute("SELECT pg_stat_force_next_flush()")
        boss.execute("SELECT 1")
    else:
        counted(boss, table, lambda figures: figures != before)


def counted(boss: Client, table: str, until: Callable[[Any], bool] = bool) -> Any:
    """What the server says was put into a table, changed and removed; ``until`` that is so, for a while. In
    PostgreSQL 14 a process counts, which is told within half a second, and says so as late again."""
    parts = ", ".join(f"pg_stat_get_tuples_{w}(%(t)s::regclass)" for w in ("inserted", "updated", "deleted"))
    end = time.monotonic() + 3
    while True:
        found = boss.execute(f"SELECT {parts}".encode(), {"t": table}).fetchone()
        if until(found) or time.monotonic() > end:
            return found
        time.sleep(0.05)


@pytest.mark.parametrize(
    "how",
    some(
        ["UPDATE {} SET total = 9", "INSERT INTO {} VALUES (9)", "DELETE FROM {}", "TRUNCATE {}"],
        "UPDATE {} SET total = 9",
    ),
)
def test_a_table_that_was_written_to_is_reported_and_built_anew(
    numbers: Shop, boss: Client, how: str
) -> None:
    """Rows changed by hand break the environment, once and by name; the next run of the recipe does not reuse
    them, shows what it builds, and the incident is over. What had been written stays for whoever looks."""
    boss.execute("GRANT SELECT ON prod.totals TO reader")
    assert codes(numbers, "--accept-grants") == []
    harm(boss, how)
    said = numbers.cli("reconcile", "prod", "--json")
    assert said.code == 1
    assert [f["code"] for f in json.loads(said.out)["found"]] == ["drift-store"]
    assert "dataset 'totals': the warehouse's table v_" in incidents(numbers)[0][2]
    assert json.loads(numbers.cli("reconcile", "prod", "--json").out)["found"] == []
    said = numbers.cli("run", "--quiet")
    assert said.code == 0, said.err
    assert numbers.states() == {"seed": "reused", "totals": "passed"}
    assert boss.execute("SELECT total FROM prod.totals").fetchall() == [(3,)]
    assert boss.execute("SELECT has_table_privilege('reader', 'prod.totals', 'SELECT')").fetchone() == (True,)
    assert codes(numbers) == ["closed"]
    assert [(kind, closed) for kind, closed, _ in incidents(numbers)] == [
        ("drift-store", False), ("drift-store", True),
    ]  # fmt: skip


@pytest.mark.long
def test_what_was_written_and_taken_back_is_no_drift(numbers: Shop, boss: Client) -> None:
    """The server's counts only say where to look: rows that are as they were are no incident, and reused."""
    harm(boss, "BEGIN; UPDATE {} SET total = 9; ROLLBACK")
    harm(boss, "UPDATE {0} SET total = 9; UPDATE {0} SET total = 3")
    harm(boss, "VACUUM FULL {}")
    assert codes(numbers) == []
    assert numbers.cli("run", "--quiet").code == 0
    assert set(numbers.states().values()) == {"reused"}
