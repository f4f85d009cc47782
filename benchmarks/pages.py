"""(j) The status page: 10,000 runs become a site; one more run; a grid of 200 nodes by 100 runs."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
import tempfile
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from benchmarks.context import Context, Promise, Section, Table, paragraphs, raw
from benchmarks.harness import Sample, compete
from benchmarks.harness import measure as time_command
from benchmarks.page_rivals import FIRST, MORE, contestants
from gitkitchen.data.catalog import publication as published
from gitkitchen.files import digest_bytes
from gitkitchen.ledger.records import encode, seal
from gitkitchen.model import Published, Subject

RUNS = 10_000
RECIPES = 10
NODES = 40
KITCHEN = """\
version: 1
project: {name: pages, id: 0123456789abcdef}
environments: {prod: {branch: main}}
page: {recent: 9999d}
"""


def body(recipe: str, number: int, nodes: int, at: datetime) -> dict[str, Any]:
    """A record of a run as ``report.essence`` writes it; every 50th is red."""
    names = [f"{recipe}_step_{i:03d}" for i in range(nodes)]
    red = number % 50 == 49
    states = {"passed": names[:-1], "failed": names[-1:]} if red else {"passed": names}
    failing = {"id": f"{names[-1]}/outputs/unique(id)", "state": "failed", "severity": "stop"}
    failing |= {"failing": 3, "tested": 30_000, "observed": "3 rows share their id"}
    return {
        "run": f"{at:%Y%m%dT%H%M%S}000Z-{recipe[-1]}{number:05x}",
        "recipe": recipe,
        "variation": None,
        "kitchen": {"repository": "", "branch": "main", "birth": 1},
        "subject": {"commit": f"{number // 100:040x}", "tree": f"{number // 100:040x}", "dirty": False},
        "verdict": "failed" if red else "passed",
        "started": at.isoformat(),
        "finished": (at + timedelta(seconds=60)).isoformat(),
        "publication": {"state": "withheld" if red else "published", "sequence": number},
        "nodes": states,
        "tests": {"passed": 3 * nodes},
        "failing": [failing] if red else [],
        "event": "schedule",
        "at": [round(60 * i / nodes, 1) for i in range(nodes)],
        "took": [round(1 + (i * number) % 7 / 5, 1) for i in range(nodes)],
        "rows": {n: 30_000 + (number * i) % 997 for i, n in enumerate(names)},
    }


class Writer:
    """Runs and their publications, written as the ledger in a folder keeps them."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.ends: dict[str, tuple[int, str]] = {}
        (root / "kitchen.yml").write_text(KITCHEN)
        for words in (["init", "-q", "-b", "main"], ["add", "-A"], ["commit", "-qm", "x"]):
            subprocess.run(["git", *words], cwd=root, check=True)

    def declare(self, recipe: str, nodes: int) -> None:
        """Each node reads the one before it, is told of, and has a test."""
        lines = ["version: 1", f"recipe: {recipe}", "owner: '@data'", "nodes:"]
        for i in range(nodes):
            before = f"{recipe}_step_{i - 1:03d}"
            sql = f"select id, amount * 2 as amount from {before}" if i else "select 1 as id, 2 as amount"
            lines.append(f"  {recipe}_step_{i:03d}:")
            lines.append(f"    {{sql: '{sql}', description: 'Step {i}.', tests: [{{unique: [id]}}]}}")
        path = self.root / "recipes" / recipe / "recipe.yml"
        path.parent.mkdir(parents=True)
        path.write_text("\n".join(lines) + "\n")

    def run(self, recipe: str, nodes: int, count: int) -> None:
        """So many more runs of a recipe; those that are green publish all of it."""
        start = datetime(2026, 1, 1, tzinfo=UTC)
        for _ in range(count):
            number = self._number(f"runs/{namespace()}/{recipe}") + 1
            ran = body(recipe, number, nodes, start + timedelta(hours=number))
            self._append(f"runs/{namespace()}/{recipe}", ran)
            if ran["verdict"] == "passed":
                self._append(f"publications/{namespace()}", publication(ran))

    def _number(self, stream: str) -> int:
        return self.ends.get(stream, (0, ""))[0]

    def _append(self, stream: str, content: dict[str, Any]) -> None:
        number, previous = self.ends.get(stream, (0, ""))
        record = seal(stream, number + 1, content, previous)
        name = f"@{record.sequence // 1000:06d}/{record.sequence:09d}.json"
        path = self.root / ".gitkitchen/ledger" / stream / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encode(record))
        self.ends[stream] = record.sequence, record.id


