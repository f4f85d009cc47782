"""Moves as records of the ledger, as trailers of commits, and folded to where an environment stands."""

from __future__ import annotations

import copy
import json
import subprocess
from collections.abc import Iterator
from dataclasses import fields, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.promote import made_moves as made
from tests.promote.made_moves import MORNING, landing, oid

from gitkitchen.errors import Infrastructure
from gitkitchen.files import canonical
from gitkitchen.ledger.records import seal
from gitkitchen.promote import bodies
from gitkitchen.promote.moves import (
    Course,
    body_of,
    bounded,
    fold,
    landing_in,
    message_of,
    move_of,
    moves_of,
    told,
    trailers_in,
    trailers_of,
)
from gitkitchen.promote.shapes import (
    Actor,
    Evidence,
    GateResult,
    Hold,
    Incident,
    Landing,
    Method,
    Move,
    Release,
)

# --- records -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("shape", "table"),
    [
        (Landing, bodies.LANDING),
        (Hold, bodies.HOLD),
        (Release, bodies.RELEASE),
        (Incident, bodies.INCIDENT),
        (Evidence, bodies.EVIDENCE),
        (GateResult, bodies.GATE),
        (Actor, bodies.ACTOR),
    ],
    ids=lambda value: value.__name__ if isinstance(value, type) else "",
)
def test_every_field_of_a_shape_is_recorded(shape: type[Any], table: dict[str, Any]) -> None:
    """A field that is added to a shape is a field of its record, or this fails."""
    assert {field.name for field in fields(shape)} == set(table)


@given(made.moves)
def test_a_record_gives_back_the_move(move: Move) -> None:
    """What is written is read back, through JSON, as it was but for texts beyond their bounds."""
    body = json.loads(canonical(body_of(move)))
    found = move_of(body, "record 1")
    assert found == bounded(move)
    assert bounded(found) == found
    assert type(found) is type(move)
    assert found.at == move.at


@given(made.landings, st.data())
def test_no_other_body_is_read(move: Landing, data: st.DataObject) -> None:
    """One field more, less, of another type, or in another spelling: refused, with the record's name."""
    body = json.loads(canonical(body_of(move)))
    places = list(_places(body, ()))
    path = data.draw(st.sampled_from(places))
    broken = copy.deepcopy(body)
    above: Any = broken
    for step in path[:-1]:
        above = above[step]
    how = data.draw(st.sampled_from(["gone", "more", "type", "null"]))
    if how == "gone" and isinstance(above, dict):
        del above[path[-1]]
    elif how == "more" and isinstance(above, dict):
        above["extra"] = ""
    elif how == "null":
        above[path[-1]] = None
    else:
        above[path[-1]] = {"a": 1}
    if canonical(broken) == canonical(body) or _nullable(path, how):
        return
    with pytest.raises(Infrastructure) as caught:
        move_of(broken, "record 7 of stream 'promotions/prod'")
    assert "record 7 of stream 'promotions/prod'" in str(caught.value)
    assert caught.value.problems[0].code == "move-damaged"


def _places(value: Any, path: tuple[Any, ...]) -> Iterator[tuple[Any, ...]]:
    for key in value if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ():
        yield (*path, key)
        yield from _places(value[key], (*path, key))


def _nullable(path: tuple[Any, ...], how: str) -> bool:
    return how == "null" and path[-1] in ("when", "variation")


@pytest.mark.parametrize(
    "change",
    [
        {"tree": "abc"},
        {"tree": oid(1).upper().replace("0", "A")},
        {"commit": ""},
        {"environment": "Prod"},
        {"environment": "a/b"},
        {"at": MORNING.replace(tzinfo=None)},
        {"fence": -1},
        {"fence": True},
        {"published": tuple(str(n) for n in range(6000))},
        {"policy": "x"},
    ],
    ids=lambda change: f"{next(iter(change))}-{str(next(iter(change.values())))[:12]}",
)
def test_a_move_that_is_none_is_not_written(change: dict[str, Any]) -> None:
    """What could not be read back is refused before it is in the ledger, with the field's name."""
    with pytest.raises(ValueError, match=next(iter(change))):
        body_of(replace(landing(1), **change))


def test_evidence_of_nothing_is_not_written() -> None:
    """Evidence in which no test was evaluated is none."""
    empty = Evidence("r", None, "run", "0" * 64, oid(1), "", oid(2), "", "", "passed", 0)
    with pytest.raises(ValueError, match="tests"):
        body_of(replace(landing(1), evidence=(empty,)))


