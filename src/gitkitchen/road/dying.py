"""Runs that died without a word: each gets the end that it could not write itself.

A run is alive while it holds its recipe's lease: the holder renews it, and it ends with the holder's process
or by expiry. What a run left behind stays where it is: ``gitkitchen run --resume`` still ends it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from gitkitchen import past
from gitkitchen.data.catalog import time_of_run
from gitkitchen.errors import Conflict, Infrastructure
from gitkitchen.road.effects import effect
from gitkitchen.workplace import Workplace

if TYPE_CHECKING:
    from gitkitchen.ledger.branch import BranchLedger

INTERRUPTED, TIMED_OUT = "interrupted", "timed_out"


def end_dead(place: Workplace, now: datetime) -> list[tuple[str, str]]:
    """Record the end of every run of this kitchen that died: (run, recipe) of each, once.

    Those that left a mark in this clone, and on a ledger that is a branch those whose lease nobody renews
    any more, wherever they ran.
    """
    ended = []
    for begun in [*_marks(place), *_leases(place)]:
        run, recipe = str(begun["run"]), str(begun["recipe"])
        if run in _recorded(place, recipe) or (run, recipe) in ended or _is_past(place, run, recipe):
            continue
        try:
            # Who is alive has the lease; who has it now cannot begin while we write.
            with place.ledger.lease(
                f"{place.kitchen.namespace}/{recipe}", f"reconcile-{run}", publishes=False
            ):
                if (place.run_folder(run) / "outcome.json").exists() or run in _recorded(place, recipe):
                    continue
                with effect("end-run"):
                    place.ledger.deposit(f"runs/{place.kitchen.namespace}/{recipe}", _end(place, begun, now))
        except Conflict:
            continue
        ended.append((run, recipe))
    return ended


def _marks(place: Workplace) -> Iterator[Mapping[str, Any]]:
    for folder in past.runs(place):
        if (folder / "outcome.json").exists():
            continue
        try:
            begun = past.mark_of(folder)
        except Infrastructure:  # nobody can say whose it was
            continue
        if begun.get("namespace") == place.kitchen.namespace:
            yield {**begun, "verdict": INTERRUPTED}


def _leases(place: Workplace) -> Iterator[Mapping[str, Any]]:
    if place.project.ledger != "branch":
        return
    from gitkitchen.ledger.branch_lease import dead_holders

    ledger: BranchLedger = place.ledger  # type: ignore[assignment]
    for recipe, holder in dead_holders(ledger, place.kitchen.namespace).items():
        yield {"run": holder, "recipe": recipe, "variation": None, "tree": None, "verdict": TIMED_OUT}


def _recorded(place: Workplace, recipe: str) -> set[str]:
    stream = f"runs/{place.kitchen.namespace}/{recipe}"
    return {str(record.body.get("run")) for record in place.ledger.read(stream)}


def _is_past(place: Workplace, run: str, recipe: str) -> bool:
    """Whether a run is so old that its record, if there was one, was removed."""
    before = place.ledger.gaps(f"runs/{place.kitchen.namespace}/{recipe}").before
    at = time_of_run(run)
    return before is not None and at is not None and at < before


def _end(place: Workplace, begun: Mapping[str, Any], now: datetime) -> dict[str, Any]:
    return {
        "run": begun["run"],
        "recipe": begun["recipe"],
        "variation": begun.get("variation"),
        "kitchen": {
            "repository": place.kitchen.repository,
            "branch": place.kitchen.branch,
            "birth": place.kitchen.birth,
        },
        "subject": {"commit": None, "tree": begun.get("tree"), "dirty": True},
        "verdict": begun["verdict"],
        "started": begun.get("started") or now.isoformat(),
        "finished": now.isoformat(),
        "publication": {"state": "withheld", "sequence": None},
        "nodes": {},
        "tests": {},
        "failing": [],
        "ended_by": "reconcile",
        **({"interval": begun["interval"]} if begun.get("interval") else {}),
    }
