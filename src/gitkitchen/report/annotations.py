"""Lines that a GitHub runner reads as annotations on files (``::error file=…,line=…::message``).

A step shows at most ten errors, ten warnings and ten notices; what does not fit is counted in the last one.
Escaping as the runner undoes it: ``%`` first, then the line ends, in properties ``:`` and ``,`` as well
(https://docs.github.com/actions/reference/workflow-commands-for-github-actions).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Literal

from gitkitchen.errors import Place
from gitkitchen.frozen import dataclass
from gitkitchen.model import Outcome, TestState, Verdict
from gitkitchen.report import facts
from gitkitchen.report.facts import Finding
from gitkitchen.report.text import VERDICTS, clip, clip_bytes, safe, safe_lines

Level = Literal["error", "warning", "notice"]
LEVELS: tuple[Level, ...] = ("error", "warning", "notice")
PER_LEVEL = 10
MESSAGE_BYTES = 60_000
TITLE_LENGTH = 250


@dataclass(frozen=True, slots=True)
class Annotation:
    """One remark on a place of a file, or on the job where there is no place."""

    level: Level
    message: str
    place: Place | None = None
    title: str = ""


def commands(outcome: Outcome) -> str:
    """All annotations of an outcome as lines for standard output; "" where there is nothing to remark.

    Values of columns that are not public stay out: observed figures, never failing rows.
    """
    return "".join(f"{line}\n" for line in lines(remarks(outcome)))


def remarks(outcome: Outcome) -> list[Annotation]:
    """All that is to be remarked of an outcome, most important first."""
    found = [remark(outcome, f) for f in facts.findings(outcome)]
    if outcome.verdict not in (Verdict.PASSED, Verdict.FAILED):
        title = f"{outcome.recipe}: {VERDICTS[outcome.verdict]}"
        found.insert(0, Annotation("error", facts.published(outcome), title=title))
    return found


def lines(marked: Iterable[Annotation]) -> list[str]:
    """The commands of as many annotations as a step shows; the tenth of a level counts the rest."""
    found: list[str] = []
    every = list(marked)
    for level in LEVELS:
        group = [a for a in every if a.level == level]
        found += [command(a) for a in _fitting(group)]
    return found


def _fitting(group: Sequence[Annotation]) -> Sequence[Annotation]:
    if len(group) <= PER_LEVEL:
        return group
    kept = group[: PER_LEVEL - 1]
    rest = len(group) - len(kept)
    return [*kept, Annotation(group[0].level, f"and {rest:,} more, which the report lists")]


def command(remark: Annotation) -> str:
    """One annotation as the runner's command, whatever its texts hold."""
    properties = {}
    if remark.place is not None and remark.place.file:
        properties["file"] = safe(remark.place.file)
        if remark.place.line:
            properties["line"] = str(remark.place.line)
        if remark.place.line and remark.place.column:
            properties["col"] = str(remark.place.column)
    if remark.title:
        properties["title"] = clip(safe(remark.title), TITLE_LENGTH)
    told = ",".join(f"{k}={_property(v)}" for k, v in properties.items())
    message = clip_bytes("\n".join(safe_lines(remark.message)) or "(no message)", MESSAGE_BYTES)
    return f"::{remark.level}{' ' if told else ''}{told}::{_data(message)}"


def _data(value: str) -> str:
    # The older syntax is found anywhere in a line, so that it must not survive inside a message.
    escaped = value.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")
    return escaped.replace("##[", "##%5B")


def _property(value: str) -> str:
    return _data(value).replace(":", "%3A").replace(",", "%2C")


def remark(outcome: Outcome, finding: Finding) -> Annotation:
    """What a reader of the file should know of a finding; observed figures, never failing rows."""
    level: Level = {"stop": "error", "log": "notice"}.get(finding.weight, "warning")  # type: ignore[assignment]
    bare = Annotation(level, "", finding.place, f"{finding.title}: {finding.word}")
    test = finding.test
    if test is None:
        failure = finding.node.failure
        said = [facts.public_message(outcome, failure.message), failure.hint] if failure else []
        return replace(bare, message="\n".join(filter(None, said)))
    observed = facts.public_observed(outcome, test) if test.state is not TestState.ERROR else ""
    said = [
        f"observed {observed}" if observed else facts.public_message(outcome, test.message),
        f"expected {test.expected}" if test.expected else "",
        test.cause,
        f"waived {facts.waiver(test)}" if test.waived else "",
    ]
    return replace(bare, message="\n".join(filter(None, said)))
