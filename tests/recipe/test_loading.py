"""Recipes are found, read, compared and validated; what was read once is cheap to read again."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from gitkitchen.errors import Mistake, Place
from gitkitchen.kitchen.config import load_project
from gitkitchen.recipe.load import load_recipes, validate_project
from pantry import KITCHEN_YML, Pantry

EXAMPLE = Path(__file__).parents[2] / "examples" / "flights"
HEAD = "version: 1\nrecipe: "


@pytest.fixture
def pantry(tmp_path: Path) -> Pantry:
    made = Pantry(tmp_path)
    made.write("kitchen.yml", KITCHEN_YML)
    return made


def said(pantry: Pantry) -> list[str]:
    return [str(problem) for problem in validate_project(pantry.root)]


def test_recipes_are_found_by_name(pantry: Pantry) -> None:
    """Each folder of recipes holds one, known by its name; ``only`` leaves the others out."""
    pantry.write("recipes/one/recipe.yml", HEAD + "jam\nnodes: {a: {sql: select 1}}\n")
    pantry.write("recipes/two/recipe.yml", HEAD + "bread\nnodes: {b: {run: ls, outputs: [c, d]}}\n")
    pantry.write("recipes/notes/readme.md", "no recipe")
    project = load_project(pantry.root)
    recipes = load_recipes(project)
    assert list(recipes.recipes) == ["bread", "jam"]
    assert recipes.problems == ()
    assert list(recipes.recipes["bread"].datasets) == ["c", "d"]
    assert list(load_recipes(project, only="jam").recipes) == ["jam"]


def test_a_project_without_recipes_is_no_mistake(pantry: Pantry) -> None:
    """Before the first recipe there is nothing to complain of."""
    assert load_recipes(load_project(pantry.root)).recipes == {}
    assert said(pantry) == []


def test_the_raw_recipe_knows_places_and_variations(pantry: Pantry) -> None:
    """Each variable keeps the line where it stands, for `settings` and for messages."""
    raw = pantry.raw("a: {sql: select 1}", "vars: {x: {y: 1}}\nvariations: {big: {vars: {x: {y: 2}}}}\n")
    file = "recipes/jam/recipe.yml"
    assert raw.places_of("vars") == {"x": Place(file, 3, 8), "x.y": Place(file, 3, 12)}
    assert raw.variation("big").vars == {"x": {"y": 2}}
    with pytest.raises(Mistake, match="did you mean 'big'"):
        raw.variation("bigg")


def test_a_mistake_of_form_hides_no_other_mistake(pantry: Pantry) -> None:
    """The schema's complaints and those of the parts that are well-formed come together."""
    pantry.write(
        "recipes/jam/recipe.yml",
        HEAD + "jam\nnodes:\n  a:\n    sql: missing.sql\n    volatile: 3\n    poool: x\n    tests:\n"
        "      - rows: {min: x}\n      - range: {column: x, min: 2, max: 1}\n"
        "  b: {run: ls, pool: y, needs: 3}\n",
    )
    lines = [int(text.split(":")[1]) for text in said(pantry)]
    assert lines == [5, 6, 7, 9, 10, 11, 11]


def test_a_broken_recipe_leaves_the_others_readable(pantry: Pantry) -> None:
    """A recipe with a mistake of form is left out, with its problem; its names still count."""
    pantry.write("recipes/one/recipe.yml", HEAD + "one\nnodes: {a: {sql: 3}}\n")
    pantry.write("recipes/two/recipe.yml", HEAD + "two\nnodes: {b: {sql: select 1}}\n")
    recipes = load_recipes(load_project(pantry.root))
    assert list(recipes.recipes) == ["two"]
    assert [str(p) for p in recipes.problems] == [
        "recipes/one/recipe.yml:3: node 'a', sql: must be a text, not the number 3; quote it"
    ]


def test_a_variable_that_only_some_environments_set(pantry: Pantry) -> None:
    """A recipe is read with the variables of each environment; a gap says where it is."""
    pantry.write("kitchen.yml", KITCHEN_YML.replace("vars: {region: us}", "vars: {}"))
    text = 'jam\nnodes:\n  a: {sql: select $r, with: {r: "${{ vars.region }}"}}\n'
    pantry.write("recipes/jam/recipe.yml", HEAD + text)
    (problem,) = said(pantry)
    assert problem.startswith("recipes/jam/recipe.yml:4: node 'a', with.r: the expression")
    assert problem.endswith("'region' is not set (in environment dev)")


