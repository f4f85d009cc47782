"""A merge queue in which several pull requests wait behind each other: what is tested, said, and of whom."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from gitkitchen.github.forge import zipped
from gitkitchen.github.forge.state import Pull, Run
from scene import TESTS, Scene, scene
from shop import KITCHEN_YML

RECIPE = """\
version: 1
recipe: {name}
nodes:
  {name}: {{sql: {name}.sql, key: [id], tests: [{{accepted_values: {{column: region, values: [eu, us]}}}}]}}
"""
GOOD = "select 1 as id, 'eu' as region"
US, MARS = GOOD.replace("eu", "us"), GOOD.replace("eu", "mars")
A, B = "recipes/a/a.sql", "recipes/b/b.sql"
FILES = {
    "kitchen.yml": KITCHEN_YML,
    "recipes/a/recipe.yml": RECIPE.format(name="a"),
    "recipes/b/recipe.yml": RECIPE.format(name="b"),
    A: GOOD,
    B: GOOD,
}
WHOLE = "(project)"


@pytest.fixture(scope="module")
def on(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    with scene(tmp_path_factory.mktemp("queue"), FILES) as made:
        yield made


def queued(on: Scene, pull: Pull, behind: str = "") -> tuple[Run, str]:
    """A pull request's place in the queue, tested by the untrusted job."""
    branch, sha = on.repo.queue(pull, behind)
    run = on.repo.run(TESTS, "merge_group", sha, branch=branch, conclusion=None)
    return on.job(run, "merge_group", on.repo.event("merge_group", branch=branch, pull=pull)), sha


def states(on: Scene, run: Run, recipe: str) -> dict[str, str]:
    found = json.loads(on.results[run.id][f"{recipe}.outcome.json"])
    return {n["node"]: n["state"] for n in found["nodes"]}


@pytest.mark.long
def test_a_group_is_tested_as_a_whole_and_named(on: Scene) -> None:
    """The second of two is tested on top of the first; each check stands on the head of its group and names
    what the group adds; no pull request gets a comment. So it is once the queue has landed."""
    on.forget()
    one = on.opened("one", {A: US})
    on.posted(on.tested(one))
    two = on.opened("two", {B: US})
    first, below = queued(on, one)
    second, sha = queued(on, two, below)
    claim = json.loads(on.results[second.id]["claim.json"])
    assert (claim["head"], claim["base"], claim["number"]) == (sha, below, None)
    outcome = json.loads(on.results[second.id]["a.outcome.json"])
    assert outcome["subject"]["tree"] == on.repo.repo.bare.facts(sha).tree
    report = on.posted(first)
    assert f"queue of #{one.number} at" in report.said[0]
    assert on.conclusions(below)[WHOLE] == "success"
    report = on.posted(second)
    assert not report.warnings
    assert f"queue of #{two.number} at" in report.said[0], "the group of the second begins behind the first"
    assert on.conclusions(sha)[WHOLE] == "success"
    assert not on.comments(two)
    on.repo.repo.bare.set("refs/heads/main", sha)
    on.forget()
    on.posted(second)
    assert on.conclusions(sha)[WHOLE] == "success"


@pytest.mark.long
def test_a_group_of_several_names_all_of_them(on: Scene) -> None:
    """A queue that tests several at once bases the group on the target: its summary names each of them."""
    on.forget()
    pulls = [on.opened(f"several-{n}", {f"recipes/{n}/{n}.sql": f"{GOOD} -- {n}"}) for n in "ab"]
    _, below = on.repo.queue(pulls[0])
    branch, sha = on.repo.queue(pulls[1], below)
    run = on.repo.run(TESTS, "merge_group", sha, branch=branch, conclusion=None)
    event = on.repo.event("merge_group", branch=branch, pull=pulls[1])
    event["merge_group"]["base_sha"] = on.repo.head("main")
    on.job(run, "merge_group", event)
    report = on.posted(run)
    assert not report.warnings
    assert f"queue of #{pulls[0].number}, #{pulls[1].number} at" in report.said[0]
    summary = on.checks(sha)[f"GitKitchen / {WHOLE}"]
    assert f"#{pulls[0].number}, #{pulls[1].number}" in summary.summary + summary.text


@pytest.mark.long
def test_what_only_fails_together_fails_the_group(on: Scene) -> None:
    """Two changes that pass alone and not together: the first of the queue is green, the second red."""
    on.forget()
    yml = RECIPE.format(name="b").replace("[eu, us]", "[eu, us]}}, {rows: {max: 1}")
    yml = yml.replace("{rows: {max: 1}}}", "{rows: {max: 1}}")
    one = on.opened("stricter", {"recipes/b/recipe.yml": yml})
    two = on.opened("longer", {B: f"{GOOD} union all select 2, 'us'"})
    for pull in (one, two):
        on.posted(on.tested(pull))
        assert on.conclusions(pull.head_sha)["b"] == "success", on.results
    first, below = queued(on, one)
    second, sha = queued(on, two, below)
    on.posted(first)
    on.posted(second)
    assert on.conclusions(below)[WHOLE] == "success"
    found = on.conclusions(sha)
    assert (found["b"], found[WHOLE]) == ("failure", "failure")


@pytest.mark.long
def test_a_claimed_base_is_one_of_the_queue(on: Scene) -> None:
    """A job of the queue that claims another base than one that its head was put behind is refused."""
    on.forget()
    pull = on.opened("forged", {A: f"{GOOD} -- forged"})
    run, sha = queued(on, pull)
    files = dict(on.results[run.id])
    claim = json.loads(files["claim.json"]) | {"base": pull.head_sha}
    document = json.loads(files["pull.json"])
    document["base"] = pull.head_sha
    files |= {"claim.json": json.dumps(claim).encode(), "pull.json": json.dumps(document).encode()}
    on.repo.repo.artifacts.clear()
    on.repo.artifact(run, f"gitkitchen-results-{run.attempt}", zipped(files))
    report = on.posted(run)
    assert "is none on which a merge queue" in report.failures[0].problems[0].message
    assert on.conclusions(sha)[WHOLE] == "failure"


@pytest.mark.long
def test_nothing_is_built_twice_in_a_queue(on: Scene) -> None:
    """What is the same as before, a group does not build again."""
    on.forget()
    on.publish()
    pull = on.opened("again", {"README.md": "hello"})
    run, _ = queued(on, pull)
    assert states(on, run, "a") == {"a": "reused"}
