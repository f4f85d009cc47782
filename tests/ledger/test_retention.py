"""What a compaction may remove: never what anything that is kept needs, whatever the ledger holds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gitkitchen.ledger import gaps
from gitkitchen.ledger.gaps import Compaction, Gaps
from gitkitchen.ledger.records import Record, seal
from gitkitchen.ledger.retention import removable, statements

NOW = datetime(2026, 11, 1, tzinfo=UTC)
RUNS, SHOWN, MOVES, TOLD = "runs/k/delays", "publications/k", "promotions/prod", "schedules/prod/delays.daily"


def chain(stream: str, bodies: Sequence[Mapping[str, Any]]) -> list[Record]:
    made: list[Record] = []
    for number, body in enumerate(bodies, 1):
        made.append(seal(stream, number, body, made[-1].id if made else ""))
    return made


def dated(days: float) -> dict[str, Any]:
    at = NOW - timedelta(days=days)
    return {"run": f"{at:%Y%m%dT%H%M%S}000Z-a", "finished": at.isoformat()}


def shown(days: float, datasets: Mapping[str, int | None], landing: bool = False) -> dict[str, Any]:
    return {"run": dated(days)["run"], "datasets": dict(datasets), "landing": "c" if landing else None}


def catalog(records: Sequence[Record], sequence: int) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for one in records:
        if one.sequence <= sequence:
            found |= one.body["datasets"]
    return {dataset: value for dataset, value in found.items() if value is not None}


DAYS = st.lists(st.integers(0, 900), min_size=1, max_size=14)
DATASETS = st.dictionaries(st.sampled_from("ab"), st.none() | st.integers(0, 9), max_size=2)


@st.composite
def publications(draw: st.DrawFn) -> list[Record]:
    days = draw(DAYS)
    if draw(st.booleans()):  # clocks that agree
        days = sorted(days, reverse=True)
    landed = draw(st.sets(st.integers(0, len(days) - 1), max_size=3))
    return chain(SHOWN, [shown(d, draw(DATASETS), number in landed) for number, d in enumerate(days)])


LANDED = (({"a": 1}, False), ({"b": 1}, False), ({"b": 2}, False), ({"c": 1}, True), ({"a": 2}, False))
"""What the last landing found is overwritten after it, and just as old."""


@example(chain(SHOWN, [*(shown(800, d, at) for d, at in LANDED), shown(1, {})]), [400])
@settings(max_examples=200)
@given(publications(), st.lists(st.integers(30, 900), min_size=1, max_size=3))
def test_catalogs_are_what_they_were(records: list[Record], keeps: list[int]) -> None:
    """However many compactions: from the newest removed on, and right before the last landing, every catalog
    is the fold of what is left; and what is said of the rest adds up."""
    left, made = records, []
    for days in sorted(keeps, reverse=True):
        before = NOW - timedelta(days=days)
        said = statements({SHOWN: left}, before)
        gone = {r.id for r in removable({SHOWN: left}, before).get(SHOWN, ())}
        left = [r for r in left if r.id not in gone]
        made.append(Compaction(NOW, "ada", "0" * 40, before if said else None, streams=said))
    known = gaps.fold(gaps.read(one.body()) for one in made).get(SHOWN, Gaps())
    assert [r.sequence for r in left] == known.kept(len(records))
    assert left[-1] == records[-1]
    for number in range(known.through, len(records) + 1):
        assert catalog(left, number) == catalog(records, number)
    landed = [r.sequence for r in records if r.body["landing"]]
    if landed:
        assert catalog(left, landed[-1] - 1) == catalog(records, landed[-1] - 1)
        assert {r.sequence for r in left} >= set(landed)
    for span in known.spans:
        assert records[span.last - 1].id == span.id
    young = {r.sequence for r in records if _age(r) < min(keeps)}
    assert young <= {r.sequence for r in left}


def _age(record: Record) -> float:
    at = datetime.strptime(record.body["run"][:15], "%Y%m%dT%H%M%S").replace(tzinfo=UTC)
    return (NOW - at).total_seconds() / 86400


@given(DAYS, st.data())
def test_runs_that_are_named_or_not_settled_stay(days: list[float], data: st.DataObject) -> None:
    """A landing's evidence, and of a schedule in force the runs for intervals behind the settled ones."""
    bodies = [
        dated(d) | ({"interval": ["x", "y"], "variation": "daily"} if data.draw(st.booleans()) else {})
        for d in sorted(days, reverse=True)
    ]
    runs = chain(RUNS, bodies)
    named = data.draw(st.sampled_from(runs))
    settled = data.draw(st.integers(0, len(runs)))
    over = data.draw(st.booleans())
    told = [{"kind": "begun"}, {"kind": "settled", "runs": settled}, *([{"kind": "stopped"}] if over else [])]
    streams = {
        RUNS: runs,
        MOVES: chain(MOVES, [{"evidence": [{"record": named.id}]}]),
        TOLD: chain(TOLD, told),
        "kitchens/k": chain("kitchens/k", [{"kind": "birth", "environment": "prod"}]),
    }
    before = NOW - timedelta(days=400)
    gone = removable(streams, before).get(RUNS, [])
    assert named not in gone
    assert runs[-1] not in gone
    expected = [
        r
        for r in runs[:-1]
        if r != named
        and datetime.fromisoformat(r.body["finished"]) < before
        and (over or r.sequence <= settled or "interval" not in r.body)
    ]
    assert gone == expected


def test_a_slow_clock_makes_nothing_old() -> None:
    """What came behind a young record is young, whatever it says; what says nothing is not old."""
    runs = chain(RUNS, [dated(500), {}, dated(1), dated(500), dated(0)])
    assert [r.sequence for r in removable({RUNS: runs}, NOW - timedelta(days=400))[RUNS]] == [1]


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"from": "main"}, "no object"),
        ({"at": "2026-01-01T00:00:00"}, "no zone"),
        ({"before": None}, "how old"),
        ({"streams": {"promotions/prod": {}}}, "nothing may be removed from stream 'promotions/prod'"),
        ({"streams": {RUNS: {"spans": [[3, 2, "0" * 64]]}}}, "does not say|not in order"),
        ({"vouched": ["x"]}, "no object"),
        ({"kind": "run"}, "it is a run"),
        ({"streams": []}, "does not say"),
    ],
)
def test_a_compaction_that_says_nonsense(changed: dict[str, Any], why: str) -> None:
    """It is refused with what is wrong, and no number of it is believed."""
    removed = gaps.removed(chain(RUNS, [dated(500), dated(499)]), 2)
    body = Compaction(NOW, "ada", "0" * 40, NOW - timedelta(days=400), streams={RUNS: removed}).body()
    assert gaps.read(body).records == 2
    with pytest.raises(ValueError, match=why):
        gaps.read(body | changed)


def test_what_is_removed_twice_is_nonsense() -> None:
    """Two compactions cannot have removed the same record."""
    removed = gaps.removed(chain(RUNS, [dated(500), dated(499)]), 2)
    one = Compaction(NOW, "ada", "0" * 40, NOW, streams={RUNS: removed})
    with pytest.raises(ValueError, match="removed twice"):
        gaps.fold([one, one])
