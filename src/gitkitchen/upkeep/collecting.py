"""Garbage collection: sandboxes that are over, old runs, and what no catalog, run or rollback refers to.

Looking and removing see the same rules. Removing from the store happens alone (every run shares the store's
lock for as long as it lasts), on references that are read under the lock, builds before their files: a crash
anywhere leaves everything that is referred to whole, and the next ``gc`` ends the work.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Iterable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gitkitchen.data.catalog import own_entries, shown_since, time_of_run
from gitkitchen.data.garbage import Item, References, size_of, temporary, unreferenced
from gitkitchen.data.stores.eviction import evictable
from gitkitchen.errors import Conflict, Infrastructure, Mistake
from gitkitchen.frozen import dataclass
from gitkitchen.kitchen.identity import identify, namespace
from gitkitchen.kitchen.stores import parse_store
from gitkitchen.ledger import apart, registry
from gitkitchen.ledger.registry import Registered
from gitkitchen.locks import alone
from gitkitchen.premises import Premises, trusted_lock
from gitkitchen.report.upkeep import Sweep
from gitkitchen.run.checks import own_key
from gitkitchen.upkeep import remote
from gitkitchen.upkeep.ending import finish, leftovers, remove, sweep_ended
from gitkitchen.upkeep.listing import alive
from gitkitchen.upkeep.warehousing import Unused, collecting, unused
from gitkitchen.upkeep.warehousing import sweep as sweep_warehouse

if TYPE_CHECKING:
    from gitkitchen.data.engines.postgres_store import Relations

PATIENCE = 10.0
"""Seconds to wait until no run is at work; then the store is left for next time."""

SPACE = re.compile(r"\.?(k_[a-z0-9_]{1,33}_[0-9a-f]{12})\.")
"""How the files begin that belong to one kitchen."""

CACHED = 30 * 86400.0
"""Seconds after which what can be computed again is forgotten."""


@dataclass(frozen=True, slots=True)
class Limits:
    """``grace``: seconds that whatever was written or used lately is left alone. ``keep``: seconds for which
    runs can be shown, and what an environment showed can be brought back."""

    grace: float = 86400.0
    keep: float = 30 * 86400.0
    cache: int | None = None
    """Bytes of data that the cache of a store on another machine may hold."""


def look(premises: Premises, limits: Limits, now: datetime) -> Sweep:
    """What ``sweep`` would remove now. Nothing is changed."""
    items: list[Item] = []
    ending: set[Path] = set()
    over = dict(_over(premises, limits, now))
    for entry in registry.everything(premises.ledger):
        if entry.project == premises.project.id:
            if entry.ended:
                items += leftovers(premises, entry)
            elif entry in over:
                had = leftovers(premises, entry)
                ending |= {item.path for item in had}
                items.append(_as_one(had, premises, entry, over[entry]))
    for part in _parts(premises, limits, now, frozenset(entry.namespace for entry in over)):
        items += [item for item in part if item.path not in ending]
    gone = frozenset(entry.namespace for entry in over)
    left: list[tuple[str, str]] = []
    with collecting(premises, left) as relations:
        if relations is not None:
            items += _in_warehouse(relations, premises, limits, now, gone, left).items
    there = _there(premises, limits, now, gone, apply=False)
    left += there.left
    return Sweep((*_once(items), *there.items), False, tuple(left), tuple(there.marked), there.failed)


def sweep(premises: Premises, limits: Limits, now: datetime, *, patience: float = PATIENCE) -> Sweep:
    """Remove what nobody needs; what is in use is left, with the reason."""
    apart.sweep(premises.repository.root, premises.repository.common, premises.project.state)
    items: list[Item] = []
    left: list[tuple[str, str]] = []
    over = dict(_over(premises, limits, now))
    for entry in registry.everything(premises.ledger):
        if entry.project != premises.project.id or not (entry.ended or entry in over):
            continue
        try:
            if entry.ended:
                items += sweep_ended(premises, entry) if leftovers(premises, entry) else []
            else:
                found = _as_one(leftovers(premises, entry), premises, entry, over[entry])
                still = _still_over(premises, entry, limits, now)
                if finish(premises, entry, over[entry], now, still=still) is not None:
                    items.append(found)
        except Conflict as error:
            left.append((f"kitchen {entry.label}", error.problems[0].message))
    try:
        with alone(trusted_lock(premises.project), patience=patience):
            for part in _parts(premises, limits, now, frozenset()):
                remove(part)
                items += part
            items += _sweep_warehouse(premises, limits, now, left, patience)
    except Conflict:
        left.append(("the store", "runs are at work; the same command later takes the rest"))
    there = _there(premises, limits, now, frozenset(), apply=True)
    left += there.left
    return Sweep((*_once(items), *there.items), True, tuple(left), tuple(there.marked), there.failed)


def _there(
    premises: Premises, limits: Limits, now: datetime, ending: frozenset[str], *, apply: bool
) -> remote.Visit:
    """What a store on another machine can do without. What is cleared up here does not wait for it."""

    def references() -> References:
        old = {item.path for item in _old_runs(premises, limits, now)}
        return _references(premises, limits, now, ending, old)

    try:
        return remote.visit(
            premises, references, ending, now=now, grace=limits.grace, keep=limits.keep, apply=apply
        )
    except Infrastructure as error:
        return remote.Visit(left=[("the store", error.problems[0].message)], refused=True)


def _still_over(premises: Premises, entry: Registered, limits: Limits, now: datetime) -> Callable[[], bool]:
    """Asked once nobody can begin a run in it any more: somebody may have, since it was looked at."""
    return lambda: any(_over(premises, limits, now, entry))


def _over(
    premises: Premises, limits: Limits, now: datetime, only: Registered | None = None
) -> Iterator[tuple[Registered, str]]:
    """Sandboxes to be ended, and why."""
    project = premises.project
    for found in alive(premises, only):
        entry = found.entry
        if entry.environment is not None:
            continue
        if not entry.is_fork and project.environment_of(entry.branch):
            continue  # it is about to become an environment: its next run says so
        age = (now - found.used).total_seconds()
        if project.sandbox_ttl is not None and age > max(project.sandbox_ttl, 0.0):
            yield entry, "not used for longer than sandboxes.ttl"
        elif found.exists is False and age > limits.grace:
            yield entry, "its branch is gone"


def _as_one(items: list[Item], premises: Premises, entry: Registered, why: str) -> Item:
    path = premises.project.store_root / "sandbox" / entry.namespace
    return Item("sandbox", path, sum(i.bytes for i in items), f"{entry.label}: {why}")


def _once(items: Iterable[Item]) -> Iterator[Item]:
    """Each path once: the zone of a sandbox that ends is not counted again as files of the store."""
    seen: set[Path] = set()
    for item in items:
        if not seen.intersection([item.path, *item.path.parents]):
            seen.add(item.path)
            yield item


# --- the warehouse ----------------------------------------------------------------------------------


def _in_warehouse(
    relations: Relations,
    premises: Premises,
    limits: Limits,
    now: datetime,
    ending: frozenset[str],
    left: list[tuple[str, str]],
) -> Unused:
    """What nothing refers to there, by the same references as in the store."""
    old = {item.path for item in _old_runs(premises, limits, now)}
    references = _references(premises, limits, now, ending, old).fingerprints
    references |= _candidates(premises, limits, now)
    grace, keep = limits.grace, limits.keep
    spaces = _ours(premises) - ending
    return unused(relations, premises, references, spaces, now=now, grace=grace, keep=keep, left=left)


def _sweep_warehouse(
    premises: Premises, limits: Limits, now: datetime, left: list[tuple[str, str]], patience: float
) -> list[Item]:
    with collecting(premises, left) as relations:
        if relations is None:
            return []
        with relations.warehouse.alone(patience) as is_alone:
            if not is_alone:
                left.append(("the warehouse", "runs are at work; the same command later takes the rest"))
                return []
            gone, more = sweep_warehouse(
                relations, _in_warehouse(relations, premises, limits, now, frozenset(), left)
            )
    left += more
    return gone


def _candidates(premises: Premises, limits: Limits, now: datetime) -> set[str]:
    """What runs of other machines, too, built within ``keep``: the ledger's records name it."""
    found: set[str] = set()
    since = now - timedelta(seconds=limits.keep)
    for stream in premises.ledger.streams("runs"):
        for record in premises.ledger.read(stream):
            when = time_of_run(str(record.body.get("run")))
            built = record.body.get("built")
            if (when is None or when >= since) and isinstance(built, dict):
                found |= {str(b.get("fingerprint")) for b in built.values() if isinstance(b, dict)}
    return found


