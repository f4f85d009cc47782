"""Whatever is written and however often it is compacted: what is kept reads as before, and follows."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.ledger import quick
from tests.ledger.compacted import DAY, MOVES, NOW, RUNS, SHOWN, publication, run

from gitkitchen.data.catalog import entries_at
from gitkitchen.errors import Mistake
from gitkitchen.ledger.branch import BranchLedger
from gitkitchen.ledger.following import follows
from gitkitchen.ledger.layout import View
from gitkitchen.ledger.protocol import New
from gitkitchen.ledger.records import Record
from gitkitchen.model import Published

pytestmark = pytest.mark.long
RUN = st.tuples(st.just("run"), st.integers(0, 3))
SHOW = st.tuples(st.just("show"), st.sets(st.sampled_from("abc"), max_size=2))
LAND = st.tuples(st.just("land"), st.integers(0, 8))
COMPACT = st.tuples(st.sampled_from(("compact", "compact", "close")), st.integers(30, 60))
PART = st.tuples(st.lists(st.one_of(RUN, SHOW, RUN, SHOW, RUN, SHOW, LAND), min_size=4, max_size=8), COMPACT)
STEPS = st.lists(PART, min_size=2, max_size=4).map(
    lambda p: [step for some, end in p for step in (*some, end)]
)
VALUE = {"content": "0" * 64, "zone": "trusted", "node": "a", "recipe": "delays", "run": "r"}


def catalog(known: list[Record], sequence: int) -> dict[str, str]:
    found: dict[str, str] = {}
    for one in known[:sequence]:
        found |= {dataset: value["fingerprint"] for dataset, value in one.body["datasets"].items()}
    return found


def check(ledger: BranchLedger, model: dict[str, list[Record]], seen: list[View]) -> None:
    view = ledger.view()
    for stream, known in model.items():
        gone = ledger.gaps(stream)
        kept = [known[n - 1] for n in gone.kept(len(known))]
        assert ledger.head(stream) == len(known)
        assert ledger.verify(stream) == []
        for after in range(len(known) + 1):
            assert list(ledger.read(stream, after)) == [r for r in kept if r.sequence > after]
    for sequence in range(1, len(model.get(SHOWN, ())) + 1):
        try:
            shown = entries_at(ledger, "k_main", sequence)
        except Mistake:
            assert sequence < ledger.gaps(SHOWN).through
            continue
        assert {d: e.fingerprint for d, e in shown.items() if isinstance(e, Published)} == catalog(
            model[SHOWN], sequence
        )
    for old in seen:
        if old.tip is not None:
            plain = follows(old, view)
            assert plain in ("", "it says of no compaction that was made of it"), plain
            assert (plain == "") == (len(old_compactions(old)) < len(old_compactions(view)))


def old_compactions(view: View) -> list[str]:
    return list(view.paths("compactions"))


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(steps=STEPS)
def test_what_is_kept_reads_as_before_and_follows(
    steps: list[tuple[str, object]], tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Against a model that forgets nothing: every read from everywhere, every catalog that is not refused,
    and every state that somebody may have seen before."""
    ledger = quick.open_quick(tmp_path_factory.mktemp("quick") / "repo", monkeypatch)
    model: dict[str, list[Record]] = {}
    seen = [ledger.view()]
    day = 0
    for step, value in steps:
        day += 20
        quick.CLOCK.now = NOW - timedelta(days=900 - day)
        age = 900 - day
        if step == "run":
            made = [ledger.append(RUNS, run(age + float(str(value)) * 15))]
        elif step == "show":
            body = publication(age, *sorted(map(str, value)))  # type: ignore[call-overload]
            for entry in body["datasets"].values():
                entry |= VALUE
            made = [ledger.append(SHOWN, body)]
        elif step == "land":
            runs = [r for r in model.get(RUNS, ()) if ledger.gaps(RUNS).at(r.sequence) is None]
            named = runs[int(str(value)) % len(runs)].id if runs else ""
            shown = {**publication(age), "landing": "c"}
            made = ledger.append_together([New(MOVES, {"evidence": [{"record": named}]}), New(SHOWN, shown)])
        else:
            ledger.compact("ada", float(str(value)) * DAY if step == "compact" else None, archived=False)
            made = []
        for one in made:
            model.setdefault(one.stream, []).append(one)
        check(ledger, model, seen)
        seen.append(ledger.view())
