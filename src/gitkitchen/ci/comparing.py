"""One dataset that a comment asked for: which recipe makes it, what leads to it, how it differs."""

from __future__ import annotations

import difflib
from collections.abc import Sequence

from gitkitchen.errors import Mistake, Problem
from gitkitchen.model import Outcome
from gitkitchen.printed import text_safe
from gitkitchen.report.comparison import Comparison
from gitkitchen.road.order import Reader
from gitkitchen.workplace import Request

NAMED = 12
"""So many datasets are named to somebody who asked for one that there is not."""


def maker(readers: Sequence[Reader], dataset: str) -> Reader:
    """The recipe that makes a dataset. Mistake where none does, with names that are near or there are."""
    found = next((r for r in readers if dataset in r.makes), None)
    if found is not None:
        return found
    every = sorted({d for r in readers for d in r.makes})
    near = difflib.get_close_matches(dataset, every, n=3)
    more = f" and {len(every) - NAMED:,} more" if len(every) > NAMED else ""
    hint = f"did you mean {', '.join(near)}?" if near else f"there are: {', '.join(every[:NAMED])}{more}"
    raise Mistake(
        Problem(f"no recipe makes a dataset '{text_safe(dataset)[:80]}'", hint=hint, code="no-dataset")
    )


def leading_to(readers: Sequence[Reader], last: Reader) -> frozenset[str]:
    """The names of a recipe and of all whose datasets it reads, however far away."""
    found: set[str] = set()
    waiting = [last]
    while waiting:
        one = waiting.pop()
        if one.name not in found:
            found.add(one.name)
            waiting += [r for r in readers if r.makes & one.reads]
    return frozenset(found)


def one(request: Request, outcomes: Sequence[Outcome], made_by: Reader, dataset: str) -> Comparison:
    """The dataset as its recipe's run built it beside the base's, rows and columns. Mistake where the run
    did not come so far."""
    from gitkitchen.difference import compare, sides

    run = next((o.run for o in outcomes if o.recipe == made_by.name), None)
    if run is None:
        message = f"the recipe '{made_by.name}', which makes '{dataset}', could not run"
        raise Mistake(Problem(message, hint="see what stands above in the job's log", code="no-dataset"))
    return compare(*sides(request, run, None), data=True, only=(dataset,))
