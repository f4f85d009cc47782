"""A commit laid out beside the checkout, as long as somebody works on it."""

from __future__ import annotations

import contextlib
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path

from gitkitchen import merging
from gitkitchen.errors import Conflict
from gitkitchen.files import make_state
from gitkitchen.locks import alone
from gitkitchen.merging import Merged
from gitkitchen.model import Project


@contextlib.contextmanager
def laid_out(project: Project, folder: Path, subject: Merged) -> Iterator[Path]:
    """The project's folder in a linked work tree of ``subject``. ``folder``: the top of the repository.

    It is removed behind the block or, after a kill, by the next command.
    """
    make_state(project.state)
    places = project.state / "ci"
    _sweep(places)
    place = places / f"{subject.tree[:12]}-{secrets.token_hex(4)}"
    lock = _lock(place)
    with alone(lock):
        try:
            with merging.checked_out(folder, subject, place) as root:
                yield root / project.root.resolve().relative_to(folder.resolve())
        finally:
            lock.unlink(missing_ok=True)


def _lock(place: Path) -> Path:
    return place.with_name(f"{place.name}.lock")


def _sweep(places: Path) -> None:
    """Remove the work trees of commands that were killed: their locks are free."""
    for place in sorted(places.glob("*")) if places.is_dir() else ():
        if not place.is_dir():
            continue
        with contextlib.suppress(Conflict), alone(_lock(place), patience=0):
            shutil.rmtree(place, ignore_errors=True)
            _lock(place).unlink(missing_ok=True)
