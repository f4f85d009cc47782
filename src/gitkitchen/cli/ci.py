"""``ci``: one entry for every event of GitHub Actions."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from gitkitchen.cli.main import complain
from gitkitchen.cli.runs import progress, show_outcome, signals
from gitkitchen.errors import GitKitchenError, Mistake, Problem
from gitkitchen.github.events import Event, read_event
from gitkitchen.process import Cancel

if TYPE_CHECKING:
    from gitkitchen.ci.decide import Decision
    from gitkitchen.ci.shapes import Job, Report
    from gitkitchen.merging import Merged
    from gitkitchen.model import Event as RunEvent


def ci(options: argparse.Namespace) -> int:
    """Do what the event of this job asks for; its exit code is the job's verdict."""
    if options.simulate is not None:
        return _simulated(options)
    if options.html is not None or options.head or options.base:
        raise Mistake(Problem("--html, --head and --base belong to --simulate"))
    cancel = Cancel()
    with signals(cancel):
        event = read_event(os.environ)
        try:
            return _carried_out(options, event, cancel)
        except GitKitchenError as error:
            from gitkitchen.ci import results

            start = Path(options.folder).resolve()
            sys.stdout.write(results.refused(os.environ, error, event, start / options.results, start))
            raise


def _carried_out(options: argparse.Namespace, event: Event, cancel: Cancel) -> int:
    from gitkitchen.ci import results
    from gitkitchen.ci.whole import do

    folder = Path(options.folder).resolve() / options.results
    with progress(options) as on_event:
        report = do(_job(options, cancel, on_event), event, folder)
    _show(report)
    results.write_summary(os.environ, report)
    results.write_outputs(os.environ, results.outputs(report, folder))
    return report.code


def _job(options: argparse.Namespace, cancel: Cancel, on_event: Callable[[RunEvent], None]) -> Job:
    from gitkitchen.ci.shapes import Job
    from gitkitchen.report.text import for_runners, safe

    def decided(decision: Decision) -> None:
        print(for_runners(safe(f"{decision.action.value}: {decision.reason}")), flush=True)

    def begun(_event: Event, merged: Merged) -> None:
        print(
            f"testing tree {merged.tree[:12]}: {merged.head[:12]} merged into {merged.base[:12]}", flush=True
        )

    return Job(
        start=Path(options.folder).resolve(),
        environ=dict(os.environ),
        cancel=cancel,
        clock=lambda: datetime.now(UTC),
        on_event=on_event,
        say=complain,
        decided=decided,
        begun=begun,
        ended=show_outcome,
        jobs=options.jobs,
    )


def _simulated(options: argparse.Namespace) -> int:
    """Both jobs of a pull request, offline; exit code of the one that tests."""
    from dataclasses import replace

    from gitkitchen.ci.simulate import Wish, simulate
    from gitkitchen.files import write_atomic
    from gitkitchen.report import preview
    from gitkitchen.report.text import for_runners, safe

    cancel = Cancel()
    with signals(cancel), progress(options) as on_event:
        job = replace(_job(options, cancel, on_event), decided=lambda _d: None, ended=lambda _outcome: None)
        wish = Wish(options.simulate, options.head or "", options.base or "")
        shown, code = simulate(wish, job, lambda said: print(for_runners(safe(said)), flush=True))
    width = min(shutil.get_terminal_size((100, 24)).columns, 110)
    print(preview.text(shown, width, colour=sys.stdout.isatty() and "NO_COLOR" not in os.environ))
    if options.html is not None:
        write_atomic(options.html, preview.html(shown))
        print(f"the preview is {options.html}")
    return code


def _show(report: Report) -> None:
    """What there is to say, then the annotations."""
    from gitkitchen.ci import results
    from gitkitchen.report.text import for_runners, safe

    for said in report.said:
        print(for_runners(safe(said)))
    sys.stdout.write(results.commands(report))
    sys.stdout.flush()
