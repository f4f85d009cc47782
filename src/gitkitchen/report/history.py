"""``log``: the runs of a kitchen as a table, from what the ledger remembers of each."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from gitkitchen.model import State, TestState, Verdict
from gitkitchen.report.text import SYMBOLS, VERDICTS, clip, duration, safe, table

HEAD = ("run", "recipe", "verdict", "nodes", "tests", "time", "published", "commit")
_MARKS = {Verdict.PASSED: SYMBOLS[State.PASSED], Verdict.FAILED: SYMBOLS[State.FAILED]}


def as_text(rows: Iterable[Mapping[str, Any]], *, width: int = 0) -> str:
    """A line a run in the order given; ``width`` (0: any) cuts longer lines.

    A run's id holds its time in UTC; ``yes, 4`` is publication 4; a commit with ``+`` had uncommitted
    changes; what a row lacks reads ``-``. Tests of a passed run that are ``not met`` warn or are noted.
    """
    told = [_cells(row) for row in rows]
    if not told:
        return "no runs yet: gitkitchen run makes the first"
    lines = table(told, head=HEAD, widest=40)
    return "\n".join(clip(line, width) if width else line for line in lines)


def as_document(rows: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """``{"version": 1, "runs": [...]}`` with the rows as the ledger holds them."""
    return {"version": 1, "runs": [dict(row) for row in rows]}


def _cells(row: Mapping[str, Any]) -> Sequence[str]:
    recipe = str(row.get("recipe") or "-")
    variation = row.get("variation")
    cells = (
        str(row.get("run") or "-"),
        f"{recipe} ({variation})" if variation else recipe,
        _verdict(row),
        _nodes(row.get("nodes")),
        _tests(row.get("tests"), row.get("verdict") == Verdict.PASSED),
        _time(row),
        _published(row.get("publication")),
        _commit(row.get("subject")),
    )
    return [safe(cell) for cell in cells]


def _time_of(row: Mapping[str, Any], key: str) -> datetime | None:
    try:
        return datetime.fromisoformat(str(row[key]))
    except (KeyError, ValueError):
        return None


def _time(row: Mapping[str, Any]) -> str:
    started, finished = _time_of(row, "started"), _time_of(row, "finished")
    if not started or not finished or (started.tzinfo is None) != (finished.tzinfo is None):
        return "-"
    return duration((finished - started).total_seconds())


def _verdict(row: Mapping[str, Any]) -> str:
    try:
        verdict = Verdict(str(row.get("verdict")))
    except ValueError:
        return str(row.get("verdict") or "-")
    return f"{_MARKS.get(verdict, '!')} {VERDICTS[verdict]}"


def _nodes(states: object) -> str:
    """``9``, or with what failed: ``9 (1 failed)``."""
    if not isinstance(states, Mapping):
        return "-"
    sizes = {str(s): len(n) if isinstance(n, Sequence) else 0 for s, n in states.items()}
    return _with_failed(sizes, (State.FAILED, State.ERROR, State.TIMED_OUT))


def _tests(states: object, passed: bool) -> str:
    """``49``, or with what failed; the tests that failed in a run that passed only warned."""
    if not isinstance(states, Mapping):
        return "-"
    sizes = {str(s): n for s, n in states.items() if isinstance(n, int)}
    return _with_failed(sizes, (TestState.FAILED, TestState.ERROR), "not met" if passed else "failed")


def _with_failed(sizes: Mapping[str, int], bad: Sequence[str], word: str = "failed") -> str:
    failed = sum(sizes.get(s, 0) for s in bad)
    return f"{sum(sizes.values()):,}" + (f" ({failed:,} {word})" if failed else "")


def _published(publication: object) -> str:
    if not isinstance(publication, Mapping):
        return "-"
    sequence = publication.get("sequence")
    number = f" {sequence:,}" if isinstance(sequence, int) else ""
    words = {"published": f"yes,{number}" if number else "yes", "withheld": "no", "not_asked": "not asked"}
    return words.get(str(publication.get("state")), str(publication.get("state") or "-"))


def _commit(subject: object) -> str:
    if not isinstance(subject, Mapping):
        return "-"
    name = str(subject.get("commit") or subject.get("tree") or "-")[:7]
    return f"{name}+" if subject.get("dirty") else name
