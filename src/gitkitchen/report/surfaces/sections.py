"""The parts of the comment and of a check's summary, each within its own budget, narrow enough for a phone.

Lists rather than tables, the important first. All that comes from the document is escaped by ``escape`` or
``name``; what could be long is bounded by number and by bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

from gitkitchen.finding import PolicyFinding
from gitkitchen.frozen import dataclass
from gitkitchen.model import Outcome, State, TestState, Verdict
from gitkitchen.report import facts
from gitkitchen.report.facts import Finding
from gitkitchen.report.markdown import escape, name
from gitkitchen.report.sheet import Sheet, details
from gitkitchen.report.surfaces import words
from gitkitchen.report.surfaces.diagram import affected, diagram
from gitkitchen.report.surfaces.judging import Judgement, absent, findings_about, judge, waived_tests
from gitkitchen.report.surfaces.pull import Change, NotTested, Pull, Waiver
from gitkitchen.report.text import SYMBOLS, WORDS, count

HEAVY = ("stop", "excused", "waived")
"""Weights of failures, told or waived; the others are warnings."""
IN_FULL = 8
"""So many failures are told in full in a comment; the next ones in a line each."""
IN_SHORT = 30
TOGETHER = 6
"""So many things that nobody tested for the same reason stand in one line."""
T = TypeVar("T")
_SEVERITIES = {"failure": "refused", "action": "needs approval", "notice": "noted"}


@dataclass(frozen=True, slots=True)
class Found:
    """A finding of one recipe, and whether a waiver in force excuses it."""

    outcome: Outcome
    finding: Finding
    waived: bool = False


# --- the verdict -----------------------------------------------------------------------------------


def recipes(sheet: Sheet, pull: Pull) -> None:
    """A line a recipe: its verdict first, those that are not green before the others."""
    judged = [(judge(pull, o), o) for o in pull.recipes]
    lines = [_recipe(j, o) for j, o in judged if j.verdict is not Verdict.PASSED]
    lines += [f"⚠️ **{escape(n.recipe, 100)}** did not run: {escape(n.why)}" for n in absent(pull) if n.recipe]
    passed = [(j, o) for j, o in judged if j.verdict is Verdict.PASSED]
    lines += [_recipe(j, o) for j, o in sorted(passed, key=lambda pair: pair[0].green)]
    sheet.bullets("", lines, str, "recipe", most=40)


def _recipe(judged: Judgement, outcome: Outcome) -> str:
    title = escape(facts.recipe(outcome), 100)
    lines = [
        f"{words.icon(judged)} **{title}** {escape(judged.words, 300)}",
        escape(facts.nodes_sentence(outcome)),
        escape(facts.tests_sentence(outcome)),
    ]
    if judged.unsaid:
        lines.insert(1, escape("; ".join(judged.unsaid), 400))
    return "<br>".join(lines)


# --- what failed -----------------------------------------------------------------------------------


def heavy(pull: Pull, only: Outcome | None = None) -> list[Found]:
    """Failures that keep data from consumers, of recipes in turn, so that none hides others; waived last."""
    each = []
    for outcome in pull.recipes:
        if only is None or outcome is only:
            found = [f for f in _found(pull, outcome) if f.finding.weight in HEAVY]
            each.append(sorted(found, key=lambda f: (f.waived, f.finding.weight != "stop")))
    longest = max(map(len, each), default=0)
    return [column[i] for i in range(longest) for column in each if i < len(column)]


def _found(pull: Pull, outcome: Outcome) -> Iterator[Found]:
    waived = waived_tests(pull, outcome)
    for finding in facts.findings(outcome):
        excused = finding.test is not None and finding.test.id in waived
        yield Found(outcome, finding, excused or finding.weight == "waived")


def failures(sheet: Sheet, pull: Pull) -> None:
    """The first failures in full with the command that reproduces each, more in a line, the rest counted."""
    found = heavy(pull)
    shown = 0
    for one in found[:IN_FULL]:
        if not sheet.add(failure(one), room=2500):
            break
        shown += 1
    sheet.bullets("**More failures**", found[shown:], _short, "failure", most=IN_SHORT)


def failure(one: Found) -> str:
    """One failure in full: what was observed and expected, where, and the command."""
    outcome, finding = one.outcome, one.finding
    marks = [", excused"] if finding.weight == "excused" else []
    marks += [", **waived**"] if one.waived and finding.weight != "waived" else []
    marks += [", reused verdict"] if finding.test and finding.test.reused else []
    title = name(finding.title)
    lines = [f"{SYMBOLS[State.FAILED]} **{title}** {finding.word}{''.join(marks)}", ""]
    lines += [f"- {what}: {said}" for what, said in _facts_of(outcome, finding) if said]
    return "\n".join([*lines, "", words.fence(words.command(outcome, finding), "sh")])


def _facts_of(outcome: Outcome, finding: Finding) -> Iterator[tuple[str, str]]:
    test, broken = finding.test, finding.node.failure
    if test is None:
        yield "why", escape(facts.public_message(outcome, broken.message), 500) if broken else ""
        yield "hint", escape(broken.hint, 300) if broken else ""
    else:
        yield "observed", _observed(outcome, finding)
        yield "expected", escape(test.expected, 300)
        yield "failing", escape(facts.measured(test))
        yield "why", escape(facts.public_message(outcome, facts.why(test)), 500)
        yield "cause", escape(test.cause, 300)
        yield "waived", escape(facts.waiver(test), 300)
    yield "at", words.at(finding)


def _observed(outcome: Outcome, finding: Finding) -> str:
    test = finding.test
    observed = facts.public_observed(outcome, test) if test and test.state is not TestState.ERROR else ""
    return f"**{escape(observed, 300)}**" if observed else ""


def _short(one: Found) -> str:
    outcome, finding = one.outcome, one.finding
    said = _observed(outcome, finding)
    if not said and finding.node.failure and not finding.test:
        said = escape(facts.public_message(outcome, finding.node.failure.message), 160)
    where = f" at {words.at(finding)}" if finding.place else ""
    word = f"{finding.word}, waived" if one.waived and finding.weight != "waived" else finding.word
    return f"{name(finding.title)} {word}{': ' if said else ''}{said}{where}"


def warnings(sheet: Sheet, pull: Pull) -> None:
    """What did not keep data from consumers, folded."""
    found = (f for o in pull.recipes for f in _found(pull, o))
    light = [f for f in found if f.finding.weight not in HEAVY]
    _folded(sheet, count(len(light), "warning"), light, _short, "warning", 30)


def next_step(pull: Pull, judged: Judgement) -> str:
    """What to do now, as Markdown: where only an approval is missing, whose; "" where nothing is to do."""
    waits = [f for f in pull.policy if f.blocks]
    only = judged.verdict is Verdict.PASSED and all(f.severity == "action" for f in waits)
    common = [w for w in waits[0].who_may_allow if all(w in f.who_may_allow for f in waits)] if waits else []
    if only and common and not any(n.blocks for n in pull.not_tested):
        who = ", ".join(map(name, common[:4]))
        more = f" and {len(common) - 4:,} more" if len(common) > 4 else ""
        one_of = "one of " if len(common) > 1 else ""
        return f"The tests passed. What is left is an approving review of this commit by {one_of}{who}{more}."
    return escape(words.next_step(judged))


# --- policy, waivers, what is not tested ---------------------------------------------------------------


def policy(sheet: Sheet, pull: Pull, only: Outcome | None = None) -> None:
    """What the target's policy says, what refuses or asks for approval first."""
    found = list(pull.policy) if only is None else findings_about(pull, only)
    found.sort(key=lambda f: (not f.blocks, tuple(_SEVERITIES).index(f.severity)))
    sheet.bullets("", found, _policy, "policy finding", most=40)


