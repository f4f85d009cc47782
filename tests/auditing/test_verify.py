"""``audit --verify``: what was altered, removed or moved is found and named, in the ledger and in Git."""

from __future__ import annotations

import json
import random
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from tests.auditing.made_road import Road, make_road

from gitkitchen.ledger.layout import Slot, file_of
from gitkitchen.ledger.records import encode, seal
from gitkitchen.promote.moves import body_of
from gitkitchen.promote.shapes import stream_of

RECORDS = 1000
STREAM = "runs/k_main_0123456789ab/delays"


def problems(road: Road, *words: str) -> list[str]:
    """The messages of `audit --verify`; its exit code says whether there are any."""
    said = road.shop.cli("audit", *words, "--verify", "--json")
    assert said.code in (0, 1), said.err
    found = [p["message"] for p in json.loads(said.out)["problems"]]
    assert said.code == (1 if found else 0)
    return found


# --- a ledger of 1,000 records -----------------------------------------------------------------------


def thousand() -> list[bytes]:
    """The files of 1,000 chained records."""
    found, previous = [], ""
    for number in range(1, RECORDS + 1):
        record = seal(STREAM, number, {"run": f"r{number}", "verdict": "passed"}, previous)
        found.append(encode(record))
        previous = record.id
    return found


def in_folder(road: Road) -> list[Path]:
    top = road.shop.root / ".gitkitchen/ledger" / STREAM
    paths = [top / f"@{n // 1000:06d}" / f"{n:09d}.json" for n in range(1, RECORDS + 1)]
    for path, data in zip(paths, thousand(), strict=True):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    (top / "@head").write_text(str(RECORDS))
    return paths


def names_on_branch() -> list[str]:
    slots = (Slot(n, f"{n:016x}", "") for n in range(1, RECORDS + 1))
    return [file_of(STREAM, slot, "@2026-03") for slot in slots]


def push(road: Road, files: dict[str, bytes], *, after: str = "") -> str:
    """Put a commit with exactly these files on the remote's ledger branch, whatever was there."""
    assert road.remote is not None
    lines = [b"commit refs/heads/gitkitchen-ledger\ncommitter x <x@x> 1772438400 +0000\ndata 0\n"]
    lines += [f"from {after}\n".encode()] if after else []
    lines.append(b"deleteall\n")
    for name, data in files.items():
        lines.append(f"M 100644 inline {name}\ndata {len(data)}\n".encode() + data + b"\n")
    if not after:
        subprocess.run(
            ["git", "update-ref", "-d", "refs/heads/gitkitchen-ledger"], cwd=road.remote, check=True
        )
    subprocess.run(
        ["git", "fast-import", "--quiet", "--force"], cwd=road.remote, check=True, input=b"".join(lines)
    )
    words = ["git", "rev-parse", "refs/heads/gitkitchen-ledger"]
    done = subprocess.run(words, cwd=road.remote, check=True, capture_output=True, text=True)
    return done.stdout.strip()


def flip(data: bytes, chance: random.Random) -> bytes:
    """The same bytes but for one bit."""
    at = chance.randrange(len(data))
    return data[:at] + bytes([data[at] ^ (1 << chance.randrange(8))]) + data[at + 1 :]


@pytest.mark.parametrize("seed", range(2))
def test_in_a_folder_of_a_thousand_every_change_is_named(tmp_path: Path, seed: int) -> None:
    """A flipped bit, a removed record (the last one, too), two that were swapped: each by its number."""
    road = make_road(tmp_path, "folder")
    paths = in_folder(road)
    assert problems(road) == []
    chance = random.Random(seed)
    number = chance.randrange(2, RECORDS)
    path, before = paths[number - 1], paths[number - 1].read_bytes()
    path.write_bytes(flip(before, chance))
    assert any(f"record {number} of stream '{STREAM}'" in text for text in problems(road))
    path.unlink()
    assert any(f"record {number} of stream '{STREAM}' is missing" in text for text in problems(road))
    path.write_bytes(before)
    other = paths[(number + 499) % RECORDS]
    content = other.read_bytes()
    path.write_bytes(content)
    other.write_bytes(before)
    found = problems(road)
    for at in (number, paths.index(other) + 1):
        assert any(f"record {at} of stream '{STREAM}'" in text for text in found)
    path.write_bytes(before)
    other.write_bytes(content)
    assert problems(road) == []
    paths[-1].unlink()
    assert any(f"record {RECORDS} of stream '{STREAM}' is missing" in text for text in problems(road))
    for folder in {path.parent for path in paths}:
        shutil.rmtree(folder)
    assert any(f"record 1 of stream '{STREAM}' is missing" in text for text in problems(road))


