"""(j) The status page: 10,000 runs become a site; one more run; a grid of 200 nodes by 100 runs."""

from __future__ import annotations

import gzip
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from benchmarks.context import Context, Promise, Section, Table, paragraphs
from gitkitchen.ledger.records import encode, seal

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


def add(root: Path, recipe: str, nodes: int, first: int, count: int, previous: str = "") -> str:
    """Records of a stream, written as the ledger in a folder keeps them; returns the id of the last."""
    stream = f"runs/{namespace()}/{recipe}"
    start = datetime(2026, 1, 1, tzinfo=UTC)
    for number in range(first, first + count):
        record = seal(stream, number, body(recipe, number, nodes, start + timedelta(hours=number)), previous)
        path = root / ".gitkitchen/ledger" / stream / f"@{number // 1000:06d}" / f"{number:09d}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encode(record))
        previous = record.id
    return previous


def namespace() -> str:
    from gitkitchen.kitchen.identity import namespace as named

    return named("0123456789abcdef", "", "main")


def timed(root: Path) -> tuple[float, float]:
    """Seconds by the clock, and of the processor: the command alone, its start included."""
    argv = [sys.executable, "-m", "gitkitchen", "-C", str(root), "page", "--out", str(root / "site")]
    start, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(argv, check=True, capture_output=True, env=os.environ)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return round(time.perf_counter() - start, 2), round(used, 2)


def measure(runs: int = RUNS) -> dict[str, Any]:
    """Seconds of the first build and of one more run; bytes of the first view and of a wide grid."""
    with tempfile.TemporaryDirectory(prefix="gitkitchen-pages-") as made:
        root = Path(made)
        (root / "kitchen.yml").write_text(KITCHEN)
        for words in (["init", "-q", "-b", "main"], ["add", "-A"], ["commit", "-qm", "x"]):
            subprocess.run(["git", *words], cwd=root, check=True)
        each = runs // RECIPES
        ends = {f"recipe_{r}": add(root, f"recipe_{r}", NODES, 1, each) for r in range(RECIPES)}
        add(root, "wide", 200, 1, 100)
        found: dict[str, Any] = {"first": timed(root)}
        add(root, "recipe_0", NODES, each + 1, 1, ends["recipe_0"])
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
Ten recipes of 40 nodes, one of 200 nodes with 100 runs, records as runs write them; the page looks back
over all of them. `one more run`: the site of before is there, and one recipe has run once more.

No other tool stands beside it here: dbt docs, elementary and Allure show other things from other files.
""")


def run(context: Context) -> Section:
    """Measure section (j): once, for the files of a first build can be written once only."""
    runs = context.size(RUNS, 500)
    context.say(f"  a page of {runs} runs")
    found = measure(runs)
    (first, first_cpu), (more, more_cpu) = found["first"], found["one more"]
    rows = (
        (f"{runs:,} runs, first build", f"{first:.2f}", f"{first_cpu:.2f}"),
        ("one more run", f"{more:.2f}", f"{more_cpu:.2f}"),
    )
    sizes = (
        ("first view, compressed", f"{found['first view, compressed'] / 1000:.1f}"),
        ("grid of 200 nodes by 100 runs", f"{found['grid, bytes'] / 1000:.1f}"),
        ("the same, compressed", f"{found['grid, compressed'] / 1000:.1f}"),
    )
    tables = (Table("", ("", "wall s", "CPU s"), rows), Table("", ("", "kB"), sizes))
    promises = (
        Promise(f"status page of {runs:,} runs", 20.0, "s", first),
        Promise(f"status page of {runs:,} runs, one more run", 2.0, "s", more),
        Promise("status page, first view, compressed", 50.0, "kB", found["first view, compressed"] / 1000),
    )
    return Section("j", "The status page", tables, NOTES, promises, {}, found)


if __name__ == "__main__":
    print(json.dumps(measure(int(sys.argv[1]) if len(sys.argv) > 1 else RUNS), indent=1))
