"""``alerts``: what is open, a test of the channels, and what waits to be sent."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from gitkitchen.cli.main import complain
from gitkitchen.document.words import near
from gitkitchen.errors import INFRASTRUCTURE, PASSED, Mistake, Problem

if TYPE_CHECKING:
    from gitkitchen.alerts.sending import Office
    from gitkitchen.alerts.shapes import Incident
    from gitkitchen.model import Project


def alerts(options: argparse.Namespace) -> int:
    deed = {"test": _test, "send": _send}.get(options.deed or "", _list)
    return deed(options, _office(options))


def _office(options: argparse.Namespace) -> Office:
    from gitkitchen.premises import find_project
    from gitkitchen.production.alerting import office_of

    project, _ = find_project(Path(options.folder).resolve())
    return office_of(project, dict(os.environ), lambda: datetime.now(UTC), complain)


def _environments(options: argparse.Namespace, project: Project) -> Sequence[str]:
    known = [e.name for e in project.environments]
    for name in options.environment:
        if name not in known:
            hint = near(name, known) or (f"there are {', '.join(known)}" if known else "")
            raise Mistake(Problem(f"there is no environment '{name[:80]}'", hint=hint, code="unknown-name"))
    return options.environment or known


def _list(options: argparse.Namespace, office: Office) -> int:
    from gitkitchen.alerts import keeping
    from gitkitchen.alerts.showing import as_text, document

    found: list[Incident] = []
    for name in _environments(options, office.project):
        incidents = (
            keeping.history(office.ledger, name) if options.all else keeping.load(office.ledger, name).open
        )
        found += incidents
    if options.json:
        print(json.dumps(document(found), ensure_ascii=False, indent=2))
    else:
        print(as_text(found, office.alerts))
    return PASSED


def _test(options: argparse.Namespace, office: Office) -> int:
    """Every channel answers, or the exit code is 3."""
    from gitkitchen.alerts.sending import test

    channels = office.alerts.channels
    if not channels:
        hint = "write alerts: {channels: …} into kitchen.yml: see docs/alerts.md"
        raise Mistake(Problem("kitchen.yml has no channel to test", hint=hint, code="no-channel"))
    if options.channel and options.channel not in channels:
        hint = near(options.channel, channels) or f"there are {', '.join(channels)}"
        raise Mistake(
            Problem(f"there is no channel '{options.channel[:80]}'", hint=hint, code="unknown-name")
        )
    bad = 0
    for name in [options.channel] if options.channel else channels:
        answer = test(office, channels[name])
        bad += answer.end != "sent"
        print(f"{name}: {answer.end}: {answer.said}")
    return INFRASTRUCTURE if bad else PASSED


def _send(options: argparse.Namespace, office: Office) -> int:
    """What waits is sent; the exit code is 3 where something still waits."""
    from gitkitchen.alerts import keeping
    from gitkitchen.alerts.grouping import owed
    from gitkitchen.production.alerting import drain

    names = _environments(options, office.project)
    sent = drain(office, names)
    waiting = [d for n in names for d in owed(keeping.load(office.ledger, n), office.alerts, office.now())]
    print(f"{sent} sent, {len(waiting)} waiting")
    return INFRASTRUCTURE if waiting else PASSED