# --- runs, store, caches ----------------------------------------------------------------------------


def _parts(premises: Premises, limits: Limits, now: datetime, ending: frozenset[str]) -> Iterator[list[Item]]:
    """What may go besides sandboxes, in parts that are removed one after the other.

    Old runs first: what only they refer to goes with them.
    """
    store = premises.project.store_root.resolve()
    old = _old_runs(premises, limits, now)
    references = _references(premises, limits, now, ending, {item.path for item in old})
    yield old
    yield unreferenced(
        store,
        references,
        zones=[*_shared_zones(premises), *(f"sandbox/{space}" for space in _ours(premises) - ending)],
        now=now.timestamp(),
        grace=limits.grace,
        keep=limits.keep,
        own_verdict=own_key,
    )
    if parse_store(premises.project.store).remote:
        before = now.timestamp() - CACHED
        yield evictable(store, _shown(premises), before=before, most=limits.cache)
    yield list(temporary(store, now=now.timestamp(), grace=limits.grace))
    yield list(_unclaimed(premises, limits, now))
    yield list(_old_caches(premises, now))


def _shared_zones(premises: Premises) -> list[str]:
    """``trusted``, where this ledger says all that refers to it. Clones that share a folder outside of the
    repository, each with a ledger of its own, do not know of each other's publications."""
    project = premises.project
    return [] if parse_store(project.store).absolute and project.ledger == "folder" else ["trusted"]


