"""What must be true of a ledger, and of the messages that went, after a year: read by nothing of the program
that decided it."""

from __future__ import annotations

import subprocess
from collections import Counter, defaultdict
from collections.abc import Iterable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from tests.year.world import HOUR, ZONE, World

from gitkitchen.schedule.shapes import Interval

Span = tuple[datetime, datetime]


def bodies(world: World, stream: str) -> list[dict[str, Any]]:
    return [dict(record.body) for record in world.ledger.read(stream)]


def span(value: Iterable[str]) -> Span:
    start, end = (datetime.fromisoformat(text) for text in value)
    return start, end


def due_times(recipe: str, start: datetime, end: datetime) -> list[datetime]:
    """When a recipe was due, counted minute by minute on the wall clock of its zone: 17 minutes past each
    hour, or once a day at 02:30, or when a clock that skips that has reached what it shows instead."""
    found, at, days = [], start.replace(second=0, microsecond=0), set()
    while at <= end:
        wall = at.astimezone(ZoneInfo(ZONE))
        if recipe == "hourly" and wall.minute == 17:
            found.append(at)
        if recipe == "daily" and (wall.hour, wall.minute) >= (2, 30) and wall.date() not in days:
            days.add(wall.date())
            if at > start:
                found.append(at if wall.hour == 2 else at.replace(minute=0))
        at += timedelta(minutes=1)
    return found


def ends(world: World, recipe: str) -> dict[Span, str]:
    """How each interval of a recipe ended: run, failed, superseded, missed, or "" where it did not."""
    told = bodies(world, f"schedules/prod/{recipe}.clock")
    runs = [r for r in bodies(world, f"runs/{world.namespace}/{recipe}") if r.get("interval")]
    verdicts: dict[Span, list[str]] = defaultdict(list)
    for run in runs:
        verdicts[span(run["interval"])].append(run["verdict"])
    over = [span(t["interval"]) for t in told if t["kind"] == "superseded"]
    missed = {span(t["interval"]) for t in told if t["kind"] == "missed"}
    begun = next(t for t in told if t["kind"] == "begun")
    times = due_times(recipe, datetime.fromisoformat(begun["start"]) + timedelta(minutes=1), world.end)
    found: dict[Span, str] = {}
    for one in zip([datetime.fromisoformat(begun["start"]), *times], times, strict=False):
        said = verdicts.get(one, [])
        judged = [v for v in said if v in ("passed", "failed")]
        if judged:
            found[one] = "run" if "passed" in judged else "failed"
        elif any(a <= one[0] and one[1] <= b for a, b in over):
            found[one] = "superseded"
        elif one in missed:
            found[one] = "missed"
        else:
            found[one] = ""
    strangers = set(verdicts) - set(found)
    assert not strangers, f"runs for what is no interval: {sorted(strangers)[:3]}"
    return found


def published_twice(world: World, recipe: str) -> list[str]:
    """Intervals that more than one run passed for."""
    passed = Counter(
        Interval.read(r["interval"]).name
        for r in bodies(world, f"runs/{world.namespace}/{recipe}")
        if r["verdict"] == "passed"
    )
    return [name for name, count in passed.items() if count > 1]


def missed_untold(world: World, recipe: str) -> list[Span]:
    """Missed intervals of which no incident of their schedule tells: none was open then, or named them."""
    lives: list[list[datetime | None]] = []
    for body in bodies(world, "alerts/prod"):
        if body["kind"] == "opened" and body["key"] == f"prod/{recipe}/schedule:clock":
            lives.append([datetime.fromisoformat(body["what"]["at"]), None])
            ids = body["incident"]
        elif body["kind"] == "closed" and lives and body["incident"] == ids:
            lives[-1][1] = datetime.fromisoformat(body["at"])
    told = bodies(world, f"schedules/prod/{recipe}.clock")
    missed = [span(t["interval"]) for t in told if t["kind"] == "missed"]
    return [m for m in missed if not any(a and a <= m[1] and (b is None or m[1] <= b) for a, b in lives)]


def incidents(world: World) -> dict[str, list[str]]:
    """Incident -> the kinds of its records but deliveries, in their order. Asserts one open a thing."""
    found: dict[str, list[str]] = defaultdict(list)
    keys: dict[str, str] = {}
    open_: dict[str, str] = {}
    for body in bodies(world, "alerts/prod"):
        name, kind = body["incident"], body["kind"]
        if kind == "delivered":
            continue
        found[name].append(kind)
        if kind == "opened":
            keys[name] = body["key"]
            assert body["key"] not in open_, (
                f"{body['key']} was opened while {open_.get(body['key'])} is open"
            )
            open_[body["key"]] = name
        elif kind == "closed":
            del open_[keys[name]]
    return found


def messages(world: World) -> dict[tuple[str, str], list[str]]:
    """(channel, incident) -> the kinds of the messages that went, in their order."""
    found: dict[tuple[str, str], list[str]] = defaultdict(list)
    for channel, incident, kind, _ in world.recorder.got:
        found[channel, incident].append(kind)
    return found


def costs(folder: Path) -> dict[str, dict[str, float]]:
    """Bytes in a packed repository by what a commit is for, per such commit: its own, those of the folders
    and of the records that came with it, and how many there are."""

    def lines(*words: str, input: str | None = None) -> list[str]:
        run = subprocess.run(
            ["git", *words], cwd=folder, check=True, capture_output=True, text=True, input=input
        )
        return run.stdout.splitlines()

    subprocess.run(["git", "gc", "-q", "--prune=now"], cwd=folder, check=True, capture_output=True)
    what = "--batch-check=%(objectname) %(objectsize:disk)"
    sizes = {o: int(s) for o, s in map(str.split, lines("cat-file", "--batch-all-objects", what))}
    seen: set[str] = set()
    found: dict[str, dict[str, float]] = {}
    words = ("log", "--reverse", "-t", "--raw", "--no-abbrev", "--root", "--format=commit %H %T")
    commits: list[tuple[str, str, list[tuple[str, str]]]] = []
    for line in lines(*words, "refs/heads/gitkitchen-ledger"):
        if line.startswith("commit "):
            _, oid, tree = line.split()
            commits.append((oid, tree, []))
        elif line.startswith(":"):
            about, _, path = line.partition("\t")
            commits[-1][2].append((about.split()[3], path))
    for oid, tree, changed in commits:
        paths = [path for _, path in changed if path.endswith(".json")]
        own = next((p for p in paths if p.startswith("runs/")), paths[0])
        kind = "run " + own.split("/")[3] if own.startswith("runs/") else own.split("/")[0]
        of = found.setdefault(kind, defaultdict(float))
        of["count"] += 1
        of["commit"] += sizes[oid]
        for name, path in [(tree, ""), *changed]:
            if name in seen or name not in sizes:
                continue
            seen.add(name)
            of[path.split("/")[0].rstrip("s") if path.endswith(".json") else "folders"] += sizes[name]
    for of in found.values():
        count = of["count"]
        for part in of:
            of[part] = of[part] if part == "count" else of[part] / count
        of["total"] = sum(v for k, v in of.items() if k != "count")
    return found


HOURS = 8760
__all__ = ["HOUR", "HOURS", "costs", "ends", "incidents", "messages", "missed_untold", "published_twice"]
