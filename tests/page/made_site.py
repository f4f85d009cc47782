"""A site as a year of work would leave it, made without a clock, a disk or chance: the same at every call."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

from gitkitchen.history import Commit
from gitkitchen.model import Approvals, Environment, Gate, Soak, Window
from gitkitchen.page.shapes import (
    Alert,
    Excuse,
    KitchenEntry,
    Moved,
    NodeFact,
    Place,
    Publication,
    RecipeFact,
    Run,
    Said,
    Site,
    TestFact,
    Way,
)
from gitkitchen.promote.moves import fold
from gitkitchen.promote.shapes import (
    Actor,
    Evidence,
    GateResult,
    Hold,
    Incident,
    Intent,
    Landing,
    Method,
    Move,
    Release,
    Standing,
)

NOW = datetime(2026, 11, 20, 9, 5, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
ENVIRONMENTS = ("dev", "staging", "prod")
RECIPES = {
    "delays": ("On-time performance of flights from New York.", "@analytics", 14),
    "fares": ("What seats were sold for, by route and booking class.", "@revenue", 9),
    "weather": ("Hourly weather at the three airports, cleaned and aligned to departures.", "@analytics", 6),
    "crews": ("Rosters and duty times, for planning.", "@operations", 11),
    "maintenance": ("Aircraft hours and cycles against their checks.", "@operations", 8),
    "loyalty": ("Members, their flights and their points.", "@revenue", 12),
}
NODES = (
    *("flights", "airlines", "planes", "airports", "clean_flights", "late_by_carrier", "late_by_hour"),
    *("late_by_route", "carrier_month", "punctuality", "worst_routes", "summary", "report", "dashboard"),
)
SUBJECTS = (
    *(
        "Count a cancelled flight once",
        "Read the feed of the new year",
        "Round fares to cents, as finance does",
    ),
    *("Leave test bookings out", "Name the carriers by their codes", "Ask for a key of every dataset"),
)


def oid(*words: object) -> str:
    return sha256(" ".join(map(str, words)).encode(errors="backslashreplace")).hexdigest()[:40]


def share(*words: object) -> float:
    """A number from 0 to 1 that is the same for the same words."""
    return (
        int(sha256(" ".join(map(str, words)).encode(errors="backslashreplace")).hexdigest()[:8], 16)
        / 0xFFFFFFFF
    )


def nodes_of(recipe: str, count: int, say: Callable[[str], str]) -> list[str]:
    plain = NODES if count <= len(NODES) else [f"step_{i:03d}" for i in range(count)]
    return [say(n if recipe == "delays" else f"{recipe}_{n}") for n in plain[:count]]


def recipe_fact(recipe: str, count: int, say: Callable[[str], str] = str) -> RecipeFact:
    names = nodes_of(recipe, count, say)
    nodes = []
    for i, name in enumerate(names):
        befores = () if i < 4 else tuple(dict.fromkeys(names[int(share(recipe, i, k) * i)] for k in range(2)))
        kind = "source" if i < 4 else "run" if i == count - 1 and count < 20 else "sql"
        tests = [
            TestFact(f"{name}/outputs/unique(id)", "unique(id)", "unique", "stop", say("One row an id."))
        ]
        if i % 3 == 0:
            tests.append(
                TestFact(f"{name}/outputs/freshness(day, 1d)", "freshness(day, 1d)", "freshness", "warn")
            )
        lineage = {
            name: {
                "id": tuple(f"{b}.id" for b in befores[:1]),
                "amount": tuple(f"{b}.amount" for b in befores),
            }
        }
        nodes.append(
            NodeFact(
                name=name,
                kind=kind,
                owner=say(RECIPES.get(recipe, ("", "@analytics", 0))[1]),
                description=say(f"What {name.replace('_', ' ')} says."),
                runbook=say("https://wiki.example.com/runbooks/flights") if i == 0 else "",
                file=say(f"recipes/{recipe}/recipe.yml:{10 + 4 * i}"),
                datasets=(name,) if kind != "run" else (),
                reads=dict.fromkeys(befores, None),
                after=befores,
                tests=tuple(tests),
                key=("id",),
                public=("id",),
                lineage=lineage if kind == "sql" else {},
                unknown="" if kind == "sql" else say("a run node does what it likes"),
            )
        )
    text, owner, _ = RECIPES.get(recipe, ("A large recipe.", "@analytics", 0))
    variations = {say("daily"): "17 5 * * * America/New_York"}
    return RecipeFact(
        say(recipe), say(text), say(owner), f"recipes/{recipe}/recipe.yml", tuple(nodes), variations
    )


def body(
    environment: str,
    recipe: str,
    names: Sequence[str],
    number: int,
    at: datetime,
    say: Callable[[str], str] = str,
) -> dict[str, Any]:
    """A record of a run, as ``report.essence`` writes it."""
    luck = share(environment, recipe, number)
    bad = luck < 0.05 or (recipe == "fares" and environment == "prod" and number % 1_000_003 == 0)
    odd = 0.05 <= luck < 0.12
    failing: list[dict[str, Any]] = []
    states: dict[str, list[str]] = {}
    fails = names[int(share(recipe, number, "node") * len(names))] if bad else ""
    for i, name in enumerate(names):
        state = "passed" if i % 3 or luck > 0.3 else "reused"
        if name == fails:
            state = "error" if luck < 0.01 else "failed"
        elif fails and i > names.index(fails) and i % 2:
            state = "blocked"
        states.setdefault(state, []).append(name)
    seconds = 30 + 60 * share(recipe, number, "s")
    if bad and luck >= 0.01:
        failing.append(
            {
                "id": f"{fails}/outputs/unique(id)",
                "state": "failed",
                "severity": "stop",
                "failing": 120,
                "tested": 33_677,
                "observed": say("120 rows share their id with another"),
                "expected": say("no two rows with the same id"),
                "message": say("A join that matches twice is the usual cause."),
            }
        )
    if odd:
        failing.append(
            {
                "id": f"{names[0]}/outputs/freshness(day, 1d)",
                "state": "failed",
                "severity": "warn",
                "failing": None,
                "tested": None,
                "observed": say("26 h old"),
                "expected": say("at most 24 h old"),
            }
        )
    order = [n for state in sorted(states) for n in states[state]]
    place = {n: i for i, n in enumerate(names)}
    found: dict[str, Any] = {
        "run": f"{at:%Y%m%dT%H%M%S}000Z-{oid(environment, recipe, number)[:6]}",
        "recipe": recipe,
        "variation": None,
        "kitchen": {"repository": "", "branch": say(environment), "birth": 1},
        "subject": {
            "commit": oid("commit", environment, number // 40),
            "tree": oid("tree", number // 40),
            "dirty": False,
        },
        "verdict": "failed" if bad else "passed",
        "started": at.isoformat(),
        "finished": (at + timedelta(seconds=seconds)).isoformat(),
        "publication": {"state": "withheld" if bad else "published", "sequence": None if bad else number},
        "nodes": states,
        "tests": {"passed": 3 * len(names), **({"failed": len(failing)} if failing else {})},
        "failing": failing,
        "event": "schedule",
        "at": [round(seconds * place[n] / len(names), 1) for n in order],
        "took": [round(seconds / len(names) * (0.4 + share(n, number)), 1) for n in order],
        "rows": {n: int(30_000 + 40 * number + 3_000 * share(n, number)) for n in order if n != fails},
        "metrics": {f"{names[0]}.share_late": round(0.2 + 0.05 * share(number, "late"), 4)},
        "url": "https://github.com/acme/flights/actions/runs/17000000000/attempts/1",
    }
    if luck > 0.93:
        found["tries"] = {names[1]: 2}
    if bad:
        tail = [say("Traceback (most recent call last):"), say("ValueError: the feed has no column 'day'")]
        found["failed"] = {
            fails: {
                "kind": "error",
                "said": say("the process ended with exit code 1"),
                "hint": say("see its log"),
                "why": [say("input flights changed")],
                "tail": tail,
            }
            if luck < 0.01
            else {"why": [say("input flights changed")]}
        }
    return found


def landing(
    environment: str, source: str, number: int, at: datetime, say: Callable[[str], str], **more: Any
) -> Landing:
    plain: dict[str, Any] = {
        "environment": environment,
        "branch": environment,
        "intent": Intent.FORWARD,
        "method": Method.PUSH,
        "tree": oid("tree", number),
        "commit": oid("landed", environment, number),
        "before": oid("landed", environment, number - 1) if number else "",
        "source": oid("commit", source or "feature", number),
        "source_environment": source,
        "at": at,
        "evidence": (
            Evidence(
                "delays",
                None,
                f"run-{number}",
                oid("r", number),
                oid("tree", number),
                "p",
                "b",
                "v",
                "y",
                "passed",
                42,
            ),
        ),
        "gates": (
            GateResult("approvals", Standing.PASSED, say("2 of 2 approve this tree")),
            GateResult("soak", Standing.PASSED, "24 h"),
        ),
        "actors": (Actor(say("ana"), "asked"), Actor(say("bo"), "approved", oid("tree", number))),
        "policy": oid("policy"),
        "fence": number + 1,
        "published": ("late_by_carrier", "summary"),
        "reason": say("the weekly release"),
    }
    return Landing(**(plain | more))


def places(say: Callable[[str], str]) -> tuple[Place, ...]:
    gate = Gate(
        approvals=Approvals(2),
        soak=Soak(hours=24, green_runs=3),
        allow=(Window("Mon-Thu 08:00-16:00 Europe/London", (0, 1, 2, 3), 480, 960, "Europe/London"),),
    )
    found = []
    for index, name in enumerate(ENVIRONMENTS):
        source = ENVIRONMENTS[index - 1] if index else None
        environment = Environment(name, say(name), source=source, gate=gate if name == "prod" else Gate())
        moves: list[Move] = []
        count = 14 if name != "prod" else 11
        for n in range(count):
            at = NOW - (count - n) * 6 * DAY + timedelta(hours=3 * index)
            moves.append(landing(name, source or "", n, at, say))
            if name == "prod" and n == 5:
                moves.append(
                    Incident(
                        name,
                        "i-5d2c41",
                        "rollback",
                        at + 2 * HOUR,
                        say("rolled back: fares were doubled"),
                        oid("c", n),
                    )
                )
                moves.append(
                    Hold(name, "h-1", say("ana"), at + 2 * HOUR, say("fares were doubled"), "i-5d2c41")
                )
                back = {
                    "intent": Intent.ROLLBACK,
                    "tree": oid("tree", n - 1),
                    "commit": oid("back", n),
                    "before": oid("landed", name, n),
                    "data": "restore",
                }
                moves.append(landing(name, source or "", n, at + 3 * HOUR, say, **back))
                moves.append(Release(name, "h-1", say("bo"), at + 20 * HOUR, say("mended in staging")))
                moves.append(Incident(name, "i-5d2c41", "rollback", at + 20 * HOUR, "", closed=True))
        if name == "staging":
            moves.append(
                Hold(
                    name,
                    "h-2",
                    say("ana"),
                    NOW - 3 * HOUR,
                    say("the feed of the new year is checked by hand"),
                )
            )
        way = None
        if source:
            commits = tuple(
                Commit(oid("w", i, name), "t", (), say("Ana <a@example.com>"), "", 0, say(s))
                for i, s in enumerate(SUBJECTS[: 5 - index])
            )
            way = Way(source, commits)
        moved = tuple(Moved(i, oid("record", name, i), m) for i, m in enumerate(moves, 1))
        publications = tuple(
            Publication(
                i,
                f"run-{i}",
                NOW - (20 - i) * DAY,
                "delays",
                {say("late_by_carrier"): oid("content", i)},
                i % 5 == 0,
            )
            for i in range(1, 20)
        )
        subject = say(SUBJECTS[index])
        found.append(
            Place(
                environment,
                f"k_{name}_0123456789ab",
                fold(name, moves),
                moved,
                oid("landed", name, count - 1),
                subject,
                way,
                publications,
            )
        )
    return tuple(found)


def made_site(
    *,
    runs: int = 40,
    recipes: Sequence[str] = tuple(RECIPES),
    nodes: int | None = None,
    say: Callable[[str], str] = str,
    environments: Sequence[str] = ENVIRONMENTS,
) -> Site:
    """``runs`` of each recipe in each environment, an hour apart. ``nodes`` of each; ``say`` may put anything
    in the place of any text that people or programs wrote."""
    facts, everything = [], []
    for recipe in recipes:
        count = nodes or RECIPES[recipe][2]
        fact = recipe_fact(recipe, count, say)
        facts.append(fact)
        names = [n.name for n in fact.nodes]
        for index, environment in enumerate(environments):
            for n in range(runs):
                at = NOW - (runs - n) * HOUR + timedelta(minutes=7 * index, seconds=len(recipe))
                made = body(environment, recipe, names, n, at, say)
                made["recipe"] = fact.name
                everything.append(
                    Run(oid("record", made["run"]), f"k_{environment}_0123456789ab", fact.name, made)
                )
    everything.sort(key=lambda r: (r.started, r.id))
    roads = tuple(p for p in places(say) if p.name in environments)
    last = next(
        (r for r in reversed(everything) if r.verdict == "failed"), everything[-1] if everything else None
    )
    alerts = (
        Alert(
            "a-0f3e9c11d2ab",
            "prod",
            say("fares"),
            say("fares_summary/unique(id)"),
            "test_failed",
            "stop",
            say("@revenue"),
            say("120 rows share their id with another"),
            NOW - 5 * HOUR,
            NOW - HOUR,
            None,
            4,
            last.id if last else "",
            last.id if last else "",
            oid("c"),
            say("gitkitchen run fares --select fares_summary"),
            say("https://wiki.example.com/runbooks/fares"),
            ("issues", "slack"),
        ),
        Alert(
            "a-77aa00bb11cc",
            "staging",
            say("weather"),
            say("schedule daily"),
            "schedule_late",
            "warn",
            say("@analytics"),
            say("no run began within 30 min of 2026-11-18 05:17"),
            NOW - 2 * DAY,
            NOW - 2 * DAY + HOUR,
            NOW - 2 * DAY + HOUR,
            1,
        ),
    )
    note = (
        "## What happened\n\nThe fare feed was **sent twice** on Monday.\n\n- 06:10 the test stopped it\n"
        "- 06:40 asked the carrier\n\nSee [their status](https://status.example.com).\n"
    )
    kitchens = [KitchenEntry(p.namespace, p.name, say(p.name), p.name, NOW - 300 * DAY) for p in roads]
    kitchens += [
        KitchenEntry(
            f"k_feature_{i}", say(f"feature/route-{i}"), say(f"feature/route-{i}"), "", NOW - i * DAY
        )
        for i in range(3)
    ]
    logs = {
        p.name: tuple(
            Commit(
                oid("commit", p.name, n),
                oid("tree", n),
                (),
                say("Ana Lopes <ana@example.com>"),
                "",
                0,
                say(SUBJECTS[n % len(SUBJECTS)]),
            )
            for n in range(runs // 40, -1, -1)
        )
        for p in roads
    }
    return Site(
        project=say("flights"),
        title=say("Flights from New York"),
        url="https://acme.github.io/flights",
        made=NOW,
        stale=NOW + DAY,
        since=NOW - 90 * DAY,
        commit=oid("landed", "prod", 10),
        places=roads,
        runs=tuple(everything),
        recipes=tuple(facts),
        kitchens=tuple(kitchens),
        alerts=tuple(a for a in alerts if a.environment in environments),
        schedules=(
            Said(
                "prod", "weather", "daily", "superseded", NOW - DAY, "clock", "", "2026-11-18 to 2026-11-19"
            ),
        ),
        waivers=(
            Excuse(
                "waivers/feed.yml",
                say("delays"),
                say("flights"),
                say("freshness(day, 1d)"),
                say("the carrier moves its feed"),
                say("@ana"),
                "2026-12-31",
            ),
            Excuse(
                "waivers/old.yml",
                say("fares"),
                say("fares_flights"),
                say("unique(id)"),
                say("known"),
                say("@bo"),
                "2026-10-01",
                say("it expired on 2026-10-01"),
            ),
        ),
        notes={"a-0f3e9c11d2ab": say(note)},
        log=logs,
        columns={
            n.name: (("id", "BIGINT"), ("amount", "DOUBLE"), (say("day"), "DATE"))
            for f in facts
            for n in f.nodes
            if n.datasets
        },
        written={
            oid("commit", p.environment.source or "feature", n): NOW - (15 - n) * 6 * DAY
            for p in roads
            for n in range(14)
        },
        version="0.1.0",
    )


def write(folder: Path, site: Site) -> Path:
    from gitkitchen.page.writing import write_site

    write_site(site, folder)
    return folder
