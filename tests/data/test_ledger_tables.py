"""The ledger as tables: every record is found there, by SQL that can reach nothing else."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.promote.made_moves import landing
from tests.shop import Shop

from gitkitchen.data.ledger_tables import VIEWS, LedgerTables
from gitkitchen.errors import Infrastructure, Mistake
from gitkitchen.ledger.folder import FolderLedger
from gitkitchen.promote.bodies import body_of

RUN = {
    "run": "20260302T080000000Z-aaaaaa",
    "recipe": "sales",
    "variation": "daily",
    "kitchen": {"repository": "", "branch": "main", "birth": 1},
    "subject": {"commit": "c" * 40, "tree": "d" * 40, "dirty": False},
    "verdict": "failed",
    "started": "2026-03-02T09:00:00.500000+01:00",
    "finished": "2026-03-02T08:00:02+00:00",
    "publication": {"state": "withheld", "sequence": None},
    "nodes": {"passed": ["a", "b"], "failed": ["c"]},
    "tests": {"passed": 4, "failed": 1},
    "failing": [
        {"id": "c.rows", "state": "failed", "severity": "stop", "failing": 3, "tested": 9},
        {"id": "c.x", "state": "failed", "severity": "warn", "waived": ["ann", "2026-04-01T00:00:00+00:00"]},
    ],
    "event": "schedule",
    "interval": ["2026-03-01T00:00:00+00:00", "2026-03-02T00:00:00+00:00"],
}
WHAT = {"event": "node_failed", "recipe": "sales", "node": "c", "at": "2026-03-02T08:00:02+00:00"}
BODIES: list[tuple[str, dict[str, Any]]] = [
    ("runs/k_main_0/sales", RUN),
    (
        "publications/k_main_0",
        {
            "recipe": "sales",
            "run": "20260302T090000000Z-bbbbbb",
            "fence": 4,
            "read": 0,
            "subject": {"commit": None, "tree": "d" * 40},
            "datasets": {"a": {"fingerprint": "f", "content": "g"}, "gone": None},
        },
    ),
    ("promotions/prod", body_of(landing(1, published=("a", "b")))),
    ("alerts/prod", {"kind": "opened", "incident": "i1", "key": "prod/sales/c", "what": WHAT}),
    ("alerts/prod", {"kind": "delivered", "incident": "i1", "channel": "ops", "message": "opened"}),
    ("alerts/prod", {"kind": "closed", "incident": "i1", "at": "2026-03-02T09:00:00+00:00"}),
    ("schedules/prod/sales.daily", {"kind": "missed", "interval": RUN["interval"], "reason": "too late"}),
    ("kitchens/k_main_0", {"kind": "birth", "branch": "main", "birth": 1, "at": "2026-01-01T00:00:00+00:00"}),
]


RECIPE = """\
version: 1
recipe: one
nodes:
  made: {sql: made.sql, tests: [{not_null: [n]}]}
