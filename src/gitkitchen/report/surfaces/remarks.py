"""Annotations of a check run: the line of the YAML, SQL or Python at fault, changed lines preferred.

GitHub shows an annotation beside the code only where the pull request changed the line
(https://docs.github.com/en/rest/checks/runs), so that of the places which explain a finding one that was
touched is taken, and findings on touched lines come first within their level.
"""

from __future__ import annotations

import bisect
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from gitkitchen.errors import Place
from gitkitchen.finding import PolicyFinding
from gitkitchen.frozen import dataclass
from gitkitchen.github.surfaces import Annotation, Level
from gitkitchen.model import Outcome
from gitkitchen.report import diff_words, facts
from gitkitchen.report.annotations import remark
from gitkitchen.report.facts import Finding
from gitkitchen.report.surfaces import words
from gitkitchen.report.surfaces.judging import findings_about, waived_tests
from gitkitchen.report.surfaces.pull import Change, Pull
from gitkitchen.report.text import clip_bytes, encodable, for_runners, safe, safe_lines

MOST = 50
"""Of one check run: what one request carries (https://docs.github.com/en/rest/checks/runs)."""
MESSAGE_BYTES = 4_000
TITLE_LENGTH = 200
LONGEST_PATH = 1_000
LAST_LINE = 10_000_000

_LEVELS: dict[str, Level] = {"error": "failure", "warning": "warning", "notice": "notice"}
_WEIGHT: dict[Level, int] = {"failure": 0, "warning": 1, "notice": 2}


class Touched:
    """The lines that the pull request changed, asked one place at a time."""

    def __init__(self, ranges: Mapping[str, Iterable[tuple[int, int]]]) -> None:
        self._ranges = {path: _merged(each) for path, each in ranges.items()}

    def __contains__(self, place: Place) -> bool:
        starts, ends = self._ranges.get(place.file, ([], []))
        index = bisect.bisect_right(starts, place.line) - 1
        return index >= 0 and place.line <= ends[index]


def _merged(ranges: Iterable[tuple[int, int]]) -> tuple[list[int], list[int]]:
    starts: list[int] = []
    ends: list[int] = []
    for first, last in sorted(ranges):
        if ends and first <= ends[-1] + 1:
            ends[-1] = max(ends[-1], last)
        else:
            starts.append(first)
            ends.append(last)
    return starts, ends


@dataclass(frozen=True, slots=True)
class _Remark:
    """What would be said, with every place that explains it, the nearest first."""

    level: Level
    title: str
    message: str
    places: tuple[Place, ...]


def remarks(pull: Pull, outcome: Outcome, most: int = MOST) -> tuple[Annotation, ...]:
    """The annotations of one recipe's check run, at most ``most``, the most important first.

    The last one counts those that were left out. What has no place in a file is told in the check's text.
    """
    touched = Touched(pull.touched)
    placed = [(r, place) for r in _remarks(pull, outcome) if (place := _place(r, touched)) is not None]
    placed.sort(key=lambda pair: (_WEIGHT[pair[0].level], pair[1] not in touched))
    if len(placed) <= most:
        return tuple(_annotation(r, place) for r, place in placed)
    kept, rest = placed[: most - 1], placed[most - 1 :]
    message = f"{len(rest):,} more, which the text of this check run and the job's summary list."
    last = replace(rest[0][0], title=f"and {len(rest):,} more", message=message)
    return tuple(_annotation(r, place) for r, place in [*kept, (last, rest[0][1])])


def of_policy(pull: Pull, most: int = MOST) -> tuple[Annotation, ...]:
    """The policy's findings that have a line, where no recipe ran that could show them."""
    placed = [(_told(f), f.place) for f in pull.policy if f.place is not None and _is_usable(f.place)]
    return tuple(_annotation(said, place) for said, place in placed[:most])


def _told(one: PolicyFinding) -> _Remark:
    level: Level = "notice" if not one.blocks else "failure" if one.severity == "failure" else "warning"
    return _Remark(level, f"policy: {one.code}", one.message, (one.place,) if one.place else ())


def _remarks(pull: Pull, outcome: Outcome) -> Iterator[_Remark]:
    changes = {c.node: c for c in pull.changes if c.recipe == outcome.recipe and c.node}
    waived = waived_tests(pull, outcome)
    for finding in facts.findings(outcome):
        said = remark(outcome, finding)
        excused = finding.test is not None and finding.test.id in waived
        level: Level = "notice" if excused else _LEVELS[said.level]
        title = f"{said.title}, waived" if excused and finding.weight != "waived" else said.title
        again = f"Reproduce: {words.command(outcome, finding)}"
        places = _places(finding, changes.get(finding.node.node))
        yield _Remark(level, title, f"{said.message}\n{again}", places)
    for one in findings_about(pull, outcome):
        if one.place is not None:
            yield _told(one)
    yield from _breaking(pull, outcome, changes)


def _breaking(pull: Pull, outcome: Outcome, changes: Mapping[str, Change]) -> Iterator[_Remark]:
    nodes = {n.node: n for n in outcome.nodes}
    for comparison in pull.differences:
        for one in comparison.datasets:
            node = nodes.get(one.node)
            if node is None or not one.breaking:
                continue
            told = [diff_words.schema_line(c) for c in one.schema if c.breaking]
            told += [f"{one.dataset} is gone"] if one.state == "removed" else []
            change = changes.get(node.node)
            places = tuple(
                p for p in (*(change.files if change else ()), change and change.place, node.place) if p
            )
            message = "\n".join(told or diff_words.notes_of(one))
            yield _Remark("warning", f"{one.dataset}: its contract breaks", message, places)


def _places(finding: Finding, change: Change | None) -> tuple[Place, ...]:
    test, failure = finding.test, finding.node.failure
    found = [test.place if test else None, failure.place if failure else None]
    found += change.files if change else ()
    found += [change.place if change and change.kind != "removed" else None, finding.node.place]
    return tuple(dict.fromkeys(p for p in found if p is not None))


def _place(one: _Remark, touched: Touched) -> Place | None:
    """Where it is shown: on a line that was touched, if one of its places is; None without a usable one."""
    usable = [p for p in one.places if _is_usable(p)]
    return next((p for p in usable if p in touched), usable[0]) if usable else None


def _annotation(one: _Remark, place: Place) -> Annotation:
    line = min(max(1, place.line), LAST_LINE)
    message = "\n".join(safe_lines(encodable(one.message[:MESSAGE_BYTES]))) or "(no message)"
    return Annotation(
        path=place.file,
        start_line=line,
        end_line=line,
        level=one.level,
        title=words.plain(one.title, TITLE_LENGTH) or "GitKitchen",
        message=for_runners(clip_bytes(message, MESSAGE_BYTES)),
    )


def _is_usable(place: Place) -> bool:
    """A path of this repository that can be one: relative, printable, staying inside."""
    path = place.file
    parts = path.split("/")
    return (
        0 < len(path) <= LONGEST_PATH
        and safe(path) == path == encodable(path)
        and not any(part in ("", ".", "..") for part in parts)
        and "::" not in path
        and "##[" not in path
    )
