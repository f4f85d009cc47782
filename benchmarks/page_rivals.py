"""What pages of other tools cost: dbt docs, elementary, Allure, each on what it can show of the same."""

from __future__ import annotations

import json
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

from benchmarks.context import Context
from benchmarks.harness import Contestant, Failed, Stage, measure
from benchmarks.projects import DBT_PROJECT, dbt_profiles

FIRST, MORE = "first build", "one more run"
START = 1_767_225_600_000
"""Milliseconds since 1970: the first of 2026."""


def contestants(
    context: Context, runs: int, recipes: int, nodes: int
) -> tuple[list[Contestant], dict[str, str]]:
    """Those that can be had, and why the others cannot."""
    found: list[Contestant] = []
    reasons: dict[str, str] = {}
    for name, make in (("dbt docs", _dbt), ("Allure 2", _allure), ("Allure 3", _allure)):
        made = make(context, name, runs, recipes, nodes)
        found += [made] if made is not None else []
    reasons |= context.missing("dbt", "allure2", "allure3")
    try:
        _elementary(context, recipes, nodes)
    except Failed as error:
        reasons["elementary"] = str(error)
    return found, reasons


def write_dbt(root: Path, recipes: int, nodes: int, threads: int) -> None:
    """A model for each node, which reads the one before it, is told of and has a test."""
    (root / "models").mkdir(parents=True)
    (root / "dbt_project.yml").write_text(DBT_PROJECT, "utf-8")
    (root / "profiles.yml").write_text(dbt_profiles("bench.duckdb", threads), "utf-8")
    for recipe in range(recipes):
        lines = ["version: 2", "models:"]
        for node in range(nodes):
            name, before = f"recipe_{recipe}_step_{node:03d}", f"recipe_{recipe}_step_{node - 1:03d}"
            ref = "{{ ref('" + before + "') }}"
            sql = f"select id, amount * 2 as amount from {ref}" if node else "select 1 as id, 2 as amount"
            (root / "models" / f"{name}.sql").write_text(sql + "\n", "utf-8")
            lines.append(f"  - {{name: {name}, description: Step {node}., "
                         "columns: [{name: id, data_tests: [unique]}]}")  # fmt: skip
        (root / "models" / f"recipe_{recipe}.yml").write_text("\n".join(lines) + "\n", "utf-8")


def _dbt(context: Context, label: str, _: int, recipes: int, nodes: int) -> Contestant | None:
    """``dbt docs generate``. The catalog of columns is left out: it would need a run of all models first."""
    if (peer := context.peer("dbt")) is None:
        return None
    root = context.work / "docs"
    write_dbt(root, recipes, nodes, context.cores)
    generate = (peer.executable("dbt"), "docs", "generate", "--empty-catalog", "--profiles-dir", ".")
    touched = root / "models" / "recipe_0_step_000.sql"

    def change() -> None:
        touched.write_text("select 1 as id, 3 as amount\n", "utf-8")

    return Contestant(label, root, (Stage(FIRST, generate), Stage(MORE, generate, before=change)), rounds=1)


def write_result(folder: Path, recipe: int, number: int, nodes: int) -> None:
    """A run as Allure's test result: https://allurereport.org/docs/how-it-works-test-result-file/."""
    name, red = f"recipe_{recipe}", number % 50 == 49
    start = START + 3_600_000 * number
    digest = sha256(f"{name} {number}".encode()).hexdigest()
    steps = [
        {
            "name": f"{name}_step_{i:03d}",
            "status": "failed" if red and i == nodes - 1 else "passed",
            "stage": "finished",
            "start": start + 60_000 * i // nodes,
            "stop": start + 60_000 * (i + 1) // nodes,
        }
        for i in range(nodes)
    ]
    result: dict[str, Any] = {
        "uuid": f"{digest[:8]}-{digest[8:12]}-{digest[12:16]}-{digest[16:20]}-{digest[20:32]}",
        "historyId": digest[:32],
        "name": f"{name} {number}",
        "fullName": f"{name}#{number}",
        "status": "failed" if red else "passed",
        "stage": "finished",
        "start": start,
        "stop": start + 60_000,
        "labels": [{"name": "suite", "value": name}],
        "steps": steps,
    }
    if red:
        result["statusDetails"] = {"message": "3 rows share their id"}
    (folder / f"{result['uuid']}-result.json").write_text(json.dumps(result), "utf-8")


def _allure(context: Context, label: str, runs: int, recipes: int, nodes: int) -> Contestant | None:
    """A report of as many results as there are runs, each with a step for each node."""
    name = label.lower().replace(" ", "")
    if (peer := context.peer(name)) is None:
        return None
    root = context.work / name
    results = root / "results"
    results.mkdir(parents=True)
    for number in range(runs // recipes):
        for recipe in range(recipes):
            write_result(results, recipe, number, nodes)
    clean = ("--clean",) if name == "allure2" else ()
    generate = (peer.executable("allure"), "generate", "results", *clean, "-o", "report")
    add: Callable[[], None] = lambda: write_result(results, 0, runs // recipes, nodes)  # noqa: E731
    stages = (Stage(FIRST, generate), Stage(MORE, generate, before=add))
    return Contestant(label, root, stages, rounds=1)


def _elementary(context: Context, recipes: int, nodes: int) -> None:
    """``edr report`` reads what elementary's dbt package wrote to a warehouse: without that there is nothing
    to show. The package is no Python package: ``dbt deps`` fetches it. Failed says what is missing."""
    if (peer := context.peer("elementary")) is None:
        raise Failed(context.unusable["elementary"])
    root = context.work / "elementary"
    write_dbt(root, recipes, nodes, context.cores)
    packages = "packages: [{package: elementary-data/elementary, version: ['>=0.16.0', '<1.0.0']}]\n"
    (root / "packages.yml").write_text(packages, "utf-8")
    log = context.logs / "elementary-deps.log"
    try:
        measure((peer.executable("dbt"), "deps"), cwd=root, log=log, timeout=60.0)
    except Failed as error:
        raise Failed(f"its dbt package cannot be fetched here (`dbt deps`): {error}") from error
    raise Failed("its dbt package can be fetched here, which this bench does not measure yet")