def publication(ran: dict[str, Any]) -> dict[str, Any]:
    """The record that publishes what a run built."""
    subject = Subject(**ran["subject"])
    patch = {}
    for name in ran["rows"]:
        made = digest_bytes(f"{ran['run']} {name}".encode())
        patch[name] = Published(name, made, made, ran["recipe"], name, ran["run"], 0)
    return published(ran["recipe"], ran["run"], patch, read_sequence=0, fence=1, subject=subject)


def namespace() -> str:
    from gitkitchen.kitchen.identity import namespace as named

    return named("0123456789abcdef", "", "main")


def timed(root: Path) -> Sample:
    """The command alone, its start included."""
    argv = [sys.executable, "-m", "gitkitchen", "-C", str(root), "page", "--out", str(root / "site")]
    env = {name: os.environ[name] for name in ("PYTHONPATH",) if name in os.environ}
    return time_command(argv, cwd=root, env=env, log=root.parent / f"{root.name}.log")


def measure(runs: int = RUNS) -> dict[str, Any]:
    """Seconds of the first build and of one more run; bytes of the first view and of a wide grid."""
    with tempfile.TemporaryDirectory(prefix="gitkitchen-pages-") as made:
        root = Path(made)
        writer = Writer(root)
        for number in range(RECIPES):
            writer.declare(f"recipe_{number}", NODES)
            writer.run(f"recipe_{number}", NODES, runs // RECIPES)
        writer.run("wide", 200, 100)
        found: dict[str, Any] = {"first": timed(root)}
        writer.run("recipe_0", NODES, 1)
        found["one more"] = timed(root)
        site = root / "site"
        grid = site / "grid/prod--wide.html"
        found["grid, bytes"] = len(grid.read_bytes())
        found["grid, compressed"] = len(gzip.compress(grid.read_bytes()))
        view = [site / name for name in ("index.html", "style.css", "page.js")]
        found["first view, compressed"] = sum(len(gzip.compress(p.read_bytes())) for p in view)
        found["files"] = sum(1 for _ in site.rglob("*"))
        return found


NOTES = paragraphs("""\
Ten recipes of 40 nodes, which are checked out, one of 200 nodes with 100 runs; records of runs and of
publications as runs write them; the page looks back over all of them. `one more run`: the site of before is
there, and one recipe has run and published once more.

No other tool shows the same. dbt docs: `dbt docs generate` of 400 models like these nodes, without the
catalog of columns; it knows no runs, so `one more run` is a changed model. Allure: as many test results as
there are runs, with a step for each node; `one more run` is one more result.
""")


def run(context: Context) -> Section:
    """Measure section (j): once, for the files of a first build can be written once only."""
    runs = context.size(RUNS, 500)
    context.say(f"  a page of {runs} runs")
    found = measure(runs)
    first, more = found["first"], found["one more"]
    others, reasons = contestants(context, runs, RECIPES, NODES)
    series = compete(others, 1, context.logs, context.say)
    rows = [_row(f"GitKitchen, {runs:,} runs", first, first, more)]
    rows += [
        _row(other.name, series.of(other.name, FIRST)[0], first, series.of(other.name, MORE)[0])
        for other in others
        if other.name not in series.skipped
    ]
    sizes = (
        ("first view, compressed", f"{found['first view, compressed'] / 1000:.1f}"),
        ("grid of 200 nodes by 100 runs", f"{found['grid, bytes'] / 1000:.1f}"),
        ("the same, compressed", f"{found['grid, compressed'] / 1000:.1f}"),
    )
    head = ("", "first build s", "CPU s", "of ours", "one more run s", "CPU s", "peak MB")
    tables = (Table("", head, tuple(rows)), Table("", ("", "kB"), sizes))
    promises = (
        Promise(f"status page of {runs:,} runs", 20.0, "s", first.wall),
        Promise(f"status page of {runs:,} runs, one more run", 2.0, "s", more.wall),
        Promise("status page, first view, compressed", 50.0, "kB", found["first view, compressed"] / 1000),
    )
    figures = {k: asdict(v) if isinstance(v, Sample) else v for k, v in found.items()}
    skipped = series.skipped | reasons
    return Section("j", "The status page", tables, NOTES, promises, skipped, raw(series) | {"page": figures})


def _row(name: str, first: Sample, ours: Sample, more: Sample) -> tuple[str, ...]:
    figures = (first.wall, first.cpu, first.wall / ours.wall, more.wall, more.cpu)
    return (name, *(f"{f:.2f}" for f in figures), f"{max(first.peak, more.peak) / 1e6:.0f}")


if __name__ == "__main__":
    told = measure(int(sys.argv[1]) if len(sys.argv) > 1 else RUNS)
    print(json.dumps(told, indent=1, default=asdict))
