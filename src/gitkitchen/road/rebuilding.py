"""After the ledger was lost: what Git, the store and the consumers' views still know of it, and what nobody
knows any more."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import field, replace
from datetime import datetime
from typing import Any, cast

from gitkitchen import history
from gitkitchen.data import consumers
from gitkitchen.data.catalog import publication
from gitkitchen.data.catalog import stream_of as publications_of
from gitkitchen.errors import GitKitchenError
from gitkitchen.frozen import dataclass
from gitkitchen.ledger.protocol import New
from gitkitchen.model import Environment, Published, Subject
from gitkitchen.promote.moves import body_of, landing_in, trailers_in
from gitkitchen.promote.shapes import Landing, stream_of
from gitkitchen.reading import read_recipes
from gitkitchen.road.effects import effect
from gitkitchen.road.ground import Ground
from gitkitchen.workplace import Request, Workplace, enter

LOST = (
    "holds and their releases: hold an environment again where it must not move",
    "incidents",
    "the reasons of gates, and approvals that a landing's trailers do not name",
    "the outcomes of runs: landings name their digests, and no record vouches for them any more",
    "leases, and fences below those of the landings",
    "the registry of kitchens: the next run in each claims its name again",
)
"""What only the ledger held."""


@dataclass
class Rebuilt:
    """What can be rebuilt of one environment, and what cannot, a sentence each."""

    environment: str
    landings: list[Landing] = field(default_factory=list)
    datasets: dict[str, Published] = field(default_factory=dict)
    unknown: list[str] = field(default_factory=list)
    whole: bool = False
    """Nothing of it was lost: the ledger has its moves."""


def look(ground: Ground, request: Request, environments: Sequence[Environment]) -> tuple[Rebuilt, ...]:
    """What can be rebuilt. Nothing is written."""
    tips = ground.tips(e.branch for e in environments)
    return tuple(_look(ground, request, e, tips.get(e.branch, "")) for e in environments)


def rebuild(ground: Ground, request: Request, found: Sequence[Rebuilt], now: datetime) -> None:
    """Write what ``look`` found: every record says that it was rebuilt. Conflict where others write there
    meanwhile; what was written before stays, and the same command goes on."""
    for one in found:
        environment = next(e for e in ground.project.environments if e.name == one.environment)
        entries = [
            New(stream_of(one.environment), body_of(landing), number)
            for number, landing in enumerate(one.landings)
            if not one.whole
        ]
        place = enter(replace(request, kitchen=environment.branch, recipe=None))
        entries += _publications(place, one, now)
        place.close()
        for entry in entries:
            if ground.ledger.head(entry.stream) > (entry.expect or 0):
                continue  # by an earlier try
            with effect("record-move"):
                ground.ledger.append(entry.stream, entry.body, expect=entry.expect)


def _look(ground: Ground, request: Request, environment: Environment, tip: str) -> Rebuilt:
    found = Rebuilt(environment.name)
    rebuilt_before = _rebuilt_before(ground, environment)
    if rebuilt_before is None:
        found.whole = True
        return found
    if not tip:
        found.unknown.append(f"branch '{environment.branch}' does not exist: nothing tells of its landings")
    else:
        found.unknown += _collect(ground, environment, tip, found.landings)
    place = enter(replace(request, kitchen=environment.branch, recipe=None))
    found.unknown += _datasets(place, found)
    place.close()
    return found


def _rebuilt_before(ground: Ground, environment: Environment) -> int | None:
    """How many moves an earlier try has rebuilt; None where there are others: nothing was lost."""
    bodies = [record.body for record in ground.ledger.read(stream_of(environment.name))]
    return len(bodies) if all(body.get("told") == "rebuilt" for body in bodies) else None


def _collect(ground: Ground, environment: Environment, tip: str, landings: list[Landing]) -> Iterator[str]:
    silent = 0
    for commit in reversed(list(history.line(ground.folder, tip))):
        oid = commit.oid
        try:
            told = landing_in(trailers_in(commit.message), oid)
        except GitKitchenError as error:
            yield error.problems[0].message
            continue
        if told is None:
            silent += bool(landings)
            continue
        landing = told.landing
        fits = landing.environment == environment.name and landing.before in ("", *commit.parents[:1])
        if not fits or landing.tree != commit.tree:
            yield f"commit {oid[:12]} tells of a landing that it is not: it is left out"
            continue
        landings.append(replace(landing, told="rebuilt"))
        for name, count in told.left_out:
            yield f"{count} of '{name}' of the landing of {oid[:12]}: its trailers had no room for them"
    if silent:
        yield f"what {silent} commits of branch '{environment.branch}' were: they have no trailers"
    if not landings:
        yield f"no commit of branch '{environment.branch}' tells of a landing"


# --- catalogs ----------------------------------------------------------------------------------------


def _datasets(place: Workplace, found: Rebuilt) -> Iterator[str]:
    """What consumers' views still show is what was published last."""
    name = place.kitchen.environment
    if place.ledger.head(publications_of(place.kitchen.namespace)):
        return
    shown = _shown(place)
    if not shown:
        yield f"what consumers of '{name}' read: no views of it are here; run its recipes again"
        return
    makers = {
        d: recipe.name for recipe in read_recipes(place.project).recipes.values() for d in recipe.datasets
    }
    for dataset, fingerprint in sorted(shown.items()):
        build = place.store.find(fingerprint)
        version = build.versions.get(dataset) if build else None
        if build is None or version is None:
            yield f"dataset '{dataset}': version {fingerprint[:12]} is not in the store; run its recipe again"
            continue
        found.datasets[dataset] = Published(
            dataset=dataset,
            fingerprint=fingerprint,
            content=version.content,
            recipe=makers.get(dataset, ""),
            node=build.node,
            run=build.run,
            sequence=0,
        )


def _shown(place: Workplace) -> dict[str, str]:
    if place.relations is None:
        stamp = consumers.shown(place.project, place.kitchen)
    else:
        from gitkitchen.data.engines import postgres_views
        from gitkitchen.data.engines.postgres_store import WarehouseStore

        stamp = postgres_views.shown(place.kitchen, cast("WarehouseStore", place.store))
    return stamp[1] if stamp else {}


def _publications(place: Workplace, found: Rebuilt, now: datetime) -> list[New]:
    if not found.datasets:
        return []
    last = found.landings[-1] if found.landings else None
    subject = Subject(last.commit, last.tree) if last else Subject(None, place.subject.tree, dirty=True)
    body: dict[str, Any] = publication(
        "", f"rebuilt-{now:%Y%m%d}", found.datasets, read_sequence=0, fence=0, subject=subject
    )
    stream = publications_of(place.kitchen.namespace)
    return [New(stream, body | {"told": "rebuilt"}, 0)]
