"""How things are, by what was seen of them. Pure. What was not seen is unknown, and never good."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from itertools import pairwise

from gitkitchen.frozen import dataclass
from gitkitchen.model import Gate
from gitkitchen.page.shapes import Alert, Health, Place, Run, Site, Tone
from gitkitchen.promote.gates.clock import freezes, opening, thaw
from gitkitchen.promote.moves import breaks
from gitkitchen.promote.shapes import Hold, Incident, Landing, Release
from gitkitchen.report.text import count, duration, names

RANK: dict[Tone, int] = {"bad": 0, "warn": 1, "unknown": 2, "good": 3}
VERDICTS: Mapping[str, tuple[Tone, str]] = {
    "passed": ("good", "passed"),
    "failed": ("bad", "failed"),
    "could_not_check": ("unknown", "could not check"),
    "nothing_tested": ("unknown", "nothing tested"),
    "cancelled": ("unknown", "cancelled"),
}


def of_run(run: Run | None) -> Health:
    """How a run ended."""
    if run is None:
        return Health("unknown", "never ran")
    tone, word = VERDICTS.get(run.verdict, ("unknown", "not known"))
    if tone == "good" and run.warned:
        return Health("warn", "passed, warns", _failing(run))
    return Health(tone, word, _failing(run))


def _failing(run: Run) -> str:
    tests = [str(t.get("id") or "") for t in run.failing if t.get("severity") != "log"]
    bad = [n for n, s in run.states.items() if s in ("failed", "error", "timed_out")]
    if tests:
        return f"test {tests[0]}" + (f" and {len(tests) - 1} more" if len(tests) > 1 else "")
    return f"node {names(bad, 2)}" if bad else ""


@dataclass(frozen=True, slots=True)
class Standing:
    """A recipe, as one variation runs it, in one environment. ``runs``: of late, the oldest first."""

    environment: str
    recipe: str
    variation: str
    health: Health
    runs: tuple[Run, ...]

    @property
    def last(self) -> Run | None:
        return self.runs[-1] if self.runs else None

    @property
    def green(self) -> Run | None:
        """The newest run that passed."""
        return next((r for r in reversed(self.runs) if r.green), None)

    @property
    def label(self) -> str:
        return f"{self.recipe} ({self.variation})" if self.variation else self.recipe


def standings(site: Site) -> dict[tuple[str, str, str], Standing]:
    """Every recipe in every environment, by environment, recipe and variation: those that ran there, and
    those that are checked out. Runs of a part of a recipe say nothing of the whole."""
    spaces = {p.namespace: p.name for p in site.places}
    found: dict[tuple[str, str, str], list[Run]] = {}
    for place in site.places:
        for recipe in site.recipes:
            found.setdefault((place.name, recipe.name, ""), [])
    for run in site.runs:
        if run.namespace in spaces and run.whole:
            found.setdefault((spaces[run.namespace], run.recipe, run.variation), []).append(run)
    # Where all runs are of a variation, the recipe as such is not looked for.
    varied = {(e, r) for (e, r, v), runs in found.items() if v and runs}
    road = {place.name: i for i, place in enumerate(site.places)}
    return {
        (e, r, v): Standing(e, r, v, of_run(runs[-1] if runs else None), tuple(runs))
        for (e, r, v), runs in sorted(found.items(), key=lambda f: (f[0][1], f[0][2], road[f[0][0]]))
        if runs or v or (e, r) not in varied
    }


def of_place(place: Place, standing: Iterable[Standing], alerts: Iterable[Alert]) -> Health:
    """How an environment is: broken, then red, held, warned, unknown; green only where all of it is."""
    course = place.course
    if broken := [i for i in course.incidents if breaks(i)]:
        return Health("bad", "broken", f"{broken[0].kind}: {broken[0].said}")
    own = [s for s in standing if s.environment == place.name]
    bad = [s.label for s in own if s.health.tone == "bad"]
    if bad:
        return Health("bad", "failing", f"{names(bad, 3)} failed")
    stop = [a for a in alerts if a.environment == place.name and a.closed is None and a.severity == "stop"]
    if stop:
        return Health("bad", "failing", stop[0].said or stop[0].about)
    if course.holds:
        return Health("warn", "held", f"by {course.holds[0].by}: {course.holds[0].reason}")
    if not any(s.last for s in own):
        return Health("unknown", "unknown", "nothing ran here yet")
    silent = [s.label for s in own if s.health.tone == "unknown"]
    if silent:
        return Health("unknown", "unknown", f"nothing is known of {names(silent, 3)}")
    warned = [s.label for s in own if s.health.tone == "warn"]
    if warned:
        return Health("warn", "warns", f"{names(warned, 3)} passed with warnings")
    return Health("good", "healthy", f"all {count(len(own), 'recipe')} passed")


def worst(every: Iterable[Health]) -> Health:
    """The one that a reader should see first; unknown where there is none."""
    return min(every, key=lambda h: RANK[h.tone], default=Health("unknown", "unknown"))


def waits_for(place: Place, source: Place | None, at: datetime) -> list[str]:
    """What an environment's gate asks for before what is on its way may land, as far as the ledger and the
    clock tell; reviews are the forge's to tell."""
    gate: Gate = place.environment.gate
    found = [f"a hold is to be released: {h.reason}" for h in place.course.holds]
    found += [f"an incident is open: {i.said}" for i in place.course.incidents if breaks(i)]
    if gate.soak is not None and gate.soak.hours and source is not None and source.course.since:
        stood = (at - source.course.since[-1]).total_seconds()
        left = gate.soak.hours * 3600 - stood
        if left > 0:
            found.append(f"it soaks in {source.name} for {duration(left)} more")
    if gate.soak is not None and gate.soak.green_runs:
        found.append(f"{count(gate.soak.green_runs, 'green scheduled run')} in a row")
    if any(freezes(f, at) for f in gate.freeze):
        until = thaw(gate.freeze, at)
        reason = next(f.reason for f in gate.freeze if freezes(f, at))
        found.append(f"a freeze ({reason})" + (f" until {_minute(until)}" if until else ""))
    if gate.allow:
        opens = opening(gate.allow, at)
        if opens is None:
            found.append("a window, and none opens in the next three weeks")
        elif opens > at:
            found.append(f"its window opens {_minute(opens)}")
    if gate.approvals is not None:
        found.append(f"{count(gate.approvals.count, 'approval')} of this tree")
    return found


