"""``schedule``: what runs by the clock."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from gitkitchen.cli.audit import who
from gitkitchen.cli.main import complain
from gitkitchen.cli.runs import alerted, code_of, progress, refuse_broken, request, show_outcome, signals
from gitkitchen.errors import FAILED, PASSED, Mistake, Problem

if TYPE_CHECKING:
    from gitkitchen.model import Outcome
    from gitkitchen.schedule.shapes import Interval


def schedule(options: argparse.Namespace) -> int:
    from gitkitchen.production import shown
    from gitkitchen.production.clock import Watch

    if options.action == "run":
        return _run(options)
    asked, now = request(options), datetime.now(UTC)
    watch = Watch.of(asked)
    name, environment = options.name or "", options.environment
    if options.action in ("pause", "resume"):
        kind = f"{options.action}d"
        by = who(asked.start, asked.environ)
        turned = shown.turn(watch, kind, by, now, environment=environment, name=name, reason=options.reason)
        for whose in turned:
            print(f"{whose.environment}: {whose.name} is {kind}")
        if not turned:
            print(f"it is {kind} already")
        return PASSED
    if options.action == "again":
        if not name or options.interval is None:
            hint = "`gitkitchen schedule again RECIPE.VARIATION --interval FROM--TO`"
            raise Mistake(Problem("`schedule again` needs a name and an interval", hint=hint))
        asked_for = shown.again(
            watch,
            who(asked.start, asked.environ),
            now,
            environment=environment,
            name=name,
            interval=options.interval,
            reason=options.reason,
        )
        for whose in asked_for:
            print(f"{whose.environment}: {whose.name} runs again for {options.interval.name}")
        return PASSED
    found = shown.look(watch, now, environment=environment, name=name)
    if options.json:
        print(json.dumps(shown.document(found, now), ensure_ascii=False, indent=2))
    else:
        print(shown.text(found))
    return PASSED


def _run(options: argparse.Namespace) -> int:
    """What is due on the branch that is checked out; the exit code of the worst."""
    from gitkitchen.process import Cancel
    from gitkitchen.production.running import Work, run_due

    if options.name or options.environment:
        hint = "check out the environment's branch; `gitkitchen run RECIPE --variation NAME` runs one by hand"
        raise Mistake(Problem("`schedule run` runs what is due, and nothing that is named", hint=hint))
    cancel = Cancel()
    asked = request(options)
    with signals(cancel), alerted(asked, cancel) as watch, progress(options) as on_event:
        done = run_due(Work(asked, cancel, lambda: datetime.now(UTC), on_event, refuse_broken, watch))
    codes = []
    documents = []
    for one in done:
        if one.outcome is not None:
            codes.append(code_of(one.outcome))
        if one.problems:
            codes.append(one.code)
            complain(*one.problems)
        if options.json:
            run = one.outcome.run if one.outcome else None
            verdict = one.outcome.verdict.value if one.outcome else None
            documents.append(
                {
                    "recipe": one.whose.recipe,
                    "variation": one.whose.variation,
                    "interval": one.interval.iso(),
                    "run": run,
                    "verdict": verdict,
                    "said": one.said,
                }
            )
            continue
        print(f"{one.whose.name} for {one.interval.name}{f': {one.said}' if one.said else ''}")
        if one.outcome is not None:
            show_outcome(one.outcome)
    if options.json:
        print(json.dumps({"version": 1, "runs": documents}, ensure_ascii=False, indent=2))
    elif not done:
        print("nothing is due")
    return max(codes, default=PASSED)


def backfill(options: argparse.Namespace) -> int:
    """Build, test and publish the partitions of a span; 1 where one is held back."""
    from gitkitchen.process import Cancel
    from gitkitchen.production.backfill import backfill as fill
    from gitkitchen.production.backfill import span_of

    asked = request(options)
    span = span_of(asked, options.start, options.end)
    if options.dry_run:
        document = {
            "version": 1,
            "recipe": span.recipe,
            "nodes": dict(span.nodes),
            "partitions": [part.name for part in span.parts],
        }
        if options.json:
            print(json.dumps(document, ensure_ascii=False, indent=2))
        else:
            nodes = ", ".join(f"{name} by {grain}" for name, grain in span.nodes.items())
            print(f"{len(span.parts)} partitions of {nodes}, {_spanned(span.parts)}; nothing was built")
        return PASSED

    def told(parts: Sequence[Interval], outcome: Outcome) -> None:
        if not options.json:
            verdict = outcome.verdict.value.replace("_", " ")
            print(f"{_spanned(parts)}: {verdict} ({outcome.run})", flush=True)

    cancel = Cancel()
    with signals(cancel), progress(options) as on_event:
        done = fill(asked, span, on_event=on_event, cancel=cancel, clock=lambda: datetime.now(UTC), told=told)
    if options.json:
        document = {
            "version": 1,
            "recipe": span.recipe,
            "published": [part.name for part in done.published],
            "held": {part.name: run for part, run in done.held.items()},
            "cancelled": done.cancelled,
        }
        print(json.dumps(document, ensure_ascii=False, indent=2))
    else:
        for part, run in done.held.items():
            print(f"held back: {part.name}, see `gitkitchen show {run}`")
        print(f"{len(done.published)} of {len(span.parts)} partitions passed")
    if done.stopped is not None:
        show_outcome(done.stopped)
    last = done.outcome
    if last is not None and (done.cancelled or done.stopped is not None):
        return code_of(last)
    return FAILED if done.held else PASSED


def _spanned(parts: Sequence[Interval]) -> str:
    what = "1 partition" if len(parts) == 1 else f"{len(parts)} partitions"
    return f"{parts[0].start:%Y-%m-%d %H:%M} to {parts[-1].end:%Y-%m-%d %H:%M}, {what}"
