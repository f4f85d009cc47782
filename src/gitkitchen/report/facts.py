"""What every report says of an outcome: findings in order of weight, counts, sentences, next commands.

Pure functions of ``Outcome``. Nothing here is made safe for a place where it is shown: that is the duty
of the report that shows it.
"""

from __future__ import annotations

import re
import shlex
from collections import Counter
from collections.abc import Iterator, Mapping

from gitkitchen.errors import Place
from gitkitchen.frozen import dataclass
from gitkitchen.model import (
    GOOD_STATES,
    NodeResult,
    Outcome,
    Severity,
    State,
    TestResult,
    TestState,
    Verdict,
    Version,
)
from gitkitchen.report.text import VERDICTS, WORDS, count, names, share

HIDDEN = "hidden"
"""Shown in place of a value that may not leave for the surface in question."""

_RANK = {"stop": 0, "excused": 1, "waived": 2, "warn": 3, "log": 4}
_OWN_FAILURES = frozenset({State.FAILED, State.ERROR, State.TIMED_OUT})
_BAD_TESTS = frozenset({TestState.FAILED, TestState.ERROR})
_FOREIGN = ("pytest", "results", "dbt")
"""Kinds of tests that other tools judged, in their own words."""
_BY_HAND = ("no_rows", "value", *_FOREIGN)
"""Kinds of tests whose rows come from a query or code of the user's, under any column name."""


COMPARED = ("expect", "effect")
"""Kinds of tests that compare a dataset with what its base published."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that a reader should look at: a node that failed, or a test that did.

    ``weight`` is ``stop`` (keeps data from consumers), ``excused`` (under continue-on-error), ``waived``
    (would stop, but for a waiver), ``warn`` or ``log``. ``test`` is None where the node itself failed.
    """

    weight: str
    node: NodeResult
    test: TestResult | None = None

    @property
    def title(self) -> str:
        return f"{self.node.node}: {test_name(self.test)}" if self.test else self.node.node

    @property
    def word(self) -> str:
        """``failed``, ``error``, ``timed out``, ``warning``, ``not evaluated`` or ``noted``."""
        if self.test is None:
            return WORDS[self.node.state]
        if self.test.state is TestState.ERROR:
            return "not evaluated"
        return {"waived": "waived", "warn": "warning", "log": "noted"}.get(self.weight, "failed")

    @property
    def place(self) -> Place | None:
        if self.test is not None:
            return self.test.place or self.node.place
        return (self.node.failure.place if self.node.failure else None) or self.node.place


def test_name(test: TestResult) -> str:
    """The test's id without its node; ``outputs`` goes without saying, other phases are named."""
    name = test.id.removeprefix(f"{test.node}/").removeprefix("outputs/")
    phase = f"{test.phase}/"
    return f"{test.phase} {name.removeprefix(phase)}" if name.startswith(phase) else name


def findings(outcome: Outcome) -> tuple[Finding, ...]:
    """All findings, the heaviest first, each weight in the order of the plan."""
    found = [f for node in outcome.nodes for f in _of_node(node)]
    return tuple(sorted(found, key=lambda f: _RANK[f.weight]))


def _of_node(node: NodeResult) -> Iterator[Finding]:
    heavy = "excused" if node.continued else "stop"
    tests = [t for t in node.tests if t.state in _BAD_TESTS]
    explained = node.state is State.FAILED and any(t.stops for t in tests)
    if node.state in _OWN_FAILURES and not explained:
        yield Finding(heavy, node)
    for test in tests:
        weight = "waived" if test.waived else heavy if test.severity is Severity.STOP else test.severity.value
        yield Finding(weight, node, test)


def node_counts(outcome: Outcome) -> dict[State, int]:
    """How many nodes ended in each state that occurs, in the order of ``State``."""
    seen = Counter(n.state for n in outcome.nodes)
    return {s: seen[s] for s in State if seen[s]}


def test_counts(outcome: Outcome) -> dict[str, int]:
    """How many tests failed, were not evaluated, are waived, warned, are noted, passed, were skipped, are
    reused.

    ``reused`` counts verdicts taken from identical content; they are counted in their own state as well.
    """
    words = {"stop": "failed", "warn": "warnings", "log": "noted"}
    states = {TestState.PASSED: "passed", TestState.ERROR: "not evaluated", TestState.SKIPPED: "skipped"}
    seen = Counter(
        states.get(t.state) or ("waived" if t.waived else words[t.severity.value]) for t in outcome.tests
    )
    seen["reused"] = sum(t.reused for t in outcome.tests)
    order = ("failed", "not evaluated", "waived", "warnings", "noted", "passed", "skipped", "reused")
    return {word: seen[word] for word in order if seen[word]}


def nodes_sentence(outcome: Outcome) -> str:
    """``9 nodes: 6 passed, 1 failed, 2 blocked``."""
    words = WORDS | {State.ERROR: "errors"}
    parts = ", ".join(f"{n:,} {(words if n > 1 else WORDS)[s]}" for s, n in node_counts(outcome).items())
    return f"{count(len(outcome.nodes), 'node')}: {parts}" if parts else "no nodes"


