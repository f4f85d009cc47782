"""``audit --acknowledge``: what is known stays shown and is no alarm any more; whatever comes after it is."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.auditing.made_road import Road, make_road

REASON = "rebuilt after it was lost"


def verified(road: Road, code: int) -> dict[str, Any]:
    said = road.shop.cli("audit", "--verify", "--json")
    assert said.code == code, said.out + said.err
    found: dict[str, Any] = json.loads(said.out)
    return found


def test_a_ledger_that_was_rebuilt_is_quiet_when_somebody_has_said_so(tmp_path: Path) -> None:
    """The commits that landings were judged by are gone for ever: acknowledged by their code, each is shown
    with who and why, in `audit` too, and one that comes later is an alarm like the first."""
    road = make_road(tmp_path, "branch")
    road.ledger.append("runs/k_x/other", {"n": 1})
    road.land("prod", "one", ledger="e" * 40)
    road.land("prod", "two", ledger="d" * 40)
    (first, second) = verified(road, 1)["problems"]
    assert (first["code"], second["code"]) == ("ledger-rewritten", "ledger-rewritten")
    said = road.shop.cli("audit", "--acknowledge", "ledger-rewritten", "--reason", REASON)
    assert (said.code, said.out.count("acknowledged f-")) == (0, 2), said.out + said.err
    found = verified(road, 0)
    assert (found["problems"], found["whole"]) == ([], False)
    assert [one["id"] for one in found["acknowledged"]] == [first["id"], second["id"]]
    text = road.shop.cli("audit", "--verify").out
    assert "nothing is wrong but what was acknowledged" in text
    for words in ((), ("--csv",), ("--json",)):
        out = road.shop.cli("audit", *words).out
        assert (first["id"] in out, REASON in out) == (True, True), words
    road.land("prod", "three", ledger="c" * 40)
    found = verified(road, 1)
    assert [p["message"].count("cccccccccccc") for p in found["problems"]] == [1]
    assert len(found["acknowledged"]) == 2


def test_one_fault_is_named_by_its_id_and_no_other_is_taken_with_it(near: Road) -> None:
    """Two commits by hand, one acknowledged: the other goes on ending with 1."""
    near.land("prod", "one")
    near.by_hand("prod", "a")
    near.by_hand("prod", "b")
    one, other = verified(near, 1)["problems"]
    assert near.shop.cli("audit", "--acknowledge", one["id"], "--reason", "mine").code == 0
    found = verified(near, 1)
    assert [p["id"] for p in found["problems"]] == [other["id"]]
    assert [(a["id"], a["reason"]) for a in found["acknowledged"]] == [(one["id"], "mine")]


def test_what_cannot_be_acknowledged_is_refused(near: Road) -> None:
    """An id that nothing has, no reason, or a record that is damaged now and may change again: exit 2, and
    nothing is written."""
    near.land("prod", "one")
    near.by_hand("prod", "a")
    record = next((near.shop.root / ".gitkitchen/ledger/runs").rglob("0*.json"))
    record.chmod(0o644)
    record.write_text("{}")
    before = verified(near, 1)
    for words, expected in (
        (("f-000000000000", "--reason", "x"), "nothing that is wrong is"),
        (("commit-without-record",), "needs a reason"),
        (("commit-without-record", "--reason", "  "), "needs a reason"),
        (("ledger-record", "--reason", "x"), "that is mended, and not acknowledged"),
    ):
        done = near.shop.cli("audit", "--acknowledge", *words)
        assert (done.code, expected in done.err) == (2, True), done.err
    assert verified(near, 1) == before
