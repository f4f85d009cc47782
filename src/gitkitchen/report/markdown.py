"""The summary in Markdown for a job's page, a comment or a check: escaped, and within a budget of bytes.

It is put together of blocks, each valid Markdown by itself, the most important first. A block that does
not fit is left out whole (a table by rows), and the last line counts what is missing. Values of columns
that are not public read ``hidden``; logs stay out.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from gitkitchen.model import NodeResult, Outcome, State, TestState, Verdict
from gitkitchen.report import facts, text
from gitkitchen.report.facts import HIDDEN, Finding
from gitkitchen.report.sheet import Sheet, counted, row, size
from gitkitchen.report.text import SYMBOLS, WORDS, clip, one_line

SUMMARY_BYTES = 1_000_000
"""Below the 1 MiB of a step's summary (https://docs.github.com/actions, "job summaries")."""

NAME_LENGTH = 120
TEXT_LENGTH = 600
CELL_LENGTH = 80
SAMPLE_ROWS = 5
SAMPLE_COLUMNS = 8
MORE_ROOM = 1200
"""Kept free of failures told in full, so that those which do not fit are at least named."""

_ICONS = {
    Verdict.PASSED: "✅",
    Verdict.FAILED: "❌",
    Verdict.INFRASTRUCTURE: "⚠️",
    Verdict.NOTHING_TESTED: "⚠️",
    Verdict.CANCELLED: "⏹️",
}
_STATE_ORDER = (
    State.FAILED,
    State.ERROR,
    State.TIMED_OUT,
    State.CANCELLED,
    State.BLOCKED,
    State.PASSED,
    State.SKIPPED,
    State.REUSED,
)

_BREAK = "&#8203;"  # a zero-width space: what follows no longer continues what stands before
_SPECIAL = re.compile(r"[\\`*_{}\[\]<>&|~$@#]|::|(?<=:)//|(?i:\bwww(?=\.)|\bGH(?=-\d)|\bGHSA(?=-))")

_BEGINNING = re.compile(r"^(\d{0,9})([-+=.)])(?=[-+=\s]|$)")
"""What begins a list or a rule where a block begins, as an item of our own lists does."""


def escape(value: str, longest: int = TEXT_LENGTH) -> str:
    """Any text as one line of Markdown that means itself: no markup, mention, link, image, command."""
    escaped = _SPECIAL.sub(_harmless, clip(one_line(value), longest))
    return _BEGINNING.sub(r"\1\\\2", escaped)


def _harmless(match: re.Match[str]) -> str:
    found = match[0]
    if found == "_":
        return "_" if _inside_word(match) else "\\_"
    if found in "@#":
        return found + _BREAK
    if found in "<>&|$":
        return f"&#{ord(found)};"
    if found == "::":
        return f":{_BREAK}:"
    if found == "//":
        return f"{_BREAK}//"
    return found + _BREAK if found.isalpha() else f"\\{found}"


def _inside_word(match: re.Match[str]) -> bool:
    """GitHub's Markdown leaves an underscore between letters alone, and so names stay legible."""
    whole, at = match.string, match.start()
    return 0 < at < len(whole) - 1 and whole[at - 1].isalnum() and whole[at + 1].isalnum()


def name(value: str) -> str:
    """A name set as code; escaped as all else, for a code span has no escapes of its own."""
    return f"<code>{escape(value, NAME_LENGTH)}</code>" if value else ""


# --- the summary -------------------------------------------------------------------------------


def summary(outcome: Outcome, limit_bytes: int = SUMMARY_BYTES, *, below: bool = False) -> str:
    """The outcome in Markdown, at most ``limit_bytes`` of UTF-8, "" where not even the verdict fits.

    With 2 kB or more it always holds verdict, counts and what was published. ``below``: the verdict has been
    told above, by one who knows more than the outcome; then only what the run found is told.
    """
    sheet = Sheet(limit_bytes)
    if below:
        sheet.add(f"### {escape(facts.recipe(outcome), NAME_LENGTH)} in full")
    elif not sheet.add(_heading(outcome), room=0):
        bare = f"**GitKitchen: {text.VERDICTS[outcome.verdict]}**\n"
        return bare if size(bare) <= limit_bytes else ""
    sheet.add(_counts(outcome))
    if not below:
        sheet.add(escape(facts.published(outcome), 900))
    if not below and (step := facts.next_step(outcome)):
        sheet.add(f"Next: {escape(step)}")
    _add_findings(sheet, outcome)
    _add_untested(sheet, outcome)
    if alone := facts.uncompared(outcome):
        more = f" and {len(alone) - 30:,} more" if len(alone) > 30 else ""
        sheet.add(f"could not compare, nothing is published yet: {', '.join(map(name, alone[:30]))}{more}")
    sheet.table("#### Nodes", ("", "Node", "State", "Rows", "Time", "Tests", ""), _node_rows(outcome), "node")
    sheet.add(_origin(outcome))
    if sheet.missing:
        sheet.add(_left_out(outcome, sheet), room=0)
    return sheet.text()


def _heading(outcome: Outcome) -> str:
    recipe = escape(facts.recipe(outcome), NAME_LENGTH)
    return f"### {_ICONS[outcome.verdict]} {recipe} {escape(facts.headline(outcome), 300)}"


def _counts(outcome: Outcome) -> str:
    time = text.duration(facts.seconds_of(outcome))
    part = "" if outcome.complete else " · a part of the recipe"
    return f"{facts.nodes_sentence(outcome)} · {facts.tests_sentence(outcome)} · {time}{part}"


