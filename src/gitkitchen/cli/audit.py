"""``audit``, ``hold`` and ``reconcile``: what was moved, what may not move, and what must be mended."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from gitkitchen.cli.runs import request
from gitkitchen.errors import FAILED, PASSED, Mistake, Problem
from gitkitchen.git import Repository
from gitkitchen.kitchen.settings import duration
from gitkitchen.model import Environment
from gitkitchen.road.ground import Ground, environment_named


def audit(options: argparse.Namespace) -> int:
    from gitkitchen.road import audit as auditing
    from gitkitchen.road import telling
    from gitkitchen.road.acknowledging import acknowledged

    _refuse_together(options)
    ground = Ground.of(request(options))
    chosen = _chosen(ground, options.environment)
    if options.acknowledge:
        return _acknowledge(options, ground)
    if options.verify:
        return _verify(options, ground, chosen)
    if options.rebuild:
        return _rebuild(options, ground, chosen)
    since = moment(options.since, datetime.now(UTC)) if options.since else None
    found = auditing.audit(ground, chosen, since)
    known = [one for one in acknowledged(ground.ledger) if since is None or one.at >= since]
    if options.csv:
        sys.stdout.write(telling.as_csv(found, known))
    elif options.json:
        _print(telling.as_document(found, known))
    else:
        print(telling.as_text(found, known))
    return PASSED


def _refuse_together(options: argparse.Namespace) -> None:
    for name in ("since", "csv"):
        if getattr(options, name) and (options.verify or options.rebuild or options.acknowledge):
            what = "--verify" if options.verify else "--rebuild" if options.rebuild else "--acknowledge"
            raise Mistake(Problem(f"--{name} does not go with {what}", hint="leave one of them out"))
    if options.apply and not options.rebuild:
        raise Mistake(Problem("--apply goes with --rebuild", hint="`gitkitchen audit --rebuild --apply`"))
    if options.reason is not None and not options.acknowledge:
        raise Mistake(Problem("--reason goes with --acknowledge", hint="leave it out"))
    if options.acknowledge and options.environment:
        hint = "leave the environment out: a fault is named by its id"
        raise Mistake(Problem("--acknowledge is about the whole ledger", hint=hint))


def _verify(options: argparse.Namespace, ground: Ground, chosen: Sequence[Environment]) -> int:
    from gitkitchen.road import telling
    from gitkitchen.road.verifying import verify

    found = verify(ground, chosen)
    if options.json:
        _print(telling.verified_as_document(found))
    else:
        print(telling.verified_as_text(found))
    return FAILED if found.problems else PASSED


def _acknowledge(options: argparse.Namespace, ground: Ground) -> int:
    from gitkitchen.report.text import safe
    from gitkitchen.road import telling
    from gitkitchen.road.acknowledging import acknowledge
    from gitkitchen.road.verifying import verify

    asked = request(options)
    found = verify(ground, ground.project.environments)
    by = who(asked.start, asked.environ)
    now = datetime.now(UTC)
    made = acknowledge(ground.ledger, found.problems, options.acknowledge, by, options.reason or "", now)
    if options.json:
        _print({"version": 1, "acknowledged": telling.acknowledged_as_document(made)})
        return PASSED
    for one in made:
        print(safe(f"acknowledged {one.id}: {one.message}"))
    left = len(found.problems) - len(made)
    print(f"{left} other thing{' is' if left == 1 else 's are'} wrong" if left else "nothing else is wrong")
    return PASSED


def _rebuild(options: argparse.Namespace, ground: Ground, chosen: Sequence[Environment]) -> int:
    from gitkitchen.road import telling
    from gitkitchen.road.rebuilding import look, rebuild

    asked = request(options)
    found = look(ground, asked, chosen)
    if options.apply:
        rebuild(ground, asked, found, datetime.now(UTC))
    if options.json:
        _print(telling.rebuilt_as_document(found, applied=options.apply))
    else:
        print(telling.rebuilt_as_text(found, applied=options.apply))
    return PASSED


def hold(options: argparse.Namespace) -> int:
    from gitkitchen.report.text import safe
    from gitkitchen.road.holding import hold_environment, release_environment

    asked = request(options)
    ground = Ground.of(asked)
    environment = environment_named(ground.project, options.environment)
    by = who(asked.start, asked.environ)
    now = datetime.now(UTC)
    if options.release is not None:
        names = (options.release,) if options.release else ()
        released = release_environment(ground, environment, by, options.reason or "", now, names)
        for one in released:
            print(safe(f"released {one.id}: {one.reason}"))
        if not released:
            print(f"no hold of {environment.name} was in force")
        return PASSED
    if not (options.reason or "").strip():
        raise Mistake(
            Problem(
                "a hold needs a reason: whoever meets it asks why", hint="--reason TEXT", code="no-reason"
            )
        )
    made, new = hold_environment(ground, environment, by, options.reason.strip(), now)
    word = "held" if new else "held already"
    print(safe(f"{environment.name} is {word}: {made.reason} ({made.id})"))
    print(f"`gitkitchen hold {environment.name} --release` ends it")
    return PASSED


def reconcile(options: argparse.Namespace) -> int:
    from gitkitchen.cli.runs import alerted
    from gitkitchen.process import Cancel
    from gitkitchen.report.text import safe
    from gitkitchen.road.reconcile import reconcile as mend
    from gitkitchen.road.walking import MENDED

    asked = request(options)
    ground = Ground.of(asked)
    chosen = _chosen(ground, options.environment)
    with alerted(asked, Cancel()) as watch:
        done = mend(asked, chosen, datetime.now(UTC), accept=options.accept_grants, thoroughly=options.data)
        for environment in chosen:
            watch.looked(environment.name)
    if options.json:
        found = [{"environment": f.environment, "code": f.code, "said": f.said} for f in done.found]
        broken = [{"environment": i.environment, "id": i.id, "kind": i.kind} for i in done.broken]
        _print({"version": 1, "found": found, "broken": broken})
    else:
        for one in done.found:
            print(safe(f"{one.environment}: {one.said}"))
        for incident in done.broken:
            print(safe(f"{incident.environment} is BROKEN: {incident.kind}: {incident.said} ({incident.id})"))
            if incident.kind in MENDED:
                print(
                    f"`gitkitchen promote {incident.environment}` proves what stands there, or lands over it"
                )
        if not done.found and not done.broken:
            print("nothing was left to do")
    return FAILED if done.broken else PASSED


def moment(text: str, now: datetime) -> datetime:
    """``2026-03-01``, ``2026-03-01T08:00+00:00`` (UTC where it names no zone), or a time ago: ``7d``."""
    try:
        found = datetime.fromisoformat(text)
        return found if found.tzinfo else found.replace(tzinfo=UTC)
    except ValueError:
        pass
    try:
        return now - timedelta(seconds=duration(text))
    except (ValueError, OverflowError):
        raise Mistake(
            Problem(
                f"{text[:40]!r} is no moment", hint="a date (2026-03-01), or a time ago (7d)", code="moment"
            )
        ) from None


def _chosen(ground: Ground, name: str | None) -> Sequence[Environment]:
    return (environment_named(ground.project, name),) if name else ground.project.environments


def who(start: Path, environ: Any) -> str:
    """Who asks: in a job of GitHub's whoever started it, else the name that Git would write into a commit."""
    actor = environ.get("GITHUB_ACTOR", "") if environ.get("GITHUB_ACTIONS") == "true" else ""
    return actor or Repository.find(start).who()


def _print(document: dict[str, Any]) -> None:
    print(json.dumps(document, ensure_ascii=False, indent=2))