def test_on_a_branch_of_a_thousand_every_change_is_named(tmp_path: Path) -> None:
    """In a commit on top, the commit that did it is named; in a history written anew, the record."""
    road = make_road(tmp_path, "branch")
    names, data = names_on_branch(), thousand()
    whole = dict(zip(names, data, strict=True))
    first = push(road, whole)
    assert problems(road) == []
    chance = random.Random(1)
    for how in ("flip", "remove", "swap"):
        number = chance.randrange(2, RECORDS - 1)
        name, other = names[number - 1], names[number]
        changed = dict(whole)
        if how == "flip":
            changed[name] = flip(whole[name], chance)
        elif how == "remove":
            del changed[name]
        else:
            changed[name], changed[other] = whole[other], whole[name]
        on_top = push(road, changed, after=first)
        found = problems(road)
        assert any(f"record {number} of stream '{STREAM}'" in text for text in found), how
        assert any(name in text and on_top[:12] in text for text in found), how
        # Somebody who has never seen the branch before: only the records themselves tell.
        push(road, changed)
        clean = Road(road.shop, road.remote)
        for ref in road.shop.git("for-each-ref", "--format=%(refname)", "refs/gitkitchen").split():
            road.shop.git("update-ref", "-d", ref)
        assert any(f"record {number} of stream '{STREAM}'" in text for text in problems(clean)), how
        push(road, whole)
        for ref in road.shop.git("for-each-ref", "--format=%(refname)", "refs/gitkitchen").split():
            road.shop.git("update-ref", "-d", ref)


def test_a_history_written_anew_is_refused_by_who_saw_the_old_one(tmp_path: Path) -> None:
    """The last record taken off by a force push: this clone saw it and says so; it could not be checked."""
    road = make_road(tmp_path, "branch")
    names, data = names_on_branch(), thousand()
    push(road, dict(zip(names, data, strict=True)))
    assert problems(road) == []
    push(road, dict(zip(names[:-1], data[:-1], strict=True)))
    said = road.shop.cli("audit", "--verify")
    assert said.code == 3
    assert "was rewritten" in said.err


# --- the ledger and Git ------------------------------------------------------------------------------


def test_a_whole_road_is_whole(road: Road) -> None:
    """Landings, holds and evidence that nobody touched: nothing is wrong, and it says what it looked at."""
    road.land("staging", "one", source_environment="dev")
    road.land("prod", "one")
    road.land("prod", "two")
    road.shop.cli("hold", "prod", "--reason", "x")
    said = road.shop.cli("audit", "--verify")
    assert said.code == 0, said.out
    assert "4 moves, 3 landings, 3 pieces of evidence" in said.out


def test_a_commit_without_a_record_is_named(road: Road) -> None:
    """A hand's push at the tip, and one below a later landing."""
    road.land("prod", "one")
    below = road.by_hand("prod", "by hand")
    assert [t for t in problems(road) if below[:12] in t and "has no record" in t]
    road.land("prod", "two")
    found = problems(road)
    assert [t for t in found if below[:12] in t and "has no record" in t]
    assert [t for t in found if "record 2 of stream 'promotions/prod' does not fit" in t]


def test_commits_of_the_first_environment_need_no_record(near: Road) -> None:
    """Nothing is promoted to it: its branch moves by pull requests, and its landings are rollbacks."""
    near.land("dev", "one", source_environment="")
    near.by_hand("dev", "merged")
    near.land("dev", "two", source_environment="")
    assert problems(near, "dev") == []


