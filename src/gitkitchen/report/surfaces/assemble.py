"""The pull-request document from what the stages found: outcomes, comparisons, changes, plans."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from gitkitchen.model import Outcome, Plan, State
from gitkitchen.report import facts
from gitkitchen.report.comparison import Comparison
from gitkitchen.report.diff import redacted
from gitkitchen.report.redaction import public
from gitkitchen.report.surfaces.pull import (
    Change,
    Graph,
    NotTested,
    PolicyFinding,
    Pull,
    Run,
    Timing,
    Waiver,
)
from gitkitchen.report.text import WORDS

_UNDONE = frozenset({State.BLOCKED, State.SKIPPED, State.CANCELLED})


@dataclass(frozen=True, slots=True)
class About:
    """Which pull request, and which run of its workflow. ``tree`` is the merge of ``head`` and ``base``."""

    project: str
    project_id: str
    event: str
    number: int | None
    head: str
    base: str
    tree: str
    run: Run


def assemble(
    about: About,
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
    """One ``Pull`` of all that is known. What is not public leaves it here; what nobody tested is named.

    ``could_not_run`` names what should have run and did not (a secret that forks lack, data that is not
    public): it keeps the recipe from being green. ``plans`` give the diagram its arrows.
    """
    return Pull(
        project=about.project,
        project_id=about.project_id,
        event=about.event,
        number=about.number,
        head=about.head,
        base=about.base,
        tree=about.tree,
        run=about.run,
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
            yield NotTested(recipe, node.node, why or WORDS[node.state])
