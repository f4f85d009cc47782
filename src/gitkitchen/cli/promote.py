"""``promote``."""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from gitkitchen.cli.main import complain
from gitkitchen.cli.runs import progress, request, signals
from gitkitchen.errors import FAILED, INFRASTRUCTURE, INTERRUPTED, PASSED, Mistake, Problem

if TYPE_CHECKING:
    from gitkitchen.promote.protocol import End


def promote(options: argparse.Namespace) -> int:
    from gitkitchen.process import Cancel
    from gitkitchen.report.road import document, text
    from gitkitchen.road.landing import foresee
    from gitkitchen.road.landing import promote as move
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


def code_of(end: End) -> int:
    """The exit code of an end: 0 landed, 1 it may not land, 3 it could not be found out or done."""
    from gitkitchen.promote.protocol import End

    if end in (End.LANDED, End.CLEAN):
        return PASSED
    return FAILED if end in (End.UNPROVED, End.WAITING, End.BROKEN) else INFRASTRUCTURE
