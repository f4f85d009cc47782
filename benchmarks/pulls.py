"""(h) A pull request: from its event to its verdict, both jobs, beside the run that it needs anyway."""

from __future__ import annotations

import itertools
import json
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks import generators as make
from benchmarks import projects
from benchmarks.context import Context, Promise, Section, paragraphs, raw, table
from benchmarks.harness import Contestant, Failed, Stage, compete, measure
from benchmarks.peers import Installed
from benchmarks.stats import median

if TYPE_CHECKING:
    from gitkitchen.github.forge import Forge

RUN, CI = "run", "pull request"
WHO, BOT = "GitKitchen", "SQLMesh's bot"
NOTES = paragraphs("""\
Before each stage one model of the layered recipe is changed and committed on a branch. `run` is `gitkitchen
run` of the branch. `pull request` is `gitkitchen ci --simulate pull_request` of it: the merge is computed and
checked out, the same run, the comparison with production's rows, the document, and then the job that posts:
artifact, both trees, policy, check runs and comment, over HTTP against the forge in the same process.

SQLMesh's bot: `sqlmesh_cicd github run-all` for the same change of the same models, whose production was
planned and applied before, with a forge of its own: its unit tests (there are none), the pull request's
environment, for which it builds the changed model, the plan for production, check runs and a comment. It
has one job and compares no rows; the CPU time of its forge is not in its figure.

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
    with _bot(context, models) as (bots, left_out):
        contestants = [Contestant(WHO, root, stages), *bots]
        series = compete(contestants, rounds, context.logs, context.say)
    lines = [
        (f"`run`, {count} nodes, one model changed", WHO, RUN),
        ("event to verdict, both jobs", WHO, CI),
        ("event to verdict, SQLMesh's bot", BOT, CI),
    ]
    walls = [series.walls(WHO, stage) for stage in (RUN, CI)]
    over = median(walls[1]) - median(walls[0]) if all(walls) else None
    promise = Promise(f"Event to verdict of a recipe of {count} nodes, over its run", 5.0, "s", over)
    skipped = series.skipped | left_out | context.missing("sqlmesh")
    return Section(
        "h", "A pull request", (table("", "", series, lines),), NOTES, (promise,), skipped, raw(series)
    )


@contextmanager
def _bot(context: Context, models: Sequence[make.Model]) -> Iterator[tuple[list[Contestant], dict[str, str]]]:
    """SQLMesh's bot with production applied and a forge that lasts as long as the block; or why not."""
    found = context.peer("sqlmesh")
    if found is None:
        yield [], {}
        return
    from gitkitchen.github.forge import Forge

    root = context.work / "sqlmesh-bot"
    root.mkdir()
    projects.write_sqlmesh(root, models, context.cores)
    applied = (found.executable("sqlmesh"), "plan", "--auto-apply", "--no-prompts")
    try:
        measure(applied, cwd=root, log=context.logs / "sqlmesh-bot.log")
    except Failed as error:
        yield [], {BOT: str(error)}
        return
    folder = context.work / "sqlmesh-forge"
    folder.mkdir()
    with Forge(folder) as forge:
        yield [_asked(found, forge, root, models[-1])], {}


def _asked(found: Installed, forge: Forge, root: Path, last: make.Model) -> Contestant:
    hosted = forge.repository("here/bench", branch="main")
    hosted.commit("main", {"README.md": "models"})
    event, output = root / "event.json", root / "output"
    numbers = itertools.count(1)

    def change() -> None:
        number = next(numbers)
        projects.write_sqlmesh_model(root, make.changed(last, number), audited=True)
        hosted.commit(f"change-{number}", {"README.md": f"models, {number}"})
        pull = hosted.pull(f"change-{number}", base="main")
        event.write_text(json.dumps(hosted.event("pull_request", "opened", pull=pull)), "utf-8")
        output.unlink(missing_ok=True)

    def check() -> None:
        said = output.read_text("utf-8") if output.exists() else ""
        if not {"pr_environment_synced=success", "prod_plan_preview=success"} <= set(said.splitlines()):
            raise Failed(f"the bot did not end its work: {said[-200:] or 'no outputs'}")

    token = forge.job_token(hosted, checks="write", contents="write", issues="write", pull_requests="write")
    env = {
        **forge.environ(hosted, token),
        "GITHUB_EVENT_NAME": "pull_request",
        "GITHUB_EVENT_PATH": str(event),
        "GITHUB_OUTPUT": str(output),
    }
    argv = (found.executable("sqlmesh_cicd"), "--paths", ".", "github", "run-all")
    return Contestant(BOT, root, (Stage(CI, argv, before=change, after=check),), env=env, rounds=3)


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