def _minute(at: datetime) -> str:
    return f"{at.astimezone(UTC):%a %Y-%m-%d %H:%M} UTC"


# --- incidents ----------------------------------------


@dataclass(frozen=True, slots=True)
class Trouble:
    """An incident of an environment's moves or of its alerts, alike. ``over`` None: it is open."""

    id: str
    environment: str
    kind: str
    title: str
    said: str
    opened: datetime
    over: datetime | None
    tone: Tone
    alert: Alert | None = None
    commit: str = ""

    @property
    def open(self) -> bool:
        return self.over is None


def troubles(site: Site) -> tuple[Trouble, ...]:
    """All incidents, those that are open first, then the newest."""
    found = [t for place in site.places for t in _of_moves(place)]
    for a in site.alerts:
        tone: Tone = "bad" if a.severity == "stop" else "warn"
        title = f"{a.recipe}: {a.about}" if a.recipe and a.about else a.recipe or a.about or a.event
        kind = a.event.replace("_", " ") or "alert"
        found.append(Trouble(a.id, a.environment, kind, title, a.said, a.opened, a.closed, tone, a, a.commit))
    return tuple(sorted(found, key=lambda t: (not t.open, -t.opened.timestamp(), t.id)))


def _of_moves(place: Place) -> list[Trouble]:
    opened: dict[str, Incident] = {}
    found: dict[str, Trouble] = {}
    for moved in place.moves:
        move = moved.move
        if not isinstance(move, Incident):
            continue
        if not move.closed:
            opened[move.id] = move
        first = opened.get(move.id, move)
        tone: Tone = "bad" if breaks(first) or first.kind == "rollback" else "warn"
        over = move.at if move.closed else None
        title = first.kind.replace("-", " ")
        found[move.id] = Trouble(
            move.id,
            place.name,
            title,
            f"{place.name}: {title}",
            first.said,
            first.at,
            over,
            tone,
            commit=first.commit,
        )
    return list(found.values())