def _origin(outcome: Outcome) -> str:
    parts = [facts.kitchen(outcome), facts.subject(outcome), f"run {outcome.run}"]
    parts += [f"{tool} {version}" for tool, version in outcome.tools.items()]
    return f"<sub>{escape(' · '.join(parts))}</sub>"


def _left_out(outcome: Outcome, sheet: Sheet) -> str:
    command = f"gitkitchen show {outcome.run}"
    return f"Left out for length: {counted(sheet.missing)}; {name(command)} shows them."


def _add_findings(sheet: Sheet, outcome: Outcome) -> None:
    found = facts.findings(outcome)
    heavy = [f for f in found if f.weight in ("stop", "excused", "waived")]
    shown = 0
    for finding in heavy:
        blocks = (_in_full(outcome, finding, rows=rows) for rows in (True, False))
        if not any(sheet.add(block, room=MORE_ROOM) for block in blocks):
            break
        shown += 1
    rest = [_in_short(outcome, f) for f in heavy[shown:]]
    sheet.bullets("#### More failures", rest, str, "failure")
    light = [_in_short(outcome, f) for f in found if f.weight in ("warn", "log")]
    sheet.bullets("#### Warnings", light, str, "warning")


def _add_untested(sheet: Sheet, outcome: Outcome) -> None:
    missing = facts.untested(outcome)
    if not missing:
        return
    most = 30
    more = f" and {len(missing) - most:,} more" if len(missing) > most else ""
    line = f"not tested: {', '.join(map(name, missing[:most]))}{more}"
    if not sheet.add(line):
        sheet.miss("untested dataset", len(missing))


def _in_full(outcome: Outcome, finding: Finding, *, rows: bool) -> str:
    excused = ", excused" if finding.weight == "excused" else ""
    reused = ", reused verdict" if finding.test and finding.test.reused else ""
    mark = "!" if finding.weight == "waived" else SYMBOLS[State.FAILED]
    lines = [f"#### {mark} {name(finding.title)} {finding.word}{excused}{reused}", ""]
    lines += [f"- {label}: {value}" for label, value in _fields(outcome, finding) if value]
    if rows and finding.test is not None and finding.test.sample:
        lines += ["", *_sample(outcome, finding)]
    return "\n".join(lines)


def _fields(outcome: Outcome, finding: Finding) -> Iterator[tuple[str, str]]:
    test, failure = finding.test, finding.node.failure
    if test is None:
        yield "why", escape(facts.public_message(outcome, failure.message)) if failure else ""
        yield "hint", escape(failure.hint) if failure else ""
        yield "tried", f"{finding.node.attempts:,} times" if finding.node.attempts > 1 else ""
    else:
        observed = facts.public_observed(outcome, test) if test.state is not TestState.ERROR else ""
        yield "observed", f"**{escape(observed)}**" if observed else ""
        yield "expected", escape(test.expected)
        yield "failing", escape(facts.measured(test))
        yield "why", escape(facts.public_message(outcome, facts.why(test)))
        yield "cause", escape(test.cause)
        yield "waived", escape(facts.waiver(test))
    yield "at", name(str(finding.place)) if finding.place else ""
    yield "reproduce", name(facts.run_command(outcome, "--select", finding.node.node))


def _sample(outcome: Outcome, finding: Finding) -> Iterator[str]:
    assert finding.test is not None
    sample = facts.public_sample(outcome, finding.test)
    columns = list(dict.fromkeys(c for each in sample for c in each))[:SAMPLE_COLUMNS]
    rows = [[each.get(c, "") for c in columns] for each in sample]
    shown = [each for each in rows if any(value != HIDDEN for value in each)][:SAMPLE_ROWS]
    amount = max(finding.test.failing or 0, len(sample))
    if not shown:
        yield f"{text.count(amount, 'failing row')}; values hidden: none of these columns is public."
        return
    yield row([escape(c, CELL_LENGTH) for c in columns])
    yield row(["---"] * len(columns))
    for each in shown:
        yield row([f"*{HIDDEN}*" if value == HIDDEN else escape(value, CELL_LENGTH) for value in each])
    if more := facts.left_out(finding.test, len(shown)):
        yield ""
        yield more


def _in_short(outcome: Outcome, finding: Finding) -> str:
    """A finding in a line: a list is legible where a table of five columns is cut."""
    test, failure = finding.test, finding.node.failure
    observed = facts.public_observed(outcome, test) if test and test.state is not TestState.ERROR else ""
    message = test.message if test else failure.message if failure else ""
    said = escape(observed or facts.public_message(outcome, message), 200)
    parts = [f"{name(finding.title)} {finding.word}{', reused verdict' if test and test.reused else ''}"]
    parts[0] += f": {said}" if said else ""
    parts += [f"expected {escape(test.expected, 200)}"] if test and test.expected else []
    parts += [f"at {name(str(finding.place))}"] if finding.place else []
    return "; ".join(parts)


def _node_rows(outcome: Outcome) -> list[tuple[str, ...]]:
    ordered = sorted(outcome.nodes, key=lambda n: _STATE_ORDER.index(n.state))
    return [_node_row(outcome, node) for node in ordered]


def _node_row(outcome: Outcome, node: NodeResult) -> tuple[str, ...]:
    rows = facts.rows_of(node)
    return (
        SYMBOLS[node.state],
        name(node.node),
        WORDS[node.state] + (", excused" if node.continued else ""),
        f"{rows:,}" if rows is not None else "",
        text.duration(node.seconds) if node.attempts else "",
        f"{len(node.tests):,}" if node.tests else "",
        escape(_note(outcome, node), 160),
    )


def _note(outcome: Outcome, node: NodeResult) -> str:
    if node.failure is not None:
        return facts.public_message(outcome, node.failure.message)
    return "; ".join(node.reasons)