def test_a_move_in_another_environments_stream_is_refused() -> None:
    """A whole record that was copied to another environment's stream is named."""
    record = seal("promotions/staging", 1, body_of(landing(1)), "")
    with pytest.raises(Infrastructure, match="record 1 of stream 'promotions/staging'"):
        list(moves_of([record]))
    assert list(moves_of([seal("promotions/prod", 1, body_of(landing(1)), "")])) == [landing(1)]


def test_what_was_read_is_not_read_again() -> None:
    """A promotion folds its environment's moves a dozen times: each record is taken apart once, and one with
    the same number and another content is another record."""
    records = [seal("promotions/prod", n, body_of(landing(n)), "") for n in range(1, 200)]
    wanted = [landing(n) for n in range(1, 200)]
    assert list(moves_of(records)) == wanted
    before = bodies._move.cache_info().misses
    assert list(moves_of([replace(record) for record in records])) == wanted
    assert bodies._move.cache_info().misses == before
    other = seal("promotions/prod", 7, body_of(landing(8)), "")
    assert list(moves_of([other])) == [landing(8)]
    forged = replace(records[6], body=other.body)
    assert list(moves_of([forged])) == [landing(8)]


# --- trailers ----------------------------------------------------------------------------------------


@settings(max_examples=25)
@given(made.landings)
def test_trailers_give_back_the_landing(move: Landing) -> None:
    """What a commit tells of its landing is the landing, but for the reasons of gates and long texts."""
    found = landing_in(trailers_in(message_of(move)), move.commit)
    assert found is not None
    assert found == told(move)
    assert told(found.landing).landing == found.landing
    whole = bounded(move)
    assert isinstance(whole, Landing)
    gates = tuple(GateResult(g.gate, g.standing, "") for g in whole.gates)
    reason = found.landing.reason
    assert whole.reason.startswith(reason.removesuffix("…"))
    if not found.left_out:
        assert found.landing == replace(whole, gates=gates, reason=reason, told="")


@settings(max_examples=25)
@given(made.landings)
def test_no_value_does_anything_in_a_message(move: Landing) -> None:
    """No value mentions, closes, skips, hides, ends a line, or adds a trailer; the message is bounded."""
    message = message_of(move)
    assert len(message.encode()) < 65_536
    assert not set(message) & set("@#[]<>`*|~\0\x1b\u202e\u2066")
    for line in message.split("\n\n", 1)[1].splitlines():
        assert line.startswith("GitKitchen-"), line
        assert "://" not in line
    assert "gh-2" not in message.lower()


@settings(max_examples=25)
@given(made.landings, st.data())
def test_edited_trailers_are_refused(move: Landing, data: st.DataObject) -> None:
    """A line that was changed, removed, doubled or moved makes the trailers damaged, and names the commit."""
    lines = list(trailers_of(move))
    at = data.draw(st.integers(0, len(lines) - 1))
    how = data.draw(st.sampled_from(["change", "remove", "double", "move"]))
    edited = list(lines)
    if how == "change":
        edited[at] = (edited[at][0], edited[at][1] + "0")
    elif how == "remove":
        del edited[at]
    elif how == "double":
        edited.insert(at, edited[at])
    else:
        edited.append(edited.pop(at))
    if edited == lines or not any(key == "GitKitchen-Landing" for key, _ in edited):
        return
    with pytest.raises(Infrastructure, match=move.commit[:12]):
        landing_in(edited, move.commit)


def test_git_reads_the_same_trailers(tmp_path: Path) -> None:
    """`git interpret-trailers` finds the very lines in the message, hostile values and all."""
    proof = Evidence("r", None, "run", "1" * 64, oid(3), "2" * 64, oid(2), "3" * 64, "", "passed", 4)
    for text in made.HOSTILE:
        move = replace(
            landing(1),
            branch=text,
            reason=text,
            actors=(Actor(text, "asked", text),),
            waivers=(text,),
            evidence=(replace(proof, recipe=text, variation=text),),
        )
        message = message_of(move)
        done = subprocess.run(
            ["git", "interpret-trailers", "--parse"],
            input=message.encode(),
            capture_output=True,
            check=True,
            cwd=tmp_path,
        )
        assert done.stdout.decode() == "".join(f"{k}: {v}\n" for k, v in trailers_in(message))
        assert trailers_in(message) == trailers_of(move)


def test_what_does_not_fit_is_counted() -> None:
    """A landing of 200 recipes keeps what a forge's message can hold and says how much it left out."""
    proof = Evidence("r", None, "run", "1" * 64, oid(3), "2" * 64, oid(2), "3" * 64, "", "passed", 4)
    many = tuple(replace(proof, recipe=f"recipe_{n}") for n in range(200))
    names = tuple(f"dataset_{n}" for n in range(4000))
    found = told(replace(landing(1), evidence=many, published=names))
    left = dict(found.left_out)
    assert 0 < left["evidence"] == 200 - len(found.landing.evidence)
    assert 0 < left["published"] == 4000 - len(found.landing.published)
    assert found.landing.evidence == many[: len(found.landing.evidence)]


