"""Outputs of the step for later ones: names and values, and the text that GITHUB_OUTPUT takes.

Each value stands between delimiters that nobody can guess
(https://docs.github.com/actions/reference/workflow-commands-for-github-actions, "multiline strings").
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping

from gitkitchen.errors import Mistake, Problem
from gitkitchen.report import facts
from gitkitchen.report.sheet import size
from gitkitchen.report.surfaces import words
from gitkitchen.report.surfaces.data_section import breaking
from gitkitchen.report.surfaces.judging import exit_code, judge, judge_all
from gitkitchen.report.surfaces.pull import Pull

LIST_BYTES = 50_000
"""Of each list; all outputs of a job together may have 1 MB."""
MAX_BYTES = 900_000


def outputs(pull: Pull) -> dict[str, str]:
    """What later steps may ask. Lists are JSON, cut from their end; ``…-count`` says how many there are."""
    judged = judge_all(pull)
    failed = [facts.recipe(o) for o in pull.recipes if not judge(pull, o).green]
    tests = [t.id for o in pull.recipes for t in o.tests if t.stops]
    differing = [d.dataset for c in pull.differences for d in c.differing]
    broken = [d.dataset for d in breaking(pull)]
    return {
        "conclusion": judged.conclusion,
        "verdict": judged.verdict.value,
        "exit-code": str(exit_code(pull)),
        "tree": pull.tree,
        "runs": _list(o.run for o in pull.recipes),
        "recipes": _list(facts.recipe(o) for o in pull.recipes),
        "not-green": _list(failed),
        "failed-tests": _list(tests),
        "failed-tests-count": str(len(tests)),
        "changed-datasets": _list(differing),
        "changed-datasets-count": str(len(differing)),
        "breaking-datasets": _list(broken),
        "breaking-datasets-count": str(len(broken)),
        "not-tested-count": str(len(pull.not_tested)),
    }


def output_file(values: Mapping[str, str], delimiter: str) -> str:
    """The text to append to the file of GITHUB_OUTPUT. ``delimiter`` must be random, and new for each call.

    Raises Mistake where a value holds the delimiter, or all are too large together.
    """
    lines = []
    for name, value in values.items():
        if delimiter in value or delimiter in name:
            raise Mistake(Problem(f"the output '{name}' holds the delimiter of outputs", code="bad-output"))
        lines.append(f"{name}<<{delimiter}\n{value}\n{delimiter}\n")
    text = "".join(lines)
    if size(text) > MAX_BYTES:
        raise Mistake(Problem(f"the outputs have {size(text):,} bytes, and {MAX_BYTES:,} are the most"))
    return text


def _list(values: Iterable[str]) -> str:
    """A JSON list on one line, of ASCII, within its budget."""
    kept: list[str] = []
    used = 2
    for value in values:
        shown = words.plain(value, 500)
        used += len(json.dumps(shown)) + 2
        if used > LIST_BYTES:
            break
        kept.append(shown)
    return json.dumps(kept)
