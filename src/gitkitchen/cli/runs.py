"""``plan`` and ``run``."""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gitkitchen import flow, past, reading, workplace
from gitkitchen.cli.main import complain
from gitkitchen.errors import FAILED, INFRASTRUCTURE, INTERRUPTED, NOTHING_TESTED, PASSED, TERMINATED
from gitkitchen.model import Outcome, Verdict

if TYPE_CHECKING:
    from gitkitchen.process import Cancel
    from gitkitchen.production.alerting import Watch

CODES = {
    Verdict.PASSED: PASSED,
    Verdict.FAILED: FAILED,
    Verdict.INFRASTRUCTURE: INFRASTRUCTURE,
    Verdict.NOTHING_TESTED: NOTHING_TESTED,
    Verdict.CANCELLED: INTERRUPTED,
}


def request(options: argparse.Namespace) -> workplace.Request:
    """The command line as a value; the Namespace goes no further."""
    words = vars(options)
    return workplace.Request(
        start=Path(options.folder).resolve(),
        recipe=words.get("recipe"),
        readers=words.get("readers"),
        kitchen=words.get("kitchen"),
        variation=words.get("variation"),
        sets=tuple(words.get("set", ())),
        select=tuple(words.get("select", ())),
        jobs=words.get("jobs"),
        results=tuple(words.get("results", ())),
        fresh=words.get("fresh", False),
        force=words.get("force", False),
        publish=not words.get("no_publish", False),
        environ=dict(os.environ),
        say=complain,
    )


def plan(options: argparse.Namespace) -> int:
    from gitkitchen.report.plan import document, mermaid, text

    asked = request(options)
    place = workplace.enter(asked)
    made = flow.make_plan(place, reading.read(place, asked), asked, place.catalog())
    if options.format == "json":
        print(json.dumps(document(made), ensure_ascii=False, indent=2))
    else:
        print((mermaid if options.format == "mermaid" else text)(made))
    return PASSED


def run(options: argparse.Namespace) -> int:
    from dataclasses import replace

    from gitkitchen.kitchen.config import may_have
    from gitkitchen.process import Cancel

    asked = request(options)
    if options.resume is not None:
        place = workplace.enter(asked)
        last = options.resume == "last"
        found = past.last_interrupted(place) if last else past.find_run(place, options.resume)
        asked = replace(asked, resume=found)
    cancel = Cancel()
    # Without the key nobody is to be alerted, and nothing of alerts is imported to find that out.
    watching = alerted(asked, cancel) if may_have(asked.start, "alerts") else nullcontext()
    with signals(cancel), watching as watch:
        now, told = datetime.now(UTC), asked
        with progress(options) as on_event:
            if watch is not None:
                from gitkitchen.production.alerting import both, watched

                told, on_event = watched(asked, watch), both(on_event, watch)
            outcome = flow.run(told, on_event=on_event, cancel=cancel, now=now, before=refuse_broken)
        if watch is not None:
            watch.ended(outcome)
        _print_outcome(outcome, as_json=options.json)
    return code_of(outcome)


def refuse_broken(place: workplace.Workplace, asked: workplace.Request) -> None:
    """An environment to which nothing was ever promoted is no matter of the road."""
    if place.kitchen.environment is not None and place.ledger.head(f"promotions/{place.kitchen.environment}"):
        from gitkitchen.road.reconcile import refuse_to_run

        refuse_to_run(place, asked)


def alerted(asked: workplace.Request, cancel: Cancel) -> AbstractContextManager[Watch]:
    """Who is to know of what a run does to an environment, while it does it."""
    from gitkitchen.production.alerting import watching

    clock = lambda: datetime.now(UTC)  # noqa: E731
    return watching(asked.start, asked.environ, clock, asked.say, hurried=lambda: cancel.is_set)


def code_of(outcome: Outcome) -> int:
    if outcome.verdict is Verdict.CANCELLED and outcome.signal == signal.SIGTERM:
        return TERMINATED
    return CODES[outcome.verdict]


@contextmanager
def signals(cancel: Cancel) -> Iterator[None]:
    """SIGINT and SIGTERM ask the run to end in order; it has 7.5 s, as on a runner."""

    def ask(number: int, _frame: Any) -> None:
        cancel.set(number)

    before = {s: signal.signal(s, ask) for s in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def progress(options: argparse.Namespace) -> Iterator[Any]:
    if options.quiet or vars(options).get("json"):
        yield lambda _event: None
        return
    from gitkitchen.report.live import progress as shown

    with shown(sys.stderr) as on_event:
        yield on_event


def _print_outcome(outcome: Outcome, *, as_json: bool) -> None:
    if as_json:
        from gitkitchen.report.outcome import to_json

        sys.stdout.write(to_json(outcome))
        return
    show_outcome(outcome)


def show_outcome(outcome: Outcome) -> None:
    """The terminal report on standard output, coloured where it is a terminal and NO_COLOR is not set."""
    import shutil

    from gitkitchen.report.terminal import render

    colour = sys.stdout.isatty() and "NO_COLOR" not in os.environ
    unicode = (getattr(sys.stdout, "encoding", None) or "utf-8").lower().startswith("utf")
    width = shutil.get_terminal_size((100, 24)).columns
    print(render(outcome, colour=colour, width=width, unicode=unicode))
