"""``audit``: who moved what, when, with which evidence and approvals, from the ledger and from Git."""

from __future__ import annotations

import csv
import io
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.auditing.made_road import Road

from gitkitchen.promote.moves import body_of
from gitkitchen.promote.shapes import Actor, stream_of
from gitkitchen.road.telling import inert


def test_the_audit_tells_every_move(road: Road) -> None:
    """Each landing with its time, people, evidence and commit; a hold, and how the environment stands."""
    first = road.land("prod", "one")
    second = road.land("prod", "two")
    assert road.shop.cli("hold", "prod", "--reason", "wait for finance").code == 0
    said = road.shop.cli("audit")
    assert said.code == 0, said.err
    for word in (
        first.commit[:12],
        second.commit[:12],
        "anna; approved: ben",
        "1 run, 7 tests",
        "release two",
    ):
        assert word in said.out
    assert f"stands on {second.commit[:12]}, tree {second.tree[:12]}; healthy" in said.out
    assert "held by Test since" in said.out
    assert "wait for finance" in said.out
    document = json.loads(road.shop.cli("audit", "prod", "--json").out)
    (prod,) = document["environments"]
    assert [m["move"] for m in prod["moves"]] == ["landing", "landing", "hold"]
    assert [m["sequence"] for m in prod["moves"]] == [1, 2, 3]
    assert prod["moves"][0]["evidence"][0]["record"] == first.evidence[0].record
    assert prod["healthy"]
    assert prod["tip"] == prod["branch_tip"] == second.commit


def test_since_leaves_out_what_was_before(near: Road) -> None:
    """A date or a time ago chooses moves by their time."""
    near.land("prod", "one")
    near.land("prod", "two")
    document = json.loads(near.shop.cli("audit", "prod", "--json", "--since", "2026-03-02T10:00").out)
    assert [m["reason"] for m in document["environments"][0]["moves"]] == ["release two"]
    assert (
        json.loads(near.shop.cli("audit", "prod", "--json", "--since", "1s").out)["environments"][0]["moves"]
        == []
    )
    said = near.shop.cli("audit", "--since", "yesterday-ish")
    assert said.code == 2
    assert "is no moment" in said.err


def test_a_landing_without_a_record_is_told_from_its_commit(road: Road) -> None:
    """What only the trailers of a commit on the branch tell stands there as such."""
    road.land("prod", "one")
    landing = road.commit(road.landing("prod", "two"))
    said = road.shop.cli("audit", "prod")
    assert "forward (no record)" in said.out
    assert landing.commit[:12] in said.out


def test_a_damaged_record_cannot_be_audited(near: Road) -> None:
    """The audit does not pass over what it cannot read: exit 3, with the record's name."""
    near.land("prod", "one")
    near.ledger.append(stream_of("prod"), body_of(near.landed[0]) | {"tree": "?"})
    said = near.shop.cli("audit")
    assert said.code == 3
    assert "record 2 of stream 'promotions/prod'" in said.err


def test_an_unknown_environment_is_refused(near: Road) -> None:
    """The environments that there are stand in the refusal."""
    said = near.shop.cli("audit", "production")
    assert said.code == 2
    assert "dev, staging, prod" in said.err


def test_a_spreadsheet_computes_nothing(near: Road) -> None:
    """Hostile names and reasons stay text: every cell that could be a formula begins with an apostrophe."""
    evil = '=HYPERLINK("http://evil";"x")'
    near.land("prod", "one", reason=evil, actors=(Actor("@SUM(1+1)", "asked"), Actor("-2+3", "approved")))
    text = near.shop.cli("audit", "--csv").out
    (row,) = list(csv.DictReader(io.StringIO(text, newline="")))
    assert row["reason"] == f"'{evil}"
    assert row["asked"] == "'@SUM(1+1)"
    assert row["approved"] == "'-2+3"
    assert row["evidence"].endswith(near.landed[0].evidence[0].record)
    assert row["gates"] == "approvals=passed"


@given(st.text() | st.sampled_from(["\t=1", "\n+1", " \u200b=1", "\uff1d1", "\ufeff@x", "%0A=1", "|calc"]))
def test_no_cell_begins_a_formula(text: str) -> None:
    """Whatever a cell holds, behind any spaces and marks, it is one line and no formula."""
    cell = inert(text)
    assert cell == "" or cell.lstrip()[:1] not in set("=+-@|%\uff1d\uff0b\uff0d\uff20")
    assert "\n" not in cell
    assert "\r" not in cell


@pytest.mark.parametrize(
    "words",
    [("--verify", "--csv"), ("--rebuild", "--since", "1d"), ("--apply",), ("--verify", "--rebuild")],
    ids=lambda words: "".join(words),
)
def test_options_that_mean_nothing_together_are_refused(near: Road, words: tuple[str, ...]) -> None:
    """A combination that could not be carried out is a mistake, never ignored."""
    assert near.shop.cli("audit", *words).code == 2
