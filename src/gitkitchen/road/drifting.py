"""What consumers read, brought back to the catalog; what was changed by hand is said before it is mended."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import TYPE_CHECKING, cast

from gitkitchen.data import consumers
from gitkitchen.errors import Infrastructure
from gitkitchen.ledger.protocol import Ledger
from gitkitchen.model import Catalog
from gitkitchen.road.effects import effect
from gitkitchen.road.incidents import close_incident, course_of, open_incident
from gitkitchen.workplace import Workplace

if TYPE_CHECKING:
    from gitkitchen.data.engines.postgres_store import WarehouseStore

NAMED = 20
"""Views that an incident names."""
Finding = tuple[str, str]
"""(code, sentence)"""


def mend_views(place: Workplace, environment: str, now: datetime) -> Iterator[Finding]:
    """Report what was changed by hand in what consumers read, show the catalog again, and say so."""
    with effect("look-for-work"):
        catalog = place.catalog()
        changed = _drift(place, catalog)
        behind = catalog.sequence and (place.relations is not None or _behind(place, catalog))
    if changed:
        names = [*changed[:NAMED], *(["…"] if len(changed) > NAMED else [])]
        said = f"consumers' views were changed by hand: {'; '.join(names)}"
        _, new = open_incident(place.ledger, environment, "drift-data", said, now)
        if new:
            yield "drift-data", said
    if behind:
        with effect("show-views"):
            if changed and place.relations is not None:
                _forget(place, catalog)
            place.show(catalog, missing_ok=True, asked=False)
    yield from _close(place.ledger, environment, "drift-data", "the catalog is shown again", now)


def check_data(place: Workplace, environment: str, now: datetime, *, thoroughly: bool) -> Iterator[Finding]:
    """Report versions that consumers read whose files or tables were changed by hand: no view can mend that,
    only the next run that builds them. While such an incident is open, all is read again."""
    said, recipes = [], set()
    known = any(i.kind == "drift-store" for i in course_of(place.ledger, environment).incidents)
    for name, entry in sorted(place.catalog().entries.items()):
        found = place.store.harmed(entry.fingerprint, name, thoroughly=thoroughly or known)
        said += [problem.message for problem in found]
        recipes |= {entry.recipe} if found else set()
    if said:
        more = ["…"] if len(said) > NAMED else []
        text = f"data that consumers read was changed by hand: {'; '.join([*said[:NAMED], *more])}; "
        text += f"the next run of {', '.join(sorted(recipes)[:NAMED])} builds it anew"
        _, new = open_incident(place.ledger, environment, "drift-store", text, now)
        if new:
            yield "drift-store", text
    else:
        yield from _close(place.ledger, environment, "drift-store", "the data is as it was written", now)


def check_grants(place: Workplace, environment: str, now: datetime, *, accept: bool) -> Iterator[Finding]:
    """Report rights to read that were changed by hand since they were last accepted. Only a warehouse has
    them. Those of views that are new are accepted as they are."""
    if place.relations is None:
        return
    from gitkitchen.data.engines.postgres_drift import grants

    there = grants(place.kitchen, cast("WarehouseStore", place.store))
    stream = f"grants/{environment}"
    head = place.ledger.head(stream)
    known = dict(next(place.ledger.read(stream, head - 1)).body["views"]) if head else {}
    said = []
    for name in sorted(there.keys() & known.keys()):
        what = f"view '{name}'" if name else "the schema"
        said += [f"{what}: {one} was given" for one in there[name] if one not in known[name]]
        said += [f"{what}: {one} was taken" for one in known[name] if one not in there[name]]
    kept = {n: there[n] if accept or n not in known else known[n] for n in there}
    if kept != known:
        with effect("accept-grants"):
            body = {"kind": "grants", "version": 1, "at": now.isoformat(), "views": kept}
            place.ledger.append(stream, body, expect=head)
    if said and not accept:
        text = f"rights were changed by hand: {'; '.join([*said[:NAMED], *(['…'] if said[NAMED:] else [])])}"
        _, new = open_incident(place.ledger, environment, "drift-grants", text, now)
        if new:
            yield "drift-grants", text
    else:
        why = "accepted as they are" if said else "they are as they were accepted"
        yield from _close(place.ledger, environment, "drift-grants", why, now)


def _close(ledger: Ledger, environment: str, kind: str, why: str, now: datetime) -> Iterator[Finding]:
    for incident in course_of(ledger, environment).incidents:
        if incident.kind == kind and close_incident(ledger, incident, why, now):
            yield "closed", f"incident {incident.id} ({kind}) is over: {why}"


def _behind(place: Workplace, catalog: Catalog) -> bool:
    """Whether the view file is to be made anew; of versions that are missing, showing it tells."""
    try:
        return consumers.stale(place.project, place.kitchen, catalog, place.store)
    except Infrastructure:
        return True


def _drift(place: Workplace, catalog: Catalog) -> list[str]:
    try:
        if place.relations is None:
            return consumers.drift(place.project, place.kitchen, catalog, place.store)
        from gitkitchen.data.engines import postgres_drift

        found = postgres_drift.drift(place.kitchen, catalog, cast("WarehouseStore", place.store))
        return [f"'{name}' {what}" for name, what in found.items()]
    except Infrastructure as error:
        if error.problems[0].code == "version-missing":
            return []  # a run will bring it back
        raise


def _forget(place: Workplace, catalog: Catalog) -> None:
    from gitkitchen.data.engines import postgres_drift

    store = cast("WarehouseStore", place.store)
    postgres_drift.make_again(place.kitchen, store, postgres_drift.drift(place.kitchen, catalog, store))
