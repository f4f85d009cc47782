"""Texts that look for the worst of a pattern: each is answered at once."""

from __future__ import annotations

import subprocess
import sys

import pytest

QUERY = "from gitkitchen.controls.values import is_query as f"
ASKED = {
    "query": (QUERY, '"/**/" * 60 + "sum(x)"', "False"),
    "query-found": (QUERY, '"/*a**/--b\\n" * 60 + "select 1"', "True"),
    "expectation": (
        "from gitkitchen.recipe.expect import _QUERY; f = lambda t: bool(_QUERY.match(t))",
        '"/**/" * 60 + "sum(x)"',
        "False",
    ),
    "runner": (
        "from gitkitchen.report.text import for_runners; f = lambda t: for_runners(t)[-6:].encode()",
        'chr(10) * 300_000 + "  ::x"',
        repr("\n\n  ∷x"[-6:].encode()),
    ),
}


@pytest.mark.parametrize("name", sorted(ASKED))
def test_no_text_takes_for_ever(name: str) -> None:
    """A row of comments, or of empty lines, is judged once, and not in each way that it could be read."""
    given, text, said = ASKED[name]
    code = f"{given}\nprint(f({text}))"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=True
    )
    assert done.stdout.strip() == said
