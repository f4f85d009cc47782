"""Mistakes as text, document and annotations."""

from __future__ import annotations

import json

from gitkitchen.errors import Place, Problem
from gitkitchen.report.problems import as_document, as_github, as_json, as_text

PROBLEMS = [
    Problem(
        "node 'load' needs 'extract', which does not exist",
        Place("recipe.yml", 14, 3),
        "did you mean 'extracts'?",
        "unknown-node",
    ),
    Problem("unknown key 'nodez'", Place("recipe.yml", 2), "did you mean 'nodes'?"),
    Problem("there is no \x1b[31mrecipe\n::error::x"),
]


def test_problems_read_in_the_order_of_mending() -> None:
    """One line each, sorted by file and line, safe for a terminal."""
    assert as_text(PROBLEMS).splitlines() == [
        "there is no \\x1b[31mrecipe\\n::error::x",
        "recipe.yml:2: unknown key 'nodez'; did you mean 'nodes'?",
        "recipe.yml:14: node 'load' needs 'extract', which does not exist; did you mean 'extracts'?",
    ]
    assert as_text(PROBLEMS, total=True).endswith("\n3 mistakes in 1 file")
    assert as_text([]) == ""


def test_problems_as_a_document() -> None:
    """Machines get each part by itself; what is not known is null."""
    document = as_document(PROBLEMS)
    assert json.loads(as_json(PROBLEMS)) == document
    assert document["problems"][2] == {
        "message": "node 'load' needs 'extract', which does not exist",
        "file": "recipe.yml",
        "line": 14,
        "column": 3,
        "hint": "did you mean 'extracts'?",
        "code": "unknown-node",
    }
    assert document["problems"][0]["file"] is None


def test_problems_as_annotations() -> None:
    """Each problem is an error on its line; values cannot become commands."""
    told = as_github(PROBLEMS).splitlines()
    assert told[0] == "::error::there is no \\x1b[31mrecipe%0A::error::x"
    assert told[1] == "::error file=recipe.yml,line=2::unknown key 'nodez'%0Adid you mean 'nodes'?"
    assert told[2].startswith("::error file=recipe.yml,line=14,col=3,title=unknown-node::node 'load' needs")
    assert as_github([]) == ""