def _policy(finding: PolicyFinding) -> str:
    where = f" at {name(str(finding.place))}" if finding.place else ""
    who = [name(w) for w in finding.who_may_allow[:8]]
    more = f" and {len(finding.who_may_allow) - 8:,} more" if len(finding.who_may_allow) > 8 else ""
    allow = f"<br>may be allowed by {', '.join(who)}{more}" if who and finding.blocks else ""
    word = f"**{_SEVERITIES[finding.severity]}**"
    if finding.allowed_by:
        by = name(finding.allowed_by)
        word, allow = (word, f"<br>allowed by {by}") if finding.blocks else (f"**allowed** by {by}", "")
    return f"{word}: {escape(finding.message, 500)}{where}{allow}"


def waivers(sheet: Sheet, pull: Pull, only: Outcome | None = None) -> None:
    """Who answers for which failure, and until when; those in force here first, then the expired."""
    found = [w for w in pull.waivers if only is None or w.recipe == only.recipe]
    found.sort(key=lambda w: ("used", "expired", "unused").index(w.standing))
    sheet.bullets("", found, _waiver, "waiver", most=30)


def _waiver(waiver: Waiver) -> str:
    about = name(f"{waiver.recipe}/{waiver.node}" if waiver.node else waiver.recipe)
    standing = {"used": "", "expired": " **expired, and excuses nothing**", "unused": " not needed here"}
    tests = f" ({count(len(waiver.tests), 'test')})" if waiver.tests else ""
    where = f", {name(str(waiver.place))}" if waiver.place else ""
    return (
        f"{name(waiver.rule)} of {about}{tests} until {escape(waiver.expires, 40)}, "
        f"by {name(waiver.approver)}{standing[waiver.standing]}{where}<br>{escape(waiver.reason, 300)}"
    )


