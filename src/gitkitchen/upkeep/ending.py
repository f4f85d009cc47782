"""The end of a sandbox: recorded first, then everything that only it had is removed.

The record is the one commit point. A crash behind it leaves leftovers that nobody reads; the next ``gc``, or
the same ``drop``, takes them away.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path

from gitkitchen.data.garbage import Item, size_of
from gitkitchen.errors import Conflict, Infrastructure, Mistake, Problem
from gitkitchen.ledger import registry
from gitkitchen.ledger.registry import Registered
from gitkitchen.locks import alone
from gitkitchen.premises import Premises, kitchen_lock
from gitkitchen.upkeep.remote import clear as clear_there
from gitkitchen.upkeep.warehousing import clear

PATIENCE = 0.5
"""Seconds that a run which is just ending is given, before its kitchen counts as in use."""


def drop(premises: Premises, name: str, now: datetime) -> tuple[Registered, int, str]:
    """End the sandbox that people call ``name``; returns what it was, the bytes that it freed here, and why
    its zone of a store on another machine is left ("" where it is not).

    Mistake for an environment and for what is not there; Conflict while a run is at work in it.
    """
    entry = _chosen(premises, name)
    if entry.ended:
        freed = sum(item.bytes for item in sweep_ended(premises, entry))
    else:
        freed = finish(premises, entry, "dropped", now) or 0
    return entry, freed, clear_there(premises, entry.namespace)


def finish(
    premises: Premises,
    entry: Registered,
    reason: str,
    now: datetime,
    *,
    still: Callable[[], bool] = lambda: True,
) -> int | None:
    """Record the end of a sandbox and remove what it had; returns the bytes. Conflict while a run is at work.

    ``still`` is asked when no run can begin any more; None, and nothing is changed, where it says no.
    """
    lock = kitchen_lock(premises.project, entry.namespace)
    with _unused(entry), alone(lock, patience=PATIENCE):
        if not still():
            return None
        with ExitStack() as leases:
            for recipe in _recipes(premises, entry):
                name = f"{entry.namespace}/{recipe}"
                leases.enter_context(premises.ledger.lease(name, f"drop of {entry.label}"))
            registry.end(premises.ledger, entry, reason, now)
        clear(premises, entry)
        return remove(leftovers(premises, entry))


def sweep_ended(premises: Premises, entry: Registered) -> list[Item]:
    """Remove what a crash left of a kitchen that ended. Conflict while a run of it is still at work."""
    with _unused(entry), alone(kitchen_lock(premises.project, entry.namespace), patience=PATIENCE):
        items = leftovers(premises, entry)
        clear(premises, entry)
        remove(items)
        return items


@contextlib.contextmanager
def _unused(entry: Registered) -> Iterator[None]:
    try:
        yield
    except Conflict as error:
        if error.problems[0].code not in ("busy", "lease-held"):
            raise
        raise Conflict(
            Problem(
                f"a run is at work in kitchen '{entry.label}'",
                hint="wait for it to end, or stop it, and run the same command again",
                code="kitchen-busy",
            )
        ) from error


def _recipes(premises: Premises, entry: Registered) -> list[str]:
    """The recipes that ever ran in a kitchen: each has a lease."""
    prefix = f"runs/{entry.namespace}"
    found = {stream.removeprefix(f"{prefix}/") for stream in premises.ledger.streams(prefix)}
    found |= {recipe for _, recipe in _runs(premises, entry.namespace) if recipe}
    return sorted(found)


def _chosen(premises: Premises, name: str) -> Registered:
    project = premises.project
    if project.environment(name) or project.environment_of(name):
        raise _protected(name)
    entries = [e for e in registry.everything(premises.ledger) if e.project == project.id]
    matches = [e for e in entries if name in (e.namespace, e.label, e.environment)]
    alive = [e for e in matches if not e.ended]
    ended = sorted((e for e in matches if e.ended), key=lambda e: e.birth)
    if any(e.environment for e in alive):
        raise _protected(name)
    if len(alive) > 1:
        spaces = ", ".join(e.namespace for e in alive)
        raise Mistake(
            Problem(f"several kitchens are called '{name}'", hint=f"name one by its namespace: {spaces}")
        )
    if alive:
        return alive[0]
    if ended and leftovers(premises, ended[-1]):
        return ended[-1]
    message = f"there is no kitchen '{name}'" + (": it was dropped or collected" if ended else "")
    raise Mistake(Problem(message, hint="`gitkitchen kitchens` lists them", code="no-kitchen"))


def _protected(name: str) -> Mistake:
    return Mistake(
        Problem(
            f"'{name}' is an environment, which is never dropped",
            hint="`gitkitchen kitchens` lists the sandboxes",
            code="environment",
        )
    )


# --- leftovers -------------------------------------------------------------------------------------


def leftovers(premises: Premises, entry: Registered) -> list[Item]:
    """Everything on this machine that only this kitchen had."""
    state, space = premises.project.state, entry.namespace
    why = f"{entry.label}: {entry.ended or 'it ended'}"
    paths: list[Path] = [premises.project.store_root / "sandbox" / space]
    paths += [folder for folder, _ in _runs(premises, space)]
    paths += [state / "views" / f"{space}{suffix}" for suffix in (".duckdb", ".duckdb.wal", ".json", ".lock")]
    paths += sorted((state / "views").glob(f".{space}.*"))
    paths += [state / "cache" / "catalogs" / f"{space}.json", state / "effects" / space]
    paths += sorted((state / "cache" / "plan").glob(f"{space}.*"))
    paths.append(state / "ledger" / "@leases" / space)
    paths += registry.forget(premises.project, entry)
    paths.append(kitchen_lock(premises.project, space))
    return [Item("sandbox", path, size_of(path), why) for path in paths if os.path.lexists(path)]


def _runs(premises: Premises, namespace: str) -> Iterator[tuple[Path, str]]:
    """The folders of a kitchen's runs, each with its recipe."""
    for path in sorted((premises.project.state / "runs").glob("*/run.json")):
        try:
            begun = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue
        if isinstance(begun, dict) and begun.get("namespace") == namespace:
            yield path.parent, str(begun.get("recipe") or "")


def remove(items: Iterable[Item]) -> int:
    """Remove things in their order; returns the bytes. What is gone already is as it should be."""
    freed = 0
    for item in items:
        try:
            if item.path.is_dir() and not item.path.is_symlink():
                shutil.rmtree(item.path)
            else:
                item.path.unlink()
        except FileNotFoundError:
            continue
        except OSError as error:
            raise Infrastructure(
                Problem(
                    f"{item.path} cannot be removed: {error.strerror or error}",
                    hint="mend its permissions and run the same command again: it goes on where it stopped",
                    code="remove",
                )
            ) from error
        freed += item.bytes
    return freed
