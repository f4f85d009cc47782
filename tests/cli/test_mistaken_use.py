"""Mistakes at the command line are told, never guessed away."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

from lengths import some
from shop import Shop

RECIPE = """\
version: 1
recipe: small
vars: {size: 1}
nodes:
  one: {sql: "select $size as x", with: {size: "${{ vars.size }}"}, key: [x]}
  two: {sql: "select x + 1 as y from one", key: [y]}
"""


@pytest.fixture
def small(shop: Shop) -> Shop:
    shop.commit({"recipes/small/recipe.yml": RECIPE})
    assert shop.cli("run").code == 0
    return shop


def test_a_kitchen_that_nobody_knows_is_refused_by_who_only_looks(small: Shop) -> None:
    """A mistyped --kitchen never shows another kitchen's data."""
    for words in (("query", "from one"), ("log",), ("show",), ("open", "--path")):
        said = small.cli(*words, "--kitchen", "nope")
        assert said.code == 2
        assert "nobody ran anything in a kitchen 'nope'" in said.err


def test_a_variable_that_nobody_declared_is_refused(small: Shop) -> None:
    """A mistyped --set is a mistake with a suggestion, for it would change nothing."""
    said = small.cli("run", "--set", "sise=3")
    assert said.code == 2
    assert "did you mean 'size'?" in said.err


def test_a_script_on_the_prompt_learns_of_its_mistake(small: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Piped SQL runs to its end, the last statement without a semicolon too; one mistake makes it exit 2."""
    monkeypatch.setattr("sys.stdin", io.StringIO("select nope;\nfrom two"))
    said = small.cli("open")
    assert said.code == 2
    assert "nope" in said.err
    assert "(1 row)" in said.out


def test_a_removed_dataset_is_not_told_as_published(small: Shop) -> None:
    """Renaming a node publishes the new dataset and removes the old one, and says so."""
    small.replace("recipes/small/recipe.yml", "  two:", "  three:")
    small.commit()
    said = small.cli("run")
    assert said.code == 0
    assert "(removed: two)" in said.out
    assert small.outcome()["publication"]["datasets"] == ["three"]
    assert small.cli("query", "from two").code == 2


def test_a_secret_that_is_returned_as_data_is_masked_in_samples(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A failing row that holds the value of a secret shows *** in every report."""
    monkeypatch.setenv("TOKEN", "correct-horse-battery")
    recipe = (
        "version: 1\nrecipe: leak\nnodes:\n  leak:\n    python: leak.py:leak\n    secrets: [TOKEN]\n"
        "    tests: [{accepted_values: {column: value, values: [fine]}}]\n"
    )
    code = "import os\n\n\ndef leak():\n    return [{'value': os.environ['TOKEN']}]\n"
    shop.commit({"recipes/leak/recipe.yml": recipe, "recipes/leak/leak.py": code})
    said = shop.cli("run")
    assert said.code == 1
    assert "***" in said.out
    everything = said.out + json.dumps(shop.outcome()) + shop.cli("report", "--output", "-").out
    assert "correct-horse-battery" not in everything


def test_a_lost_store_is_built_again(small: Shop) -> None:
    """Store and views deleted: the next run builds what was published and readers get it back."""
    import shutil

    for name in ("store", "views"):
        shutil.rmtree(small.root / ".gitkitchen" / name)
    said = small.cli("run")
    assert said.code == 0, said.out + said.err
    assert small.rows("from two") == [{"y": 2}]
    assert small.cli("open", "--path").code == 0


@pytest.mark.parametrize(
    "damage", some(["", "{", "[]", '{"run": "x"}', "\udcff", "[" * 100_000], "{", "\udcff")
)
@pytest.mark.parametrize("words", [("show",), ("log",), ("run", "--resume")], ids=" ".join)
def test_a_damaged_mark_of_a_run_is_told(shop: Shop, words: tuple[str, ...], damage: str) -> None:
    """Whose a run was cannot be told from a damaged mark: that is no "nothing was run", and exit 3."""
    folder = shop.root / ".gitkitchen" / "runs" / "20240101T000000000Z-abcdef"
    folder.mkdir(parents=True)
    (folder / "run.json").write_bytes(damage.encode("utf-8", "surrogateescape"))
    shop.commit(
        {"recipes/one/recipe.yml": "version: 1\nrecipe: one\nnodes: {a: {sql: select 1 as x, key: [x]}}\n"}
    )
    said = shop.cli(*words)
    assert said.code == 3
    assert "the mark of run '20240101T000000000Z-abcdef' is damaged" in said.err
    assert str(folder) in said.err
    assert shop.cli("run", "--quiet").code == 0


@pytest.mark.parametrize(
    ("sql", "said"), [("twoo", "did you mean 'two'?"), ("select * from sales, two", "there are one, two")]
)
def test_a_dataset_that_is_not_there_is_told_with_those_that_are(small: Shop, sql: str, said: str) -> None:
    """A mistyped dataset is a mistake with the kitchen's own names, none of the engine's."""
    answer = small.cli("query", sql)
    assert answer.code == 2
    assert "kitchen 'prod' has no dataset" in answer.err
    assert said in answer.err
    assert "pg_" not in answer.err


def test_published_data_that_was_damaged_is_not_told_as_a_mistyped_name(small: Shop) -> None:
    """Where a file of the store is torn, the query ends with exit code 3 and says what mends it; it does."""
    for file in (small.root / ".gitkitchen/store").rglob("*.parquet"):
        file.chmod(0o644)
        file.write_bytes(b"torn")
    said = small.cli("query", "two")
    assert (said.code, "the data of 'two' is published, and not whole" in said.err) == (3, True)
    assert small.cli("run").code == 0
    assert small.cli("query", "two").code == 0


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    """`-C` with a mistyped folder says that, not that a project is missing above it."""
    said = Shop(tmp_path / "nowhere").cli("validate")
    assert (said.code, "there is no folder" in said.out + said.err) == (2, True)


def test_a_reader_that_goes_away_makes_nothing_green(shop: Shop) -> None:
    """`gitkitchen run | head`, when a test failed: whatever is left unsaid, the exit code is not 0."""
    nodes = "".join(f"  n{i}: {{sql: select 1 as id, tests: [{{rows: {{min: 2}}}}]}}\n" for i in range(30))
    shop.commit({"recipes/r/recipe.yml": f"version: 1\nrecipe: r\nnodes:\n{nodes}"})
    with shop.spawn("run", "--json") as run:
        assert run.stdout is not None
        assert run.stderr is not None
        run.stdout.close()
        run.stderr.read()
    assert run.returncode in (1, 141)
