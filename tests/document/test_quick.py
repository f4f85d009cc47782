"""The quick answer, whether a document fits its schema, is always jsonschema's."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gitkitchen.document import Document, parse, schema
from gitkitchen.document.check import check, departures
from gitkitchen.document.quick import accepting
from gitkitchen.report.diff import document as diff_document
from gitkitchen.report.outcome import to_document as outcome_document
from gitkitchen.report.surfaces.document import to_document as pull_document
from pulls import cases, difference

WRITTEN = ("kitchen", "recipe", "effects", "waiver")
SENT = ("pull", "outcome", "diff")
"""Documents that machines send each other."""
EXAMPLES = Path(__file__).parents[2] / "examples"
SCALARS = st.sampled_from(
    [
        None,
        True,
        False,
        0,
        1,
        -1,
        2,
        1.0,
        0.5,
        1e300,
        float("inf"),
        float("nan"),
        "",
        "a",
        "A b",
        "1",
        "5%",
        "x" * 300,
    ]
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["sql", "run", "a", "X"]), inner, max_size=3)
    ),
)


def documents(name: str) -> list[Any]:
    """Documents that are right, with as many keys as the examples and the schema's corners have."""
    texts = {
        "kitchen": [*EXAMPLES.rglob("kitchen.yml")],
        "recipe": [*EXAMPLES.rglob("recipe.yml")],
    }.get(name, [])
    found = [parse(path.read_text("utf-8"), path.name).value for path in texts]
    return found + [{"version": 1, **more} for more in CORNERS.get(name, [])]


UNIQUE = {"unique": ["id"], "severity": "warn"}
ROWS = {"rows": {"of": "one", "min": 1}}
EQUAL = {"equal": {"value": "1", "to": "1"}}
CORNERS: dict[str, list[dict[str, Any]]] = {
    "recipe": [
        {
            "recipe": "r",
            "vars": {"a": 1, "deep": {"b": [1, 2.5, None]}},
            "variations": {"v": {"vars": {"a": 2}}},
            "nodes": {
                "one": {"sql": "select 1 as id", "key": ["id"], "tests": [UNIQUE]},
                "two": {
                    "needs": ["one"],
                    "run": "true",
                    "outputs": {"two_file": "a.txt"},
                    "retry": {"attempts": 2},
                    "strategy": {"matrix": {"x": [1, 2]}},
                    "tests": {"inputs": [ROWS], "logic": [EQUAL]},
                },
            },
        }
    ],
    "effects": [{"branch": "more-rows", "datasets": {"one": {"rows": "5%"}}}],
    "waiver": [
        {
            "recipe": "r",
            "node": "one",
            "rule": "unique(id)",
            "reason": "known",
            "approver": "@ana",
            "expires": "2026-12-01",
        }
    ],
}  # fmt: skip


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    found = [path]
    if isinstance(value, dict):
        for key, inner in value.items():
            found += places(inner, (*path, key))
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            found += places(inner, (*path, number))
    return found


def changed(value: Any, path: tuple[Any, ...], how: str, new: Any) -> Any:
    """A value with one of its parts replaced, taken out, or given one more key or item."""
    if path:
        rest = changed(value[path[0]], path[1:], how, new)
        if isinstance(value, dict):
            kept = {k: v for k, v in value.items() if k != path[0]}
            return kept if rest is TAKEN else {**kept, path[0]: rest}
        return [*value[: path[0]], *([] if rest is TAKEN else [rest]), *value[path[0] + 1 :]]
    if how == "take":
        return TAKEN
    if how == "add" and isinstance(value, dict):
        return {**value, f"more_{len(value)}" if new != "sql" else "sql": new}
    if how == "add" and isinstance(value, list):
        return [*value, new]
    return new


TAKEN = object()


def right(value: Any, name: str) -> bool:
    return check(Document(value, "x.yml", 0), schema(name)) == []


