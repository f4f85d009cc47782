"""(d) How long it takes to start, and to check 500 nodes."""

from __future__ import annotations

from pathlib import Path

from benchmarks import generators as make
from benchmarks.context import Context, Promise, Section, forget, paragraphs, raw, table
from benchmarks.harness import Contestant, Stage, compete
from benchmarks.stats import median

VALIDATE = "GitKitchen validate"
HELP, FIRST, AGAIN = "--help", "validate first", "validate again"
NOTES = paragraphs("""\
`--help`: the whole command with byte-code caches warm (a first, unmeasured start fills them).

`validate first`: no local state at all; every file of the recipe is parsed and checked. `validate
again`: with what the first left behind.

The 500 nodes are the layered models of (b), one SQL file each.
""")


def run(context: Context) -> Section:
    """Measure section (d)."""
    count, rounds = context.size(500, 40), max(context.rounds, context.size(11, 3))
    models = make.warehouse(count, 1000, context.size(50, 10))
    root = context.work / "startup"
    make.write_recipe(root, make.sql_nodes(models, files=True), models)
    make.commit(root, "the recipe")
    contestants = _kitchen(context, root)
    for name, label in (("dbt", "dbt"), ("sqlmesh", "SQLMesh")):
        if (peer := context.peer(name)) is not None:
            stage = Stage(HELP, (peer.executable(name), "--help"))
            contestants.append(Contestant(label, context.work, (stage,), rounds=rounds))
    context.say("  starting up (one round unmeasured)")
    compete(contestants, 1, context.logs, lambda _: None)
    series = compete(contestants, rounds, context.logs, context.say)
    lines = [
        ("GitKitchen --help", "GitKitchen", HELP),
        ("dbt --help", "dbt", HELP),
        ("SQLMesh --help", "SQLMesh", HELP),
        (f"GitKitchen validate, {count} nodes, first", VALIDATE, FIRST),
        (f"GitKitchen validate, {count} nodes, again", VALIDATE, AGAIN),
    ]
    promises = tuple(
        Promise(text, bound, "s", median(walls) if (walls := series.walls(who, stage)) else None)
        for text, bound, who, stage in (
            ("`--help`", 0.2, "GitKitchen", HELP),
            (f"`validate` of {count} nodes, first", 1.0, VALIDATE, FIRST),
            (f"`validate` of {count} nodes, again", 1.0, VALIDATE, AGAIN),
        )
    )
    skipped = series.skipped | context.missing("dbt", "sqlmesh")
    return Section(
        "d", "Start and validation", (table("", "", series, lines),), NOTES, promises, skipped, raw(series)
    )


def _kitchen(context: Context, root: Path) -> list[Contestant]:
    """Two contestants, so that a failing one does not take the other's figures along."""
    check = (context.gitkitchen, "validate")
    return [
        Contestant("GitKitchen", root, (Stage(HELP, (context.gitkitchen, "--help")),)),
        Contestant(VALIDATE, root, (Stage(FIRST, check, before=lambda: forget(root)), Stage(AGAIN, check))),
    ]
