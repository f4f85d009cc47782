"""The registry: which kitchen has which namespace, and which of a branch's births is alive.

A namespace is a stream ``kitchens/<namespace>`` of the ledger: first who was born under it, at last that it
ended (dropped, expired, gone). Namespaces are unique because each is claimed here, not because digests
seldom meet. What lies in ``registry/`` of the local state is derived, but for one thing: the moment at which
Git made the branch here, by which a branch that was deleted and made again is told from the one before.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

from gitkitchen.errors import Conflict, Infrastructure, Mistake, Problem
from gitkitchen.files import write_atomic
from gitkitchen.frozen import dataclass
from gitkitchen.kitchen.identity import namespace
from gitkitchen.ledger.protocol import Ledger, Unwritten
from gitkitchen.model import Kitchen, Project

PREFIX = "kitchens"
MAX_BIRTHS = 1_000_000
ATTEMPTS = 50


@dataclass(frozen=True, slots=True)
class Moment:
    """When Git made the branch here: ``made`` tells one making from another (None: not known). ``shared``
    is asked whether a remote has the branch too: then it lives on there, whatever happens to it here."""

    made: str | None = None
    shared: Callable[[], bool] = lambda: False


UNKNOWN = Moment()


@dataclass(frozen=True, slots=True)
class Registered:
    """What the ledger says of a namespace. ``ended`` is the reason for which it ended, or ""."""

    namespace: str
    project: str
    repository: str
    branch: str
    birth: int
    environment: str | None
    born: str
    sequence: int
    ended: str = ""

    @property
    def is_fork(self) -> bool:
        return bool(self.repository)

    @property
    def label(self) -> str:
        return self.environment or (f"{self.repository}:{self.branch}" if self.is_fork else self.branch)


def registered(ledger: Ledger, kitchen_namespace: str) -> Registered | None:
    """The entry of a namespace, None where nobody claimed it. Infrastructure where it cannot be read."""
    stream = f"{PREFIX}/{kitchen_namespace}"
    head = ledger.head(stream)
    if not head:
        return None
    body: Mapping[str, Any] = {}
    ended = ""
    for record in ledger.read(stream):
        if record.body.get("kind") == "birth":
            body, ended = record.body, ""
        elif record.body.get("kind") == "end":
            ended = str(record.body.get("reason") or "ended")
    try:
        return Registered(
            namespace=kitchen_namespace,
            project=body["project"],
            repository=body["repository"],
            branch=body["branch"],
            birth=int(body["birth"]),
            environment=body.get("environment"),
            born=str(body["at"]),
            sequence=head,
            ended=ended,
        )
    except (KeyError, TypeError, ValueError):
        raise Infrastructure(
            Problem(
                f"the registry does not say whose the namespace {kitchen_namespace} is",
                hint=f"restore stream '{stream}' of the ledger from a backup",
                code="registry",
            )
        ) from None


def everything(ledger: Ledger) -> list[Registered]:
    """Every namespace that was ever claimed, those of ended kitchens too, in the order of their names."""
    found = (registered(ledger, stream.split("/", 1)[1]) for stream in ledger.streams(PREFIX))
    return [entry for entry in found if entry is not None]


def find(
    ledger: Ledger, project: Project, kitchen: Kitchen, moment: Moment = UNKNOWN
) -> tuple[Kitchen, bool]:
    """The kitchen in its present birth, and whether it was claimed. Nothing is written.

    Where the branch was made at another moment than the one that was noted, the birth before is over,
    although the ledger does not say so yet.
    """
    if not kitchen.is_sandbox:
        entry = registered(ledger, kitchen.namespace)
        return kitchen, entry is not None and not entry.ended and entry.environment is not None
    for birth in range(_noted(project, kitchen).get("birth", 1), MAX_BIRTHS):
        born = _as_born(kitchen, birth)
        entry = registered(ledger, born.namespace)
        if entry is None:
            return born, False
        _refuse_other(entry, born)
        if entry.ended or entry.environment is not None or _was_remade(project, kitchen, birth, moment):
            continue
        return born, True
    raise Infrastructure(Problem(f"branch '{kitchen.branch}' was made too often", code="registry"))


def claim(
    ledger: Ledger, project: Project, kitchen: Kitchen, *, moment: Moment = UNKNOWN, now: datetime
) -> Kitchen:
    """Register the kitchen under its namespace and return it in its present birth.

    The first to claim a namespace has it: Mistake when the registry gives it to another identity. Asked
    again, it writes nothing.
    """
    for _ in range(ATTEMPTS):
        found, known = find(ledger, project, kitchen, moment)
        if not known:
            try:
                _end_before(ledger, kitchen, found, now)
                _append(ledger, found, now)
            except Conflict:
                continue  # another claimed it in between: perhaps for the same kitchen
            except Unwritten:
                return found  # out of reach: what is built is a candidate, and the next run claims it
        _note(project, kitchen, found.birth, moment.made)
        return found
    raise Conflict(Problem("the registry is too busy", hint="run the command again", code="registry"))


def is_alive(ledger: Ledger, kitchen: Kitchen) -> bool:
    """Whether a kitchen still is what it was: neither dropped nor collected meanwhile."""
    entry = registered(ledger, kitchen.namespace)
    return entry is None or not entry.ended


def end(ledger: Ledger, entry: Registered, reason: str, now: datetime) -> None:
    """Record that a sandbox ended: from here on its data is nobody's. Conflict where it changed meanwhile."""
    if entry.environment is not None:
        raise ValueError(f"{entry.namespace} is an environment's")
    body = {"kind": "end", "reason": reason, "at": now.isoformat()}
    ledger.append(f"{PREFIX}/{entry.namespace}", body, expect=entry.sequence)