def tests_sentence(outcome: Outcome) -> str:
    """``24 tests: 1 failed, 2 warnings, 21 passed (20 reused)``."""
    counts = test_counts(outcome)
    reused = counts.pop("reused", 0)
    if not counts:
        return "no tests"
    parts = [f"{n:,} {'warning' if w == 'warnings' and n == 1 else w}" for w, n in counts.items()]
    tail = f" ({reused:,} reused)" if reused else ""
    return f"{count(len(outcome.tests), 'test')}: {', '.join(parts)}{tail}"


def versions(outcome: Outcome) -> dict[str, Version]:
    """Every dataset that a good node of this run made or reused."""
    return {
        name: version
        for node in outcome.nodes
        if node.state in GOOD_STATES and node.build is not None
        for name, version in node.build.versions.items()
    }


def untested(outcome: Outcome) -> tuple[str, ...]:
    """Datasets that this run vouches for without one evaluated test, sorted."""
    tested = {t.dataset for t in outcome.tests if t.state in (TestState.PASSED, TestState.FAILED)}
    return tuple(sorted(set(versions(outcome)) - tested))


def uncompared(outcome: Outcome) -> tuple[str, ...]:
    """Datasets of which an expectation found nothing to compare with, sorted: no evidence, and no failure."""
    skipped = {t.dataset for t in outcome.tests if t.state is TestState.SKIPPED and t.kind in COMPARED}
    return tuple(sorted(skipped))


def rows_of(node: NodeResult) -> int | None:
    """The rows of all tables of a node together; None where nothing has rows."""
    rows = [v.rows for v in node.build.versions.values() if v.rows is not None] if node.build else []
    return sum(rows) if rows else None


def seconds_of(outcome: Outcome) -> float:
    """How long the run took on the clock."""
    return max(0.0, (outcome.finished - outcome.started).total_seconds())


def measured(test: TestResult) -> str:
    """How many rows failed, where the test counts rows and ``observed`` does not say it already."""
    if test.failing is None or test.tested is None or not test.tested:
        return ""
    return share(test.failing, test.tested) if f"{test.failing:,}" not in test.observed else ""


# --- sentences -------------------------------------------------------------------------------


def headline(outcome: Outcome) -> str:
    """The verdict with what decided it: ``failed: late_by_hour``."""
    decisive = list(dict.fromkeys(f.node.node for f in findings(outcome) if f.weight == "stop"))
    word = VERDICTS[outcome.verdict]
    return f"{word}: {names(decisive, 3)}" if decisive and outcome.verdict is not Verdict.PASSED else word


def published(outcome: Outcome) -> str:
    """What consumers read after this run, in one or two sentences."""
    result = outcome.publication
    where = outcome.kitchen.label
    if result.state == "published":
        what = count(len(result.datasets), "dataset")
        shown = f": {names(result.datasets, 8)}" if result.datasets else ""
        rest = f" ({result.reason})" if result.reason else ""
        return f"Published {what} to {where}{_numbered(result.sequence)}{shown}{rest}."
    if result.state == "unchanged":
        return f"Nothing to publish to {where}: {result.reason or 'consumers already have these versions'}."
    reason = f": {result.reason}" if result.reason else ""
    if result.state == "not_asked":
        return f"Not published to {where}{reason}."
    return f"Not published to {where}{reason}. Consumers still read what they read before."


def _numbered(sequence: int | None) -> str:
    return f" (publication {sequence:,})" if sequence is not None else ""


def subject(outcome: Outcome) -> str:
    """The commit or tree that ran, short: ``a1b2c3d`` or ``a1b2c3d with uncommitted changes``."""
    name = (outcome.subject.commit or outcome.subject.tree)[:7]
    return f"{name} with uncommitted changes" if outcome.subject.dirty else name


def kitchen(outcome: Outcome) -> str:
    """``prod (branch main)`` or ``sandbox feature/x, based on prod``."""
    here = outcome.kitchen
    if here.environment:
        return f"{here.environment} (branch {here.branch})"
    return f"sandbox {here.branch}" + (f", based on {here.base}" if here.base else "")


def recipe(outcome: Outcome) -> str:
    return f"{outcome.recipe} ({outcome.variation})" if outcome.variation else outcome.recipe


# --- commands ----------------------------------------------------------------------------------


def run_command(outcome: Outcome, *more: str) -> str:
    """The command line that runs this recipe again."""
    words = ["gitkitchen", "run", outcome.recipe]
    if outcome.variation:
        words += ["--variation", outcome.variation]
    return shlex.join([*words, *more])