def test_a_record_without_a_commit_is_named(near: Road) -> None:
    """A branch that was taken back lacks what the ledger says landed; so does a commit that is nowhere."""
    first = near.land("prod", "one")
    second = near.land("prod", "two")
    near.move("prod", first.commit)
    assert [t for t in problems(near) if second.commit[:12] in t and "is not on branch 'main'" in t]
    near.move("prod", second.commit)
    gone = replace(second, commit="f" * 40, before=second.commit)
    near.ledger.append(stream_of("prod"), body_of(gone))
    assert [t for t in problems(near) if "f" * 12 in t and "its commit is not in this repository" in t]


def test_another_tree_than_recorded_is_named(near: Road) -> None:
    """S1: the tree that Git has is compared with the tree that was tested."""
    landing = near.landing("prod", "one")
    wrong = near.commit(landing, tree=near.tree("prod", "not tested"))
    near.ledger.append(stream_of("prod"), body_of(wrong))
    (text,) = [t for t in problems(near) if "and Git has" in t]
    assert landing.tree[:12] in text
    assert wrong.commit[:12] in text


def test_evidence_that_is_missing_or_says_else_is_named(near: Road) -> None:
    """Green needs evidence: a digest that no record has, and a record that says failed."""
    near.land("prod", "one", said={"recorded": False})
    near.land("prod", "two", said={"verdict": "failed"})
    found = problems(near)
    assert [t for t in found if near.landed[0].evidence[0].run in t and "is not in the ledger" in t]
    assert [t for t in found if near.landed[1].evidence[0].run in t and "says verdict passed" in t]


def test_a_record_that_is_not_its_commits_is_named(near: Road) -> None:
    """A record whose trailers tell otherwise (another base of evidence, another intent) is named by field."""
    landing = near.commit(near.landing("prod", "one"))
    other = near.evidence("prod", landing.tree)
    near.ledger.append(stream_of("prod"), body_of(replace(landing, evidence=(other,))))
    assert [t for t in problems(near) if "differ in 'evidence'" in t and landing.commit[:12] in t]


def test_edited_trailers_are_named(near: Road) -> None:
    """A landing's commit whose message was edited, or that has none, is named."""
    landing = near.landing("prod", "one")
    from gitkitchen.promote.moves import message_of

    text = message_of(replace(landing, commit=landing.tree)).replace("forward", "rollback")
    made = near.commit(landing, message=text)
    near.ledger.append(stream_of("prod"), body_of(made))
    bare = near.commit(near.landing("prod", "two"), message="Merge\n")
    near.ledger.append(stream_of("prod"), body_of(bare))
    found = problems(near)
    assert [t for t in found if made.commit[:12] in t and "they are not what was written" in t]
    assert [t for t in found if bare.commit[:12] in t and "its commit says nothing of it" in t]


def test_a_ledger_that_is_not_the_one_of_the_landing_is_named(tmp_path: Path) -> None:
    """Trailers name the ledger's tip: a branch that begins anew does not have it."""
    road = make_road(tmp_path, "branch")
    road.ledger.append("runs/k_x/other", {"n": 1})
    assert road.remote is not None
    words = ["git", "rev-parse", "refs/heads/gitkitchen-ledger"]
    done = subprocess.run(words, cwd=road.remote, check=True, capture_output=True, text=True)
    road.land("prod", "one", ledger=done.stdout.strip())
    assert problems(road) == []
    road.land("prod", "two", ledger="e" * 40)
    assert [t for t in problems(road) if "is no part of this one" in t and "eeeeeeeeeeee" in t]


def test_without_the_remote_nothing_is_claimed(tmp_path: Path) -> None:
    """Could not check is its own outcome: exit 3, never whole."""
    road = make_road(tmp_path, "branch")
    road.land("prod", "one")
    assert road.remote is not None
    road.remote.rename(tmp_path / "away.git")
    said = road.shop.cli("audit", "--verify")
    assert said.code == 3
    assert "whole" not in said.out
