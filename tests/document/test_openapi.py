"""Requests and answers against a trimmed OpenAPI description: what departs from it is told, and only that."""

from __future__ import annotations

import json
from typing import Any

import pytest

from gitkitchen.document.openapi import Description

DESCRIPTION: dict[str, Any] = {
    "about": {},
    "operations": {
        "GET /things/{name}": {
            "id": "get",
            "parameters": {"name": {"in": "path", "schema": {"type": "string"}}},
            "responses": {"200": {"$ref": "#/$defs/thing"}, "204": None},
        },
        "GET /things/all": {
            "id": "all",
            "parameters": {
                "n": {"in": "query", "schema": {"type": "integer"}},
                "done": {"in": "query", "schema": {"type": "boolean"}, "required": True},
            },
            "responses": {"200": {"type": "array"}},
        },
        "POST /things": {
            "id": "make",
            "body": {
                "required": True,
                "schema": {
                    "type": "object",
                    "required": ["name"],
                    "properties": {
                        "name": {"type": "string"},
                        "parts": {"type": "array", "items": {"$ref": "#/$defs/thing"}},
                    },
                },
            },
            "responses": {"201": {"$ref": "#/$defs/thing"}},
        },
    },
    "$defs": {
        "thing": {
            "type": "object",
            "required": ["at"],
            "properties": {
                "at": {"type": ["string", "null"], "format": "date-time"},
                "url": {"type": "string", "format": "uri"},
                "inner": {"anyOf": [{"$ref": "#/$defs/thing"}, {"type": "null"}]},
                "way": {"oneOf": [{"type": "string"}, {"type": "integer"}]},
            },
        }
    },
}


@pytest.fixture(scope="module")
def described(tmp_path_factory: pytest.TempPathFactory) -> Description:
    path = tmp_path_factory.mktemp("openapi") / "openapi.json"
    path.write_text(json.dumps(DESCRIPTION))
    return Description(path)


def test_literal_paths_come_before_parameters(described: Description) -> None:
    """`things/all` is an operation of its own; a name may be escaped, and hold a slash."""
    all_, named = described.find("GET", "/things/all"), described.find("GET", "/things/a%2Fb%20c")
    assert all_ is not None
    assert all_[0].id == "all"
    assert named is not None
    assert named[1] == {"name": "a/b c"}
    assert described.find("DELETE", "/things/all") is None


@pytest.mark.parametrize(
    ("value", "fault"),
    [
        ({"at": None, "inner": None, "way": 1}, ""),
        ({"at": "2026-01-01T00:00:00Z", "inner": {"at": None}, "url": "https://example.com/a{b}"}, ""),
        ({"at": "yesterday"}, "date-time"),
        ({"at": "2026-01-01T00:00:00Z", "url": "no address"}, "uri"),
        ({}, "'at' is a required property"),
        ({"at": None, "inner": {}}, "not valid under any"),
        ({"at": None, "way": 1.5}, "not valid under any"),
        (None, "not of type 'object'"),
    ],
    ids=["null", "whole", "moment", "address", "required", "inside", "choice", "nothing"],
)
def test_answers(described: Description, value: Any, fault: str) -> None:
    """Null where it is allowed, references, choices, formats."""
    found = described.find("GET", "/things/x")
    assert found is not None
    problems = described.answer(found[0], 200, value)
    assert bool(problems) == bool(fault)
    assert fault in " ".join(problems)


def test_statuses(described: Description) -> None:
    """A status that is not described is a departure, unless it is an error with a message."""
    found = described.find("GET", "/things/x")
    assert found is not None
    assert described.answer(found[0], 204, None) == []
    assert described.answer(found[0], 204, {})
    assert described.answer(found[0], 201, {})
    assert described.answer(found[0], 403, {"message": "no"}) == []
    assert described.answer(found[0], 403, {})


def test_requests_say_only_what_is_known(described: Description) -> None:
    """Unknown keys, at any depth, and unknown or missing parameters are faults."""
    made, all_ = described.find("POST", "/things"), described.find("GET", "/things/all")
    assert made is not None
    assert all_ is not None
    assert described.request(made[0], {"name": "x", "parts": [{"at": None}]}) == []
    assert described.request(made[0], {"name": "x", "nmae": 1}) == [
        "body: the description does not know 'nmae'"
    ]
    assert "parts[].col" in described.request(made[0], {"name": "x", "parts": [{"at": None, "col": 1}]})[0]
    assert described.request(made[0], None) == ["a body is required"]
    assert described.query(all_[0], {"n": ["3"], "done": ["true"]}) == ({"n": 3, "done": True}, [])
    assert described.query(all_[0], {"n": ["x"], "what": [""]})[1][-1] == "query: 'done' is required"
