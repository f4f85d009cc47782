"""The judging alone, without a command around it: the figures of ``benchmarks.controls`` as tables."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.context import Context, Promise, Table, paragraphs, seconds
from benchmarks.harness import Failed, measure

SCRIPT = Path(__file__).parent / "bare" / "planned.py"
WAYS = {
    "planned": "GitKitchen's planner",
    "by hand": "the best plan written by hand",
    "one by one": "one query a test",
    "fused": "all row predicates in one select",
}
NOTES = paragraphs("""\
Judging alone: in one Python process on one DuckDB connection, the ways in turn, medians of wall and CPU
seconds of that process; no command, plan or report around it. The planner may take exact row and NULL
counts and least and greatest values from the Parquet footers, and so does the plan by hand.

`one query a test` and `all row predicates in one select` are GitKitchen's own queries asked otherwise.
The ratio here is one of medians.
""")


@dataclass(frozen=True, slots=True)
class Planned:
    """What the bench of the planner found: tables, promises, notes, and why it is missing."""

    tables: tuple[Table, ...] = ()
    promises: tuple[Promise, ...] = ()
    notes: tuple[str, ...] = ()
    skipped: dict[str, str] = field(default_factory=dict)
    raw: object = None


def planned(context: Context) -> Planned:
    """Run ``benchmarks.controls`` in a process of its own; a failure is a reason, not a crash."""
    rows = context.size(10_000_000, 100_000)
    smaller = [rows // 10, rows * 3 // 10]
    folder = context.work / "planned"
    folder.mkdir()
    log = context.logs / "planned.json"
    context.say(f"  the planner on {rows:,} rows")
    argv = [context.python, str(SCRIPT), str(folder), str(rows), str(context.rounds), *map(str, smaller)]
    try:
        used = measure(argv, cwd=folder, env={"PYTHONPATH": str(SCRIPT.parents[2])}, log=log, timeout=1800)
        figures = json.loads(log.read_text("utf-8"))
    except (Failed, ValueError) as error:
        context.say(f"    left out: {error}")
        return Planned(promises=(_promise(None),), skipped={"the planner alone": str(error)})
    note = f"The process that judged peaked at {used.peak / 2**20:.0f} MiB over all ways and sizes."
    return Planned(
        (_ways(figures), _growth(figures, "rows"), _growth(figures, "tests")),
        (_promise(figures["ratios"]["by hand"]),),
        (*NOTES, note),
        raw=figures,
    )


def _promise(ratio: float | None) -> Promise:
    return Promise("60 tests, judging alone, of the best plan by hand", 1.15, "times", ratio)


def _ways(figures: Mapping[str, Any]) -> Table:
    ours = figures["ways"]["planned"]["wall"]
    rows = tuple(
        (WAYS.get(way, way), seconds(timed["wall"]), seconds(timed["cpu"]), f"{timed['wall'] / ours:.2f}")
        for way, timed in figures["ways"].items()
    )
    title = (
        f"{figures['tests']} tests, {figures['rows']:,} rows by {figures['columns']} columns, judging alone"
    )
    return Table(title, ("", "wall s", "CPU s", "of GitKitchen"), rows)


def _growth(figures: Mapping[str, Any], what: str) -> Table:
    rows = tuple(
        (f"{int(number):,} {what}", seconds(timed["wall"]), seconds(timed["cpu"]))
        for number, timed in figures[f"growth_{what}"].items()
    )
    return Table(f"GitKitchen's planner as {what} grow", ("", "wall s", "CPU s"), rows)
