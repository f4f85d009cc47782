"""(h) A pull request: from its event to its verdict, both jobs, beside the run that it needs anyway."""

from __future__ import annotations

import itertools
import subprocess
from collections.abc import Callable
from pathlib import Path

from benchmarks import generators as make
from benchmarks.context import Context, Promise, Section, paragraphs, raw, table
from benchmarks.harness import Contestant, Stage, compete
from benchmarks.stats import median

RUN, CI = "run", "pull request"
WHO = "GitKitchen"
NOTES = paragraphs("""\
Before each stage one model of the layered recipe is changed and committed on a branch. `run` is `gitkitchen
run` of the branch. `pull request` is `gitkitchen ci --simulate pull_request` of it: the merge is computed and
checked out, the same run, the comparison with production's rows, the document, and then the job that posts:
artifact, both trees, policy, check runs and comment, over HTTP against the forge in the same process.

GitHub's own time to start jobs and to answer is not in it; what the forge itself takes is.
""")


def run(context: Context) -> Section:
    """Measure section (h)."""
    count, rounds = context.size(500, 40), max(context.rounds, context.size(5, 2))
    models = make.warehouse(count, 1000, context.size(50, 10))
    root = context.work / "pulls"
    make.write_recipe(root, make.sql_nodes(models, files=True), models)
    make.commit(root, "the recipe")
    _shell(root, context.gitkitchen, "run", "--quiet")
    _shell(root, "git", "switch", "--quiet", "--create", "a-change")
    change = _changer(root)
    stages = (
        Stage(RUN, (context.gitkitchen, "run", "--quiet"), before=change),
        Stage(CI, (context.gitkitchen, "ci", "--quiet", "--simulate", "pull_request"), before=change),
    )
    series = compete([Contestant(WHO, root, stages)], rounds, context.logs, context.say)
    lines = [
        (f"`run`, {count} nodes, one model changed", WHO, RUN),
        ("event to verdict, both jobs", WHO, CI),
    ]
    walls = [series.walls(WHO, stage) for stage in (RUN, CI)]
    over = median(walls[1]) - median(walls[0]) if all(walls) else None
    promise = Promise(f"Event to verdict of a recipe of {count} nodes, over its run", 5.0, "s", over)
    skipped = series.skipped | {"SQLMesh's bot": "it was not pointed at the forge"}
    return Section(
        "h", "A pull request", (table("", "", series, lines),), NOTES, (promise,), skipped, raw(series)
    )


def _changer(root: Path) -> Callable[[], None]:
    """Change the meaning of the last model, each time otherwise, and commit."""
    path = max(root.glob("recipes/**/*.sql"))
    text = path.read_text(encoding="utf-8").rstrip().rstrip(";")
    numbers = itertools.count(1)

    def change() -> None:
        number = next(numbers)
        path.write_text(
            f"select * from (\n{text}\n) as everything where {number} = {number}\n", encoding="utf-8"
        )
        make.commit(root, f"change {number}")

    return change


def _shell(root: Path, *argv: str) -> None:
    subprocess.run(argv, cwd=root, check=True, capture_output=True)
