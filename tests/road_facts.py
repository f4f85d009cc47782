"""Facts of a promotion into production for tests: all gates pass, until a test says otherwise."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from gitkitchen.model import Approvals, Gate
from gitkitchen.promote.gates import Facts, judge
from gitkitchen.promote.gates.facts import Commit, Review, Source, SourceRun, Wanted
from gitkitchen.promote.shapes import Evidence, GateResult, Intent

NOW = datetime(2026, 11, 18, 12, 0, tzinfo=UTC)
"""A Wednesday."""
TREE, OTHER, BASE = "a" * 40, "b" * 40, "c" * 40
POLICY, NEWER = "1" * 64, "2" * 64


def evidence(recipe: str = "delays", **given: Any) -> Evidence:
    """A green run of a recipe, bound to the candidate."""
    fields = {
        "recipe": recipe, "variation": None, "run": f"{recipe}-1", "record": "e" * 64, "tree": TREE,
        "plan": "plan", "base": BASE, "versions": "versions", "policy": POLICY,
        "verdict": "passed", "tests": 3,
    }  # fmt: skip
    return Evidence(**(fields | given))


def review(login: str, state: str = "APPROVED", minute: int = 0, **given: Any) -> Review:
    """A review of the step into production, of the candidate's tree under its policy."""
    fields = {"tree": TREE, "policy": POLICY, "environment": "prod", "at": NOW + timedelta(minutes=minute)}
    return Review(login, state, **(fields | {"id": minute} | given))


def run(recipe: str = "delays", verdict: str = "passed", minute: int = 0, **given: Any) -> SourceRun:
    """A scheduled run in staging on the candidate's tree."""
    fields = {"variation": None, "tree": TREE, "scheduled": True, "run": f"{recipe}-{minute}"}
    return SourceRun(
        recipe, at=NOW - timedelta(hours=30) + timedelta(minutes=minute), verdict=verdict, **(fields | given)
    )


def source(**given: Any) -> Source:
    """Staging, where the candidate's tree has stood for 30 hours."""
    fields: dict[str, Any] = {
        "environment": "staging", "tree": TREE, "stood": ((NOW - timedelta(hours=30), None),),
        "runs": (run(),), "scheduled": ("delays",),
    }  # fmt: skip
    return Source(**(fields | given))


def facts(**given: Any) -> Facts:
    """Everything was read; ``dev`` wrote it, ``mate`` committed it, ``boss`` asked for it."""
    fields: dict[str, Any] = {
        "environment": "prod", "tree": TREE, "base": BASE, "policy": POLICY, "source": "staging", "pull": 7,
        "wanted": (Wanted("delays"),), "evidence": (evidence(),), "previous": source(), "holds": (),
        "hotfixes": (), "reviews": (), "commits": (Commit("d" * 40, "dev", "mate"),),
        "dispatchers": ("boss",),
        "permissions": dict.fromkeys(("ann", "ben", "cat", "dev", "mate", "boss", "robot[bot]"), "write"),
        "teams": {"acme/data": frozenset({"ann"})}, "owners": {}, "breaks": (), "commands": (),
    }  # fmt: skip
    return Facts(**(fields | given))


def results(
    gate: Gate, known: Facts, at: datetime = NOW, intent: Intent = Intent.FORWARD
) -> dict[str, GateResult]:
    """The results by gate."""
    return {r.gate: r for r in judge(gate, known, at, intent)}


def approval(known: Facts, rule: Approvals | None = None, name: str = "approvals") -> GateResult:
    """What the gate of approvals says, one needed by default."""
    return results(Gate(approvals=rule or Approvals(1)), known)[name]