def is_noted(project: Project, entry: Registered) -> bool:
    """Whether somebody worked in this birth of a kitchen in this clone."""
    path = _path(project, namespace(entry.project, entry.repository, entry.branch))
    return _read(path).get("birth") == entry.birth


def forget(project: Project, entry: Registered) -> list[Path]:
    """The local notes of an ended kitchen, to be removed: not those of a later birth of its branch."""
    path = _path(project, namespace(entry.project, entry.repository, entry.branch))
    return [path] if path.exists() and _read(path).get("birth") == entry.birth else []


# --- births ----------------------------------------------------------------------------------------


def _as_born(kitchen: Kitchen, birth: int) -> Kitchen:
    name = namespace(kitchen.project_id, kitchen.repository, kitchen.branch, birth)
    return replace(kitchen, birth=birth, namespace=name)


def _append(ledger: Ledger, kitchen: Kitchen, now: datetime) -> None:
    entry = registered(ledger, kitchen.namespace)
    if entry is not None:
        _refuse_other(entry, kitchen)
        if not entry.ended and (entry.environment is None) == kitchen.is_sandbox:
            raise Conflict(Problem("another run has just claimed this kitchen", code="registry"))
    body = {
        "kind": "birth",
        "project": kitchen.project_id,
        "repository": kitchen.repository,
        "branch": kitchen.branch,
        "birth": kitchen.birth,
        "environment": kitchen.environment,
        "at": now.isoformat(),
    }
    ledger.append(f"{PREFIX}/{kitchen.namespace}", body, expect=entry.sequence if entry else 0)


def _end_before(ledger: Ledger, kitchen: Kitchen, found: Kitchen, now: datetime) -> None:
    """Say of the birth before that it is over, where only Git knew that until now."""
    if not kitchen.is_sandbox or found.birth == 1:
        return
    before = registered(ledger, _as_born(kitchen, found.birth - 1).namespace)
    if before is not None and not before.ended and before.environment is None:
        with suppress(Conflict):
            end(ledger, before, "the branch was deleted and made again", now)


def _refuse_other(entry: Registered, kitchen: Kitchen) -> None:
    theirs = (entry.project, entry.repository, entry.branch, entry.birth)
    if theirs != (kitchen.project_id, kitchen.repository, kitchen.branch, kitchen.birth):
        raise Mistake(
            Problem(
                f"namespace {entry.namespace} belongs to branch '{entry.branch}' of "
                f"'{entry.repository}', not to '{kitchen.branch}' of '{kitchen.repository}'",
                hint="rename the branch",
                code="namespace-taken",
            )
        )


# --- local notes -----------------------------------------------------------------------------------


def _was_remade(project: Project, kitchen: Kitchen, birth: int, moment: Moment) -> bool:
    noted = _noted(project, kitchen)
    if moment.made is None or noted.get("birth") != birth or noted.get("made") in (None, moment.made):
        return False
    return not moment.shared()


def _noted(project: Project, kitchen: Kitchen) -> dict[str, Any]:
    """What is noted of a branch; empty where nothing is, or it cannot be read: the ledger knows the rest."""
    return _read(_path(project, _first(kitchen)))


def _note(project: Project, kitchen: Kitchen, birth: int, made: str | None) -> None:
    path = _path(project, _first(kitchen))
    old = _read(path)
    known = old.get("made") if old.get("birth") == birth else None
    note = {
        "version": 1,
        "project": kitchen.project_id,
        "repository": kitchen.repository,
        "branch": kitchen.branch,
        "birth": birth,
        "made": made or known,
    }
    if note != old:
        write_atomic(path, json.dumps(note, indent=1) + "\n")


def _first(kitchen: Kitchen) -> str:
    return namespace(kitchen.project_id, kitchen.repository, kitchen.branch)


def _path(project: Project, first_namespace: str) -> Path:
    return project.state / "registry" / f"{first_namespace}.json"


def _read(path: Path) -> dict[str, Any]:
    try:
        note = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    if not isinstance(note, dict) or not isinstance(note.get("birth"), int) or note["birth"] < 1:
        return {}
    return note
