"""A project in a folder of its repository: what GitHub is told is relative to the repository."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from scene import Scene, scene
from shop import KITCHEN_YML

ORDERS = """\
version: 1
recipe: orders
nodes:
  orders: {sql: orders.sql, key: [id], tests: [{accepted_values: {column: region, values: [eu, us]}}]}
"""
OTHER = "version: 1\nrecipe: other\nnodes:\n  other: {sql: select 1 as id, key: [id]}\n"
GOOD = "select 1 as id, 'eu' as region"
BAD = "select 1 as id, 'mars' as region"
POLICY = "policy:\n  require: {recipes: [orders]}\n  changes: {by: [codeowners]}\n"
SQL, YML = "data/team/recipes/orders/orders.sql", "data/team/recipes/orders/recipe.yml"
FILES = {
    "README.md": "not ours",
    ".github/CODEOWNERS": "* @carol\n/data/team/recipes/orders/ @bob\n",
    "data/team/kitchen.yml": KITCHEN_YML + POLICY,
    "data/team/recipes/other/recipe.yml": OTHER,
    YML: ORDERS,
    SQL: GOOD,
}
WHOLE = "(project)"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    with scene(tmp_path_factory.mktemp("below"), FILES, "data/team") as found:
        for login in ("bob", "carol"):
            found.repo.allow(login, "write")
        yield found


@pytest.fixture
def on(made: Scene) -> Scene:
    made.forget()
    return made


@pytest.mark.long
def test_annotations_stand_on_files_of_the_repository(on: Scene) -> None:
    """The failing line is the changed one, by its path from the repository's top; the log's annotations, the
    comment and the command to reproduce it say the same; the recipe that did not change has no check."""
    pull = on.opened("bad", {SQL: BAD})
    run = on.begun(pull)
    event = on.repo.event("pull_request", "opened", pull=pull)
    on.work.git("fetch", "-q", "origin", "+refs/heads/*:refs/remotes/origin/*")
    on.work.git("checkout", "-q", "--detach", "origin/main")
    said = on.ci(run, "pull_request", event)
    assert f"file={SQL},line=1" in said.out
    on.posted(on.tested(pull))
    assert on.conclusions(pull.head_sha) == {"orders": "failure", WHOLE: "failure"}
    notes = on.checks(pull.head_sha)["GitKitchen / orders"].annotations
    assert [(n["path"], n["start_line"]) for n in notes] == [(SQL, 1)]
    (comment,) = on.comments(pull)
    assert YML in comment.body.replace("\\", "").replace("&#46;", ".")
    assert "\ncd data/team\ngitkitchen run" in comment.body


@pytest.mark.long
def test_owners_are_asked_by_the_paths_of_the_repository(on: Scene) -> None:
    """A removed test waits for the owner of the file at its real path, and stands in the recipe's own check;
    another's approval counts for nothing."""
    pull = on.opened("weaker", {YML: ORDERS.partition(", tests:")[0] + "}\n"})
    on.posted(on.tested(pull))
    assert on.conclusions(pull.head_sha) == {"orders": "action_required", WHOLE: "action_required"}
    notes = on.checks(pull.head_sha)["GitKitchen / orders"].annotations
    assert {n["path"] for n in notes} == {YML}
    for login, expected in (("carol", "action_required"), ("bob", "success")):
        on.repo.review(pull, login)
        event = on.repo.deliveries("pull_request_review")[-1].payload
        on.posted(on.job(on.begun(pull, "pull_request_review"), "pull_request_review", event))
        assert on.conclusions(pull.head_sha)[WHOLE] == expected, login


@pytest.mark.long
def test_a_broken_file_is_annotated_where_it_is(on: Scene) -> None:
    """A recipe that cannot be read is named by its path from the top of the repository."""
    pull = on.opened("broken", {YML: ORDERS + "  Orders: 1\n"})
    run = on.tested(pull)
    on.posted(run)
    assert on.conclusions(pull.head_sha)[WHOLE] == "failure"
    check = on.checks(pull.head_sha)[f"GitKitchen / {WHOLE}"]
    assert YML in check.summary + check.text + str(check.annotations)


@pytest.mark.long
def test_what_lies_beside_the_project_changes_nothing(on: Scene) -> None:
    """A change outside of the project's folder is tested and reuses all."""
    pull = on.opened("beside", {"README.md": "changed", "recipes/orders/orders.sql": BAD})
    on.posted(on.tested(pull))
    assert on.conclusions(pull.head_sha) == {WHOLE: "success"}
