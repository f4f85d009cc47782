"""Schedules as the files of an environment declare them, and their histories as the ledger has them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from gitkitchen.frozen import dataclass
from gitkitchen.kitchen.identity import environment_namespace
from gitkitchen.ledger.protocol import Ledger, New
from gitkitchen.model import Environment, Project, Schedule
from gitkitchen.recipe.load import RawRecipe
from gitkitchen.schedule.standing import Whose
from gitkitchen.schedule.timeline import History, Ran, Told, ran, told


@dataclass(frozen=True, slots=True)
class Scheduled:
    """A variation that runs by the clock in an environment. ``head``: the last record of its stream."""

    whose: Whose
    schedule: Schedule
    history: History
    head: int


def declared(environment: Environment, recipes: Mapping[str, RawRecipe]) -> dict[Whose, Schedule]:
    """What runs by the clock in an environment: variations with a schedule that are for it."""
    found: dict[Whose, Schedule] = {}
    for raw in recipes.values():
        for variation in raw.variations.values():
            here = not variation.environments or environment.name in variation.environments
            if variation.schedule is not None and here:
                found[Whose(environment.name, raw.name, variation.name)] = variation.schedule
    return found


def scheduled(ledger: Ledger, project: Project, whose: Whose, schedule: Schedule) -> Scheduled:
    """A schedule with all that the ledger tells of it."""
    records = list(ledger.read(whose.stream))
    history = history_of(records, ())
    settled = history.settled
    environment = project.environment(whose.environment)
    assert environment is not None
    stream = f"runs/{environment_namespace(project, environment)}/{whose.recipe}"
    after = settled.runs if settled is not None else 0
    runs = tuple(_runs(ledger.read(stream, after), whose.variation))
    head = records[-1].sequence if records else 0
    return Scheduled(whose, schedule, History(history.told, runs), head)


def history_of(records: Iterable[object], runs: tuple[Ran, ...]) -> History:
    """The history in records of a schedule's stream; one that nobody can read is passed over."""
    found: list[Told] = []
    for record in records:
        try:
            found.append(told(record.body))  # type: ignore[attr-defined]
        except ValueError:
            continue
    return History(tuple(found), runs)


def _runs(records: Iterable[object], variation: str) -> Iterable[Ran]:
    for record in records:
        body: Mapping[str, object] = record.body  # type: ignore[attr-defined]
        if "candidate" in body:
            continue  # a promotion's proof: whatever it came to, nothing ran for the interval
        publication = body.get("publication")
        state = publication.get("state") if isinstance(publication, dict) else ""
        if body.get("verdict") == "passed" and state not in ("published", "unchanged"):
            continue  # no reader got it
        found = ran(body, variation, record.sequence)  # type: ignore[attr-defined]
        if found is not None:
            yield found


def gone(ledger: Ledger, environment: Environment, known: Iterable[Whose]) -> list[Whose]:
    """The streams of schedules that the files declare no more."""
    names = {whose.stream for whose in known}
    prefix = f"schedules/{environment.name}/"
    found = []
    for stream in ledger.streams(prefix):
        recipe, dot, variation = stream.removeprefix(prefix).partition(".")
        if dot and stream not in names:
            found.append(Whose(environment.name, recipe, variation))
    return found


def append(ledger: Ledger, of: Scheduled, records: Iterable[Told]) -> Scheduled:
    """The schedule with these records added to its stream. Conflict where somebody else added one meanwhile:
    what they know was not known here."""
    new = list(records)
    if not new:
        return of
    entries = [
        New(of.whose.stream, one.body(), of.head if number == 0 else None) for number, one in enumerate(new)
    ]
    written = ledger.append_together(entries)
    return Scheduled(of.whose, of.schedule, of.history.adding(new), written[-1].sequence)
