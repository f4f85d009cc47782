"""What every gate says in every state: state, reason, who or what changes it, when, and the command."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest

from gitkitchen.cli.arguments import parser
from gitkitchen.cli.main import LATER
from gitkitchen.finding import PolicyFinding
from gitkitchen.kitchen.gates import window
from gitkitchen.model import Approvals, Contract, Freeze, Gate, GateCommand, Soak
from gitkitchen.promote.gates import TABLE, Facts, judge
from gitkitchen.promote.gates.facts import Break, CommandRun, Commit, Hotfix, Unread, Wanted
from gitkitchen.promote.shapes import GateResult, Hold, Intent, Standing
from gitkitchen.report.gates import as_markdown, as_text, plain
from road_facts import NOW, OTHER, TREE, evidence, facts, review, run, source

NO = Unread("could not read it: GitHub answers 403", "pull-requests: read")
PLAIN = Gate()
ASKED = Gate(approvals=Approvals(2, teams=("acme/data",), users=("ben",), codeowners=True))
SOAK = Gate(soak=Soak(24, 3))
HEALTHY = Gate(previous="healthy")
KEPT = Gate(contract=Contract(by=("@acme/readers",)))
LINT = Gate(commands=(GateCommand("lint", ("python", "tools/lint.py", "two words")),))
HOURS = Gate(allow=(window("Mon-Thu 08:00-16:00 Europe/London"),))
OVER = Gate(allow=(window("Mon-Thu 08:00-16:00 Europe/London", date(2026, 11, 19)),))
FROZEN = Gate(freeze=(Freeze("stocktaking", NOW - timedelta(days=1), NOW + timedelta(days=2)),))
FRIDAY = datetime(2026, 11, 20, 12, tzinfo=UTC)
HOLD = Hold("prod", "h1", "ann", NOW - timedelta(hours=1), "wrong totals since the last landing")
FIX = Hotfix("f" * 40, contained=False, at=NOW, reason="wrong sign", pull=12)
GONE = Break("late", "column worst is removed", file="recipes/delays/recipe.yml")
BOTH = (review("ann"), review("ben", minute=1))
MINE = {"recipes/delays/late.sql": ("@ann",)}
SOFT = PolicyFinding(
    "gate-changed", "action", "environment 'prod' changed: gate", "kitchen.yml", 6, ("@ann",)
)
HARD = PolicyFinding(
    "required-test", "failure", "required test 'delays/late/unique': it failed", "kitchen.yml", 12
)

Case = tuple[str, str, Gate, Facts, datetime]
CASES: list[Case] = [
    ("required", "passed", PLAIN, facts(), NOW),
    (
        "required",
        "pending",
        PLAIN,
        facts(evidence=(), wanted=(Wanted("delays"), Wanted("sales", "daily"))),
        NOW,
    ),
    ("required", "failed", PLAIN, facts(evidence=(evidence(verdict="failed"),)), NOW),
    ("required", "failed", PLAIN, facts(evidence=(evidence(), evidence(verdict="failed"))), NOW),
    ("required", "failed", PLAIN, facts(wanted=()), NOW),
    ("required", "unknown", PLAIN, facts(evidence=(evidence(verdict="could_not_check"),)), NOW),
    ("required", "unknown", PLAIN, facts(evidence=NO), NOW),
    ("required:policy", "pending", PLAIN, facts(findings=(SOFT,)), NOW),
    ("required:policy", "failed", PLAIN, facts(findings=(HARD,)), NOW),
    ("required:policy", "failed", PLAIN, facts(findings=(replace(SOFT, who_may_allow=()),)), NOW),
    ("required:policy", "unknown", PLAIN, facts(findings=NO), NOW),
    ("hold", "passed", PLAIN, facts(), NOW),
    ("hold", "failed", PLAIN, facts(holds=(HOLD,)), NOW),
    ("hold", "unknown", PLAIN, facts(holds=NO), NOW),
    ("hotfix", "passed", PLAIN, facts(), NOW),
    ("hotfix", "pending", PLAIN, facts(hotfixes=(FIX,)), NOW),
    ("hotfix", "pending", PLAIN, facts(hotfixes=(replace(FIX, pull=0),)), NOW),
    ("hotfix", "unknown", PLAIN, facts(hotfixes=NO), NOW),
    ("previous", "passed", PLAIN, facts(), NOW),
    ("previous", "passed", HEALTHY, facts(), NOW),
    ("previous", "pending", PLAIN, facts(previous=source(stood=(), tree=OTHER)), NOW),
    ("previous", "pending", HEALTHY, facts(previous=source(runs=())), NOW),
    (
        "previous",
        "failed",
        HEALTHY,
        facts(previous=source(trouble=("torn (i1): half of it was published",))),
        NOW,
    ),
    ("previous", "failed", HEALTHY, facts(previous=source(runs=(run(verdict="failed"),))), NOW),
    ("previous", "unknown", HEALTHY, facts(previous=source(runs=(run(verdict="could_not_check"),))), NOW),
    ("previous", "unknown", PLAIN, facts(previous=NO), NOW),
    ("soak:hours", "passed", SOAK, facts(), NOW),
    ("soak:hours", "pending", SOAK, facts(previous=source(stood=((NOW - timedelta(hours=20), None),))), NOW),
    ("soak:hours", "pending", SOAK, facts(previous=source(stood=((NOW - timedelta(hours=9), NOW),))), NOW),
    ("soak:hours", "unknown", SOAK, facts(previous=NO), NOW),
    (
        "soak:green_runs",
        "passed",
        SOAK,
        facts(previous=source(runs=tuple(run(minute=m) for m in range(3)))),
        NOW,
    ),
    (
        "soak:green_runs",
        "pending",
        SOAK,
        facts(previous=source(runs=(run(verdict="failed"), run(minute=1)))),
        NOW,
    ),
    ("soak:green_runs", "pending", SOAK, facts(previous=source(scheduled=())), NOW),
    ("soak:green_runs", "unknown", SOAK, facts(previous=NO), NOW),
    ("approvals", "passed", ASKED, facts(reviews=BOTH), NOW),
    ("approvals", "pending", ASKED, facts(reviews=(review("ann"), review("dev"))), NOW),
    ("approvals", "pending", ASKED, facts(pull=0), NOW),
    ("approvals", "pending", ASKED, facts(reviews=(review("ann", tree=OTHER),)), NOW),
    (
        "approvals",
        "pending",
        ASKED,
        facts(reviews=BOTH, commits=(Commit("d", "", "", ("x@y.example",)),)),
        NOW,
    ),
    ("approvals", "failed", ASKED, facts(reviews=(*BOTH, review("cat", "CHANGES_REQUESTED", 2))), NOW),
    ("approvals", "unknown", ASKED, facts(reviews=NO), NOW),
    ("approvals", "unknown", ASKED, facts(reviews=BOTH, teams={}), NOW),
    ("approvals:codeowners", "passed", ASKED, facts(reviews=BOTH, owners=MINE), NOW),
    ("approvals:codeowners", "pending", ASKED, facts(owners=MINE), NOW),
    ("approvals:codeowners", "unknown", ASKED, facts(owners=NO), NOW),
    ("contract", "passed", KEPT, facts(), NOW),
    (
        "contract",
        "passed",
        KEPT,
        facts(breaks=(GONE,), reviews=BOTH, teams={"acme/readers": frozenset({"ben"})}),
        NOW,
    ),
    ("contract", "pending", KEPT, facts(breaks=(GONE,), teams={"acme/readers": frozenset()}), NOW),
    ("contract", "failed", Gate(contract=Contract()), facts(breaks=(GONE,)), NOW),
    ("contract", "unknown", KEPT, facts(breaks=NO), NOW),
    ("command:lint", "passed", LINT, facts(commands=(CommandRun("lint", TREE, 0),)), NOW),
    ("command:lint", "pending", LINT, facts(), NOW),
    ("command:lint", "failed", LINT, facts(commands=(CommandRun("lint", TREE, 1, "a.sql: 3 tabs"),)), NOW),
    (
        "command:lint",
        "unknown",
        LINT,
        facts(commands=(CommandRun("lint", TREE, None, "it took longer than 300 s"),)),
        NOW,
    ),
    ("allow", "passed", HOURS, facts(), NOW),
    ("allow", "pending", HOURS, facts(), FRIDAY),
    ("allow", "failed", OVER, facts(), FRIDAY),
    ("freeze", "passed", FROZEN, facts(), NOW + timedelta(days=3)),
    ("freeze", "pending", FROZEN, facts(), NOW),
]


def of(case: Case) -> GateResult:
    name, state, gate, known, at = case
    (result,) = [r for r in judge(gate, known, at, Intent.FORWARD) if r.gate == name]
    assert result.standing.value == state, result
    return result


def test_every_explanation_reads_as_its_file(golden: Callable[[str, str], None]) -> None:
    """Each gate in each state that it can be in, in text: the file was read by a person."""
    golden("gates.txt", "\n\n".join(as_text([of(case)]) for case in CASES) + "\n")


def test_the_markdown_reads_as_its_file(golden: Callable[[str, str], None]) -> None:
    """The same for a pull request, what waits before what has passed."""
    golden("gates.md", as_markdown([of(case) for case in CASES]) + "\n")


@pytest.mark.parametrize("number", range(len(CASES)))
def test_what_has_not_passed_says_who_and_how(number: int) -> None:
    """Each names its state, the reason, who or what changes it, and a command; what has passed only why."""
    result = of(CASES[number])
    open_ = result.standing is not Standing.PASSED
    assert result.reason
    assert bool(result.change) is open_
    assert bool(result.command) is open_
    text = as_text([result])
    assert all(
        part in text
        for part in (result.gate, result.standing.value, result.reason, result.change, result.command)
    )
    assert plain([result])[0]["reason"] == result.reason


def test_commands_that_are_told_can_be_typed() -> None:
    """Each command of ours is one that this version has, with arguments that it takes."""
    told = {of(case).command for case in CASES}
    ours = sorted(c for c in told if c.startswith("gitkitchen ") and c.split()[1] not in LATER)
    assert len(ours) > 8
    for command in ours:
        assert parser().parse_args(command.split()[1:]).command == command.split()[1]


def test_every_gate_of_the_table_is_explained() -> None:
    """A gate that is added to the table has its explanations here, passed and not passed."""
    told = {(name.partition(":")[0], state == "passed") for name, state, *_ in CASES}
    assert told == {(kind.name, passed) for kind in TABLE for passed in (True, False)}


def test_words_of_strangers_stay_words() -> None:
    """A reason or a command from a review, a hold or a file is no markup, no mention, no line of its own."""
    hostile = "</details> @everyone [x](http://e.example) `a`\n::error::x ##[group]y | \x1b[31m"
    result = GateResult("hold", Standing.FAILED, hostile, hostile, hostile)
    text, markdown = as_text([result]), as_markdown([result])
    assert "\x1b" not in text + markdown
    assert len(text.splitlines()) == 3
    assert len(markdown.splitlines()) == 1
    before_code = markdown.partition(". `")[0]
    for bad in ("</details>", "@everyone [x]", "::error", "##[group]"):
        assert bad not in before_code
    assert "\n::error" not in text
