"""Pull requests as their documents hold them, for what is shown of them: one of each kind."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from gitkitchen.data.diff_model import ColumnDiff, Difference, Profile, RowsDiff, SchemaChange, TableDiff
from gitkitchen.errors import Place
from gitkitchen.finding import PolicyFinding
from gitkitchen.model import (
    Build,
    Column,
    Failure,
    Kitchen,
    NodeResult,
    Outcome,
    Publication,
    Severity,
    State,
    Subject,
    TestResult,
    TestState,
    Verdict,
    Version,
)
from gitkitchen.plan.lineage import Hit
from gitkitchen.report.comparison import Comparison, ControlChange, DatasetDiff, SideName
from gitkitchen.report.surfaces.assemble import assemble
from gitkitchen.report.surfaces.pull import (
    Change,
    Graph,
    NotTested,
    Pull,
    Run,
    Timing,
    Waiver,
)

START = datetime(2026, 11, 21, 5, 17, 3, tzinfo=UTC)
HEAD, BASE, TREE = "a1b2c3d4e5" * 4, "0f1e2d3c4b" * 4, "77aa88bb99" * 4
RECIPE = "recipes/delays/recipe.yml"
SQL = "recipes/delays/late_by_hour.sql"
RUN_URL = "https://github.example/acme/flights/actions/runs/4711/attempts/1"
NEEDS = {
    "late_by_hour": ("flights", "weather"),
    "late_by_day": ("late_by_hour",),
    "report": ("late_by_day",),
}

NAUGHTY = (
    "@acme/team please @octocat",
    "fixes #1, closes acme/flights#2, resolves GH-3 and GHSA-aaaa-bbbb-cccc",
    "[click](javascript:alert(1)) ![pixel](https://evil.example/p.png) <https://evil.example>",
    "https://evil.example/x www.evil.example me@evil.example ftp://evil.example",
    "<script>alert(1)</script><img src=x onerror=alert(1)><!-- --></details></summary></table>",
    "```\n# heading\n```\n~~~\n- item\n> quote\n| a | b |\n|---|---|\n",
    "a|b|c `code` **bold** _it_ ~~gone~~ $x^2$ \\",
    "::error file=a,line=1::boom\n::set-output name=a::b\n##[error]no ##[group]x",
    '"]:::bad\n  click n0 "https://evil.example"\n  end\n%%{init: {"theme":"x"}}%%',
    "\x1b[31mred\x1b[0m \u202egnp.exe \ufeff\x00",
    "$(rm -rf /) `id`; & | > < ' \"",
    "[ref]: https://evil.example\n[ref]\n[^1]: note",
    "-- --format=x",
    "   indented code",
    "🏳️‍🌈 日本語 Ω é",
)


def version(dataset: str, rows: int | None, *columns: str) -> Version:
    names = tuple(Column(c, "DOUBLE") for c in columns)
    return Version(dataset, "table", "f" * 64, "c" * 64, names, rows=rows)


def judged(node: str, name: str, state: TestState = TestState.PASSED, **more: object) -> TestResult:
    values = {
        "id": f"{node}/outputs/{name}",
        "node": node,
        "dataset": node,
        "phase": "outputs",
        "kind": name.partition("(")[0],
        "severity": Severity.STOP,
        "state": state,
        "observed": "no such rows",
        "expected": "none",
        "seconds": 0.004,
        "place": Place(RECIPE, 12),
    }
    return TestResult(**(values | more))  # type: ignore[arg-type]


def node(
    name: str,
    state: State,
    *tests: TestResult,
    rows: int | None = None,
    line: int = 10,
    why: Failure | None = None,
    kind: str = "sql",
    file: str = RECIPE,
) -> NodeResult:
    made = Build(name, "f" * 64, "d" * 64, {}, {}, {name: version(name, rows)}) if rows is not None else None
    ran = state not in (State.REUSED, State.BLOCKED, State.SKIPPED)
    return NodeResult(
        name,
        kind,
        state,
        START if ran else None,
        3.2 if ran else 0.0,
        int(ran),
        made,
        tests,
        why,
        place=Place(file, line),
        owner="@acme/analytics",
    )


def outcome(
    nodes: tuple[NodeResult, ...], verdict: Verdict, recipe: str = "delays", **more: object
) -> Outcome:
    values = {
        "run": "20261121T051703Z-4f2a9c",
        "project": "flights",
        "project_id": "7c1e2b90",
        "recipe": recipe,
        "variation": None,
        "kitchen": Kitchen(
            "7c1e2b90", "https://github.example/acme/flights", "late", "k_late_0123", None, "prod"
        ),
        "subject": Subject(HEAD, TREE),
        "started": START,
        "finished": START + timedelta(seconds=8.4),
        "verdict": verdict,
        "nodes": nodes,
        "publication": Publication("withheld", "a pull request publishes nothing"),
        "tools": {"gitkitchen": "0.1.0", "duckdb": "1.4.1"},
    }
    return Outcome(**(values | more))  # type: ignore[arg-type]


SOURCES = (
    node(
        "flights",
        State.REUSED,
        judged("flights", "not_null(carrier)", reused=True),
        rows=336_776,
        kind="source",
    ),
    node(
        "weather",
        State.REUSED,
        judged("weather", "unique(origin, time_hour)", reused=True),
        rows=26_115,
        kind="source",
    ),
)
GREEN = outcome(
    (
        *SOURCES,
        node("late_by_hour", State.PASSED, judged("late_by_hour", "rows(min=1)"), rows=6_936, line=28),
        node("late_by_day", State.PASSED, judged("late_by_day", "unique(day)"), rows=365, line=36),
        node("report", State.PASSED, rows=None, line=44, kind="run"),
    ),
    Verdict.PASSED,
)
AIRPORTS = outcome(
    (
        node(
            "airports",
            State.REUSED,
            judged("airports", "unique(faa)", reused=True),
            rows=1_458,
            kind="source",
            file="recipes/airports/recipe.yml",
        ),
    ),
    Verdict.PASSED,
    "airports",
    finished=START + timedelta(seconds=0.4),
)
STOPPED = outcome(
    (
        *SOURCES,
        node(
            "late_by_hour",
            State.FAILED,
            judged(
                "late_by_hour",
                "rows(same_as=flights)",
                TestState.FAILED,
                observed="8,035,799 rows, 23.86 times those of flights",
                expected="as many rows as flights: 336,776",
                cause="A join on columns that are not unique on the other side multiplies rows.",
                failing=7_699_023,
                tested=8_035_799,
                place=Place(RECIPE, 31, 7),
            ),
            judged(
                "late_by_hour",
                "expect(rows)",
                TestState.FAILED,
                kind="expect",
                observed="2,286% more rows",
                expected="at most 1% more or fewer",
                place=Place(RECIPE, 34),
            ),
            judged(
                "late_by_hour",
                "range(delay)",
                TestState.FAILED,
                severity=Severity.WARN,
                observed="3 rows are too low",
                expected="at least -120",
                failing=3,
                tested=8_035_799,
            ),
            judged("late_by_hour", "not_null(origin)"),
            rows=8_035_799,
            line=28,
        ),
        node("late_by_day", State.BLOCKED, why=Failure("cancelled", "late_by_hour did not pass"), line=36),
        node(
            "report", State.BLOCKED, why=Failure("cancelled", "late_by_day did not pass"), line=44, kind="run"
        ),
    ),
    Verdict.FAILED,
)
CHANGES = (
    Change(
        "delays",
        "late_by_hour",
        "changed",
        ("needs", "late_by_hour.sql"),
        Place(RECIPE, 29),
        (Place(SQL, 7),),
    ),
    Change("delays", "weather", "added", (), Place(RECIPE, 20)),
    Change("delays", "late_by_week", "removed", (), Place(RECIPE)),
)
TOUCHED = {RECIPE: ((20, 22), (29, 29)), SQL: ((7, 9),)}


def profile(rows: int, total: float, median: str) -> Profile:
    return Profile(rows, 0, 40, True, "1", "99", total, total / rows, 0, ("1", "5", median, "20", "99"))


def difference(breaking: bool = False) -> Comparison:
    """What ``late_by_hour`` and ``late_by_day`` become, beside two datasets that stay."""
    delay = ColumnDiff(
        "mean_delay",
        "mean_delay",
        ("DOUBLE", "DOUBLE"),
        "number",
        212,
        0,
        3,
        Difference(209, 627.0, 3.0, 3.4, -2.0, 41.5),
        profile(365, 4_612.5, "12.5"),
        profile(365, 5_839.5, "15.5"),
    )
    schema = (
        SchemaChange("added", "visibility", now="DOUBLE"),
        *(
            (
                SchemaChange("removed", "flights", was="BIGINT", breaking=True),
                SchemaChange("retyped", "day", was="DATE", now="VARCHAR", breaking=True),
            )
            if breaking
            else ()
        ),
    )
    by_day = DatasetDiff(
        "late_by_day",
        "changed",
        version("late_by_day", 365),
        version("late_by_day", 365),
        ("r1", "r2"),
        "late_by_day",
        "@acme/analytics",
        ("input late_by_hour changed",),
        schema,
        TableDiff("key", RowsDiff(365, 365, 0, 0, 212, 365), schema, (delay,), ("day",)),
    )
    by_hour = DatasetDiff(
        "late_by_hour",
        "changed",
        version("late_by_hour", 336_776),
        version("late_by_hour", 8_035_799),
        ("r1", "r2"),
        "late_by_hour",
        "@acme/analytics",
        ("late_by_hour.sql changed",),
        (),
        TableDiff("key", RowsDiff(336_776, 8_035_799, 7_699_023, 0, 12, 336_776), (), (), ("origin", "hour")),
    )
    same = [
        DatasetDiff(n, "identical", version(n, 10), version(n, 10), ("r1", "r1"), n)
        for n in ("flights", "weather")
    ]
    hit = Hit(
        "delays_board", "boards", "delays_board", "@acme/ops", ("flights", "day"), False, ("late_by_day",)
    )
    weaker = ControlChange("test", "delays/late_by_hour", "removed", '{"unique":["origin"]}', weaker=True)
    return Comparison(
        "flights",
        SideName("prod", "environment", "k_prod_1"),
        SideName("sandbox late", "sandbox", "k_late_1"),
        (*same, by_hour, by_day),
        True,
        (weaker,),
        (hit,),
    )


ABOUT = Pull("flights", "7c1e2b90", "pull_request", 12, HEAD, BASE, TREE, Run(4711, 1))
POLICY = (
    PolicyFinding(
        "test-removed",
        "action",
        "a stop test is removed: unique(origin) of late_by_hour",
        RECIPE,
        30,
        ("@acme/data-owners", "@ada"),
    ),
    PolicyFinding(
        "policy-changed",
        "action",
        "kitchen.yml changes `policy.required`",
        "kitchen.yml",
        9,
        ("@acme/data-owners",),
        "@grace",
    ),
    PolicyFinding("new-recipe", "notice", "the recipe 'airports' is not required by the policy yet"),
)
WAIVERS = (
    Waiver(
        "late_by_hour/outputs/rows(same_as=flights)",
        "delays",
        "late_by_hour",
        "Known since the move of the feed; see the runbook.",
        "@grace",
        "2027-01-31",
        "used",
        ("late_by_hour/outputs/rows(same_as=flights)",),
        Place("waivers/late.yml", 1),
    ),
    Waiver(
        "weather/freshness", "delays", "weather", "The provider is closed.", "@ada", "2026-10-01", "expired"
    ),
)


def _case(*outcomes: Outcome, graphs: bool = True, **more: object) -> Pull:
    values = {
        "changes": CHANGES,
        "touched": TOUCHED,
        "timing": Timing(11.2, {"delays": 7.9, "airports": 0.4}),
    }
    pull = assemble(ABOUT, outcomes, **(values | more))  # type: ignore[arg-type]
    return replace(pull, graphs=(Graph("delays", NEEDS),)) if graphs else pull


def cases() -> Mapping[str, Pull]:
    """One pull request of each kind that people meet."""
    bad = Failure(
        "infrastructure", "the store did not answer: connection refused", Place(RECIPE, 20), "run it again"
    )
    untested = outcome(
        (replace(SOURCES[0], tests=()), node("late_by_hour", State.PASSED, rows=10)), Verdict.NOTHING_TESTED
    )
    away = outcome(
        (
            SOURCES[0],
            node("weather", State.ERROR, why=bad, line=20),
            node("late_by_hour", State.BLOCKED, why=Failure("cancelled", "weather did not pass")),
        ),
        Verdict.INFRASTRUCTURE,
    )
    ended = outcome(
        (*SOURCES, node("late_by_hour", State.CANCELLED, why=Failure("cancelled", "the run was ended"))),
        Verdict.CANCELLED,
        signal=2,
    )
    fork = [
        NotTested("delays", "report", "it needs the secret DASHBOARD_TOKEN, which forks do not get", True),
        NotTested("orders", "orders", "its data is not in a public part of the store", True),
    ]
    waivable = outcome(
        (*SOURCES, replace(STOPPED.nodes[2], tests=STOPPED.nodes[2].tests[:1])), Verdict.FAILED
    )
    return {
        "passed": _case(GREEN, AIRPORTS, differences=(difference(),)),
        "failed": _case(STOPPED, AIRPORTS, differences=(difference(),)),
        "breaking": _case(GREEN, differences=(difference(breaking=True),)),
        "nothing-tested": _case(untested),
        "could-not-check": _case(away),
        "cancelled": _case(ended),
        "fork": _case(replace(GREEN, nodes=GREEN.nodes[:4]), could_not_run=fork),
        "policy": _case(waivable, AIRPORTS, policy=POLICY, waivers=WAIVERS),
        "no-recipe": _case(changes=(), graphs=False),
    }


def hostile(words: tuple[str, ...] = NAUGHTY) -> Pull:
    """A pull request in which every text that can be anything is one of ``words``, each in every place."""
    count = len(words)

    def word(index: int) -> str:
        return words[index % count]

    nodes = tuple(
        replace(
            node(
                word(i),
                (State.FAILED, State.ERROR, State.BLOCKED, State.PASSED)[i % 4],
                judged(
                    word(i),
                    word(i + 1),
                    TestState.FAILED,
                    observed=word(i + 2),
                    expected=word(i + 3),
                    cause=word(i + 4),
                    message=word(i + 5),
                    kind="range",
                    dataset=word(i),
                    sample=({word(i): word(i + 1)},),
                    place=Place(word(i), 3),
                ),
                judged(word(i), word(i + 1), TestState.ERROR, severity=Severity.WARN, message=word(i)),
                why=Failure("error", word(i), Place(word(i), 2), word(i + 1)),
                rows=3,
                file=word(i),
            ),
            reasons=(word(i),),
            owner=word(i),
        )
        for i in range(count)
    )
    bad = outcome(
        nodes,
        Verdict.FAILED,
        word(0),
        variation=word(1),
        tools={word(2): word(3)},
        public_columns=dict.fromkeys(words, ("*",)),
        publication=Publication("withheld", word(4)),
    )
    one = difference(breaking=True)
    columns = tuple(SchemaChange("removed", w, was=w, breaking=True, why=w) for w in words)
    datasets = tuple(
        replace(d, dataset=w, node=w, owner=w, reasons=(w,), schema=columns, note=w, key_change=((w,), (w,)))
        for w in words
        for d in one.datasets[3:]
    )
    hits = tuple(Hit(w, w, w, w, (w,), True, (w,), w) for w in words)
    controls = tuple(ControlChange("test", w, "removed", w, w, weaker=True) for w in words)
    side = SideName(word(0), "environment", word(1))
    return assemble(
        replace(ABOUT, project=word(0), project_id=word(1)),
        (bad,),
        differences=(
            replace(one, a=side, b=side, datasets=datasets, reaches=hits, controls=controls, notes=words),
        ),
        changes=tuple(Change(w, w, "changed", words, Place(w, 1), (Place(w, 2),)) for w in (*words, word(0))),
        touched=dict.fromkeys(words, ((1, 9),)),
        policy=tuple(PolicyFinding(w, "action", w, w, 2, words) for w in words),
        waivers=tuple(Waiver(w, w, w, w, w, w[:40], "used", words) for w in words),
        could_not_run=[NotTested(w, w, w, True) for w in words],
        timing=Timing(1.0, dict.fromkeys(words, 2.0)),
    )