@pytest.mark.parametrize(
    "message",
    ["", "Merge branch 'x'\n", "Fix\n\nSigned-off-by: A <a@b>\n", "x\n\nGitKitchen-Landing: 1\n\nmore\n"],
    ids=["empty", "merge", "others", "not-last"],
)
def test_a_commit_of_somebody_else_tells_of_no_landing(message: str) -> None:
    """No trailers of ours in the last paragraph: nothing is told."""
    assert landing_in(trailers_in(message), oid(1)) is None


# --- the fold ----------------------------------------------------------------------------------------


def test_the_last_landing_is_live() -> None:
    """Tip and tree are those of the last record, whatever its time."""
    course = fold("prod", [landing(1), landing(2), landing(3, hours=-5)])
    assert (course.tip, course.tree) == (oid(3), oid(1003))
    assert course.moves == 3
    assert course.healthy
    assert not course.odd


def test_nothing_is_healthy_before_the_first_landing() -> None:
    """An environment on which nothing landed stands on nothing and is not healthy."""
    course = fold("prod", [])
    assert course == Course("prod")
    assert not course.healthy
    assert course.last is None
    assert course.live_at(MORNING) is None


def test_holds_are_in_force_until_their_own_release() -> None:
    """Each hold ends by the release of its id alone."""
    one, two = (Hold("prod", name, "anna", MORNING, "wait") for name in ("h-1", "h-2"))
    release = Release("prod", "h-1", "ben", MORNING)
    assert fold("prod", [one, two]).holds == (one, two)
    assert fold("prod", [one, two, release]).holds == (two,)
    assert fold("prod", [one, release, release]).odd == ((3, "it releases hold h-1, which is not in force"),)


def test_an_open_incident_breaks_an_environment_until_it_is_closed() -> None:
    """A wrong tree breaks it, a rollback does not, what is of an unknown kind does."""
    wrong = Incident("prod", "i-1", "wrong-tree", MORNING, "another tree landed", oid(1))
    rolled = Incident("prod", "i-2", "rollback", MORNING, "rolled back")
    other = Incident("prod", "i-3", "meteor", MORNING, "?")
    assert fold("prod", [landing(1), rolled]).healthy
    assert not fold("prod", [landing(1), other]).healthy
    broken = fold("prod", [landing(1), wrong])
    assert not broken.healthy
    assert broken.broken == ("wrong-tree (i-1): another tree landed",)
    mended = fold("prod", [landing(1), wrong, replace(wrong, closed=True)])
    assert mended.healthy
    assert not mended.incidents


def test_a_landing_on_another_tip_is_odd() -> None:
    """A gap in the chain of landings is said, and the later record stands."""
    course = fold("prod", [landing(1), landing(3)])
    assert [number for number, _ in course.odd] == [2]
    assert course.tip == oid(3)


def test_a_stale_fence_is_odd() -> None:
    """A record under an older fence than one before it is said; a hand has none."""
    assert fold("prod", [landing(1, fence=5), landing(2, fence=4)]).odd
    assert not fold("prod", [landing(1, fence=5), landing(2, fence=0, method=Method.HAND)]).odd


@given(
    st.lists(st.integers(-48, 48), min_size=1, max_size=8),
    st.integers(-60, 60),
)
def test_what_was_live_follows_the_records(hours: list[int], asked: int) -> None:
    """What was live at a moment is in the order of the records, whatever the clocks said."""
    course = fold("prod", [landing(n, hours=h) for n, h in enumerate(hours, 1)])
    moment = MORNING + timedelta(hours=asked)
    live = course.live_at(moment)
    number = int(live.commit, 16) if live else 0
    assert all(h <= asked for h in hours[:number])
    assert number == len(hours) or any(h > asked for h in hours[: number + 1])
    later = course.live_at(moment + timedelta(hours=1))
    assert int(later.commit, 16) >= number if later else number == 0


@settings(max_examples=15)
@given(st.lists(made.moves, max_size=6))
def test_any_moves_fold(moves: list[Move]) -> None:
    """No stream of whole records makes the fold fail; what is another environment's has no effect."""
    course = fold("prod", moves)
    own = [m for m in moves if m.environment == "prod"]
    assert course.moves == len(moves)
    assert len([n for n, t in course.odd if t.startswith("it is a move of")]) == len(moves) - len(own)
    again = fold("prod", own)
    assert (again.landings, again.holds, again.incidents) == (course.landings, course.holds, course.incidents)
    assert list(course.since) == sorted(course.since)