def not_tested(sheet: Sheet, pull: Pull, only: Outcome | None = None) -> None:
    """What nobody looked at: first what should have run."""
    found = [n for n in pull.not_tested if only is None or n.recipe in ("", only.recipe)]
    found.sort(key=lambda n: not n.blocks)
    several = len(pull.recipes) > 1 and only is None

    alike: dict[tuple[bool, str], list[NotTested]] = {}
    for one in found:
        alike.setdefault((one.blocks, one.why), []).append(one)
    groups = [each[i : i + TOGETHER] for each in alike.values() for i in range(0, len(each), TOGETHER)]

    def show(group: list[NotTested]) -> str:
        each = (name(f"{n.recipe} / {n.what}" if several and n.recipe else n.what) for n in group)
        first = "**could not run**: " if group[0].blocks else ""
        return f"{first}{', '.join(each)}: {escape(group[0].why, 160)}"

    before = dict(sheet.missing)
    sheet.bullets("", groups, show, "untested thing", most=20)
    if hidden := sheet.missing.get("untested thing", 0) - before.get("untested thing", 0):
        sheet.miss("untested thing", sum(map(len, groups[-hidden:])) - hidden)


def _reused(pull: Pull) -> str:
    """How much was taken from what is known; "" where nothing was."""
    nodes = [n for o in pull.recipes for n in o.nodes]
    tests = [t for o in pull.recipes for t in o.tests]
    again = sum(n.state is State.REUSED for n in nodes)
    verdicts = sum(t.reused for t in tests)
    if not again and not verdicts:
        return ""
    of_nodes = f"{again:,} of {count(len(nodes), 'node')}"
    of_tests = f"{verdicts:,} of {count(len(tests), 'verdict')}"
    return f"reused, of identical content: {of_nodes}, {of_tests}"


# --- what changed in the recipes -------------------------------------------------------------------


