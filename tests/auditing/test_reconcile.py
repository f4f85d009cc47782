"""``reconcile``: what died is ended, what is torn completed or named, what a hand changed reported once."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from tests.auditing.made_road import Road, make_road

from gitkitchen.kitchen.identity import environment_namespace
from gitkitchen.promote.moves import body_of
from gitkitchen.promote.protocol import STEPS
from gitkitchen.promote.shapes import Landing, stream_of
from gitkitchen.road.effects import KEEPING
from gitkitchen.road.incidents import course_of, lease_of


def found(road: Road, *words: str) -> list[tuple[str, str]]:
    """What `reconcile` found, as (environment, code)."""
    said = road.shop.cli("reconcile", *words, "--json")
    document = json.loads(said.out)
    assert said.code == (1 if document["broken"] else 0), said.err
    return [(f["environment"], f["code"]) for f in document["found"]]


def kinds(road: Road, environment: str = "prod") -> list[str]:
    return [i.kind for i in course_of(road.ledger, environment).incidents]


def test_nothing_is_left_to_do(road: Road) -> None:
    """On an environment that is whole it writes nothing, however often it is asked."""
    road.land("prod", "one")
    head = road.ledger.head(stream_of("prod"))
    assert found(road) == []
    assert found(road) == []
    assert road.ledger.head(stream_of("prod")) == head


def test_nothing_drifts_where_nothing_was_promoted(near: Road) -> None:
    """A project whose branches are pushed by hand, as before it promoted anything, has no drift."""
    near.by_hand("prod", "as ever")
    assert found(near) == []
    assert kinds(near) == []


def test_s12_a_landing_without_a_record_is_completed(either: Road) -> None:
    """S12: the commit is on the branch, its record is missing: written from the trailers, and marked so."""
    either.land("prod", "one")
    landing = either.commit(either.landing("prod", "two"))
    assert found(either, "prod") == [("prod", "completed")]
    last = course_of(either.ledger, "prod").last
    assert last is not None
    assert (last.commit, last.tree, last.told) == (landing.commit, landing.tree, "trailers")
    assert last.evidence == landing.evidence
    assert found(either, "prod") == []
    assert either.shop.cli("audit", "prod", "--verify").code == 0


def test_several_landings_without_records_are_completed_in_order(near: Road) -> None:
    """Each on the one before it, in the order of the branch and never of the clock."""
    near.land("prod", "one")
    two = near.commit(near.landing("prod", "two"))
    early = near.landing("prod", "three", at=datetime(2020, 1, 1, tzinfo=UTC))
    three = near.commit(early)
    assert found(near, "prod") == [("prod", "completed"), ("prod", "completed")]
    course = course_of(near.ledger, "prod")
    assert [landing.commit for landing in course.landings[1:]] == [two.commit, three.commit]
    assert course.live_at(datetime(2026, 12, 1, tzinfo=UTC)) == course.last


def test_a_landing_whose_evidence_is_not_there_is_an_incident(road: Road) -> None:
    """No record vouches for it: it is named once, the environment is broken, nothing is completed."""
    road.land("prod", "one")
    road.commit(road.landing("prod", "two", said={"recorded": False}))
    assert found(road, "prod") == [("prod", "torn")]
    assert found(road, "prod") == []
    assert kinds(road) == ["torn"]
    assert not course_of(road.ledger, "prod").healthy
    assert len(course_of(road.ledger, "prod").landings) == 1


@pytest.mark.parametrize("verdict", ["failed", "infrastructure"])
def test_evidence_that_did_not_pass_completes_nothing(near: Road, verdict: str) -> None:
    """Green needs evidence: a record that says otherwise than the trailers claim is none."""
    near.land("prod", "one")
    near.commit(near.landing("prod", "two", said={"verdict": verdict}))
    assert found(near, "prod") == [("prod", "torn")]


def test_s1_a_wrong_tree_is_an_incident(near: Road) -> None:
    """S1: the merge put another tree on the branch than was tested: broken, and nothing is completed."""
    near.land("prod", "one")
    near.commit(near.landing("prod", "two"), tree=near.tree("prod", "other"))
    assert found(near, "prod") == [("prod", "wrong-tree")]
    assert found(near, "prod") == []
    assert len(course_of(near.ledger, "prod").landings) == 1


def test_a_hands_push_is_reported_once_and_over_when_it_is_gone(road: Road) -> None:
    """Drift of the branch: found, not found again, closed when the branch is back where it landed."""
    landed = road.land("prod", "one")
    road.by_hand("prod", "hot")
    assert found(road, "prod") == [("prod", "drift-branch")]
    assert found(road, "prod") == []
    assert kinds(road) == ["drift-branch"]
    road.move("prod", landed.commit)
    assert found(road, "prod") == [("prod", "closed")]
    assert course_of(road.ledger, "prod").healthy


def test_a_branch_that_was_taken_back_is_reported(near: Road) -> None:
    """S3: an older landing on the branch is drift, whatever its time says."""
    first = near.land("prod", "one")
    near.land("prod", "two")
    near.move("prod", first.commit)
    assert found(near, "prod") == [("prod", "drift-branch")]
    assert found(near, "prod") == []


def test_a_forged_landing_is_not_completed(near: Road) -> None:
    """Trailers of another landing, copied onto a commit of one's own, complete nothing."""
    near.land("prod", "one")
    two = near.land("prod", "two")
    text = near.shop.git("log", "-1", "--format=%B", two.commit)
    near.commit(replace(near.landing("prod", "three"), tree=two.tree), message=text)
    assert found(near, "prod") == [("prod", "drift-branch")]


