"""Outcomes for the reports: one with every state and hostile texts, a green one, and one of many nodes."""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TypeVar

import pytest
from hypothesis import strategies as st

from gitkitchen.errors import Place
from gitkitchen.model import (
    Build,
    Column,
    Failure,
    FileEntry,
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

T = TypeVar("T")
START = datetime(2026, 11, 21, 5, 17, 3, tzinfo=UTC)
RUN = "20261121T051703Z-4f2a9c"
RECIPE = "recipes/delays/recipe.yml"
HOSTILE = (
    "<script>alert(1)</script> | `rm -rf` @octocat #12 **bold** [x](javascript:1) ![i](http://e.example/p.png)"
    "\n::error file=a::boom\x1b[31mred\x07 \u202eevil\ufffe ${{ secrets.X }} ##[error]no </td></details> <!--"
)


def digest(word: str) -> str:
    return (word.encode("utf-8", "replace").hex() * 64)[:64]


def version(dataset: str, rows: int | None, *columns: str, size: int = 4096) -> Version:
    return Version(
        dataset=dataset,
        format="table",
        fingerprint=digest(f"f{dataset}"),
        content=digest(f"c{dataset}"),
        columns=tuple(Column(c, "VARCHAR") for c in columns),
        files=(FileEntry(digest(f"x{dataset}"), size, rows),),
        rows=rows,
    )


def build(node: str, *versions: Version) -> Build:
    return Build(
        node=node,
        fingerprint=digest(f"f{node}"),
        definition=digest(f"d{node}"),
        parts={"sql": digest("sql")},
        inputs={"flights": digest("cflights")},
        versions={v.dataset: v for v in versions},
        run=RUN,
        finished="2026-11-21T05:17:06+00:00",
        seconds=1.25,
    )


def judged(node: str, name: str, state: TestState = TestState.PASSED, **more: object) -> TestResult:
    phase = more.pop("phase", "outputs")
    values = {
        "id": f"{node}/{phase}/{name}",
        "node": node,
        "dataset": node,
        "phase": phase,
        "kind": name.partition("(")[0],
        "severity": Severity.STOP,
        "state": state,
        "observed": "no such rows",
        "expected": "none",
        "seconds": 0.004,
        "place": Place(RECIPE, 12),
    }
    return TestResult(**(values | more))  # type: ignore[arg-type]


def outcome(
    nodes: tuple[NodeResult, ...], verdict: Verdict, publication: Publication, **more: object
) -> Outcome:
    values = {
        "run": RUN,
        "project": "flights",
        "project_id": "7c1e2b90",
        "recipe": "delays",
        "variation": None,
        "kitchen": Kitchen(
            "7c1e2b90", "https://example.org/o/flights", "main", "k_main_0123456789ab", "prod"
        ),
        "subject": Subject("a1b2c3d4e5f60718293a4b5c6d7e8f9001122334", digest("tree")[:40]),
        "started": START,
        "finished": START + timedelta(seconds=8.4),
        "verdict": verdict,
        "nodes": nodes,
        "publication": publication,
        "tools": {"gitkitchen": "0.1.0", "python": "3.11.9", "duckdb": "1.4.1"},
    }
    return Outcome(**(values | more))  # type: ignore[arg-type]


def _sources() -> tuple[NodeResult, ...]:
    flights = (
        judged("flights", "not_null(carrier)", reused=True),
        judged(
            "flights",
            "relationships(tailnum → planes.tailnum)",
            TestState.FAILED,
            severity=Severity.WARN,
            observed="50,094 rows of 721 values are not in planes.tailnum",
            expected="at most 20,000 rows",
            cause="The other table is from an older or narrower extract; look at when both were fetched.",
            failing=50094,
            tested=334264,
            sample=({"tailnum": "N206FR", "rows": "18"}, {"tailnum": "N3AEMQ", "rows": "41"}),
            reproduce="select tailnum, count(*) from flights\n  anti join planes using (tailnum) group by 1",
            place=Place(RECIPE, 17),
        ),
        judged(
            "flights",
            "freshness(time_hour)",
            TestState.FAILED,
            severity=Severity.LOG,
            observed="12 years old",
        ),
        judged("flights", "range(distance)", TestState.SKIPPED, severity=Severity.LOG),
    )
    planes = build("planes", version("planes", 3322, "tailnum", "year"))
    return (
        NodeResult(
            "airlines",
            "source",
            State.PASSED,
            START,
            0.012,
            1,
            build("airlines", version("airlines", 16, "carrier", "name")),
            (judged("airlines", "unique(carrier)"),),
            reasons=("source changed",),
            place=Place(RECIPE, 9),
        ),
        NodeResult(
            "flights",
            "source",
            State.REUSED,
            START,
            0.0,
            0,
            build("flights", version("flights", 336776, "year", "carrier", size=5_300_000)),
            flights,
            reasons=("unchanged",),
            place=Place(RECIPE, 11),
        ),
        NodeResult(
            "planes",
            "source",
            State.REUSED,
            START,
            0.0,
            0,
            planes,
            reasons=("pinned to prod",),
            place=Place(RECIPE, 20),
        ),
    )


def _failing_tests() -> tuple[TestResult, ...]:
    return (
        judged(
            "late_by_hour",
            "rows(same_as=flights)",
            TestState.FAILED,
            phase="logic",
            observed="8,035,799 rows, 23.86 times those of flights",
            expected="as many rows as flights: 336,776",
            cause="A join on columns that are not unique on the other side multiplies rows; look at them.",
            failing=7699023,
            tested=8035799,
            sample=tuple(
                {
                    "origin": "EWR",
                    "day": str(d),
                    "rows": f"{24 * d}",
                    "remark": HOSTILE if d == 2 else "日本語 ok",
                }
                for d in range(1, 8)
            ),
            reproduce="select origin, day, count(*) as rows from late_by_hour group by all having rows > 1",
            place=Place("recipes/delays/recipe.yml", 31, 7),
            metrics={"rows": 8035799.0},
        ),
        judged(
            "late_by_hour",
            f"pattern(name={HOSTILE})",
            TestState.ERROR,
            observed="could not be evaluated",
            expected="every name matches ^[A-Z]+$",
            message="Conversion Error: Could not convert string 'Jane Doe' to INT32\nLINE 1: select …",
            place=Place("recipes/delays/recipe.yml", 33),
        ),
        judged("late_by_hour", "not_null(origin)"),
        judged(
            "late_by_hour",
            "range(delay)",
            TestState.FAILED,
            observed="3 rows are too low (less than 0.001% of 8,035,799)",
            expected="at least -120",
            failing=3,
            tested=8035799,
            sample=({"carrier": "AA", "delay": "-4711"},),
            reused=True,
            severity=Severity.WARN,
        ),
    )


def _rest() -> tuple[NodeResult, ...]:
    late = version("late_by_hour", 8035799, "origin", "day", size=61_000_000)
    at = START + timedelta(seconds=0.4)
    return (
        NodeResult(
            "late_by_hour",
            "sql",
            State.FAILED,
            at,
            3.21,
            1,
            build("late_by_hour", late),
            _failing_tests(),
            Failure("test", "2 stop tests failed"),
            ("late_by_hour.sql changed", "input weather changed"),
            place=Place(RECIPE, 28),
            owner="@analytics",
        ),
        NodeResult(
            "report",
            "run",
            State.ERROR,
            at,
            4.0,
            3,
            None,
            (),
            Failure("error", "exit code 3", Place(RECIPE, 40), "the last lines of its log stand below"),
            ("never built",),
            "logs/report.log",
            ("reading weather", HOSTILE, "Traceback (most recent call last):", "ValueError: no such airport"),
            {"pages": 3.0},
            {"dashboard": "https://example.org/d?a=1&b=<x>", "bad": "javascript:alert(1)"},
            place=Place(RECIPE, 39),
        ),
        NodeResult(
            "slow",
            "python",
            State.TIMED_OUT,
            at,
            5.0,
            1,
            None,
            (),
            Failure("timeout", "it ran longer than 5 s"),
            place=Place(RECIPE, 44),
        ),
        NodeResult(
            "excused",
            "run",
            State.ERROR,
            at,
            0.3,
            1,
            None,
            (),
            Failure("error", "exit code 1"),
            continued=True,
            place=Place(RECIPE, 48),
        ),
        NodeResult(
            "summary",
            "sql",
            State.BLOCKED,
            failure=Failure("cancelled", "late_by_hour did not pass"),
            place=Place(RECIPE, 50),
        ),
        NodeResult("winter", "sql", State.SKIPPED, reasons=("if: vars.month == 1 is false",)),
        NodeResult(
            "stopped", "run", State.CANCELLED, at, 0.2, 1, failure=Failure("cancelled", "the run was ended")
        ),
        NodeResult(
            f"h{HOSTILE}",
            "sql",
            State.PASSED,
            at,
            0.1,
            1,
            build("hostile", version(f"ds{HOSTILE}", 3, "a")),
            reasons=(HOSTILE,),
            owner=HOSTILE,
        ),
    )


@pytest.fixture
def rich_outcome() -> Outcome:
    """Every state of nodes and tests, every severity, and hostile texts in every place that has one."""
    return outcome(
        (*_sources(), *_rest()),
        Verdict.FAILED,
        Publication("withheld", "a test or node failed"),
        variation="daily",
        public_columns={
            "flights": ("carrier", "tailnum"),
            "late_by_hour": ("origin", "day"),
            "planes": ("*",),
        },
    )


@pytest.fixture
def green_outcome() -> Outcome:
    """A run in which all passed and was published."""
    sources = _sources()
    nodes = (sources[0], replace(sources[1], tests=sources[1].tests[:1]))
    return outcome(
        nodes,
        Verdict.PASSED,
        Publication("published", "", 4, ("airlines", "flights")),
        candidate=False,
        finished=START + timedelta(seconds=0.213),
    )


@pytest.fixture
def many_outcome() -> Outcome:
    """A thousand nodes: most reused, some run, forty failing with a test each."""
    nodes = []
    for i in range(1000):
        name = f"model_{i:03}"
        bad = i % 25 == 7
        tests = (judged(name, "unique(id)", TestState.FAILED if bad else TestState.PASSED, reused=not bad),)
        state = State.FAILED if bad else State.PASSED if i % 10 == 0 else State.REUSED
        made = build(name, version(name, i, "id"))
        nodes.append(
            NodeResult(name, "sql", state, START, i / 1000, int(state is not State.REUSED), made, tests)
        )
    return outcome(tuple(nodes), Verdict.FAILED, Publication("withheld", "a test or node failed"))


@pytest.fixture
def golden() -> Callable[[str, str], None]:
    """Compare a report with its file in ``golden/``; REPORT_GOLDEN=write writes the file anew."""

    def check(name: str, text: str) -> None:
        path = Path(__file__).parent / "golden" / name
        if os.environ.get("REPORT_GOLDEN") == "write":
            path.write_text(text, encoding="utf-8", newline="")
        assert path.exists(), f"{path.name} is missing: REPORT_GOLDEN=write pytest tests/report writes it"
        assert text == path.read_bytes().decode("utf-8")

    return check


# --- any outcome, for what must hold of every report ------------------------------------------------

WORDS = (
    "a",
    "late_by_hour",
    "über",
    "日本",
    "x" * 90,
    HOSTILE,
    "",
    "@team",
    "a|b",
    "::error::x",
    "##[group]",
    "  b",
)
LONE = ("\ud800", "a\udc80b")


class Dice:
    """Outcomes at random from a seed: quick to make in hundreds, and the seed tells which one failed."""

    def __init__(self, seed: int, words: tuple[str, ...]) -> None:
        self.random = random.Random(seed)
        self.words = words

    def word(self) -> str:
        if self.random.random() < 0.6:
            return self.random.choice(self.words)
        return "".join(
            chr(self.random.choice((self.random.randrange(1, 0x80), self.random.randrange(0xD7FF))))
            for _ in range(5)
        )

    def maybe(self, make: Callable[[], T]) -> T | None:
        return make() if self.random.random() < 0.6 else None

    def few(self, make: Callable[[], T], most: int = 3) -> tuple[T, ...]:
        return tuple(make() for _ in range(self.random.randint(0, most)))

    def chance(self) -> bool:
        return self.random.random() < 0.5

    def count(self) -> int | None:
        return self.maybe(lambda: self.random.choice((0, 1, 999, 10**12)))

    def place(self) -> Place | None:
        return self.maybe(
            lambda: Place(self.word(), self.random.choice((0, 7, 9999)), self.random.choice((0, 3)))
        )

    def time(self) -> datetime:
        return START + timedelta(
            seconds=self.random.randint(-100, 10**6), microseconds=self.random.randint(0, 999_999)
        )

    def seconds(self) -> float:
        return self.random.choice((0.0, 0.0004, 1.5, 61.0, 1e7, self.random.random()))

    def figures(self) -> dict[str, float]:
        return {
            self.word(): self.random.choice((1.0, -0.25, 1e300, float("inf")))
            for _ in range(self.random.randint(0, 2))
        }

    def texts(self) -> dict[str, str]:
        return {self.word(): self.word() for _ in range(self.random.randint(0, 3))}

    def test(self) -> TestResult:
        word, pick = self.word, self.random.choice
        return TestResult(
            id=word(),
            node=word(),
            dataset=word(),
            phase=pick(("inputs", "outputs", "logic")),
            kind=pick(("rows", "range", "no_rows", "pattern")),
            severity=pick(list(Severity)),
            state=pick(list(TestState)),
            observed=word(),
            expected=word(),
            message=word(),
            cause=word(),
            failing=self.count(),
            tested=self.count(),
            sample=self.few(self.texts),
            metrics=self.figures(),
            reused=self.chance(),
            seconds=self.seconds(),
            place=self.place(),
            reproduce=word(),
        )

    def node(self) -> NodeResult:
        word, pick = self.word, self.random.choice
        kinds = ("error", "timeout", "cancelled", "test", "infrastructure")
        return NodeResult(
            node=word(),
            kind=word(),
            state=pick(list(State)),
            started=self.maybe(self.time),
            seconds=self.seconds(),
            attempts=pick((0, 1, 4)),
            build=self.maybe(lambda: build("n", version(word(), self.count(), word()))),
            tests=self.few(self.test),
            failure=self.maybe(lambda: Failure(pick(kinds), word(), self.place(), word())),
            reasons=self.few(word),
            log=self.maybe(word),
            log_tail=self.few(word),
            metrics=self.figures(),
            links=self.texts(),
            continued=self.chance(),
            place=self.place(),
            owner=word(),
        )

    def outcome(self) -> Outcome:
        word, pick = self.word, self.random.choice
        states = ("published", "unchanged", "withheld", "not_asked")
        return Outcome(
            run=word() or "run",
            project=word(),
            project_id="7c1e2b90",
            recipe=word(),
            variation=self.maybe(word),
            kitchen=Kitchen(
                "7c1e2b90", word(), word(), "k_main_0123456789ab", self.maybe(word), self.maybe(word)
            ),
            subject=Subject(self.maybe(word), word(), self.chance()),
            started=self.time(),
            finished=self.time(),
            verdict=pick(list(Verdict)),
            nodes=self.few(self.node, 4),
            publication=Publication(pick(states), word(), self.count(), self.few(word)),
            candidate=self.chance(),
            signal=pick((None, 2, 15)),
            tools=self.texts(),
            complete=self.chance(),
            public_columns={word(): self.few(lambda: pick((word(), "*")), 2) for _ in range(pick((0, 1, 2)))},
        )


@pytest.fixture(scope="session")
def outcomes() -> st.SearchStrategy[Outcome]:
    """Any outcome, with texts that attack every report."""
    return st.integers(0, 2**32).map(lambda seed: Dice(seed, WORDS + LONE).outcome())


@pytest.fixture(scope="session")
def encodable_outcomes() -> st.SearchStrategy[Outcome]:
    """Any outcome whose texts UTF-8 can hold."""
    return st.integers(0, 2**32).map(lambda seed: Dice(seed, WORDS).outcome())