def _ours(premises: Premises) -> set[str]:
    """The namespaces of this project's living kitchens: other zones of the store are not ours to clear."""
    found = registry.everything(premises.ledger)
    return {e.namespace for e in found if e.project == premises.project.id and not e.ended}


def _old_runs(premises: Premises, limits: Limits, now: datetime) -> list[Item]:
    """Run folders older than ``keep``, but for the newest of each recipe in each kitchen."""
    newest: set[tuple[str, str]] = set()
    items: list[Item] = []
    for folder in sorted((premises.project.state / "runs").glob("*"), reverse=True):
        begun = _json(folder / "run.json")
        key = (str(begun.get("namespace")), str(begun.get("recipe")))
        when = time_of_run(folder.name)
        if when is None or not folder.is_dir():
            continue  # nothing of ours
        if (not begun or key in newest) and (now - when).total_seconds() > max(limits.keep, limits.grace):
            items.append(Item("run", folder, size_of(folder), "older than what is kept"))
        newest.add(key)
    return items


def _references(
    premises: Premises, limits: Limits, now: datetime, ending: frozenset[str], old: set[Path]
) -> References:
    """All that must stay: what catalogs show, what environments showed lately, what kept runs made, and
    what the consumers' files name. Infrastructure where any of it cannot be read: then nothing is removed."""
    found = References()
    since = now - timedelta(seconds=limits.keep)
    entries = {e.namespace: e for e in registry.everything(premises.ledger)}
    dead = {e.namespace for e in entries.values() if e.ended} | ending
    for stream in premises.ledger.streams("publications"):
        space = stream.split("/", 1)[1]
        if space in dead:
            continue
        published = own_entries(premises.ledger, premises.project, space)
        found.fingerprints |= {entry.fingerprint for entry in published.values()}
        owner = entries.get(space)
        if owner is None or owner.environment is not None:
            found.fingerprints |= shown_since(premises.ledger, space, since)
    state = premises.project.state
    for folder in (state / "runs").glob("*"):
        begun = _json(folder / "run.json")
        if folder in old or begun.get("namespace") in dead:
            continue
        found.of_document(_json(folder / "outcome.json"))
        for line in _lines(folder / "journal.jsonl"):
            found.of_document(line)
    found.fingerprints |= _shown(premises, dead)
    return found


def _shown(premises: Premises, dead: Collection[str] = ()) -> set[str]:
    """The fingerprints of all that the consumers' files of living kitchens name."""
    found: set[str] = set()
    for path in (premises.project.state / "views").glob("*.json"):
        stamp = _json(path)
        shown = stamp.get("entries")
        if isinstance(shown, dict) and stamp.get("namespace") not in dead:
            found |= {key for key in shown.values() if isinstance(key, str)}
    return found


def _unclaimed(premises: Premises, limits: Limits, now: datetime) -> Iterator[Item]:
    """View files and caches of kitchens that were only looked at, and whose branch is gone. Nothing ever ran
    in them, so the registry does not know them, and all that they have can be made again."""
    state = premises.project.state
    known: set[str] | None = None
    for path in sorted([*(state / "views").glob("*"), *(state / "cache" / "plan").glob("*")]):
        match = SPACE.match(path.name)
        if match is None or now.timestamp() - path.lstat().st_mtime < limits.grace:
            continue
        if known is None:
            entries = registry.everything(premises.ledger)
            known = {name for e in entries for name in (e.namespace, e.environment) if name}
            known |= set(_present(premises)) | {e.name for e in premises.project.environments}
        if match[1] not in known:
            yield Item("cache", path, size_of(path), "its branch is gone, and nothing ran in it")


def _present(premises: Premises) -> Iterator[str]:
    """The namespaces of the kitchens that existing branches have, or would have when they are next run."""
    repository = premises.repository
    for branch in repository.branches() | repository.remote_branches():
        try:
            kitchen = identify(premises.project, branch=branch, repository=None, override=None)
        except Mistake:
            continue
        found, _ = registry.find(premises.ledger, premises.project, kitchen)
        yield found.namespace
        yield namespace(kitchen.project_id, "", branch, found.birth + 1)


def _old_caches(premises: Premises, now: datetime) -> Iterator[Item]:
    """Caches that were not written for long: they can be computed again."""
    folder = premises.project.state / "cache"
    zones = [premises.project.store_root.resolve() / name for name in ("trusted", "sandbox")]
    for path in sorted(folder.rglob("*")):
        try:
            status = path.lstat()
        except OSError:
            continue
        if path.parent == folder / "catalogs":
            continue  # small, one a living kitchen, and asked for by every command
        if any(path.resolve().is_relative_to(zone) for zone in zones):
            continue  # of the store's data
        if path.is_file() and now.timestamp() - status.st_mtime > CACHED:
            yield Item("cache", path, status.st_size, "not written for a long time")


def _json(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _lines(path: Path) -> Iterator[Any]:
    try:
        data = path.read_bytes()
    except OSError:
        return
    for line in data.split(b"\n"):
        try:
            yield json.loads(line)
        except ValueError:
            continue
