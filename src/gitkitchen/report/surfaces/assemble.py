"""The pull-request document from what the stages found: outcomes, comparisons, changes, plans."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from gitkitchen.finding import PolicyFinding
from gitkitchen.model import Outcome, Plan, State
from gitkitchen.report import facts
from gitkitchen.report.comparison import Comparison
from gitkitchen.report.diff import redacted
from gitkitchen.report.redaction import public
from gitkitchen.report.surfaces.pull import (
    Change,
    Graph,
    NotTested,
    Pull,
    Timing,
    Waiver,
)
from gitkitchen.report.text import WORDS

_UNDONE = frozenset({State.BLOCKED, State.SKIPPED, State.CANCELLED})


def assemble(
    about: Pull,
    outcomes: Sequence[Outcome],
    *,
    differences: Sequence[Comparison] = (),
    changes: Sequence[Change] = (),
    plans: Sequence[Plan] = (),
    touched: Mapping[str, tuple[tuple[int, int], ...]] | None = None,
    policy: Sequence[PolicyFinding] = (),
    waivers: Sequence[Waiver] = (),
    could_not_run: Iterable[NotTested] = (),
    timing: Timing | None = None,
) -> Pull:
    """All that is known of a pull request. What is not public is left out here; what nobody tested is named.

    ``about`` says which pull request and which run of its workflow, and has nothing else yet.
    ``could_not_run`` names what should have run and did not (a secret that forks lack, data that is not
    public): it keeps the recipe from being green. ``plans`` give the diagram its arrows.
    """
    return replace(
        about,
        recipes=tuple(public(o) for o in outcomes),
        differences=tuple(redacted(c) for c in differences),
        changes=tuple(changes),
        graphs=tuple(graph(p) for p in plans),
        touched=dict(touched or {}),
        policy=tuple(policy),
        waivers=tuple(waivers),
        not_tested=(*could_not_run, *(n for o in outcomes for n in untested(o))),
        timing=timing or Timing(),
    )


def graph(plan: Plan) -> Graph:
    """What each node of a plan needs of the others: data that it reads, and nodes that it waits for."""
    names = {step.node.name for step in plan.steps}
    return Graph(
        plan.recipe.name,
        {
            step.node.name: tuple(
                n for n in dict.fromkeys([*(m for m in step.reads.values() if m), *step.after]) if n in names
            )
            for step in plan.steps
        },
    )


def untested(outcome: Outcome) -> Iterator[NotTested]:
    """What a run vouches for without evidence: datasets without a test, and those with nothing to compare."""
    recipe = outcome.recipe
    for dataset in facts.untested(outcome):
        yield NotTested(recipe, dataset, "it has no test that was evaluated")
    for dataset in facts.uncompared(outcome):
        yield NotTested(recipe, dataset, "its base has nothing published to compare with")
    for node in outcome.nodes:
        if node.state in _UNDONE:
            why = (
                facts.public_message(outcome, node.failure.message)
                if node.failure
                else "; ".join(node.reasons)
            )
            # What failed is told where it failed, and not again with all that waited for it.
            why = why.partition(": ")[0] if node.state is State.BLOCKED else why
            yield NotTested(recipe, node.node, why or WORDS[node.state])
