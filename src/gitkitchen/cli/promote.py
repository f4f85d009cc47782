"""``promote`` and ``rollback``."""

from __future__ import annotations

import argparse
import json
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from datetime import UTC, datetime
from signal import SIGTERM
from typing import TYPE_CHECKING

from gitkitchen.cli.main import complain
from gitkitchen.cli.runs import progress, request, signals
from gitkitchen.errors import INTERRUPTED, TERMINATED, Mistake, Problem
from gitkitchen.kitchen.config import find_root, load_project

if TYPE_CHECKING:
    from gitkitchen.production.alerting import Watch
    from gitkitchen.road.hub import Hub
    from gitkitchen.road.shown import Shown
    from gitkitchen.road.walking import Asked
    from gitkitchen.workplace import Request


def promote(options: argparse.Namespace) -> int:
    from gitkitchen.promote.shapes import Intent
    from gitkitchen.road.landing import foresee
    from gitkitchen.road.landing import promote as move

    asked = replace(_asked(options), rev=options.rev, over=tuple(options.over))
    if options.hotfix:
        asked = replace(asked, intent=Intent.HOTFIX)
    if options.dry_run:
        return _shown(options, asked, foresee(asked, options.at or datetime.now(UTC)).shown(dry=True))
    if options.at is not None:
        hint = "a promotion is judged at the moment at which it lands"
        raise Mistake(Problem("--at is only for --dry-run", hint=hint, code="at"))
    with _told(asked) as watch, signals(asked.cancel), progress(options) as on_event:
        shown = move(replace(asked, on_event=on_event)).shown()
        _tell(watch, shown)
    return _shown(options, asked, shown)


def rollback(options: argparse.Namespace) -> int:
    from gitkitchen.road.rollback import Back, foresee_back
    from gitkitchen.road.rollback import rollback as move

    asked, back = _asked(options), Back(options.to, options.data)
    if options.dry_run:
        return _shown(options, asked, foresee_back(asked, back, datetime.now(UTC)).shown(dry=True))
    with _told(asked) as watch, signals(asked.cancel), progress(options) as on_event:
        shown = move(replace(asked, on_event=on_event), back).shown()
        _tell(watch, shown)
    return _shown(options, asked, shown)


def _asked(options: argparse.Namespace) -> Asked:
    from gitkitchen.process import Cancel
    from gitkitchen.road.walking import Asked

    asked = Asked(
        environment=options.environment,
        request=request(options),
        cancel=Cancel(),
        reason=options.reason,
        say=lambda said: complain(Problem(said)),
    )
    environ = asked.request.environ
    if environ.get("GITHUB_ACTIONS") == "true" and environ.get("GITHUB_TOKEN"):
        asked = replace(asked, hub=_hub(asked.request), method=options.method)
    return asked


def _told(asked: Asked) -> AbstractContextManager[Watch]:
    from gitkitchen.cli.runs import alerted

    return alerted(asked.request, asked.cancel)


def _tell(watch: Watch, shown: Shown) -> None:
    """Who is to know of a move learns how it ended."""
    from gitkitchen.production.alerting import refusal_of

    refused = refusal_of(shown)
    if refused is not None:
        watch.moved(shown.environment, refused, datetime.now(UTC))
    watch.looked(shown.environment)


def _shown(options: argparse.Namespace, asked: Asked, shown: Shown) -> int:
    from gitkitchen.road.effects import effect
    from gitkitchen.road.shown import code_of, document, text

    # Where there is no forge to tell, the answer is what people are told.
    told = shown.new and asked.hub is None
    with effect("report-landed") if told else nullcontext():
        print(json.dumps(document(shown), ensure_ascii=False, indent=2) if options.json else text(shown))
    if asked.cancel.is_set:
        return TERMINATED if asked.cancel.signal == SIGTERM else INTERRUPTED
    return code_of(shown.end, shown.gates)


def _hub(asked: Request) -> Hub:
    """The forge of the job that we are in."""
    from gitkitchen.github.api import Client
    from gitkitchen.github.events import read_event
    from gitkitchen.road.hub import hub_of

    environ, project = asked.environ, load_project(find_root(asked.start))
    default = read_event(environ).default_branch if environ.get("GITHUB_EVENT_PATH") else ""
    return hub_of(Client.of_job(environ), environ, default, project.id)