def test_commits_of_the_first_environment_are_no_drift(near: Road) -> None:
    """Its branch moves by merged pull requests; a landing on it is a rollback."""
    near.land("dev", "one", source_environment="")
    near.by_hand("dev", "merged")
    assert found(near, "dev") == []


def test_who_is_landing_is_left_alone(near: Road) -> None:
    """While somebody holds the environment's lease, nothing of its branch is judged."""
    near.land("prod", "one")
    near.by_hand("prod", "in between")
    with near.ledger.lease(lease_of("prod"), "promote-by-anna"):
        assert found(near, "prod") == [("prod", "in-use")]
    assert kinds(near) == []
    assert found(near, "prod") == [("prod", "drift-branch")]


# --- runs that died ----------------------------------------------------------------------------------


def mark(road: Road, run: str, environment: str = "prod") -> str:
    """The mark that a run leaves before its first node."""
    namespace = environment_namespace(road.project, road.environment(environment))
    begun = {"run": run, "recipe": "delays", "variation": None, "sets": [], "select": [], "tree": "a" * 40}
    begun |= {"namespace": namespace, "started": "2026-03-02T08:00:00+00:00"}
    path = road.shop.root / ".gitkitchen/runs" / run / "run.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(begun) + "\n")
    return namespace


def test_a_run_that_died_is_ended_once(road: Road) -> None:
    """S13: it left a mark and no outcome, and nobody holds its lease: the ledger gets its end."""
    namespace = mark(road, "20260302T080000000Z-aaaaaa")
    assert found(road, "prod") == [("prod", "run-ended")]
    assert found(road, "prod") == []
    (record,) = road.ledger.read(f"runs/{namespace}/delays")
    assert record.body["verdict"] == "interrupted"
    assert "interrupted" in road.shop.cli("log", "--kitchen", "main").out


def test_a_run_that_is_alive_is_left_alone(near: Road) -> None:
    """Who holds the recipe's lease is at work."""
    namespace = mark(near, "20260302T080000000Z-aaaaaa")
    with near.ledger.lease(f"{namespace}/delays", "20260302T080000000Z-aaaaaa"):
        assert found(near, "prod") == []
    assert found(near, "prod") == [("prod", "run-ended")]


def test_a_run_that_died_on_another_machine_is_timed_out(tmp_path) -> None:  # type: ignore[no-untyped-def]
    """S13: a hosted job that was evicted left only its lease on the ledger: when it expires, the run ends."""
    from tests.ledger.host import QUICK

    from gitkitchen.ledger.branch import BranchLedger

    road = make_road(tmp_path, "branch")
    namespace = environment_namespace(road.project, road.environment("prod"))
    past = datetime.now(UTC) - timedelta(days=1)
    script = (
        "import os, sys; from pathlib import Path; from datetime import datetime;"
        "from gitkitchen.ledger.branch import BranchLedger;"
        "root = Path(sys.argv[1]); past = datetime.fromisoformat(sys.argv[3]);"
        "ledger = BranchLedger(root, root / '.elsewhere', say=print, clock=lambda: past);"
        "held = ledger.lease(sys.argv[2], 'run-of-an-evicted-job', 600); held.__enter__();"
        "os.kill(os.getpid(), 9)"
    )
    words = [sys.executable, "-c", script, str(road.shop.root), f"{namespace}/delays", past.isoformat()]
    assert subprocess.run(words, check=False).returncode == -signal.SIGKILL
    assert found(road, "prod") == [("prod", "run-ended")]
    assert found(road, "prod") == []
    ledger = BranchLedger(road.shop.root, road.shop.root / ".gitkitchen", say=print, limits=QUICK)
    (record,) = ledger.read(f"runs/{namespace}/delays")
    assert (record.body["run"], record.body["verdict"]) == ("run-of-an-evicted-job", "timed_out")


