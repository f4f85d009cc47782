"""What other tools are told of a run. Pure; no values of rows, no secrets."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import field
from datetime import datetime, timedelta
from uuid import NAMESPACE_URL, UUID, uuid5

from gitkitchen.errors import Place
from gitkitchen.frozen import dataclass
from gitkitchen.model import NodeResult, Outcome, Plan, State, TestState

RAN = frozenset({State.PASSED, State.FAILED, State.ERROR, State.TIMED_OUT, State.CANCELLED})


@dataclass(frozen=True, slots=True)
class Told:
    """A run that has ended. ``reads``: node -> datasets; ``queries``: node -> its SQL, where it is that."""

    outcome: Outcome
    reads: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    queries: Mapping[str, str] = field(default_factory=dict)
    places: Mapping[str, Place] = field(default_factory=dict)
    interval: tuple[datetime, datetime] | None = None
    repository: str = ""
    """The address of the repository's pages, ``https://github.com/OWNER/NAME``, where a job knows it."""

    def id_of(self, *parts: str) -> UUID:
        """The same run, node or batch has the same id whenever it is told."""
        return uuid5(
            NAMESPACE_URL, "/".join(["gitkitchen", self.outcome.project_id, self.outcome.run, *parts])
        )

    def nodes(self) -> Iterator[NodeResult]:
        """The nodes that did something in this run: not what was reused, skipped or never begun."""
        for node in self.outcome.nodes:
            if node.state in RAN and node.started is not None and node.attempts:
                yield node


def of_run(outcome: Outcome, plan: Plan, **more: object) -> Told:
    """A run and what its plan says of its nodes."""
    steps = {step.node.name: step for step in plan.steps}
    return Told(
        outcome,
        reads={name: tuple(step.reads) for name, step in steps.items()},
        queries={
            name: str(step.node.config["text"])
            for name, step in steps.items()
            if step.node.kind == "sql" and "text" in step.node.config
        },
        places={name: step.node.place for name, step in steps.items() if step.node.place is not None},
        **more,  # type: ignore[arg-type]
    )


def ended(node: NodeResult) -> datetime:
    """When a node that began had ended, its tests included."""
    assert node.started is not None
    return node.started + timedelta(seconds=max(node.seconds, 0))


def tested_from(node: NodeResult) -> datetime:
    """When the tests of a node began, as far as their own times tell: they are the last that it does."""
    assert node.started is not None
    spent = sum(test.seconds for test in node.tests if not test.reused)
    return max(node.started, ended(node) - timedelta(seconds=spent))


def judged(node: NodeResult) -> bool:
    """Whether tests of the node were judged in this run."""
    return any(t.state in (TestState.PASSED, TestState.FAILED, TestState.ERROR) for t in node.tests)
