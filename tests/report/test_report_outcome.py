"""The outcome document and its schema."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitkitchen.document import schema
from gitkitchen.model import Outcome
from gitkitchen.report.facts import public_message
from gitkitchen.report.outcome import from_document, to_document, to_json


def closed(value: Any) -> Any:
    """The schema with every object closed, so that a key it does not describe is an error."""
    if isinstance(value, list):
        return [closed(v) for v in value]
    if not isinstance(value, dict):
        return value
    known = {k: closed(v) for k, v in value.items()}
    if "properties" in value and value.get("type") == "object":
        known.setdefault("additionalProperties", False)
    return known


CLOSED = jsonschema.Draft202012Validator(closed(schema("outcome")))


def test_the_schema_is_a_schema() -> None:
    """The published schema is valid under its own dialect."""
    jsonschema.Draft202012Validator.check_schema(schema("outcome"))


@pytest.mark.parametrize("name", ["rich", "green", "many"])
def test_documents_keep_to_the_schema(name: str, request: pytest.FixtureRequest) -> None:
    """Every document is described by the schema, each of its keys included."""
    CLOSED.validate(to_document(request.getfixturevalue(f"{name}_outcome")))


@given(data=st.data())
def test_outcomes_survive_their_document(
    data: st.DataObject, encodable_outcomes: st.SearchStrategy[Outcome]
) -> None:
    """Writing an outcome and reading it gives the same outcome, and the text is JSON that UTF-8 can hold."""
    outcome = data.draw(encodable_outcomes)
    text = to_json(outcome)
    text.encode()
    read = json.loads(text, parse_constant=lambda word: pytest.fail(f"{word} is no JSON"))
    assert read == to_document(outcome)
    assert from_document(read) == outcome
    CLOSED.validate(read)


@given(data=st.data())
def test_lone_surrogates_do_not_break_the_document(
    data: st.DataObject, outcomes: st.SearchStrategy[Outcome]
) -> None:
    """Text that UTF-8 cannot hold is replaced when written, and what is read is stable from then on."""
    document = to_document(replace(data.draw(outcomes), nodes=()))
    json.dumps(document, ensure_ascii=False).encode()
    assert to_document(from_document(document)) == document


def test_a_surrogate_in_a_sample_becomes_a_mark(rich_outcome: Outcome) -> None:
    """A name of a file that is not UTF-8 shows U+FFFD in the document."""
    node = rich_outcome.nodes[3]
    test = replace(node.tests[0], sample=({"file": "a\udc80b"},))
    document = to_document(replace(rich_outcome, nodes=(replace(node, tests=(test,)),)))
    assert document["nodes"][0]["tests"][0]["sample"] == [{"file": "a�b"}]


def test_figures_that_json_lacks_are_text(rich_outcome: Outcome) -> None:
    """An infinite metric is written as a text and read as itself."""
    node = replace(rich_outcome.nodes[0], metrics={"ratio": float("inf"), "low": float("-inf")})
    document = to_document(replace(rich_outcome, nodes=(node,)))
    assert document["nodes"][0]["metrics"] == {"ratio": "inf", "low": "-inf"}
    assert from_document(document).nodes[0] == node


def test_unknown_fields_are_ignored(green_outcome: Outcome) -> None:
    """A later version may add keys; this one reads past them."""
    document = to_document(green_outcome) | {"colour": "blue"}
    document["nodes"][0]["mood"] = "good"
    assert from_document(document) == green_outcome


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: d.pop("version"), "it has no `version`"),
        (lambda d: d.update(version=2), "version 2 of the outcome document is not version 1"),
        (lambda d: d.pop("verdict"), "'verdict' is missing"),
        (lambda d: d.update(verdict="splendid"), "'splendid' is not a valid Verdict"),
        (lambda d: d.update(nodes=[3]), "this is not an outcome document"),
        (lambda d: d.update(started="yesterday"), "Invalid isoformat string"),
        (lambda d: d.update(tools=[1]), "this is not an outcome document"),
    ],
)
def test_other_documents_are_refused(change: Any, message: str, green_outcome: Outcome) -> None:
    """A document of another shape is a ValueError that says what is wrong."""
    document = to_document(green_outcome)
    change(document)
    with pytest.raises(ValueError, match=message):
        from_document(document)


def test_a_masked_message_still_names_the_nodes_of_the_run(rich_outcome: Outcome) -> None:
    """What an engine quotes is hidden, and what our own messages call a node by is not."""
    message = "needs 'late_by_hour', which did not pass: Could not convert string 'Jane' to INT32"
    shown = public_message(rich_outcome, message)
    assert shown == "needs 'late_by_hour', which did not pass: Could not convert string 'hidden' to INT32"
    assert public_message(rich_outcome, shown) == shown