def changed(sheet: Sheet, pull: Pull) -> None:
    """The changes as a list, and the affected part as a diagram, or as a table where that is too large."""
    if not pull.changes and not affected(pull):
        return
    several = len({c.recipe for c in pull.changes}) > 1
    sheet.bullets("", pull.changes, lambda c: _change(c, several), "change", most=15)
    picture = diagram(pull)
    if picture is not None:
        sheet.add(words.fence(picture, "mermaid"))
        return
    nodes = affected(pull)
    rows = [
        (SYMBOLS[node.state] if node else "", name(key[1]), WORDS[node.state] if node else "removed")
        for key, node in nodes.items()
    ]
    sheet.table("", ("", "Node", "State"), rows[:60], "affected node")
    sheet.miss("affected node", max(0, len(rows) - 60))


def _change(change: Change, several: bool) -> str:
    if change.node:
        about = name(f"{change.recipe} / {change.node}" if several else change.node)
    else:
        about = f"recipe {name(change.recipe)}" if change.recipe else "the project"
    lines = {part: _line_of(part, change) for part in change.parts[:6]}
    parts = [name(f"{part}:{line}" if line else part) for part, line in lines.items()]
    more = f" and {len(change.parts) - 6:,} more" if len(change.parts) > 6 else ""
    what = f": {', '.join(parts)}{more}" if parts else ""
    told = bool(lines) and all(lines.values())  # each with its own line: the node's says nothing more
    where = f" at {name(str(change.place))}" if change.place and not told else ""
    return f"{about} **{change.kind}**{what}{where}"


def _line_of(part: str, change: Change) -> int:
    """The first changed line of the file that a part of a change is; 0 where it is a key, or gone."""
    found = (f for f in change.files if f.file == part or f.file.endswith(f"/{part}"))
    return next((f.line or 0 for f in found), 0)


# --- time, and again here ----------------------------------------------------------------------------


def time(sheet: Sheet, pull: Pull) -> None:
    """How long each recipe took, beside its last run on the base."""
    items = [
        f"{escape(facts.recipe(o), 100)}: "
        f"{words.seconds_against(facts.seconds_of(o), pull.timing.base.get(o.recipe))}"
        for o in pull.recipes
    ]
    if pull.timing.seconds is not None:
        items.append(f"the whole job: {words.seconds_against(pull.timing.seconds, None)}")
    sheet.bullets("", [*items[:15], *filter(None, [_reused(pull)])], str, "recipe's time")
    sheet.miss("recipe's time", max(0, len(items) - 15))


def again_here(sheet: Sheet, pull: Pull) -> None:
    """How to have the pull request's files here, so that the commands above can be copied."""
    if heavy(pull):
        run = words.command(pull.recipes[0]) if len(pull.recipes) == 1 else "gitkitchen run"
        lines = "\n".join(filter(None, (words.checkout(pull), words.change_to(pull.folder), run)))
        sheet.add(details("Reproduce it on your machine", words.fence(lines, "sh")))


def origin(pull: Pull, run_url: str = "") -> str:
    """Which commits, which tree, which run of the workflow: the last line."""
    parts = [f"head {pull.head[:10]}", f"base {pull.base[:10]}", f"tree {pull.tree[:10]}"]
    tools = {t: v for o in pull.recipes for t, v in list(o.tools.items())[:5]}
    parts += [f"{t} {v}" for t, v in list(tools.items())[:5]]
    # Numbers are ours, and GitHub makes links of them.
    queue = f"queue of {', '.join(f'#{number}' for number in pull.queued)} · " if pull.queued else ""
    return f"<sub>{queue}{escape(' · '.join(parts), 400)} · {words.run_link(pull, run_url)}</sub>"


def _folded(
    sheet: Sheet, title: str, items: Sequence[T], show: Callable[[T], str], what: str, most: int
) -> None:
    if not items:
        return
    inner = Sheet(min(sheet.limit - sheet.used - sheet.room - 200, 6_000), room=0)
    inner.bullets("", items, show, what, most)
    if inner.blocks and sheet.add(details(title, "\n\n".join(inner.blocks))):
        for word, amount in inner.missing.items():
            sheet.miss(word, amount)
    else:
        sheet.miss(what, len(items))
