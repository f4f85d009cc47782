"""Whatever a file holds, validation answers with problems and never with an exception."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitkitchen.errors import GitKitchenError
from gitkitchen.kitchen.config import load_project
from gitkitchen.recipe.load import load_recipes, validate_project
from gitkitchen.recipe.resolve import resolve
from pantry import KITCHEN_YML, Pantry

RECIPE: dict[str, Any] = {
    "version": 1,
    "recipe": "jam",
    "description": "In ${{ vars.region }}",
    "vars": {"n": 3, "group": {"x": [1, 2]}},
    "variations": {"big": {"vars": {"n": 4}, "nodes": ["+late", "!tag:daily"], "environments": ["prod"]}},
    "nodes": {
        "a": {
            "source": {"file": "a.csv", "format": "csv", "options": {"nulls": ["NA"], "types": {"x": "DATE"}}}
        },
        "u": {"source": {"url": "https://example.org/${{ vars.n }}.csv", "digest": "a" * 64}},
        "late": {
            "sql": "q.sql",
            "needs": ["a"],
            "with": {"n": "${{ vars.n }}", "deep": {"m": ["${{ vars.group.x[0] }}"]}},
            "key": ["id"],
            "public": ["id"],
            "materialize": {"partitions": {"by": "day", "grain": "month"}},
            "tests": {
                "inputs": [{"rows": {"of": "a", "min": 1}}],
                "outputs": [
                    {"not_null": ["id", "day"], "severity": "warn", "tolerate": "5%"},
                    {"range": {"column": "x", "min": "2013-01-01", "strict": True}, "where": "id > 1"},
                    {"relationships": {"column": "id", "to": "a.id", "tolerate": 3}},
                    {"accepted_values": {"column": "x", "values": "${{ vars.group.x }}"}},
                    {"schema": {"columns": {"id": "INTEGER", "x": None}, "ordered": True}},
                    {"close": {"value": "sum(x)", "to": "${{ vars.n }}", "within": {"share": 0.1}}},
                    {"freshness": {"column": "at", "max_age": "36h"}},
                ],
                "logic": [{"rows": {"same_as": "a"}}, {"value": {"sql": "sum(x)", "between": [1, 2]}}],
            },
        },
        "model": {
            "python": "m.py:f",
            "needs": ["late"],
            "secrets": ["TOKEN"],
            "env": {"T": "${{ secrets.TOKEN }}", "R": "${{ matrix.r }}"},
            "strategy": {"matrix": {"r": ["eu", "us"], "n": [1, 2]}, "max-parallel": 2, "fail-fast": False},
            "retry": {"attempts": 2, "backoff": 1.5},
            "timeout-minutes": "${{ vars.n }}",
            "if": "success() && vars.n > 2",
            "files": ["a.csv"],
            "tags": ["daily"],
        },
        "report": {
            "run": {"command": "python m.py", "shell": "sh"},
            "needs": ["model"],
            "outputs": {"page": "page.html", "table": "t.parquet"},
            "on": "publish",
            "environments": ["prod"],
            "pool": "heavy",
            "continue-on-error": True,
        },
        "checks": {"pytest": {"file": "m.py", "args": ["-k", "${{ vars.n }}"]}, "needs": ["late"]},
    },
}
VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-5, 10),
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from(
        [
            "",
            "x",
            "${{ vars.n }}",
            "${{ matrix.r }}",
            "${{",
            "${{ vars.",
            "../../x",
            "a.csv",
            ".",
            "\n",
            "+",
            "5%",
            "late",
        ]
    ),
    st.just([]),
    st.just({}),
    st.lists(st.sampled_from(["x", 1, None, [], {"x": 1}]), max_size=3),
    st.dictionaries(
        st.sampled_from(["x", "min", "file", "columns", "sql", ""]), st.sampled_from(["x", 1, None])
    ),
)


def paths(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield path
    for key, part in (
        value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    ):
        yield from paths(part, (*path, key))


PATHS = list(paths(RECIPE))[1:]


def put(value: Any, path: tuple[Any, ...], new: Any, rename: str | None) -> None:
    """Replace what stands at ``path``, if it still does; with ``rename``, under another key."""
    for key in path[:-1]:
        if not isinstance(value, (dict, list)) or (
            key not in value if isinstance(value, dict) else key >= len(value)
        ):
            return
        value = value[key]
    last = path[-1]
    if isinstance(value, dict) and last in value:
        if rename is not None:
            del value[last]
            last = rename
        value[last] = new
    elif isinstance(value, list) and isinstance(last, int) and last < len(value):
        value[last] = new


@pytest.fixture(scope="module")
def pantry(tmp_path_factory: pytest.TempPathFactory) -> Pantry:
    made = Pantry(tmp_path_factory.mktemp("any"))
    made.write("kitchen.yml", KITCHEN_YML)
    for name in ("a.csv", "m.py"):
        made.write(f"recipes/jam/{name}", "id\n1\n")
    made.write("recipes/jam/q.sql", "select 1 as id")
    return made


def test_the_recipe_that_is_spoilt_is_good(pantry: Pantry) -> None:
    """The beginning of all changes below has no mistake, so that each of them is looked at."""
    pantry.write("recipes/jam/recipe.yml", json.dumps(RECIPE))
    assert [str(p) for p in validate_project(pantry.root)] == []


@given(
    changes=st.lists(
        st.tuples(
            st.sampled_from(PATHS), VALUES, st.sampled_from([None, None, None, "x", "needs", "tests", ""])
        ),
        min_size=1,
        max_size=3,
    )
)
def test_no_change_of_a_recipe_raises(
    pantry: Pantry, changes: list[tuple[tuple[Any, ...], Any, str | None]]
) -> None:
    """Any parts replaced by anything give problems that have a place, or a recipe that resolves."""
    value = json.loads(json.dumps(RECIPE))
    for path, new, rename in changes:
        put(value, path, new, rename)
    pantry.write("recipes/jam/recipe.yml", json.dumps(value))
    problems = validate_project(pantry.root)
    assert all(p.place is not None and p.place.file and p.code and p.message for p in problems)
    project = load_project(pantry.root)
    recipes = load_recipes(project)
    if not problems:
        assert set(resolve(recipes.recipes[value["recipe"]], {**value["vars"], "region": "eu"}).nodes) == set(
            value["nodes"]
        )


@given(text=st.text(max_size=60))
def test_no_text_raises(pantry: Pantry, text: str) -> None:
    """Any text at all as a recipe or a kitchen file is answered."""
    root: Path = pantry.root
    pantry.write("recipes/jam/recipe.yml", text.encode("utf-8", "replace").decode())
    assert all(p.code for p in validate_project(root))
    pantry.write("kitchen.yml", text.encode("utf-8", "replace").decode())
    try:
        with pytest.raises(GitKitchenError):
            load_project(root)
    finally:
        pantry.write("kitchen.yml", KITCHEN_YML)
