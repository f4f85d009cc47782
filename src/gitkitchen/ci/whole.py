"""A whole job: what its event asks for is done, and its results are kept as they come."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from gitkitchen.ci import results
from gitkitchen.ci.shapes import Job, Report, problems_of
from gitkitchen.ci.work import carry_out
from gitkitchen.github.events import Event
from gitkitchen.merging import Merged
from gitkitchen.model import Outcome


def do(job: Job, event: Event, folder: Path) -> Report:
    """Carry out an event with its results in ``folder``; what was known by then is there after a kill.

    GitKitchenError where the job could not begin.
    """

    def begun(event: Event, merged: Merged) -> None:
        results.write_claim(folder, event, merged)
        job.begun(event, merged)

    def ended(outcome: Outcome) -> None:
        results.write_outcome(folder, outcome)
        job.ended(outcome)

    results.prepare(folder)
    report = carry_out(replace(job, begun=begun, ended=ended), event)
    if report.difference is not None:
        results.write_difference(folder, report.difference)
    results.write_problems(folder, problems_of(report.failures))
    results.write_pull(folder, report)
    results.write_nothing(folder, report)
    return report
