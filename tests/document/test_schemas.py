"""The JSON Schemas: valid, explained for editors, closed, and never fetched from anywhere."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitkitchen.document import Document, parse, schema, schema_names, validate
from gitkitchen.document.check import check
from gitkitchen.errors import Problem

WRITTEN = ("kitchen", "recipe", "effects", "waiver")
"""The schemas of files that people write."""


def _parts(value: Any, path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every mapping inside a schema, with its path."""
    if isinstance(value, dict):
        yield path, value
        for key, inner in value.items():
            yield from _parts(inner, f"{path}/{key}")
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _parts(inner, f"{path}/{index}")


@pytest.mark.parametrize("name", schema_names())
def test_schemas_are_valid_and_refer_to_nothing_outside(name: str) -> None:
    """Every schema that ships is one of draft 2020-12, and complete in itself."""
    jsonschema.Draft202012Validator.check_schema(schema(name))
    for path, part in _parts(schema(name)):
        if isinstance(part.get("$ref"), str):
            assert part["$ref"].startswith("#"), path


@pytest.mark.parametrize("name", WRITTEN)
def test_every_key_is_explained(name: str) -> None:
    """An editor shows a sentence for each key that can be written."""
    definitions = schema(name).get("$defs", {})
    for path, part in _parts(schema(name)):
        if not isinstance(part.get("properties"), dict) or path.endswith("/properties"):
            continue
        for key, value in part["properties"].items():
            target = definitions[value["$ref"].rpartition("/")[2]] if "$ref" in value else value
            assert len(target.get("description", "")) > 8, f"{path}: {key}"


@pytest.mark.parametrize("name", WRITTEN)
def test_every_mapping_is_closed(name: str) -> None:
    """A key that is not known is always a mistake, never ignored."""
    for path, part in _parts(schema(name)):
        if isinstance(part.get("properties"), dict) and not path.endswith("/properties"):
            assert part.get("additionalProperties") is False, path


def test_a_remote_reference_is_not_fetched() -> None:
    """A schema that names another address is an error of ours, never a request."""
    with pytest.raises(KeyError):
        check(parse("a: 1", "f.yml"), {"$ref": "http://127.0.0.1:9/schema.json"})


def test_a_long_list_of_mistakes_is_cut() -> None:
    """A thousand unknown keys cost no more than a hundred messages."""
    text = "version: 1\n" + "".join(f"wrong_{n}: 1\n" for n in range(1000))
    assert len(validate(parse(text, "f.yml"), "kitchen")) == 100


KEYS = [
    "version",
    "recipe",
    "nodes",
    "vars",
    "owner",
    "sql",
    "tests",
    "not_null",
    "needs",
    "retry",
    "attempts",
    "x",
]
DOCUMENTS = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 2) | st.sampled_from(["", "a", "${{ x }}", "view", "1%"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=5),
    max_leaves=15,
)


@given(DOCUMENTS)
def test_our_findings_are_those_of_the_library(value: Any) -> None:
    """Written-out references and our own `oneOf` change nothing: we refuse what the plain schema refuses."""
    nodes = Document({"version": 1, "recipe": "r", "nodes": {"a": value}}, "f.yml", 4097)
    plain = jsonschema.Draft202012Validator(schema("recipe"))
    found = validate(nodes, "recipe")
    assert bool(found) is not plain.is_valid(nodes.value)
    assert all(isinstance(p, Problem) and p.message and p.code for p in found)