def reproduce(outcome: Outcome, finding: Finding) -> str:
    """The command that shows the failing rows, or runs the failing node again: one line to copy."""
    test = finding.test
    if test is not None and test.kind in COMPARED:
        return shlex.join(["gitkitchen", "diff", outcome.run, "--data", "--dataset", test.dataset])
    if test is not None and test.reproduce and "--" not in test.reproduce:  # a comment would swallow the rest
        sql = re.sub(r"\s*\n\s*", " ", test.reproduce.strip())
        return shlex.join(["gitkitchen", "query", "--candidate", outcome.run, sql])
    return run_command(outcome, "--select", finding.node.node)


def why(test: TestResult) -> str:
    """What a test says beyond observed and expected: why it could not be evaluated, or its own words."""
    return test.message if test.state is TestState.ERROR or test.observed not in test.message else ""


def waiver(test: TestResult) -> str:
    """Why a failed test does not stop: ``until 2026-12-31 by @ana: it is late (waivers/feed.yml:4)``."""
    if test.waived is None:
        return ""
    at = f" ({test.waived.place})" if test.waived.place else ""
    return f"until {test.waived.expires} by {test.waived.approver}: {test.waived.reason}{at}"


def next_step(outcome: Outcome) -> str:
    """What to do now, with the command; "" where nothing is left to do."""
    again = run_command(outcome)
    if outcome.verdict is Verdict.CANCELLED:
        resume = f"gitkitchen run --resume {shlex.quote(outcome.run)}"
        return f"{resume} ends this run; what is finished is not done again"
    if outcome.verdict is Verdict.INFRASTRUCTURE:
        return f"{again}, when what failed around it is mended; what is finished is not done again"
    if outcome.verdict is Verdict.NOTHING_TESTED:
        return f"add tests to the recipe, then {again}"
    if outcome.verdict is Verdict.FAILED:
        return f"mend this, then {again}; only what changed runs again"
    if outcome.publication.state == "withheld":
        if outcome.subject.dirty:
            return f"commit your changes, then {again}"
        return again if outcome.kitchen.is_sandbox else ""  # an environment waits for its own job
    return ""


# --- what may leave ------------------------------------------------------------------------------


def is_open(outcome: Outcome) -> bool:
    """Whether every dataset of the run is declared public as a whole."""
    columns = outcome.public_columns.values()
    return bool(columns) and all("*" in c for c in columns)


def public_sample(outcome: Outcome, test: TestResult) -> tuple[Mapping[str, str], ...]:
    """The failing rows as GitHub surfaces may show them: other than public columns read ``hidden``.

    A query written by hand can give any value any column's name, so its rows show only where all
    datasets of the run are public.
    """
    allowed = outcome.public_columns.get(test.dataset, ())
    if "*" in allowed and (is_open(outcome) or test.kind not in _BY_HAND):
        return test.sample
    if test.kind in _BY_HAND:
        allowed = ()
    return tuple({c: v if c in allowed else HIDDEN for c, v in row.items()} for row in test.sample)


def left_out(test: TestResult, shown: int) -> str:
    """``and 2,502 more``: the failing rows that the first ``shown`` lines of a sample leave out, or nothing.

    A line of repeated or missing values stands for as many rows as its last cell says, ``rows``.
    """
    lines = test.sample[:shown]
    last = tuple(lines[0])[-1] if lines and lines[0] else ""
    counts = [line.get(last, "") for line in lines]
    grouped = (
        test.kind not in _BY_HAND
        and last == "rows"
        and not re.search(r"\brows\b", test.id.partition("(")[2])  # a column of that name
        and all(c.isascii() and c.isdigit() for c in counts)
    )
    told = sum(int(c) for c in counts) if grouped else shown
    more = max(test.failing or 0, len(test.sample)) - told
    return f"and {more:,} more{' rows' * grouped}" if more > 0 else ""


def public_observed(outcome: Outcome, test: TestResult) -> str:
    """What a test observed, as GitHub surfaces may show it.

    Tests of rows observe counts, which are always shown. What a query of the user's returned is shown as
    far as it is a figure; other values, and what a test of pytest says of them, only where all is public.
    """
    if test.state is TestState.ERROR or test.kind not in (*_BY_HAND, "equal", "close") or is_open(outcome):
        return test.observed
    if test.kind in (*_FOREIGN, "no_rows"):
        return _masked(test.observed)
    return test.observed if test.metrics else HIDDEN


def public_message(outcome: Outcome, text: str) -> str:
    """An error's first line with quoted values masked, unless all datasets of the run are public.

    Engines quote the value that they could not read: ``Could not convert string 'Jane' to INT32``. What is
    quoted and is the name of a node of the run stays, for our own messages name nodes so.
    """
    if is_open(outcome):
        return text
    names = (n.node for n in outcome.nodes) if "'" in text else ()
    return _masked(text, frozenset(names))


def _masked(text: str, known: frozenset[str] = frozenset()) -> str:
    text = text.strip().partition("\n")[0]
    text = re.sub(r"'([^']*)'", lambda quoted: quoted[0] if quoted[1] in known else f"'{HIDDEN}'", text)
    return re.sub(r"\b(string|value|key) \"[^\"]*\"", rf'\1 "{HIDDEN}"', text, flags=re.IGNORECASE)
