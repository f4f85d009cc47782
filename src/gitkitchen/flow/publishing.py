"""The one commit point of a run, or the reason why consumers keep what they have."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from gitkitchen.data.catalog import publish
from gitkitchen.data.stores.contract import Denied
from gitkitchen.ledger.protocol import Held, New, Unwritten
from gitkitchen.model import Build, NodeResult, Plan, Publication, Verdict
from gitkitchen.run.publication import patch, withheld
from gitkitchen.workplace import Request, Workplace


def publish_run(
    place: Workplace,
    plan: Plan,
    results: Sequence[NodeResult],
    verdict: Verdict,
    run_id: str,
    held: Held,
    barred: str,
    request: Request,
    along: Callable[[Publication], New] | None,
) -> tuple[Publication, bool]:
    """Write, audit, publish: the last step, or the reason why consumers keep what they have.

    ``along``: makes the record of the run that goes with its publication.
    Also whether it failed for want of the ledger: all was well, and it should have been published.
    """
    if not request.publish:
        return Publication("not_asked", "--no-publish: the versions are kept as a candidate"), False
    reason = (barred if verdict is Verdict.PASSED else "") or withheld(plan, verdict)
    if reason or held.withheld:
        return Publication("withheld", reason or held.withheld), not reason
    try:
        return _commit(place, plan, results, run_id, held, along), False
    except Denied as error:
        if not place.kitchen.is_sandbox:
            raise
        problem = error.problems[0]
        hint = f" ({problem.hint})" if problem.hint else ""
        return Publication("withheld", f"others could not read it: {problem.message}{hint}"), True
    except Unwritten as error:
        return Publication("withheld", error.problems[0].message), True


def finish(place: Workplace, builds: Sequence[Build], barred: str) -> None:
    """Candidates and verdicts go where others find them. Who only tries something out, and may not write
    there, keeps them: they are made again where they are wanted."""
    try:
        place.store.finish(builds)
    except Denied:
        if not place.kitchen.is_sandbox and not barred:
            raise


def _commit(
    place: Workplace,
    plan: Plan,
    results: Sequence[NodeResult],
    run_id: str,
    held: Held,
    along: Callable[[Publication], New] | None,
) -> Publication:
    """The one commit point, and what is derived from it."""
    changes = patch(plan, results, run_id)
    if not changes:
        # What was published may have been lost here and built again: readers get it back.
        place.show(plan.catalog, asked=False)
        return Publication("unchanged", "consumers already have these versions", plan.catalog.sequence)
    built = [r.build for r in results if r.build is not None and not r.continued]
    try:
        place.store.sync(built)
    except Denied:
        # Who alone reads what is published here has it: it was built on this machine.
        if not (place.kitchen.is_sandbox and place.ledger.private):
            raise
    place.rehearse(plan.catalog, changes)
    published = tuple(sorted(d for d, entry in changes.items() if entry is not None))
    removed = ", ".join(sorted(d for d, entry in changes.items() if entry is None))
    said = Publication("published", f"removed: {removed}" if removed else "", None, published)
    catalog = publish(
        place.ledger,
        place.project,
        place.kitchen,
        recipe=plan.recipe.name,
        run=run_id,
        patch=changes,
        read_sequence=plan.catalog.sequence,
        fence=held.fence,
        subject=plan.subject,
        under=held,
        along=(lambda number: along(replace(said, sequence=number))) if along else None,
    )
    place.show(catalog, built=built, asked=False)
    return replace(said, sequence=catalog.sequence)