"""


@pytest.fixture
def tables(tmp_path: Path) -> Iterator[LedgerTables]:
    """The tables of a small ledger."""
    ledger = FolderLedger(tmp_path / "ledger")
    for stream, body in BODIES:
        ledger.append(stream, body)
    with LedgerTables(ledger) as found:
        yield found


EXPECTED = {
    "select namespace, recipe, verdict, seconds, dirty, tests_passed, tests_error from runs": [
        ("k_main_0", "sales", "failed", 1.5, False, 4, 0)
    ],
    "select started::text, interval_end::text, publication, published_as from runs": [
        ("2026-03-02 08:00:00.5", "2026-03-02 00:00:00", "withheld", None)
    ],
    "select state, node from nodes order by node": [("passed", "a"), ("passed", "b"), ("failed", "c")],
    "select test, severity, failing, waived_by, waived_until::text from tests order by 1": [
        ("c.rows", "stop", 3, None, None),
        ("c.x", "warn", None, "ann", "2026-04-01 00:00:00"),
    ],
    "select recipe, began::text, fence, tree, datasets from publications": [
        ("sales", "2026-03-02 09:00:00", 4, "d" * 40, 2)
    ],
    "select dataset, removed, content, node, zone from published order by 1": [
        ("a", False, "g", "a", "trusted"),
        ("gone", True, None, None, None),
    ],
    "select environment, intent, datasets from promotions": [("prod", "forward", 2)],
    "select event, node, opened::text, closed::text, messages from incidents": [
        ("node_failed", "c", "2026-03-02 08:00:02", "2026-03-02 09:00:00", 1)
    ],
    "select channel, message from alerts": [("ops", "opened")],
    "select environment, recipe, variation, said, interval_start::text from schedules": [
        ("prod", "sales", "daily", "missed", "2026-03-01 00:00:00")
    ],
    "select branch, birth, said from kitchens": [("main", 1, "birth")],
}


@pytest.mark.parametrize("sql", EXPECTED, ids=[sql.rpartition(" from ")[2].split()[0] for sql in EXPECTED])
def test_every_table_says_what_its_records_say(tables: LedgerTables, sql: str) -> None:
    """Moments are those of UTC, counts are numbers, and what is not said is NULL."""
    assert tables.fetch(sql)[1] == EXPECTED[sql]


def test_records_of_any_shape_are_read(tmp_path: Path) -> None:
    """A record that this release would not write is NULL where it says nothing, and hides no other."""
    ledger = FolderLedger(tmp_path / "ledger")
    for name in ("runs/k/r", "publications/k", "promotions/p", "alerts/p", "schedules/p/r.v", "kitchens/k"):
        for odd in ({}, {"nodes": 3, "failing": {"a": 1}, "started": "soon", "datasets": [1], "run": 7}):
            ledger.append(name, odd)
    ledger.append("runs/k/r", RUN)
    with LedgerTables(ledger) as found:
        for name in ("records", *VIEWS):
            found.fetch(f"select * from {name}")
        assert found.fetch("select count(*), count(started) from runs")[1] == [(3, 1)]
        assert found.fetch("select distinct state from nodes order by 1")[1] == [("failed",), ("passed",)]


@pytest.mark.parametrize(
    "sql",
    [
        "create table x as select 1",
        "select 1; select 2",
        "select * from read_csv('/etc/passwd')",
        "select * from '/etc/passwd'",
        "select * from 'https://example.org/x.parquet'",
        "copy (select 1) to '/tmp/x'",
        "set enable_external_access = true",
        "attach '/tmp/x.db'",
        "insert into records select * from records",
    ],
    ids=["create", "two", "function", "file", "network", "copy", "set", "attach", "insert"],
)
def test_a_query_reads_the_ledger_and_nothing_else(tables: LedgerTables, sql: str) -> None:
    """What is not one SELECT over the tables is refused, and the refusal is no traceback."""
    with pytest.raises(Mistake):
        tables.fetch(sql)
    assert tables.fetch("select count(*) from records")[1] == [(len(BODIES),)]


def test_a_damaged_record_is_named(tmp_path: Path) -> None:
    """Tables are made of a whole ledger only."""
    ledger = FolderLedger(tmp_path / "ledger")
    ledger.append("runs/k/r", RUN)
    path = next((tmp_path / "ledger").rglob("000000001.json"))
    path.write_bytes(path.read_bytes().replace(b"failed", b"passed", 1))
    with pytest.raises(Infrastructure, match="record 1 of stream 'runs/k/r' is damaged"):
        LedgerTables(ledger)


def test_the_documented_columns_are_those_that_there_are(tables: LedgerTables) -> None:
    """docs/ledger.md names every table with all its columns, in their order."""
    text = (Path(__file__).parents[2] / "docs/ledger.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\w+)` \| [^|]+ \| ([^|]+) \|$", text, re.M)
    documented = {name: re.findall(r"`(\w+)`", columns) for name, columns in rows}
    assert documented == {table: [name for name, _ in found] for table, found in tables.columns().items()}


def test_the_command(shop: Shop) -> None:
    """`query --ledger` asks what the runs of this project left; what it does not know it says."""
    shop.commit({"recipes/one/recipe.yml": RECIPE, "recipes/one/made.sql": "select 1 as n\n"})
    assert shop.cli("run").code == 0
    said = shop.cli("query", "--ledger", "--json", "select verdict, publication from runs")
    assert (said.code, json.loads(said.out)) == (0, [{"verdict": "passed", "publication": "published"}])
    assert "1 row" in shop.cli("query", "--ledger", "select count(*) from nodes").out
    unknown = shop.cli("query", "--ledger", "nothing")
    assert unknown.code == 2
    assert "the tables of the ledger are records, runs, nodes" in unknown.err
    assert shop.cli("query", "--ledger", "--candidate", "last", "runs").code == 2


@pytest.mark.long
def test_ten_thousand_records_in_seconds() -> None:
    """A year of hourly runs is asked within seconds, here with much to spare for a slow machine."""

    class Many:
        def streams(self) -> list[str]:
            return ["runs/k/r"]

        def read(self, _stream: str) -> Iterator[Any]:
            from gitkitchen.ledger.records import Record

            nodes = {"passed": [f"node_{n}" for n in range(40)]}
            yield from (Record("runs/k/r", n + 1, "", RUN | {"nodes": nodes}, "") for n in range(10_000))

    begun = time.monotonic()
    with LedgerTables(Many()) as found:  # type: ignore[arg-type]
        counted = found.fetch("select count(*), count(distinct node) from nodes")[1]
    assert counted == [(400_000, 40)]
    assert time.monotonic() - begun < 30
