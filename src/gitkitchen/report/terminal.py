"""The report in a terminal: failures first, then the nodes, last the verdict and what next.

Plain text with, on demand, the sixteen colours that every terminal has. It imports no library, so that a
run in which nothing changed can end at once.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from gitkitchen.frozen import dataclass
from gitkitchen.model import NodeResult, Outcome, State, TestResult, TestState, Verdict
from gitkitchen.report import facts, text
from gitkitchen.report.facts import Finding
from gitkitchen.report.text import SYMBOLS, WORDS, cells, clip, count, pad, safe, safe_lines, wrap

NARROWEST, WIDEST = 40, 120
LABEL = 10
SHORT_COMMAND = 160
FULL_FINDINGS = 25
SAMPLE_ROWS = 5
SAMPLE_COLUMNS = 6
TAIL_LINES = 12
MANY_NODES = 24
FEW_REUSED = 3
SLOWEST = 8

_VERDICT_COLOUR = {Verdict.PASSED: "green", Verdict.FAILED: "red", Verdict.CANCELLED: "yellow"}
_STATE_COLOUR = {
    State.PASSED: "green",
    State.REUSED: "green",
    State.FAILED: "red",
    State.ERROR: "red",
    State.TIMED_OUT: "red",
    State.CANCELLED: "yellow",
    State.BLOCKED: "yellow",
    State.SKIPPED: "dim",
}
_WEIGHT = {
    "stop": ("✗", "red"),
    "excused": ("✗", "yellow"),
    "waived": ("!", "yellow"),
    "warn": ("!", "yellow"),
    "log": ("·", "dim"),
}
_CODES = {"bold": "1", "dim": "2", "red": "31", "green": "32", "yellow": "33", "cyan": "36"}


@dataclass(frozen=True, slots=True)
class _Page:
    """Where the text goes: how wide, and whether in colour."""

    width: int
    colour: bool

    def paint(self, what: str, *styles: str) -> str:
        if not self.colour or not what:
            return what
        return f"\x1b[{';'.join(_CODES[s] for s in styles)}m{what}\x1b[0m"


def render(outcome: Outcome, *, colour: bool = False, width: int = 80, unicode: bool = True) -> str:
    """The whole report, without a newline at its end.

    Lines keep to ``width`` columns, but for commands to copy, which are never broken. ``unicode`` false
    leaves nothing in our own words that ASCII lacks.
    """
    page = _Page(max(NARROWEST, min(width, WIDEST)), colour)
    blocks = [
        _head(outcome, page),
        *_findings(outcome, page),
        list(_nodes(outcome, page)),
        list(_end(outcome, page)),
    ]
    whole = text.for_runners("\n\n".join("\n".join(block) for block in blocks if block))
    return whole if unicode else whole.translate(text.ASCII).encode("ascii", "backslashreplace").decode()


def _head(outcome: Outcome, page: _Page) -> list[str]:
    parts = [facts.recipe(outcome), facts.kitchen(outcome), facts.subject(outcome), f"run {outcome.run}"]
    if not outcome.complete:
        parts.append("a part of the recipe")
    return [page.paint(line, "dim") for line in wrap(" · ".join(map(safe, parts)), page.width)]


# --- findings ----------------------------------------------------------------------------------


def _findings(outcome: Outcome, page: _Page) -> Iterator[list[str]]:
    found = facts.findings(outcome)
    heavy = [f for f in found if f.weight in ("stop", "excused")]
    for finding in heavy[:FULL_FINDINGS]:
        yield list(_in_full(outcome, finding, page))
    if rest := heavy[FULL_FINDINGS:]:
        yield [*_one_liners(rest, page), f"  all of it: gitkitchen report {safe(outcome.run)}"]
    warnings = [f for f in found if f.weight in ("waived", "warn")]
    new = [f for f in warnings if f.weight == "waived" or not (f.test and f.test.reused)]
    for finding in new[:FULL_FINDINGS]:
        yield list(_in_short(outcome, finding, page))
    # A verdict that was shown when it was new takes one line from then on.
    told = [f for f in warnings if f not in new[:FULL_FINDINGS]]
    if rest := [*told, *(f for f in found if f.weight == "log")]:
        yield _one_liners(rest, page)


def _title(finding: Finding, page: _Page) -> str:
    symbol, colour = _WEIGHT[finding.weight]
    word = finding.word + (", reused verdict" if finding.test and finding.test.reused else "")
    if finding.weight == "excused":
        word += ", excused"
    room = page.width - cells(word) - 4
    name = clip(safe(finding.title), room)
    space = " " * (room - cells(name) + 2)
    return f"{page.paint(symbol, colour)} {page.paint(name, 'bold')}{space}{page.paint(word, colour)}"


def _in_full(outcome: Outcome, finding: Finding, page: _Page) -> Iterator[str]:
    yield _title(finding, page)
    yield from _place(finding, page)
    if finding.test is None:
        yield from _node_failure(outcome, finding.node, page)
    else:
        yield from _judgement(finding.test, page)
        yield from _field("cause", finding.test.cause, page)
        yield from _sample(finding.test, page)
    yield from _command(outcome, finding, page)


def _in_short(outcome: Outcome, finding: Finding, page: _Page) -> Iterator[str]:
    yield _title(finding, page)
    yield from _place(finding, page)
    if finding.test is not None:
        yield from _judgement(finding.test, page)
    if len(facts.reproduce(outcome, finding)) <= SHORT_COMMAND:
        yield from _command(outcome, finding, page)


def _one_liners(found: Iterable[Finding], page: _Page) -> list[str]:
    lines = []
    for finding in found:
        symbol, colour = _WEIGHT[finding.weight]
        said = safe(finding.test.observed) if finding.test else ""
        title = clip(safe(finding.title), max(page.width - cells(said) - 4, page.width // 2))
        line = clip(f"{title}  {said}" if said else f"{title} ({finding.word})", page.width - 2)
        reused = "  (reused)" if finding.test and finding.test.reused else ""
        if cells(line) + len(reused) <= page.width - 2:
            line += reused
        lines.append(f"{page.paint(symbol, colour)} {line}")
    return lines


def _place(finding: Finding, page: _Page) -> Iterator[str]:
    if finding.place is not None:
        yield from _field("at", str(finding.place), page, "cyan")


def _judgement(test: TestResult, page: _Page) -> Iterator[str]:
    if test.state is not TestState.ERROR:
        yield from _field("observed", test.observed, page)
    yield from _field("expected", test.expected, page)
    yield from _field("failing", facts.measured(test), page)
    yield from _field("why", facts.why(test), page)
    yield from _field("waived", facts.waiver(test), page)


def _node_failure(outcome: Outcome, node: NodeResult, page: _Page) -> Iterator[str]:
    if node.failure is not None:
        yield from _field("why", node.failure.message, page)
        yield from _field("hint", node.failure.hint, page)
    if node.attempts > 1:
        yield from _field("tried", f"{node.attempts:,} times", page)
    tail = [line for raw in node.log_tail for line in safe_lines(raw)][-TAIL_LINES:]
    for i, line in enumerate(tail):
        yield _labelled("log" if i == 0 else "", clip(line, page.width - LABEL - 2), page, "dim")
    if node.log:
        yield from _field("" if tail else "log", f".gitkitchen/runs/{outcome.run}/{node.log}", page, "cyan")


def _field(label: str, value: str, page: _Page, *styles: str) -> Iterator[str]:
    """A label and its text, wrapped under itself; nothing where there is no text."""
    lines = [line for raw in safe_lines(value) for line in wrap(raw, page.width - LABEL - 2)]
    for i, line in enumerate(lines):
        yield _labelled(label if i == 0 else "", line, page, *styles)


def _labelled(label: str, line: str, page: _Page, *styles: str) -> str:
    shown = page.paint(line, *styles) if styles else line
    return f"  {page.paint(pad(label, LABEL - 2), 'dim')}  {shown}"


def _sample(test: TestResult, page: _Page) -> Iterator[str]:
    if not test.sample:
        return
    columns = list(dict.fromkeys(c for row in test.sample for c in row))[:SAMPLE_COLUMNS]
    rows = [[safe(row.get(c, "")) for c in columns] for row in test.sample[:SAMPLE_ROWS]]
    lines = text.table(rows, head=[safe(c) for c in columns])
    for i, line in enumerate(lines):
        shown = clip(line, page.width - LABEL - 2)
        yield _labelled("rows" if i == 0 else "", shown, page, *(("dim",) if i == 0 else ()))
    more = max(test.failing or 0, len(test.sample)) - len(rows)
    if more > 0:
        yield _labelled("", f"and {more:,} more", page, "dim")


def _command(outcome: Outcome, finding: Finding, page: _Page) -> Iterator[str]:
    command = facts.reproduce(outcome, finding)
    label = "see them" if command.startswith(("gitkitchen query", "gitkitchen diff")) else "again"
    yield _labelled(label, safe(command), page, "cyan")


# --- nodes -------------------------------------------------------------------------------------


def _nodes(outcome: Outcome, page: _Page) -> Iterator[str]:
    nodes = outcome.nodes
    reused = [n for n in nodes if n.state is State.REUSED]
    together = len(reused) > FEW_REUSED
    single = [n for n in nodes if not (together and n.state is State.REUSED)]
    shown, left_out = _worth_a_line(single)
    yield from _node_lines(shown, page)
    for state, amount in left_out.items():
        mark = page.paint(f"{SYMBOLS[state]} {WORDS[state]:<9}", _STATE_COLOUR[state])
        yield f"{mark}  {amount:,} more"
    if together:
        most = 6 if len(nodes) > MANY_NODES else 0
        lines = wrap(text.names([n.node for n in reused], most), page.width - 13)
        mark = page.paint(f"{SYMBOLS[State.REUSED]} {WORDS[State.REUSED]:<9}", "green")
        for i, line in enumerate(lines):
            yield f"{mark if i == 0 else ' ' * 11}  {line}"


def _worth_a_line(nodes: Sequence[NodeResult]) -> tuple[list[NodeResult], dict[State, int]]:
    """All nodes where they are few; else of each state the slowest, and how many are left out."""
    if len(nodes) <= MANY_NODES:
        return list(nodes), {}
    shown: set[str] = set()
    left_out: dict[State, int] = {}
    for state in State:
        group = sorted((n for n in nodes if n.state is state), key=lambda n: -n.seconds)
        keep = group[:SLOWEST]
        shown |= {n.node for n in keep}
        if len(group) > len(keep):
            left_out[state] = len(group) - len(keep)
    return [n for n in nodes if n.node in shown], left_out


def _node_lines(nodes: Sequence[NodeResult], page: _Page) -> Iterator[str]:
    if not nodes:
        return
    wide = min(max(cells(safe(n.node)) for n in nodes), page.width // 2 - 6)
    rows = [count(r, "row") if (r := facts.rows_of(n)) is not None else "" for n in nodes]
    times = [text.duration(n.seconds) if n.attempts else "" for n in nodes]
    widest, longest = max(map(len, rows)), max(map(len, times))
    for node, amount, time in zip(nodes, rows, times, strict=True):
        mark = page.paint(f"{SYMBOLS[node.state]} {WORDS[node.state]:<9}", _STATE_COLOUR[node.state])
        line = pad(clip(safe(node.node), wide), wide)
        if amount or time:
            line += f"  {pad(amount, widest, right=True)}  {pad(time, longest, right=True)}"
        line = clip(line, page.width - 13)
        note = clip(_note(node), page.width - 13 - cells(line) - 2)
        yield f"{mark}  {line}  {page.paint(note, 'dim')}".rstrip()


def _note(node: NodeResult) -> str:
    """What is worth saying beside a node: why it did not run, or how its tests went."""
    if node.state in (State.BLOCKED, State.SKIPPED, State.CANCELLED):
        return text.one_line(node.failure.message if node.failure else "; ".join(node.reasons))
    notes = [text.count(len(node.tests), "test")] if node.tests else []
    if node.attempts > 1:
        notes.append(f"{node.attempts:,} attempts")
    if node.continued:
        notes.append("excused")
    return ", ".join(notes)


# --- the end -----------------------------------------------------------------------------------


def _end(outcome: Outcome, page: _Page) -> Iterator[str]:
    if missing := facts.untested(outcome):
        yield from _hanging(f"not tested: {text.names(missing, 12)}", page, "yellow")
    if missing := facts.uncompared(outcome):
        yield from _hanging(
            f"could not compare, nothing is published yet: {text.names(missing, 12)}", page, "yellow"
        )
    word = text.VERDICTS[outcome.verdict].upper()
    colour = _VERDICT_COLOUR.get(outcome.verdict, "yellow")
    time = text.duration(facts.seconds_of(outcome))
    rest = f"in {time} · {facts.nodes_sentence(outcome)} · {facts.tests_sentence(outcome)}"
    first, *more = wrap(f"{word.replace(' ', '_')} {rest}", page.width - 2)
    yield page.paint(word, colour, "bold") + first.removeprefix(word.replace(" ", "_"))
    yield from (f"  {line}" for line in more)
    yield from _hanging(safe(facts.published(outcome)), page)
    if outcome.candidate and facts.versions(outcome):
        yield f"Candidate: {page.paint(f'gitkitchen open --candidate {safe(outcome.run)}', 'cyan')}"
    if step := facts.next_step(outcome):
        yield from _hanging(f"Next: {safe(step)}", page)


def _hanging(line: str, page: _Page, *styles: str) -> Iterator[str]:
    for i, part in enumerate(wrap(line, page.width - 2)):
        yield ("  " if i else "") + (page.paint(part, *styles) if styles else part)