def sent(name: str) -> list[Any]:
    """Right documents of machines: one of every kind of pull request that the tests know."""
    whole = cases()["failed"]
    return {
        "pull": [pull_document(whole)],
        "outcome": [outcome_document(one) for one in whole.recipes],
        "diff": [diff_document(difference(breaking)) for breaking in (True, False)],
    }[name]


@pytest.mark.parametrize("name", [*WRITTEN, *SENT])
def test_every_schema_is_known(name: str) -> None:
    """No keyword of these schemas sends every document the slow way."""
    assert accepting(schema(name)) is not None


@pytest.mark.parametrize("name", WRITTEN)
def test_right_documents_are_accepted(name: str) -> None:
    """What the changes below begin with fits, by both ways."""
    accepts = accepting(schema(name))
    assert accepts is not None
    assert documents(name)
    for value in documents(name):
        assert right(value, name)
        assert accepts(value)


@pytest.mark.parametrize("name", WRITTEN)
@given(data=st.data())
def test_the_quick_answer_is_the_slow_one(name: str, data: st.DataObject) -> None:
    """However a document is changed, both ways agree whether it fits."""
    accepts = accepting(schema(name))
    assert accepts is not None
    value = data.draw(st.sampled_from(documents(name)))
    for _ in range(data.draw(st.integers(0, 3))):
        path = data.draw(st.sampled_from(places(value)))
        how = data.draw(st.sampled_from(["replace", "take", "add"]))
        after = changed(value, path, how, data.draw(VALUES))
        value = {} if after is TAKEN else after
    assert accepts(value) == right(value, name), json.dumps(value, default=str)


@pytest.mark.parametrize("name", SENT)
@settings(max_examples=40)
@given(data=st.data())
def test_what_strangers_send_is_accepted_where_jsonschema_finds_nothing(
    name: str, data: st.DataObject
) -> None:
    """However a machine's document is changed, the quick way lets in exactly what the slow way would."""
    accepts = accepting(schema(name))
    assert accepts is not None
    value = data.draw(st.sampled_from(sent(name)))
    for _ in range(data.draw(st.integers(0, 2))):
        path = data.draw(st.sampled_from(places(value)))
        how = data.draw(st.sampled_from(["replace", "take", "add"]))
        after = changed(value, path, how, data.draw(VALUES))
        value = {} if after is TAKEN else after
    assert accepts(value) == (departures(value, schema(name)) == []), json.dumps(value, default=str)


def test_pairs_and_choices() -> None:
    """Items at their places have schemas of their own, those behind them the common one."""
    whole = {"prefixItems": [{"type": "string"}, {"type": "integer"}], "items": {"type": "null"}}
    accepts = accepting({"anyOf": [whole, {"const": 1}]})
    assert accepts is not None
    fitting = (["a", 1, None], ["a"], [], 1, {})
    assert [v for v in (*fitting, ["a", "b"], [1], ["a", 1, 2]) if accepts(v)] == list(fitting)
    for value in (*fitting, ["a", "b"], [1], ["a", 1, 2]):
        assert accepts(value) == (departures(value, {"anyOf": [whole, {"const": 1}]}) == [])


def test_an_unknown_keyword_is_left_to_jsonschema() -> None:
    """A schema that says what is not known here has no quick answer, however deep it says it."""
    for part in (
        {"patternProperties": {}},
        {"if": {}},
        {"oneOf": [{"type": "string"}]},
        {"oneOf": [{"required": ["a", "b"]}]},
        {"enum": [[1]]},
    ):
        assert accepting({"type": "object", "properties": {"a": {"items": part}}}) is None
    assert accepting({"$ref": "#/$defs/missing"}) is None


def test_a_schema_that_names_itself() -> None:
    """A definition may contain itself: a tree of mappings is followed to its leaves."""
    itself = {"$ref": "#/$defs/tree"}
    accepts = accepting({**itself, "$defs": {"tree": {"type": "object", "additionalProperties": itself}}})
    assert accepts is not None
    assert accepts({"a": {"b": {}}})
    assert not accepts({"a": {"b": 1}})
