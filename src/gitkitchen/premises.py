"""A project in its repository, whatever the kitchen: what listing and clearing up start from."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from secrets import token_hex

from gitkitchen.data.catalog import stream_of
from gitkitchen.data.stores import Store
from gitkitchen.data.stores.contract import TRUSTED, own_zone
from gitkitchen.data.stores.guarded import Door
from gitkitchen.data.stores.opening import open_store
from gitkitchen.errors import Mistake, Place, Problem
from gitkitchen.frozen import dataclass
from gitkitchen.git import Repository
from gitkitchen.kitchen.config import find_root, load_project
from gitkitchen.kitchen.identity import environment_namespace
from gitkitchen.kitchen.stores import parse_store
from gitkitchen.ledger.apart import Apart
from gitkitchen.ledger.opening import open_ledger
from gitkitchen.ledger.protocol import Ledger
from gitkitchen.model import Kitchen, Project

STATE = ".gitkitchen"
"""The folder of a project's own state: caches, runs, a store and a ledger that are folders."""


@dataclass(frozen=True, slots=True)
class Premises:
    """The project, its repository and its ledger."""

    project: Project
    repository: Repository
    ledger: Ledger


def find_premises(
    start: Path, say: Callable[[Problem], None] = lambda _: None, apart: Apart | None = None
) -> Premises:
    """The project around ``start``. Mistake where there is none, or its file is wrong.

    ``say`` is told what a person should know of the ledger: an old state, a record that waits. ``apart``: for
    a job that keeps for itself what it may not write.
    """
    project, repository = find_project(start)
    return Premises(project, repository, open_ledger(project, say=say, apart=apart))


def find_project(start: Path) -> tuple[Project, Repository]:
    """The project around ``start`` with the state that it shares, and its repository. Raises Mistake."""
    root = find_root(start)
    repository = Repository.find(root)
    refuse_tracked(root, repository)
    project = load_project(root)
    project = replace(project, home=_home(root, repository))
    refuse_tracked_elsewhere(project, repository)
    return project, repository


def refuse_tracked(root: Path, repository: Repository | None) -> None:
    """Refuse a state that came with a commit: what it says was built and tested is whatever its author
    wanted it to say. Mistake, with what to do."""
    _refuse(root / STATE, STATE, repository)


def refuse_tracked_elsewhere(project: Project, repository: Repository | None) -> None:
    """The same for the state of the main work tree, which linked ones share, and for a store that lies
    elsewhere in the repository."""
    if repository is None:
        return
    if project.home is not None and os.path.lexists(project.home / STATE):
        _refuse(project.home / STATE, STATE, replace(repository, root=repository.main or repository.root))
    store = Path(os.path.realpath(project.store_root))
    if store.is_relative_to(repository.root) and not store.is_relative_to(project.state):
        _refuse(store, store.relative_to(repository.root).as_posix(), repository, project.places.get("store"))


def _refuse(folder: Path, name: str, repository: Repository | None, place: Place | None = None) -> None:
    if repository is None or not os.path.lexists(folder):
        return
    tracked = repository.tracked_below(folder)
    if tracked is not None:
        message = f"'{tracked}' is committed: nothing in {name}/ may be, it says what was built and tested"
        hint = (
            f"`git rm -r --cached {name}`, write `{name}/` into .gitignore and commit; "
            "remove the folder, too, unless all that it holds was made on this machine"
        )
        raise Mistake(Problem(message, place, hint, code="tracked-state"))


def _home(root: Path, repository: Repository) -> Path | None:
    """Of a linked work tree: the project's folder in the main one. All of them share its state."""
    if not repository.linked or repository.main is None or not root.is_relative_to(repository.root):
        return None
    return repository.main / root.relative_to(repository.root)


def store_of(
    project: Project, kitchen: Kitchen, environ: Mapping[str, str] | None = None, door: Door | None = None
) -> Store:
    """A kitchen's view of the store. ``environ`` may hold logins: by default the process's. ``door``: what
    becomes of its refusals."""
    return open_store(project, kitchen, os.environ if environ is None else environ, door)


def door_of(
    project: Project,
    kitchen: Kitchen,
    ledger: Ledger,
    environ: Mapping[str, str],
    *,
    closed: str = "",
    say: Callable[[Problem], None] = lambda _: None,
) -> Door:
    """What a command in a kitchen does where a remote store lets it not in.

    On a laptop it goes on alone, wherever it may publish nothing that others would look for: in a sandbox,
    and in environments that only jobs publish. A job does not: what it could not see, it could not check.
    """
    own = own_zone(kitchen.zone, kitchen.namespace)

    def published(zone: str) -> bool:
        names = {
            own: [kitchen.namespace],
            TRUSTED: [environment_namespace(project, e) for e in project.environments],
        }.get(zone, [])
        if zone == own and kitchen.is_sandbox and ledger.private:
            return False  # what this machine published to itself it has
        return any(ledger.head(stream_of(name)) for name in names)

    job = environ.get("GITHUB_ACTIONS") == "true"
    alone = bool(closed) or (not job and (kitchen.is_sandbox or project.ledger == "branch"))
    return Door(published, alone, closed, say)


def ledger_mark(project: Project) -> str:
    """A name for the ledger, told to a warehouse that several may share: a folder's is random and its own."""
    if project.ledger == "branch":
        return "branch"
    path = project.state / "ledger" / "@name"
    path.parent.mkdir(parents=True, exist_ok=True)
    with suppress(FileExistsError):
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
        with os.fdopen(handle, "w") as file:
            file.write(token_hex(8))
    return f"folder {path.read_text(encoding='utf-8').strip()}"


def trusted_lock(project: Project) -> Path:
    """Shared by every run; whoever removes from the store has it alone."""
    return _locks(project) / "store.lock"


def kitchen_lock(project: Project, namespace: str) -> Path:
    """Shared by the runs of a kitchen; whoever drops it has it alone."""
    return _locks(project) / f"{namespace}.lock"


def _locks(project: Project) -> Path:
    """In the store, where it is a folder: clones that share it shut each other out, too."""
    return (project.state if parse_store(project.store).remote else project.store_root) / "locks"