def test_a_variable_of_a_variation_counts_for_it_alone(pantry: Pantry) -> None:
    """What a variation breaks is told with its name, and its selectors are looked at."""
    text = (
        "jam\nvars: {n: 1}\nvariations:\n  odd: {vars: {n: many}, nodes: [a]}\n  no: {nodes: [b]}\n"
        "nodes:\n  a: {sql: select 1, tests: [{rows: {min: '${{ vars.n }}'}}]}\n"
    )
    pantry.write("recipes/jam/recipe.yml", HEAD + text)
    selector, bound = said(pantry)
    assert "6: the selector 'b' matches no node" in selector
    assert bound.endswith("a bound must be a number, not 'many' (in environment dev and variation odd)")


def test_another_ending_is_told(pantry: Pantry) -> None:
    """``recipe.yaml`` is not passed over in silence."""
    pantry.write("recipes/jam/recipe.yaml", HEAD + "jam\nnodes: {a: {sql: select 1}}\n")
    assert said(pantry) == [
        "recipes/jam/recipe.yaml: a recipe's file is named recipe.yml; rename it to recipe.yml"
    ]


def test_a_link_out_of_the_repository_is_refused(
    pantry: Pantry, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Neither a recipe nor a file that it names is read through a link that leads outside."""
    outside = tmp_path_factory.mktemp("outside")
    (outside / "recipe.yml").write_text(HEAD + "out\nnodes: {b: {sql: select 1}}\n", encoding="utf-8")
    (outside / "q.sql").write_text("select 1", encoding="utf-8")
    pantry.write("recipes/jam/recipe.yml", HEAD + "jam\nnodes: {a: {sql: q.sql}}\n")
    (pantry.root / "recipes/jam/q.sql").symlink_to(outside / "q.sql")
    (pantry.root / "recipes/out").symlink_to(outside)
    first, second = said(pantry)
    assert "node 'a', sql: the path 'q.sql' leaves the repository through a link" in first
    assert second.startswith("recipes/out/recipe.yml: the recipe leaves the repository through a link")


def test_a_broken_kitchen_file_does_not_hide_the_recipes(pantry: Pantry) -> None:
    """Recipes are read for their form even where kitchen.yml cannot be understood."""
    pantry.write("kitchen.yml", "version: 1\nproject: 3\n")
    pantry.write("recipes/jam/recipe.yml", HEAD + "jam\nnodes: {a: {sql: 3}}\n")
    assert [text.split(": ")[0] for text in said(pantry)] == ["kitchen.yml:2", "recipes/jam/recipe.yml:3"]


def test_files_read_before_need_no_parser(pantry: Pantry) -> None:
    """A second reading of unchanged files imports neither PyYAML nor jsonschema nor an engine."""
    pantry.raw("a: {sql: select $x, with: {x: '${{ vars.x }}'}, tests: [{unique: id}]}", "vars: {x: 1}\n")
    script = (
        "import sys; from pathlib import Path\n"
        "from gitkitchen.kitchen.config import load_project\n"
        "from gitkitchen.recipe.load import load_recipes\n"
        "from gitkitchen.recipe.resolve import resolve\n"
        "recipes = load_recipes(load_project(Path(sys.argv[1])))\n"
        "recipe = resolve(recipes.recipes['jam'], {'x': 1})\n"
        "assert recipe.nodes['a'].params == {'x': 1}, recipe\n"
        "print(*sorted({'yaml', 'jsonschema', 'jinja2', 'duckdb', 'sqlglot', 'rich'} & sys.modules.keys()))\n"
    )
    command = [sys.executable, "-c", script, str(pantry.root)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def test_damage_of_what_is_kept_changes_nothing(pantry: Pantry) -> None:
    """A kept document that is damaged is read anew from its file."""
    pantry.raw("a: {sql: select 1}")
    kept = list((pantry.root / ".gitkitchen/cache/documents").iterdir())
    assert len(kept) == 2
    for path in kept:
        path.write_bytes(path.read_bytes()[:40])
    assert list(load_recipes(load_project(pantry.root)).recipes) == ["jam"]


def test_an_edit_is_seen_at_once(pantry: Pantry) -> None:
    """What is kept is kept by content: a file that changed is never taken for what it was."""
    pantry.raw("a: {sql: select 1}")
    assert list(pantry.raw("b: {sql: select 1}").nodes) == ["b"]


def test_the_example_has_no_mistake(tmp_path: Path) -> None:
    """The example that ships is well-formed, and selects its variation."""
    shutil.copytree(EXAMPLE, tmp_path / "flights", ignore=shutil.ignore_patterns(".gitkitchen"))
    assert validate_project(tmp_path / "flights") == []
