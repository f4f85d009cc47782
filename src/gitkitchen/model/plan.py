"""What a run will do, and why."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum

from gitkitchen.frozen import dataclass
from gitkitchen.model.data import Build, Catalog
from gitkitchen.model.kitchen import Kitchen, Subject
from gitkitchen.model.recipe import NodeSpec, Recipe


class Action(StrEnum):
    RUN = "run"
    REUSE = "reuse"
    MAYBE = "maybe"
    SKIP = "skip"


@dataclass(frozen=True, slots=True)
class Definition:
    """A node's meaning without its inputs: ``digest`` over the named ``parts``."""

    digest: str
    parts: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Step:
    """One node of a plan: what will be done and why.

    ``reads`` maps each dataset that the node reads to the node of this plan that makes it, or to
    None where it comes from the catalog. ``definitions`` has one entry per matrix combination
    (one, without a matrix). ``build`` is what a ``reuse`` step takes. ``sql`` is the text to run,
    parameters in place, for a SQL node without a matrix.
    """

    node: NodeSpec
    action: Action
    reasons: tuple[str, ...]
    reads: Mapping[str, str | None]
    after: tuple[str, ...]
    definitions: tuple[Definition, ...]
    build: Build | None = None
    fingerprint: str | None = None
    pinned: bool = False
    forced: bool = False
    """It runs although the store may hold its fingerprint (``--force``): the store is not asked."""


@dataclass(frozen=True, slots=True)
class Plan:
    """Steps in topological order. ``catalog`` is what the plan read; a run starts from it."""

    kitchen: Kitchen
    recipe: Recipe
    subject: Subject
    steps: tuple[Step, ...]
    catalog: Catalog
    interval: tuple[datetime, datetime] | None = None
    complete: bool = True
    """False where a selection left nodes of the recipe out."""

    def step(self, node: str) -> Step:
        return next(s for s in self.steps if s.node.name == node)
