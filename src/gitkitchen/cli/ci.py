"""``ci``: one entry for every event of GitHub Actions."""

from __future__ import annotations

import argparse
import os
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from gitkitchen.cli.main import complain
from gitkitchen.cli.runs import progress, show_outcome, signals
from gitkitchen.errors import GitKitchenError
from gitkitchen.github.events import Event, read_event
from gitkitchen.process import Cancel

if TYPE_CHECKING:
    from gitkitchen.ci.decide import Decision
    from gitkitchen.ci.work import Report
    from gitkitchen.merging import Merged
    from gitkitchen.model import Outcome


def ci(options: argparse.Namespace) -> int:
    """Do what the event of this job asks for; its exit code is the job's verdict."""
    cancel = Cancel()
    with signals(cancel):
        event = read_event(os.environ)
        try:
            return _carried_out(options, event, cancel)
        except GitKitchenError as error:
            from gitkitchen.ci import results

            folder = Path(options.folder).resolve() / options.results
            sys.stdout.write(results.refused(os.environ, error, event, folder))
            raise


def _carried_out(options: argparse.Namespace, event: Event, cancel: Cancel) -> int:
    from gitkitchen.ci import results
    from gitkitchen.ci.work import Job, carry_out, problems_of
    from gitkitchen.report.text import for_runners, safe

    start = Path(options.folder).resolve()
    folder = start / options.results

    def decided(decision: Decision) -> None:
        print(for_runners(safe(f"{decision.action.value}: {decision.reason}")), flush=True)

    def begun(event: Event, merged: Merged) -> None:
        results.write_claim(folder, event, merged)
        print(
            f"testing tree {merged.tree[:12]}: {merged.head[:12]} merged into {merged.base[:12]}", flush=True
        )

    def ended(outcome: Outcome) -> None:
        results.write_outcome(folder, outcome)
        show_outcome(outcome)

    results.prepare(folder)
    with progress(options) as on_event:
        report = carry_out(
            Job(
                start=start,
                environ=dict(os.environ),
                cancel=cancel,
                clock=lambda: datetime.now(UTC),
                on_event=on_event,
                say=complain,
                decided=decided,
                begun=begun,
                ended=ended,
                jobs=options.jobs,
            ),
            event,
        )
    if report.difference is not None:
        results.write_difference(folder, report.difference)
    results.write_problems(folder, problems_of(report.failures))
    results.write_pull(folder, report)
    results.write_nothing(folder, report)
    _show(report)
    results.write_summary(os.environ, report)
    results.write_outputs(os.environ, results.outputs(report, folder))
    return report.code


def _show(report: Report) -> None:
    """What there is to say, then the annotations."""
    from gitkitchen.ci import results
    from gitkitchen.report.text import for_runners, safe

    for said in report.said:
        print(for_runners(safe(said)))
    sys.stdout.write(results.commands(report))
    sys.stdout.flush()