def changes(place: Place) -> list[Landing]:
    """The landings of an environment, the oldest first."""
    return [m.move for m in place.moves if isinstance(m.move, Landing)]


def sentences(place: Place) -> list[tuple[datetime, str, str]]:
    """Holds and releases of an environment: when, what, by whom and why."""
    found = []
    for m in place.moves:
        if isinstance(m.move, Hold):
            found.append((m.move.at, "held", f"by {m.move.by}: {m.move.reason}"))
        elif isinstance(m.move, Release):
            found.append((m.move.at, "released", f"by {m.move.by}: {m.move.reason}"))
    return found


# --- flaky tests ----------------------------------------


@dataclass(frozen=True, slots=True)
class History:
    """How a test, or a node (``test`` ""), did in runs of late. ``marks``: the oldest first, of each run P,
    F, W (warned), E (could not be evaluated), R (passed after a retry), - (did not run)."""

    environment: str
    recipe: str
    node: str
    test: str
    marks: str
    runs: tuple[str, ...]
    flips: int
    retries: int
    failures: int

    @property
    def flakiness(self) -> float:
        """Flips and retries for each run in which it was judged, 0 to 1."""
        judged = sum(m != "-" for m in self.marks)
        return min(1.0, (self.flips + self.retries) / judged) if judged else 0.0


JUDGED = ("passed", "failed", "reused")


def histories(standing: Standing, most: int = 60) -> list[History]:
    """Every test that did not pass, and every node that was retried, in the last ``most`` runs. A flip is a
    change of verdict between two runs of the same tree: of one that changed, another verdict is no wonder."""
    runs = standing.runs[-most:]
    tests: dict[str, None] = {}
    nodes: dict[str, None] = {}
    for run in runs:
        tests |= dict.fromkeys(str(t.get("id")) for t in run.failing)
        nodes |= dict.fromkeys(run.tries)
    found = [_of_test(standing, runs, test) for test in tests]
    found += [_of_node(standing, runs, node) for node in nodes]
    return sorted(found, key=lambda h: (-h.flakiness, -h.failures, h.node, h.test))


def _of_test(standing: Standing, runs: Sequence[Run], test: str) -> History:
    node = next((r.node_of(test) for r in runs if any(t.get("id") == test for t in r.failing)), "")
    marks = ""
    for run in runs:
        own = next((t for t in run.failing if t.get("id") == test), None)
        state = run.states.get(node, "")
        if own is not None:
            failed = "W" if own.get("severity") in ("warn", "log") or own.get("waived") else "F"
            marks += "E" if own.get("state") == "error" else failed
        elif state in JUDGED:
            marks += "R" if run.tries.get(node, 1) > 1 else "P"
        else:
            marks += "-"
    return _history(standing, runs, node, test, marks)


def _of_node(standing: Standing, runs: Sequence[Run], node: str) -> History:
    marks = ""
    for run in runs:
        state = run.states.get(node, "")
        if state in ("passed", "reused"):
            marks += "R" if run.tries.get(node, 1) > 1 else "P"
        else:
            marks += "F" if state in ("failed", "error", "timed_out") else "-"
    return _history(standing, runs, node, "", marks)


def _history(standing: Standing, runs: Sequence[Run], node: str, test: str, marks: str) -> History:
    judged = [(m in "FEW", run.tree) for m, run in zip(marks, runs, strict=True) if m != "-"]
    flips = sum(a[0] != b[0] and a[1] == b[1] for a, b in pairwise(judged))
    return History(
        environment=standing.environment,
        recipe=standing.label,
        node=node,
        test=test.removeprefix(f"{node}/").removeprefix("outputs/"),
        marks=marks,
        runs=tuple(r.id for r in runs),
        flips=flips,
        retries=marks.count("R"),
        failures=sum(m in "FE" for m in marks),
    )
