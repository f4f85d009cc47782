"""Tests as written become TestSpecs: arguments normalised, datasets found, ids of their own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gitkitchen.controls.kinds import KINDS
from gitkitchen.errors import Place
from gitkitchen.model import Severity, TestSpec, Tolerance
from gitkitchen.recipe.tests import TEST_KINDS
from pantry import Pantry


@pytest.fixture
def pantry(tmp_path: Path) -> Pantry:
    return Pantry(tmp_path)


@pytest.mark.parametrize(
    ("text", "kind", "args"),
    [
        ("not_null: id", "not_null", {"column": "id"}),
        ("not_null: {columns: [id]}", "not_null", {"column": "id"}),
        ("unique: id", "unique", {"columns": ["id"]}),
        ("unique: [id, day]", "unique", {"columns": ["id", "day"]}),
        (
            "accepted_values: {column: id, values: [1, a, true], reject: true}",
            "accepted_values",
            {"column": "id", "values": [1, "a", True], "reject": True},
        ),
        ("range: {column: id, min: 1}", "range", {"column": "id", "min": 1, "max": None, "strict": False}),
        (
            "range: {column: id, min: 2013-01-01, max: '2013-12-31 10:00', strict: true}",
            "range",
            {"column": "id", "min": "2013-01-01", "max": "2013-12-31 10:00", "strict": True},
        ),
        (
            "pattern: {column: id, matches: ^x, negate: true}",
            "pattern",
            {"column": "id", "matches": "^x", "negate": True},
        ),
        ("length: {column: id, max: 3}", "length", {"column": "id", "min": None, "max": 3}),
        ("rows: {min: 1}", "rows", {"min": 1, "max": None, "relative_to": None}),
        ("rows: {between: [1, 2]}", "rows", {"min": 1, "max": 2, "relative_to": None}),
        ("rows: {equals: 3}", "rows", {"min": 3, "max": 3, "relative_to": None}),
        ("rows: {same_as: b}", "rows", {"min": 1, "max": 1, "relative_to": "b"}),
        ("rows: {max: 1.1, relative_to: b}", "rows", {"min": None, "max": 1.1, "relative_to": "b"}),
        (
            "relationships: {column: id, to: b.key}",
            "relationships",
            {"columns": ["id"], "to_dataset": "b", "to_columns": ["key"]},
        ),
        (
            "relationships: {column: id, to: b}",
            "relationships",
            {"columns": ["id"], "to_dataset": "b", "to_columns": ["id"]},
        ),
        (
            "relationships: {columns: [id, day], to: b, to_columns: [key, at]}",
            "relationships",
            {"columns": ["id", "day"], "to_dataset": "b", "to_columns": ["key", "at"]},
        ),
        ("freshness: {column: at, max_age: 36h}", "freshness", {"column": "at", "max_age": 129600.0}),
        (
            "schema: {columns: {id: INTEGER, day: }, ordered: true}",
            "schema",
            {"columns": [["id", "INTEGER"], ["day", None]], "ordered": True, "extra": False},
        ),
        (
            "schema: {columns: [id], extra: true}",
            "schema",
            {"columns": [["id", None]], "ordered": False, "extra": True},
        ),
        ("equal: {value: sum(id), to: 3}", "equal", {"value": "sum(id)", "to": 3}),
        (
            "close: {value: sum(id), to: 3, within: 0.5}",
            "close",
            {"value": "sum(id)", "to": 3, "absolute": 0.5, "share": None},
        ),
        (
            "close: {value: sum(id), to: 3, within: 1%}",
            "close",
            {"value": "sum(id)", "to": 3, "absolute": None, "share": 0.01},
        ),
        (
            "close: {value: sum(id), to: 3, within: {share: 0.02}}",
            "close",
            {"value": "sum(id)", "to": 3, "absolute": None, "share": 0.02},
        ),
        ("no_rows: select 1 where false", "no_rows", {"sql": "select 1 where false"}),
        ("value: {sql: sum(id), between: [-1, 2]}", "value", {"sql": "sum(id)", "min": -1, "max": 2}),
    ],
)
def test_arguments_are_normalised(pantry: Pantry, text: str, kind: str, args: dict[str, Any]) -> None:
    """Every way to write a test gives the one form that is planned and judged."""
    (spec,) = pantry.tests(f"- {text}")
    assert (spec.kind, spec.args) == (kind, args)
    assert (spec.node, spec.phase, spec.dataset) == ("a", "outputs", "a")


def test_every_kind_can_be_judged() -> None:
    """What can be declared and what can be judged are the same kinds."""
    assert set(TEST_KINDS) == set(KINDS)


def test_a_list_of_columns_is_a_test_for_each(pantry: Pantry) -> None:
    """not_null of three columns are three tests, each with an id of its own."""
    specs = pantry.tests("- not_null: [id, day, at]")
    assert [s.id for s in specs] == [f"a/outputs/not_null({c})" for c in ("id", "day", "at")]


def test_what_stands_beside_the_kind(pantry: Pantry) -> None:
    """Severity, condition, tolerance and description belong to the test, wherever they stand."""
    specs = pantry.tests(
        "- not_null: [id]\n  severity: warn\n  where: id > 0\n  tolerate: 5\n  description: Ids.\n"
        "- relationships: {column: id, to: b.id, tolerate: 20%, where: id > 1}"
    )
    assert (specs[0].severity, specs[0].where, specs[0].tolerate) == (
        Severity.WARN,
        "id > 0",
        Tolerance(rows=5),
    )
    assert specs[0].description == "Ids."
    assert specs[0].place == Place("recipes/jam/recipe.yml", 7, 9)
    assert (specs[1].where, specs[1].tolerate) == ("id > 1", Tolerance(share=0.2))
    assert specs[1].reads == ("a", "b")


def test_a_key_implies_tests(pantry: Pantry) -> None:
    """A key is not_null for each column and unique together; saying the same again adds nothing."""
    node = pantry.node("sql: select 1\nkey: [id, day]\ntests: [{unique: [id, day]}, {not_null: [id]}]")
    assert [t.id for t in node.tests] == [
        "a/outputs/not_null(id)",
        "a/outputs/not_null(day)",
        "a/outputs/unique(id, day)",
    ]
    assert {t.severity for t in node.tests} == {Severity.STOP}


def test_ids_are_unique(pantry: Pantry) -> None:
    """Two tests that differ only beside their arguments have two ids, in the order of the file."""
    specs = pantry.tests(
        "- not_null: [id]\n- not_null: [id]\n  severity: warn\n- not_null: [id]\n  where: day > 1"
    )
    assert [s.id for s in specs] == [f"a/outputs/not_null(id){n}" for n in ("", "#2", "#3")]


def test_ids_of_long_queries_are_short_and_differ(pantry: Pantry) -> None:
    """A long query is cut in the id; its digest keeps two that begin alike apart."""
    query = "select " + ", ".join(f"column_{n}" for n in range(40))
    first, second = pantry.tests(f"- no_rows: {query} from a\n- no_rows: {query} from b")
    assert first.id != second.id
    assert max(len(first.id), len(second.id)) < 120


def test_phases_and_their_datasets(pantry: Pantry) -> None:
    """Inputs are what the node needs, outputs what it makes, logic what it makes or names."""
    node = pantry.recipe(
        "b: {sql: select 1}\n"
        "a:\n  run: ls\n  needs: [b]\n  outputs: {x: x.parquet, y: y.parquet, page: page.html}\n"
        "  tests:\n"
        "    inputs: [{rows: {min: 1}}]\n"
        "    outputs: [{rows: {of: x, min: 1}}]\n"
        "    logic: [{rows: {of: y, same_as: b}}]\n"
    ).nodes["a"]
    assert [(t.phase, t.dataset, t.reads) for t in node.tests] == [
        ("inputs", "b", ("b",)),
        ("outputs", "x", ("x",)),
        ("logic", "y", ("y", "b")),
    ]
    assert node.tests[1].id == "a/outputs/rows(of=x, min=1)"


def test_bounds_may_be_variables(pantry: Pantry) -> None:
    """A lone expression keeps its type, so that a variable can be a bound, a list or a number to equal."""
    values = {"n": 3, "all": ["x", "y"], "since": "2013-01-01"}
    specs: tuple[TestSpec, ...] = pantry.tests(
        "- rows: {min: '${{ vars.n }}'}\n"
        "- accepted_values: {column: id, values: '${{ vars.all }}'}\n"
        "- range: {column: at, min: '${{ vars.since }}'}\n"
        "- equal: {value: sum(id), to: '${{ vars.n + 1 }}'}",
        values,
    )
    found = [specs[0].args["min"], specs[1].args["values"], specs[2].args["min"], specs[3].args["to"]]
    assert found == [3, ["x", "y"], "2013-01-01", 4]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("rows: {same_as: b, min: 1}", "same_as stands alone, without min"),
        ("rows: {relative_to: b}", "it needs min, max, between or equals"),
        ("rows: {min: 2, max: 1}", "the least, 2, is above the most, 1"),
        ("rows: {min: -1}", "a bound must not be negative"),
        ("rows: {min: 1.5}", "a bound must be a whole number"),
        ("rows: {min: '${{ vars.word }}'}", "a bound must be a number, not 'w'"),
        ("range: {column: id, strict: true}", "it needs min or max"),
        ("range: {column: id, min: soon}", "'soon' is neither a number nor a date or time"),
        ("range: {column: id, min: 1, max: 2013-01-01}", "min and max must be of one type"),
        ("accepted_values: {column: id, values: '${{ vars.word }}'}", "values must be a list"),
        ("relationships: {column: id, columns: [id], to: b}", "it needs either column or columns"),
        ("relationships: {columns: [a, b], to: c, to_columns: [d]}", "columns has 2 names and to_columns 1"),
        ("relationships: {columns: [a], to: c.d}", "with columns, `to` is a dataset"),
        ("freshness: {column: at, max_age: soon}", "'soon' is not a duration such as 36h"),
        ("schema: {columns: [id, ID]}", "column 'ID' stands there twice"),
        ("close: {value: x, to: 1, within: near}", "within: 'near' must be a number or a share"),
        ("equal: {value: x, to: '${{ vars.word }}'}", "an expression here must give a number"),
        ("unique: [id]\n  tolerate: 120%", "'120%' is not between 0% and 100%"),
        ("unique: [id]\n  tolerate: 0.5", "tolerate: 0.5 is no number of rows; write a share as 50%"),
        ("rows: {min: 1}\n  tolerate: 5", "a 'rows' test has no failing rows to tolerate"),
        ("no_rows: select 1\n  tolerate: 5%", "a 'no_rows' test has no rows to share"),
        ("no_rows: select 1\n  where: x > 1", "a 'no_rows' test is a whole query"),
        ("schema: {columns: [id]}\n  where: x > 1", "a 'schema' test looks at columns"),
        ("not_null: {columns: [id], where: x}\n  where: y", "where stands here and below 'not_null'"),
        ("not_null: {columns: [id], of: aa}", "'aa' is not made by this node; did you mean 'a'?"),
    ],
)
def test_tests_without_meaning_are_refused(pantry: Pantry, text: str, message: str) -> None:
    """What the schema cannot say of a test is a mistake with its line, too."""
    (problem,) = pantry.problems(f"sql: select 1\ntests:\n- {text}", {"word": "w"})
    assert message in str(problem)
    assert problem.place is not None
    assert problem.place.line >= 7


def test_an_input_must_be_clear(pantry: Pantry) -> None:
    """A test of inputs without `of:` is refused where the node does not need exactly one dataset."""
    (problem,) = pantry.problems("sql: select 1\ntests: {inputs: [{rows: {min: 1}}]}")
    assert "it is not clear which dataset is tested; name it with `of:`" in str(problem)
    (problem,) = pantry.problems("sql: select 1\ntests: {inputs: [{rows: {of: a, min: 1}}]}")
    assert "'a' is made by this node; test it in `outputs:`" in str(problem)
