"""Real promotions under audit and reconcile: what they leave is whole, what a kill leaves is completed."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from gitkitchen.road.ground import Ground
from gitkitchen.workplace import Request
from road import TWO, made, promoted, rows
from shop import Shop

KILLED = """
import os, signal, sys
from gitkitchen.cli.main import main
from gitkitchen.road import effects
def kill(step, now):
    if (step, now) == ("move-branch", "after"):
        os.kill(os.getpid(), signal.SIGKILL)
effects.watchers.append(kill)
sys.exit(main(["-C", sys.argv[1], "promote", "staging", "--quiet"]))
"""


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    """A road whose staging shows the first tree, with another one run on dev."""
    found = made(tmp_path, TWO)
    for name in ("delays", "report"):
        assert found.cli("run", name, "--quiet").code == 0
    promoted(found, "staging")
    found.replace("recipes/delays/late.sql", "count(*)", "99 - count(*)")
    found.commit()
    for name in ("delays", "report"):
        assert found.cli("run", name, "--quiet").code == 0
    return found


def reconcile(shop: Shop) -> list[tuple[str, str]]:
    document = json.loads(shop.cli("reconcile", "staging", "--json").out)
    return [(f["environment"], f["code"]) for f in document["found"]]


def test_what_a_promotion_leaves_is_whole(shop: Shop) -> None:
    """Records, commits, trailers and evidence of two promotions agree; there is nothing to reconcile."""
    promoted(shop, "staging")
    promoted(shop, "prod")
    said = shop.cli("audit", "--verify")
    assert said.code == 0, said.out
    assert "3 landings" in said.out
    assert reconcile(shop) == []
    assert "forward" in shop.cli("audit", "prod").out


def test_a_torn_promotion_is_completed_with_its_data(shop: Shop) -> None:
    """Killed between the branch and the records: reconcile writes both from commit and evidence, builds
    nothing, and consumers read what was proved."""
    words = [sys.executable, "-c", KILLED, str(shop.root)]
    assert subprocess.run(words, check=False, capture_output=True).returncode == -signal.SIGKILL
    assert rows(shop, "staging", "select * from worst") == [("AA", 2)]
    assert reconcile(shop) == [("staging", "completed")]
    assert rows(shop, "staging", "select * from worst") == [("UA", 98)]
    assert shop.cli("audit", "staging", "--verify").code == 0
    assert reconcile(shop) == []
    done = json.loads(shop.cli("promote", "staging", "--json").out)
    assert done["new"] is False
    assert len(Ground.of(Request(start=shop.root)).course("staging").landings) == 2


@pytest.mark.long
def test_a_torn_promotion_that_something_overtook_is_left_to_be_proved(shop: Shop) -> None:
    """A run published meanwhile: the versions of then are not put over it; promoting proves the tree anew."""
    words = [sys.executable, "-c", KILLED, str(shop.root)]
    assert subprocess.run(words, check=False, capture_output=True).returncode == -signal.SIGKILL
    shop.git("switch", "-q", "staging")
    shop.git("reset", "-q", "--hard")
    assert shop.cli("run", "delays", "--quiet").code == 0
    shop.git("switch", "-q", "develop")
    assert reconcile(shop) == [("staging", "unproved")]
    promoted(shop, "staging")
    assert rows(shop, "staging", "select * from worst") == [("UA", 98)]
    assert reconcile(shop) == []


@pytest.mark.long
def test_a_hands_push_that_is_proved_afterwards_ends_its_incident(shop: Shop) -> None:
    """Drift is named at once; the next promotion proves what stands there, and the incident is over."""
    shop.git("switch", "-q", "staging")
    shop.commit({"notes.txt": "by hand"})
    shop.git("switch", "-q", "develop")
    assert reconcile(shop) == [("staging", "drift-branch")]
    promoted(shop, "staging")
    course = Ground.of(Request(start=shop.root)).course("staging")
    assert course.healthy
    assert reconcile(shop) == []


@pytest.mark.long
def test_what_mends_an_incident_leaves_the_road_whole(shop: Shop) -> None:
    """A commit by hand that does not pass is an incident; what lands over it is in order, the audit is whole.
    The command says what it found, who asked, and that the tree of before goes over it."""
    shop.git("switch", "-q", "staging")
    shop.commit({"recipes/delays/late.sql": "select carrier, 1 as n from flights\n"}, "by hand")
    shop.git("switch", "-q", "develop")
    said = shop.cli("promote", "staging", "--quiet")
    assert said.code == 1
    assert "promote with --over INCIDENT" in said.out
    assert said.out.count("does not pass") == 0, "the incident is told once, as a problem"
    assert said.err.count("does not pass") == 1
    assert shop.cli("audit", "--verify").code == 1, "what stands there now is not recorded"
    (incident,) = Ground.of(Request(start=shop.root)).course("staging").incidents
    promoted(shop, "staging", "--over", incident.id, "--reason", "it was looked at")
    verified = shop.cli("audit", "--verify")
    assert verified.code == 0, verified.out
    last = Ground.of(Request(start=shop.root)).course("staging").last
    assert last is not None
    assert [actor.name for actor in last.actors] == [shop.git("var", "GIT_AUTHOR_IDENT").partition(" <")[0]]


@pytest.mark.long
def test_what_was_proved_again_without_its_record_is_whole(shop: Shop) -> None:
    """A ledger that was lost is proved anew by the next promotion: with evidence of its own, by nobody else.
    The command says what it recorded first, even where there is nothing to promote behind it."""
    promoted(shop, "staging")
    shutil.rmtree(shop.root / ".gitkitchen/ledger")
    said = shop.cli("promote", "staging", "--quiet")
    assert said.code == 0, said.err
    assert "is proved and recorded now, and 3 datasets published with it" in said.err
    verified = shop.cli("audit", "staging", "--verify")
    assert verified.code == 0, verified.out
