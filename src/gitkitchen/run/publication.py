"""What a run may publish: the patch of a catalog, and the reason where it may not. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from gitkitchen.model import GOOD_STATES, Catalog, NodeResult, Plan, Published, Verdict

WHY_WITHHELD = {
    Verdict.FAILED: "a test or node failed",
    Verdict.INFRASTRUCTURE: "it could not be checked",
    Verdict.NOTHING_TESTED: "nothing was tested",
    Verdict.CANCELLED: "the run was cancelled",
}


def withheld(plan: Plan, verdict: Verdict) -> str:
    """Why nothing of this run may be published ("" when it may)."""
    if verdict is not Verdict.PASSED:
        return WHY_WITHHELD[verdict]
    if plan.subject.dirty and not plan.kitchen.is_sandbox:
        return "the work tree has uncommitted changes, which are never evidence for an environment"
    return ""


def patch(plan: Plan, results: Iterable[NodeResult], run: str) -> dict[str, Published | None]:
    """The entries of this recipe that change: new versions, and None for datasets it no longer makes.

    Pinned sources of a sandbox are its base's and are not written. Nodes that were skipped, blocked
    or excused keep what the catalog has.
    """
    changed: dict[str, Published | None] = {}
    made: set[str] = set()
    pinned = {s.node.name for s in plan.steps if s.pinned}
    for result in results:
        if result.state not in GOOD_STATES or result.build is None or result.continued:
            continue
        if result.node in pinned:
            continue
        for dataset, version in result.build.versions.items():
            made.add(dataset)
            entry = Published(
                dataset=dataset,
                fingerprint=version.fingerprint,
                content=version.content,
                recipe=plan.recipe.name,
                node=result.node,
                run=run,
                sequence=0,
                zone=plan.kitchen.zone,
            )
            if not _same(plan.catalog.entries.get(dataset), entry):
                changed[dataset] = entry
    if plan.complete:
        changed |= dict.fromkeys(_abandoned(plan.catalog, plan))
    return changed


def _same(old: Published | None, new: Published) -> bool:
    return old is not None and (old.fingerprint, old.content, old.recipe, old.node) == (
        new.fingerprint,
        new.content,
        new.recipe,
        new.node,
    )


def _abandoned(catalog: Catalog, plan: Plan) -> Iterable[str]:
    declared: Mapping[str, str] = plan.recipe.datasets
    return [d for d, e in catalog.entries.items() if e.recipe == plan.recipe.name and d not in declared]
