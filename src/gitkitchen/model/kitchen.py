"""A branch, the tree that is run in it, and the settings with which."""

from __future__ import annotations

from typing import Any, Literal

from gitkitchen.errors import Place
from gitkitchen.frozen import dataclass


@dataclass(frozen=True, slots=True)
class Kitchen:
    """A branch and all that it runs with. ``environment`` is None for a sandbox.

    ``base`` names the environment whose catalog a sandbox starts from (None for environments).
    ``namespace`` is ``k_<slug>_<12 hex>``, ASCII, at most 48 bytes. ``repository`` is "" for the
    project's own. ``birth`` counts how often a branch of this name was made: each has its own namespace.
    """

    project_id: str
    repository: str
    branch: str
    namespace: str
    environment: str | None = None
    base: str | None = None
    birth: int = 1
    fork: bool = False

    @property
    def is_sandbox(self) -> bool:
        return self.environment is None

    @property
    def zone(self) -> Literal["trusted", "sandbox"]:
        """The zone of the store that this kitchen writes."""
        return "sandbox" if self.is_sandbox else "trusted"

    @property
    def label(self) -> str:
        """What people call it, and what ``--kitchen`` takes."""
        return self.environment or (f"{self.repository}:{self.branch}" if self.fork else self.branch)


@dataclass(frozen=True, slots=True)
class Subject:
    """What is run: a Git tree. A dirty work tree is never evidence."""

    commit: str | None
    tree: str
    dirty: bool = False


@dataclass(frozen=True, slots=True)
class Setting:
    """One resolved variable with where its value came from (``kitchen.yml:12`` or ``--set``)."""

    value: Any
    origin: str
    place: Place | None = None
