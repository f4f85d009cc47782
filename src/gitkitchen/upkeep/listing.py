"""All kitchens of a project with their age, size and last outcome. Nothing is written but caches."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

from gitkitchen.data.catalog import own_entries, time_of_run
from gitkitchen.data.garbage import size_of
from gitkitchen.errors import Infrastructure, Problem
from gitkitchen.frozen import dataclass
from gitkitchen.kitchen.event import QUEUE
from gitkitchen.kitchen.identity import environment_namespace
from gitkitchen.ledger import registry
from gitkitchen.ledger.registry import Registered
from gitkitchen.model import Kitchen, Published
from gitkitchen.premises import Premises, store_of
from gitkitchen.report.upkeep import KitchenRow


@dataclass(frozen=True, slots=True)
class Alive:
    """A kitchen that was not ended, with what its age is judged by."""

    entry: Registered
    last: Mapping[str, Any] | None
    used: datetime
    exists: bool | None


def alive(premises: Premises, only: Registered | None = None) -> list[Alive]:
    """Every kitchen of this project that has not ended (or this one), by name: environments first."""
    known = premises.repository.branches() | premises.repository.remote_branches()
    begun = _begun(premises)
    found = []
    entries = registry.everything(premises.ledger) if only is None else [only]
    for entry in entries:
        if entry.ended or entry.project != premises.project.id:
            continue
        last = _last(premises, entry, begun.get(entry.namespace, ()))
        moments = [_moment(entry.born), *(_moment((last or {}).get(key)) for key in ("started", "finished"))]
        used = max((m for m in moments if m is not None), default=None)
        if used is None:
            raise Infrastructure(
                Problem(
                    f"the registry does not say when {entry.namespace} was born",
                    hint=f"restore stream 'kitchens/{entry.namespace}' of the ledger from a backup",
                    code="registry",
                )
            )
        found.append(Alive(entry, last, used, _exists(premises, entry, known)))
    return sorted(found, key=lambda a: (a.entry.environment is None, a.entry.is_fork, a.entry.label))


def kitchens(premises: Premises, current: Kitchen | None) -> list[KitchenRow]:
    """The rows of ``gitkitchen kitchens``. ``current``: the kitchen of what is checked out, if any.

    Environments of kitchen.yml are listed before anything ran in them, and so is the current kitchen.
    """
    living = alive(premises)
    entries = {
        a.entry.namespace: own_entries(premises.ledger, premises.project, a.entry.namespace) for a in living
    }
    held = _held(premises, {a.entry.namespace: a.entry for a in living}, entries)
    rows = [
        _row(premises, a, len(entries[a.entry.namespace]), held[a.entry.namespace], current) for a in living
    ]
    names = {row.namespace for row in rows}
    rows += [row for row in _unused(premises, current) if row.namespace not in names]
    return sorted(rows, key=lambda r: (r.environment is None, r.kind == "fork", r.kitchen))


def _row(premises: Premises, found: Alive, datasets: int, held: int, current: Kitchen | None) -> KitchenRow:
    entry, ttl = found.entry, premises.project.sandbox_ttl
    sandbox = entry.environment is None
    return KitchenRow(
        kitchen=entry.label,
        kind="environment" if not sandbox else "fork" if entry.is_fork else "sandbox",
        repository=entry.repository,
        branch=entry.branch,
        environment=entry.environment,
        namespace=entry.namespace,
        birth=entry.birth,
        born=_moment(entry.born),
        datasets=datasets,
        bytes=held,
        exists=found.exists,
        here=current is not None and current.namespace == entry.namespace,
        last=found.last,
        used=found.used,
        expires=found.used + timedelta(seconds=ttl) if ttl is not None and sandbox else None,
    )


def _unused(premises: Premises, current: Kitchen | None) -> Iterator[KitchenRow]:
    """Kitchens in which nothing ran yet."""
    project = premises.project
    branches = premises.repository.branches()
    for environment in project.environments:
        space = environment_namespace(project, environment)
        here = current is not None and current.namespace == space
        yield _empty(environment.name, "environment", environment.branch, environment.name, space,
                     environment.branch in branches, here)  # fmt: skip
    if current is not None and current.is_sandbox:
        kind = "fork" if current.fork else "sandbox"
        yield _empty(current.label, kind, current.branch, None, current.namespace,
                     None if current.fork else current.branch in branches, True)  # fmt: skip


def _empty(
    name: str, kind: str, branch: str, environment: str | None, space: str, exists: bool | None, here: bool
) -> KitchenRow:
    return KitchenRow(
        name, kind, "", branch, environment, space, 1, None, 0, 0, exists, here, None, None, None
    )


def _exists(premises: Premises, entry: Registered, known: Iterable[str]) -> bool | None:
    """Whether the branch is there. With a shared ledger, a branch of somebody else's clone may be unknown
    here and exist: only of kitchens that this clone worked in is anything said."""
    if entry.is_fork or entry.branch.split("/")[0] == QUEUE:
        return None
    if entry.branch in known:
        return True
    ours = premises.project.ledger == "folder" or registry.is_noted(premises.project, entry)
    return False if ours else None


# --- sizes -----------------------------------------------------------------------------------------


def _held(
    premises: Premises, entries: Mapping[str, Registered], catalogs: Mapping[str, Mapping[str, Published]]
) -> dict[str, int]:
    """For each kitchen the bytes of the store that nobody else's catalog refers to.

    A sandbox's zone is its own, whatever lies in it; of what is trusted, files that it alone shows.
    """
    shown: dict[str, dict[str, int]] = {}
    owners: dict[str, int] = {}
    for namespace, catalog in catalogs.items():
        shown[namespace] = dict(_trusted_files(premises, entries[namespace], catalog.values()))
        for digest in shown[namespace]:
            owners[digest] = owners.get(digest, 0) + 1
    root = premises.project.store_root
    return {
        namespace: sum(size for digest, size in files.items() if owners[digest] == 1)
        + size_of(root / "sandbox" / namespace)
        for namespace, files in shown.items()
    }


def _trusted_files(
    premises: Premises, entry: Registered, catalog: Iterable[Published]
) -> Iterator[tuple[str, int]]:
    kitchen = Kitchen(entry.project, entry.repository, entry.branch, entry.namespace, entry.environment)
    store = store_of(premises.project, kitchen)
    catalog = list(catalog)
    store.expect(published.fingerprint for published in catalog)
    for published in catalog:
        build = store.find(published.fingerprint)
        version = build.versions.get(published.dataset) if build else None
        for file in version.files if version else ():
            if not kitchen.is_sandbox or not store.owns(file):
                yield file.digest, file.bytes


# --- runs ------------------------------------------------------------------------------------------


def _begun(premises: Premises) -> dict[str, list[Mapping[str, Any]]]:
    """The marks of runs whose folder is kept here, by namespace: they tell of runs that never ended."""
    found: dict[str, list[Mapping[str, Any]]] = {}
    for path in sorted((premises.project.state / "runs").glob("*/run.json")):
        try:
            begun = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue
        if isinstance(begun, dict) and isinstance(begun.get("namespace"), str):
            found.setdefault(begun["namespace"], []).append(begun)
    return found


def _last(
    premises: Premises, entry: Registered, begun: Iterable[Mapping[str, Any]]
) -> Mapping[str, Any] | None:
    """The newest run of a kitchen: what the ledger remembers of it, or that it never ended."""
    ended = [record for record in _newest(premises, entry.namespace) if record]
    known = {str(record.get("run")) for record in ended}
    open_runs = [
        {**b, "verdict": "interrupted"}
        for b in begun
        if str(b.get("run")) not in known and not _ended(premises, str(b.get("run")))
    ]
    return max([*ended, *open_runs], key=lambda r: str(r.get("started")), default=None)


def _newest(premises: Premises, namespace: str) -> Iterator[Mapping[str, Any]]:
    for stream in premises.ledger.streams(f"runs/{namespace}"):
        head = premises.ledger.head(stream)
        for record in premises.ledger.read(stream, after=max(head - 1, 0)):
            yield record.body


def _ended(premises: Premises, run: str) -> bool:
    return (premises.project.state / "runs" / run / "outcome.json").exists()


def _moment(text: object) -> datetime | None:
    if not isinstance(text, str):
        return None
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return time_of_run(text)
    return found if found.tzinfo else None
