"""Catalogs: for each kitchen, which version of each dataset its readers see.

A catalog is the fold of its publications, which the ledger holds. Committing a publication is one
record; everything else (the folded catalog in the cache, the consumers' view file) is derived.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from gitkitchen.errors import Conflict, Mistake, Problem
from gitkitchen.files import write_atomic
from gitkitchen.kitchen.identity import environment_namespace
from gitkitchen.ledger.lease import LeaseLost
from gitkitchen.ledger.protocol import Held, Ledger, New
from gitkitchen.ledger.records import Record
from gitkitchen.model import Catalog, Kitchen, Project, Published, Subject

ATTEMPTS = 20
FILLED = 40
"""Datasets of a publication for which its filling grows."""


def stream_of(kitchen_namespace: str) -> str:
    """The ledger's stream of a kitchen's publications."""
    return f"publications/{kitchen_namespace}"


def load_catalog(ledger: Ledger, project: Project, kitchen: Kitchen) -> Catalog:
    """The catalog of a kitchen; a sandbox sees its base's where it has nothing of its own."""
    sequence, own = _fold(ledger, project, kitchen.namespace)
    if not kitchen.is_sandbox:
        return Catalog(kitchen.namespace, sequence, _trusted(own))
    base = _base_entries(ledger, project, kitchen)
    entries = {**base, **{d: e for d, e in own.items() if e is not None}}
    for dataset, entry in own.items():
        if entry is None:
            entries.pop(dataset, None)
    return Catalog(kitchen.namespace, sequence, entries, base)


def _base_entries(ledger: Ledger, project: Project, kitchen: Kitchen) -> dict[str, Published]:
    environment = project.environment(kitchen.base) if kitchen.base else None
    if environment is None:
        return {}
    _, entries = _fold(ledger, project, environment_namespace(project, environment))
    return _trusted(entries)


def own_entries(ledger: Ledger, project: Project, kitchen_namespace: str) -> dict[str, Published]:
    """What a kitchen itself has published and not removed, without its base."""
    _, entries = _fold(ledger, project, kitchen_namespace)
    return {d: e for d, e in entries.items() if e is not None}


def entries_at(ledger: Ledger, kitchen_namespace: str, sequence: int) -> dict[str, Published]:
    """What a kitchen itself showed right after its publication ``sequence`` (0: before the first one).
    Mistake where publications up to then were removed by a compaction."""
    entries: dict[str, Published] = {}
    gone = ledger.gaps(stream_of(kitchen_namespace))
    if 0 < sequence < gone.through:
        limit = f" from before {gone.before:%Y-%m-%d}" if gone.before else ""
        said = "the ledger does not say any more what was shown then"
        raise Mistake(
            Problem(
                f"{said}: a compaction removed publications{limit}",
                hint="`--data current` builds what the tree of then makes of today's sources",
                code="compacted",
            )
        )
    for record in ledger.read(stream_of(kitchen_namespace)) if sequence else ():
        if record.sequence > sequence:
            break
        for dataset, value in record.body["datasets"].items():
            entries.pop(dataset, None)
            if value is not None:
                entries[dataset] = _entry(dataset, value, record)
    return entries


def shown_since(ledger: Ledger, kitchen_namespace: str, moment: datetime) -> set[str]:
    """The fingerprints of all versions that the kitchen's readers saw at any time since ``moment``, and of
    those that they saw right before the last landing, however long ago: the rollback window.

    A record whose time is not known counts as one of now.
    """
    current: dict[str, str] = {}
    seen: set[str] = set()
    before_landing: set[str] = set()
    for record in ledger.read(stream_of(kitchen_namespace)):
        if record.body.get("landing"):
            before_landing = set(current.values())
        when = time_of_run(str(record.body["run"]))
        late = when is None or when >= moment
        for dataset, value in record.body["datasets"].items():
            before = current.pop(dataset, None)
            if late and before is not None:
                seen.add(before)
            if value is not None:
                current[dataset] = value["fingerprint"]
    return seen | before_landing | set(current.values())


def time_of_run(run: str) -> datetime | None:
    """When a run began, which its name says."""
    try:
        return datetime.strptime(run[:15], "%Y%m%dT%H%M%S").replace(tzinfo=UTC)
    except ValueError:
        return None


def _trusted(entries: Mapping[str, Published | None]) -> dict[str, Published]:
    """What an environment has. A branch may have been a sandbox before it was one: that is not shown."""
    return {d: e for d, e in entries.items() if e is not None and e.zone == "trusted"}


def _fold(
    ledger: Ledger, project: Project, kitchen_namespace: str
) -> tuple[int, dict[str, Published | None]]:
    """All publications of a kitchen in order; what was folded before comes from the cache.

    None stands for a dataset that was removed: in a sandbox it hides the base's.
    """
    stream = stream_of(kitchen_namespace)
    cache = project.state / "cache" / "catalogs" / f"{kitchen_namespace}.json"
    sequence, last, entries = _cached(cache)
    head = ledger.head(stream)
    if sequence and (head < sequence or next(ledger.read(stream, sequence - 1)).id != last):
        sequence, entries = 0, {}  # another ledger than the one that was folded: begin anew
    if head == sequence:
        return sequence, entries
    for record in ledger.read(stream, after=sequence):
        sequence, last = record.sequence, record.id
        for dataset, value in record.body["datasets"].items():
            entries[dataset] = None if value is None else _entry(dataset, value, record)
    values = {d: None if e is None else plain(e) for d, e in entries.items()}
    write_atomic(cache, json.dumps({"version": 1, "sequence": sequence, "last": last, "entries": values}))
    return sequence, entries


