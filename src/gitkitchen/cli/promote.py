"""``promote``."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from gitkitchen.cli.main import complain
from gitkitchen.cli.runs import progress, request, signals
from gitkitchen.errors import INTERRUPTED, Mistake, Problem

if TYPE_CHECKING:
    from gitkitchen.road.hub import Hub


def promote(options: argparse.Namespace) -> int:
    from gitkitchen.process import Cancel
    from gitkitchen.road.landing import foresee
    from gitkitchen.road.landing import promote as move
    from gitkitchen.road.shown import code_of, document, text
    from gitkitchen.road.walking import Asked

    cancel = Cancel()
    asked = Asked(
        environment=options.environment,
        request=request(options),
        cancel=cancel,
        rev=options.rev,
        reason=options.reason,
        say=lambda said: complain(Problem(said)),
    )
    if asked.request.environ.get("GITHUB_ACTIONS") == "true" and asked.request.environ.get("GITHUB_TOKEN"):
        asked = replace(asked, hub=_hub(asked.request.environ), method=options.method)
    if options.dry_run:
        shown = foresee(asked, options.at or datetime.now(UTC)).shown(dry=True)
    else:
        if options.at is not None:
            hint = "a promotion is judged at the moment at which it lands"
            raise Mistake(Problem("--at is only for --dry-run", hint=hint, code="at"))
        with signals(cancel), progress(options) as on_event:
            shown = move(replace(asked, on_event=on_event)).shown()
    print(json.dumps(document(shown), ensure_ascii=False, indent=2) if options.json else text(shown))
    return INTERRUPTED if cancel.is_set else code_of(shown.end)


def _hub(environ: Mapping[str, str]) -> Hub:
    """The forge of the job that we are in."""
    from gitkitchen.github.api import Client
    from gitkitchen.github.events import read_event
    from gitkitchen.road.hub import hub_of

    default = read_event(environ).default_branch if environ.get("GITHUB_EVENT_PATH") else ""
    return hub_of(Client.of_job(environ), environ, default)
