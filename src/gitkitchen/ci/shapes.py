"""What surrounds the work of a job, and what a job did."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from gitkitchen.automation import COMMAND
from gitkitchen.ci.decide import Action, Decision
from gitkitchen.errors import (
    FAILED,
    INFRASTRUCTURE,
    INTERRUPTED,
    MISTAKE,
    NOTHING_TESTED,
    PASSED,
    TERMINATED,
    Problem,
)
from gitkitchen.frozen import dataclass
from gitkitchen.github.events import Event
from gitkitchen.ledger.apart import Apart
from gitkitchen.merging import Merged
from gitkitchen.model import Event as RunEvent
from gitkitchen.model import Outcome, Verdict
from gitkitchen.report.surfaces.pull import Graph, Pull

if TYPE_CHECKING:
    from gitkitchen.github.api import Client
    from gitkitchen.process import Cancel
    from gitkitchen.production.alerting import Watch
    from gitkitchen.report.comparison import Comparison

SIGTERM = 15

CODES = {
    Verdict.PASSED: PASSED,
    Verdict.FAILED: FAILED,
    Verdict.INFRASTRUCTURE: INFRASTRUCTURE,
    Verdict.NOTHING_TESTED: NOTHING_TESTED,
    Verdict.CANCELLED: INTERRUPTED,
}

WORST = (FAILED, MISTAKE, INFRASTRUCTURE, NOTHING_TESTED, PASSED)
"""Which of several exit codes is the job's: the first of these. A job that was cancelled says only that."""


@dataclass(frozen=True, slots=True)
class Failure:
    """A recipe that has no outcome ("" for the job as a whole), and why."""

    recipe: str
    problems: tuple[Problem, ...]
    code: int


@dataclass(frozen=True, slots=True)
class Report:
    """What a job did. ``subject``: what a change was tested as; ``said``: sentences for people; ``signal``:
    the one by which it was cancelled."""

    event: Event
    decision: Decision
    subject: Merged | None = None
    outcomes: tuple[Outcome, ...] = ()
    failures: tuple[Failure, ...] = ()
    said: tuple[str, ...] = ()
    warnings: tuple[Problem, ...] = ()
    difference: Comparison | None = None
    signal: int | None = None
    superseded: bool = False
    """A newer push of the same branch counts, and this one did nothing."""
    graphs: tuple[Graph, ...] = ()
    pull: Pull | None = None
    """Of a change that was tested: all that is shown of it."""
    folder: str = ""
    """Where the project is in its repository: what is shown of files is relative to that."""

    @property
    def code(self) -> int:
        """The exit code. Where something was to be tested, no outcome at all is never green."""
        if self.signal is not None:
            return TERMINATED if self.signal == SIGTERM else INTERRUPTED
        found = {CODES[o.verdict] for o in self.outcomes} | {f.code for f in self.failures}
        if self.decision.action is Action.REFUSE:
            return MISTAKE
        if not found and self.decision.action in (Action.TEST, Action.RUN) and not self.superseded:
            return NOTHING_TESTED
        return next((code for code in WORST if code in found), PASSED)

    @property
    def word(self) -> str:
        """How the job ended, for machines: a verdict, or ignored, refused, superseded, done."""
        if self.signal is not None:
            return Verdict.CANCELLED.value
        if self.superseded:
            return "superseded"
        if self.decision.action in (Action.IGNORE, Action.VIEW):
            return "ignored"
        if self.code == MISTAKE:
            return "refused"
        tested = self.decision.action is Action.SCHEDULED and self.outcomes
        if tested or self.decision.action in (Action.TEST, Action.RUN):
            return next(v.value for v, code in CODES.items() if code == self.code)
        return "done"


@dataclass(frozen=True, slots=True)
class Job:
    """What surrounds the work of a job. ``decided`` is told what will be done, ``begun`` the subject before
    the first recipe, ``ended`` each outcome as it comes: what is written by then survives a kill."""

    start: Path
    environ: Mapping[str, str]
    cancel: Cancel
    clock: Callable[[], datetime]
    on_event: Callable[[RunEvent], None] = lambda _event: None
    say: Callable[[Problem], None] = lambda _problem: None
    decided: Callable[[Decision], None] = lambda _decision: None
    begun: Callable[[Event, Merged], None] = lambda _event, _merged: None
    ended: Callable[[Outcome], None] = lambda _outcome: None
    jobs: int | None = None
    client: Callable[[Mapping[str, str]], Client] = lambda environ: _client(environ)
    """What speaks with GitHub's API, from the job's environment."""
    workflow: str = COMMAND
    """The file of the default branch's workflow that commands start."""
    apart: Apart | None = None
    """How what a change publishes in its own kitchen is kept for this job: by default, where the job may
    not write the ledger."""
    watch: Watch | None = None
    """Who tells of what happens to environments; of a job on one it is made by ``carry_out``."""


def _client(environ: Mapping[str, str]) -> Client:
    from gitkitchen.github.api import Client

    return Client.of_job(environ)


def problems_of(failures: Sequence[Failure]) -> Iterable[Problem]:
    """What went wrong without an outcome, each with the recipe that it concerns."""
    for failure in failures:
        for problem in failure.problems:
            about = f"recipe '{failure.recipe}': " if failure.recipe and not problem.place else ""
            yield replace(problem, message=f"{about}{problem.message}")