def _cached(path: Path) -> tuple[int, str, dict[str, Published | None]]:
    """What was folded before, up to which record; nothing where the cache is missing or damaged."""
    try:
        value = json.loads(path.read_bytes())
        entries = {d: None if e is None else Published(**e) for d, e in value["entries"].items()}
        sequence = int(value["sequence"])
        return (sequence, str(value["last"]), entries) if sequence > 0 else (0, "", {})
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return 0, "", {}


def _entry(dataset: str, value: Mapping[str, Any], record: Record) -> Published:
    usual = {**_usual(record.body, dataset), **value}
    return Published(
        dataset=dataset,
        fingerprint=usual["fingerprint"],
        content=usual["content"],
        recipe=usual["recipe"],
        node=usual["node"],
        run=usual["run"],
        sequence=record.sequence,
        zone=usual["zone"],
    )


def _usual(body: Mapping[str, Any], dataset: str) -> dict[str, str]:
    """What an entry of a recipe's own publication is where it does not say otherwise: the recipe's, made by
    the node of its name in the run that publishes it. The record of a whole tree says all of each."""
    if not body["recipe"]:
        return {}
    return {"recipe": body["recipe"], "run": body["run"], "node": dataset, "zone": "trusted"}


def publish(
    ledger: Ledger,
    project: Project,
    kitchen: Kitchen,
    *,
    recipe: str,
    run: str,
    patch: Mapping[str, Published | None],
    read_sequence: int,
    fence: int,
    subject: Subject,
    under: Held | None = None,
    along: Callable[[int], New] | None = None,
) -> Catalog:
    """Commit a patch of one recipe's datasets to a kitchen's catalog: compare-and-swap on what it writes.

    Publications of other recipes since ``read_sequence`` are fine; one that touched the same datasets
    means that the run started from an older state, one of the same recipe under a higher ``fence`` that
    its lease was taken over: Conflict, and nothing is changed. So is one whose lease ``under`` has passed to
    another holder. Asked again after it was committed, it commits nothing more. ``along``: what is written in
    the same commit, made of the publication's number, and the last under the lease.
    """
    stream = stream_of(kitchen.namespace)
    body = publication(recipe, run, patch, read_sequence=read_sequence, fence=fence, subject=subject)
    for _ in range(ATTEMPTS):
        head = ledger.head(stream)
        since = list(ledger.read(stream, after=read_sequence))
        if any(r.body["run"] == run and r.body["datasets"] == body["datasets"] for r in since):
            return load_catalog(ledger, project, kitchen)
        _refuse_overtaken(since, recipe, run, patch, fence)
        try:
            if along is None:
                ledger.append(stream, body, expect=head, under=under)
            else:
                ledger.append_together([New(stream, body, head), along(head + 1)], under=under, last=True)
        except LeaseLost:
            raise
        except Conflict:
            continue  # somebody published in between: look again whether it concerns us
        return load_catalog(ledger, project, kitchen)
    raise Conflict(
        Problem(
            f"{ATTEMPTS} other publications came first; nothing was published",
            hint="run the same command again: what is built is reused",
            code="publication-lost",
        )
    )


def publication(
    recipe: str,
    run: str,
    patch: Mapping[str, Published | None],
    *,
    read_sequence: int,
    fence: int,
    subject: Subject,
) -> dict[str, Any]:
    """The record that moves datasets in a catalog. ``recipe`` is "" where they are those of a whole tree.

    ``filling`` says nothing. Git keeps an object as what differs from another only where that is less than
    half of it (``try_delta`` in its builtin/pack-objects.c), and the digests of a publication, which are like
    nothing, are more than half. With a text that is the same in all it is kept so, at two thirds of the
    bytes.
    """
    body = {
        "kind": "publication",
        "recipe": recipe,
        "run": run,
        "fence": fence,
        "read": read_sequence,
        "subject": plain(subject),
    }
    values = {d: None if e is None else _value(e, _usual(body, d)) for d, e in sorted(patch.items())}
    return body | {"datasets": values, "filling": "." * (300 + 80 * min(len(values), FILLED))}


def plain(value: Published | Subject) -> dict[str, Any]:
    """A flat value as JSON holds it: what ``asdict`` gives, many times faster."""
    return {name: getattr(value, name) for name in value.__slots__}


def _value(entry: Published, usual: Mapping[str, str]) -> dict[str, Any]:
    value = plain(entry)
    del value["sequence"], value["dataset"]
    return {name: said for name, said in value.items() if usual.get(name) != said}


def _refuse_overtaken(
    since: Sequence[Record], recipe: str, run: str, patch: Mapping[str, Published | None], fence: int
) -> None:
    for record in since:
        body = record.body
        touched = sorted(set(body["datasets"]) & set(patch))
        # Under the same fence: a run that was late with its lease, as we are.
        newer = body["recipe"] == recipe and body["run"] != run and body["fence"] >= fence
        if touched or newer:
            names = ", ".join(touched[:5]) or f"datasets of '{recipe}'"
            raise Conflict(
                Problem(
                    f"run {record.body['run']} published {names} since this run of '{recipe}' began; "
                    "nothing was published",
                    hint="run the same command again: what is built is reused",
                    code="publication-lost",
                )
            )