def test_records_that_waited_are_absorbed(tmp_path) -> None:  # type: ignore[no-untyped-def]
    """S28: a record on a ref of its own is in its stream afterwards, and the ref is gone."""
    from gitkitchen.ledger.branch import BranchLedger
    from gitkitchen.ledger.outbox import Pending

    road = make_road(tmp_path, "branch")
    ledger = road.ledger
    assert isinstance(ledger, BranchLedger)
    ledger.append("runs/k_x/delays", {"n": 1})
    assert ledger._committer.set_aside([Pending("runs/k_x/delays", {"n": 2}, "0" * 16, 1)])
    assert "fallback" in road.shop.git("ls-remote", "origin")
    assert found(road, "prod") == []
    assert [r.body["n"] for r in road.ledger.read("runs/k_x/delays")] == [1, 2]
    assert "fallback" not in road.shop.git("ls-remote", "origin")


# --- killed ------------------------------------------------------------------------------------------

KILLED = """
import os, sys
from gitkitchen.cli.main import main
from gitkitchen.road import effects
name, when, path = sys.argv[1:4]
def watch(effect, moment):
    with open(path, "a") as seen:
        print(effect, moment, file=seen)
    if (effect, moment) == (name, when):
        os.kill(os.getpid(), 9)
effects.watchers.append(watch)
sys.exit(main(sys.argv[4:]))
"""


def torn(road: Road) -> Landing:
    """A road on which reconcile has all its work: a torn landing, a dead run, a hand's push on top."""
    road.land("prod", "one")
    landing = road.commit(road.landing("prod", "two"))
    road.by_hand("prod", "on top")
    mark(road, "20260302T080000000Z-aaaaaa")
    return landing


def walk(road: Road, name: str = "", when: str = "") -> tuple[int, list[str]]:
    """`reconcile prod` in a process of its own, killed at an effect; its exit code and the effects seen."""
    seen = road.shop.root.parent / f"seen-{name}-{when}"
    words = [
        sys.executable,
        "-c",
        KILLED,
        name,
        when,
        str(seen),
        "-C",
        str(road.shop.root),
        "reconcile",
        "prod",
    ]
    done = subprocess.run(words, check=False, capture_output=True, text=True, env=dict(os.environ))
    return done.returncode, seen.read_text().splitlines()


def state(road: Road) -> tuple[object, ...]:
    course = course_of(road.ledger, "prod")
    namespace = environment_namespace(road.project, road.environment("prod"))
    runs = [r.body["run"] for r in road.ledger.read(f"runs/{namespace}/delays")]
    kinds = [i.kind for i in course.incidents]
    return [(m.reason, m.told) for m in course.landings], kinds, sorted(runs), course.moves


QUICK = ("record-move after",)
"""Kills of every test run; the long ones are at all that the walk itself shows."""


@pytest.mark.parametrize(
    ("kind", "only"),
    [
        ("folder", QUICK),
        pytest.param("folder", (), marks=pytest.mark.long),
        pytest.param("branch", (), marks=pytest.mark.long),
    ],
    ids=["quick", "folder", "branch"],
)
def test_killed_before_and_after_every_effect_the_same_command_ends_the_work(
    tmp_path, kind: str, only: tuple[str, ...]
) -> None:  # type: ignore[no-untyped-def]
    """kill -9 at each effect that a whole walk shows: run again, and the end is that of a walk unharmed."""
    whole = make_road(tmp_path / "whole", kind)
    torn(whole)
    code, seen = walk(whole)
    assert code == 1  # broken: somebody pushed by hand
    expected = state(whole)
    assert {line.split()[0] for line in seen} <= STEPS.keys() | KEEPING
    assert {"look-for-work", "take-lease", "record-move", "record-incident", "end-run"} <= {
        line.split()[0] for line in seen
    }
    assert set(only) <= set(seen)
    for line in only or dict.fromkeys(seen):
        name, when = line.split()
        road = make_road(tmp_path / f"{name}-{when}", kind)
        torn(road)
        killed, _ = walk(road, name, when)
        assert killed == -signal.SIGKILL, line
        code, _ = walk(road)
        assert code == 1, line
        assert state(road) == expected, line
        assert walk(road)[0] == 1
        assert state(road) == expected, line


def test_every_body_that_reconcile_writes_is_a_move(near: Road) -> None:
    """What it writes is read by everybody else: the fold finds nothing odd in it."""
    torn(near)
    found(near, "prod")
    course = course_of(near.ledger, "prod")
    assert not course.odd
    assert all(body_of(landing) for landing in course.landings)
