"""What a pull request's run found out, as one frozen value: every surface is a view of it.

``Pull`` is the pull-request document (``gitkitchen schema pull``) in memory. Nothing in it is trusted: what
judges it (``judging``) asks the outcomes again, and what shows it escapes everything.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import Literal

from gitkitchen.errors import Place
from gitkitchen.finding import PolicyFinding
from gitkitchen.frozen import dataclass
from gitkitchen.model import Outcome
from gitkitchen.report.comparison import Comparison

Kind = Literal["added", "removed", "changed"]
Standing = Literal["used", "unused", "expired"]


@dataclass(frozen=True, slots=True)
class Change:
    """One node that differs between the base's tree and the head's, with its place in the head.

    ``node`` is "" for what concerns the whole recipe, and ``recipe`` too for what concerns the project.
    ``parts`` says what of it: keys (``sql``, ``tests``, ``with``) and files. A removed node has its place in
    the base, with line 0: no line of the head shows it.
    """

    recipe: str
    node: str
    kind: Kind
    parts: tuple[str, ...] = ()
    place: Place | None = None
    files: tuple[Place, ...] = ()
    """The files beside the recipe that changed for this node, each at its first changed line."""


@dataclass(frozen=True, slots=True)
class Waiver:
    """A failure that someone answers for. ``tests``: ids of the tests that it excuses in this run."""

    rule: str
    recipe: str
    node: str
    reason: str
    approver: str
    expires: str
    """A day, as its file says it: ``2027-01-31``."""
    standing: Standing = "used"
    tests: tuple[str, ...] = ()
    place: Place | None = None


@dataclass(frozen=True, slots=True)
class NotTested:
    """What nobody looked at, and why. ``blocks``: it should have been, so that the recipe is not green.

    ``recipe`` "" concerns all of them.
    """

    recipe: str
    what: str
    why: str
    blocks: bool = False


@dataclass(frozen=True, slots=True)
class Graph:
    """What the nodes of a recipe read of each other: node -> nodes that it needs."""

    recipe: str
    needs: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Timing:
    """Seconds on the clock: of the whole job, and of each recipe where the base ran it last."""

    seconds: float | None = None
    base: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Run:
    """The workflow run that wrote the document: everything is keyed by both."""

    id: int
    attempt: int


@dataclass(frozen=True, slots=True)
class Pull:
    """``head`` and ``base`` are commits, ``tree`` what ran: the merge of both.

    ``touched`` holds, for each file of the pull request, the lines that it changed as ranges (first, last).
    """

    project: str
    project_id: str
    event: str
    number: int | None
    head: str
    base: str
    tree: str
    run: Run
    recipes: tuple[Outcome, ...] = ()
    differences: tuple[Comparison, ...] = ()
    changes: tuple[Change, ...] = ()
    graphs: tuple[Graph, ...] = ()
    touched: Mapping[str, tuple[tuple[int, int], ...]] = field(default_factory=dict)
    policy: tuple[PolicyFinding, ...] = ()
    waivers: tuple[Waiver, ...] = ()
    not_tested: tuple[NotTested, ...] = ()
    timing: Timing = Timing()
    queued: tuple[int, ...] = ()
    """Of a merge queue's group: the pull requests in it that are known, the first one first."""
    folder: str = ""
    """Of a document whose places are relative to the repository: where the project is in it."""
