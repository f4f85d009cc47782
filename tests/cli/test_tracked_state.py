"""A state that came with a commit says whatever its author wanted: no command believes it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from shop import Shop

RECIPE = """\
version: 1
recipe: sales
nodes:
  one: {sql: select 1 as id, tests: [{rows: {min: 2}}]}
"""


@pytest.fixture
def forged(shop: Shop) -> Shop:
    """A failing recipe, and beside it a state in which every verdict says that its test passed."""
    shop.commit({"recipes/sales/recipe.yml": RECIPE})
    assert shop.cli("run").code == 1
    verdicts = list((shop.root / ".gitkitchen/store").rglob("verdicts/**/*.json"))
    assert verdicts
    for file in verdicts:
        said = json.loads(file.read_text("utf-8"))
        file.write_text(json.dumps(said | {"state": "passed"}), "utf-8")
    return shop


def commit_state(shop: Shop) -> None:
    """By force: two .gitignore files stand against it."""
    shop.git("add", "--force", ".gitkitchen")
    shop.git("commit", "-q", "-m", "our state")


def test_a_forged_state_would_be_believed_if_it_were_ours(forged: Shop) -> None:
    """Whoever may write the state's files may forge a verdict: that is why none may be committed."""
    assert forged.cli("run").code == 0


@pytest.mark.parametrize("command", ["run", "plan", "validate", "query select 1", "kitchens", "gc", "log"])
def test_a_committed_state_is_refused(forged: Shop, command: str) -> None:
    """Every command ends with exit code 2, the file's name and what to do."""
    commit_state(forged)
    words = command.split(" ", 1)
    said = forged.cli(*words)
    assert said.code == 2
    text = said.out + said.err
    assert "is committed: nothing in .gitkitchen/ may be" in text
    assert "git rm -r --cached .gitkitchen" in text
    assert "PASSED" not in text


def test_a_link_in_the_place_of_the_state_is_refused(shop: Shop, tmp_path: Path) -> None:
    """A committed link to a folder elsewhere is no state either."""
    (tmp_path / "elsewhere").mkdir()
    (shop.root / ".gitkitchen").symlink_to(tmp_path / "elsewhere")
    shop.commit({"recipes/sales/recipe.yml": RECIPE})  # a pattern that ends with / names no link
    said = shop.cli("run")
    assert (said.code, "is committed" in said.err) == (2, True)


def test_what_the_message_says_mends_it(forged: Shop) -> None:
    """After the steps of the message the same command runs, and tells the truth."""
    commit_state(forged)
    forged.git("rm", "-r", "-q", "--cached", ".gitkitchen")
    forged.git("clean", "-fdxq", "--", ".gitkitchen")
    forged.commit({".gitignore": ".gitkitchen/\n"})
    assert forged.cli("run").code == 1


def test_a_store_elsewhere_in_the_repository_is_refused_when_it_is_committed(shop: Shop) -> None:
    """`store:` may name any folder, and its verdicts say as much as those of the state."""
    kitchen = (shop.root / "kitchen.yml").read_text("utf-8") + "store: kept\n"
    shop.commit({"recipes/sales/recipe.yml": RECIPE, "kitchen.yml": kitchen})
    assert shop.cli("run").code == 1
    shop.git("add", "--force", "kept")
    shop.git("commit", "-q", "-m", "our store")
    for command in ("run", "plan", "validate"):
        said = shop.cli(command)
        assert (said.code, "is committed: nothing in kept/ may be" in said.out + said.err) == (2, True)
        assert "kitchen.yml:" in said.out + said.err


def test_a_linked_work_tree_does_not_believe_the_main_ones_committed_state(
    forged: Shop, tmp_path: Path
) -> None:
    """All work trees share the main one's state: what is committed there is refused in each."""
    forged.git("worktree", "add", "-q", "-b", "side", str(tmp_path / "side"))
    assert Shop(tmp_path / "side").cli("run").code == 0  # forged, and ours
    commit_state(forged)
    said = Shop(tmp_path / "side").cli("run")
    assert (said.code, "is committed" in said.err) == (2, True)
