"""Leases over the branch: one holder among all clones, stale ones refused, dead ones replaced."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tests.ledger.host import BRANCH, Clone, Host, git

from gitkitchen.errors import Conflict
from gitkitchen.ledger.branch import BranchLedger
from gitkitchen.ledger.branch_lease import BranchLease, _acquire
from gitkitchen.ledger.layout import lease_file
from gitkitchen.ledger.lease import LeaseLost
from gitkitchen.ledger.protocol import New

START = datetime(2026, 3, 29, 0, 59, tzinfo=UTC)
NAME = "k_x/delays"
HOLD = """
import sys, time
from pathlib import Path
from gitkitchen.ledger.branch import BranchLedger
root = Path(sys.argv[1])
with BranchLedger(root, root / ".gitkitchen", say=print).lease("k_x/delays", sys.argv[2], 3600) as held:
    print(held.fence, flush=True)
    time.sleep(float(sys.argv[3]))
"""


def at(seconds: float) -> Callable[[], datetime]:
    """A clock that stands still."""
    return lambda: START + timedelta(seconds=seconds)


def document(host: Host) -> dict[str, Any]:
    """What the branch says about the lease."""
    found: dict[str, Any] = json.loads(git(host.remote, "show", f"{BRANCH}:{lease_file(NAME)}"))
    return found


def elsewhere(ledger: BranchLedger, host: Host, **change: Any) -> None:
    """Make the lease that of a machine about which this one can know nothing."""
    other = document(host) | {"process": {"machine": "elsewhere", "pid": 1, "started": "1"}} | change
    ledger.commit([], lambda _view: {lease_file(NAME): json.dumps(other).encode()})


def take(clone: Clone, holder: str, seconds: float, clock: Callable[[], datetime]) -> BranchLease:
    """Take the lease as a process that will never give it back."""
    return _acquire(clone.ledger(clock=clock), NAME, holder, seconds)


@contextmanager
def refused(match: str) -> Iterator[None]:
    with pytest.raises(Conflict, match=match):
        yield


def test_one_holder_among_all_clones(host: Host) -> None:
    """While one clone holds the lease others are refused, told by whom; then they get a higher fence."""
    a, b = host.clone("a"), host.clone("b")
    with a.ledger().lease(NAME, "run-1", 60) as first:
        assert (first.fence, first.withheld) == (1, "")
        with refused(r"'k_x/delays' is held by run-1 \(process "), b.ledger().lease(NAME, "run-2", 60):
            pass
        with b.ledger().lease("k_x/other", "run-3", 60) as other:
            assert other.fence == 1, "another name is another lease"
        first.check()
    with b.ledger().lease(NAME, "run-2", 60) as second:
        assert second.fence == 2


def test_what_is_tried_is_not_waited_for(host: Host) -> None:
    """Who publishes nothing keeps nobody waiting elsewhere, and runs beside a holder elsewhere."""
    a, b = host.clone("a"), host.clone("b")
    with a.ledger().lease(NAME, "candidate", publishes=False) as tried:
        assert tried.fence == 0
        with refused("is held by candidate"), a.ledger().lease(NAME, "again"):
            pass
        with b.ledger().lease(NAME, "real") as real:
            assert real.fence == 1
            tried.check()
    assert host.commits() == 2, "taken and given back: two pushes"


def test_few_pushes(host: Host) -> None:
    """A whole run costs three pushes: the lease, the publication, and the record with the lease's return."""
    ledger = host.clone("a").ledger()
    with ledger.lease(NAME, "run") as held:
        ledger.append("publications/k_x", {"n": 1}, expect=0, under=held)
        ledger.deposit("runs/k_x/delays", {"n": 1})
    assert host.commits() == 3
    assert host.clone("b").ledger().streams() == ["publications/k_x", "runs/k_x/delays"]
    assert document(host)["released"] is True


PUBLICATION, RUN = New("publications/k_x", {"n": 1}, 0), New("runs/k_x/delays", {"n": 1})


def test_who_is_late_costs_one_push(host: Host) -> None:
    """A run that nobody contends with is one commit: its publication and its record, and no lease."""
    ledger = host.clone("a").ledger()
    with ledger.lease(NAME, "run", late=True) as held:
        ledger.append_together([PUBLICATION, RUN], under=held, last=True)
    assert host.commits() == 1
    assert host.clone("b").ledger().streams() == ["publications/k_x", "runs/k_x/delays"]
    with ledger.lease(NAME, "idle", late=True):
        pass
    assert host.commits() == 1, "who writes nothing says nothing"


def test_the_last_write_gives_the_lease_back(host: Host) -> None:
    """Who told everybody that it began costs two pushes: the lease, and all else with the lease's return."""
    ledger = host.clone("a").ledger()
    with ledger.lease(NAME, "run") as held:
        ledger.append_together([PUBLICATION, RUN], under=held, last=True)
        assert document(host)["released"] is True
    assert host.commits() == 2


@pytest.mark.parametrize("ended", [False, True], ids=["at work", "gone again"])
def test_who_is_late_is_refused_once_another_had_the_lease(host: Host, ended: bool) -> None:
    """S14: what is written under a lease that is not on the branch is refused if anybody took it meanwhile,
    be it for a moment."""
    a, b = host.clone("a").ledger(), host.clone("b").ledger()
    with a.lease(NAME, "slow", late=True) as late, ExitStack() as stack:
        quick = stack.enter_context(b.lease(NAME, "quick"))
        assert quick.fence == late.fence + 1
        if ended:
            stack.close()
        with pytest.raises(LeaseLost, match="passed to quick"):
            a.append_together([PUBLICATION, RUN], under=late, last=True)
    assert host.clone("c").ledger().streams() == []


def test_who_is_late_waits_for_whoever_is_at_work(host: Host) -> None:
    """A lease that is held refuses also who would be late; one that a dead process left is taken at once."""
    a, b = host.clone("a"), host.clone("b")
    with (
        a.ledger().lease(NAME, "first", 60),
        refused("is held by first"),
        b.ledger().lease(NAME, "x", late=True),
    ):
        pass
    script = HOLD.replace("time.sleep(", "import os; os._exit(9 + ")
    words = [sys.executable, "-c", script.replace("float", "int"), str(a.root), "dead", "0"]
    assert subprocess.run(words, check=False).returncode == 9
    with b.ledger().lease(NAME, "next", late=True) as held:
        assert (held.fence, document(host)["holder"]) == (3, "next")


def test_who_is_late_takes_the_lease_when_it_takes_long(host: Host) -> None:
    """With its first renewal a lease is everybody's to see: others are refused, and its end gives it back."""
    a, b = host.clone("a").ledger(), host.clone("b").ledger()
    with a.lease(NAME, "long", 0.6, late=True) as late:
        deadline = time.monotonic() + 30
        while late.fence == 0 and time.monotonic() < deadline:
            time.sleep(0.02)
        with refused("is held by long"), b.lease(NAME, "other", late=True):
            pass
        a.append_together([PUBLICATION, RUN], under=late, last=True)
    assert (document(host)["fence"], document(host)["released"]) == (1, True)


def test_a_record_whose_publication_had_no_answer_is_there_once(host: Host) -> None:
    """What is tried again under the same mark adds nothing where the first try has arrived."""
    ledger = host.clone("a").ledger()
    told = New("runs/k_x/delays", {"state": "published"}, mark="0123456789abcdef")
    with ledger.lease(NAME, "run", late=True) as held:
        base = ledger._entry(told.stream, told.body, told.mark)
        ledger.append_together([PUBLICATION, told], under=held, last=True)
        ledger._outbox.put(replace(base, body={"state": "withheld"}))
    (record,) = host.clone("b").ledger().read("runs/k_x/delays")
    assert record.body == {"state": "published"}


@pytest.mark.long
def test_expiry_tolerates_a_clock_that_is_off(host: Host) -> None:
    """A holder elsewhere is believed until its expiry and two minutes more: clocks differ by less."""
    a, b = host.clone("a"), host.clone("b")
    slow = take(a, "slow", 60, at(0))
    elsewhere(a.ledger(), host)
    for seconds in (59, 61, 179):
        with refused("held by slow"):
            take(host.clone(f"c{seconds}"), "next", 60, at(seconds))
    assert take(b, "next", 60, at(181)).fence == 2
    late = a.ledger(clock=at(182))
    with pytest.raises(LeaseLost, match="has passed to next; nothing was written"):
        late.append("publications/k_x", {}, expect=0, under=slow)
    assert host.clone("d").ledger().head("publications/k_x") == 0


def test_a_holder_whose_clock_is_years_ahead(host: Host) -> None:
    """What a clone has seen unrenewed for the lease's whole length, by its own clock, is a dead holder's."""
    a, b = host.clone("a"), host.clone("b")
    take(a, "future", 60, at(10**9))
    elsewhere(a.ledger(), host)
    for seconds in (0, 30, 59):
        with refused("held by future"):
            take(b, "next", 60, at(seconds))
    elsewhere(a.ledger(), host, expires=at(2 * 10**9)().isoformat())  # it renews: it lives
    for seconds in (61, 100):
        with refused("held by future"):
            take(b, "next", 60, at(seconds))
    assert take(b, "next", 60, at(121)).fence == 2


def test_a_wrong_clock_lets_nobody_write(host: Host) -> None:
    """S14: who takes a lease too early, by a clock that is ahead, ends the other's right to write at once."""
    a, b = host.clone("a"), host.clone("b")
    first = take(a, "right", 60, at(0))
    elsewhere(a.ledger(), host)
    second = take(b, "early", 60, at(10**6))
    writer = a.ledger(clock=at(1))
    with pytest.raises(LeaseLost):
        writer.append("publications/k_x", {"by": "right"}, expect=0, under=first)
    b.ledger().append("publications/k_x", {"by": "early"}, expect=0, under=second)
    assert [r.body["by"] for r in a.ledger().read("publications/k_x")] == ["early"]


def test_the_lease_is_judged_in_the_same_swap(host: Host) -> None:
    """Between a stale holder's look and its push another takes the lease: the push is lost, then refused."""
    a, b = host.clone("a"), host.clone("b")
    held = take(a, "slow", 60, at(0))
    stale = a.ledger(clock=at(1))
    stale.head("publications/k_x")  # it has looked, and believes to hold the lease
    elsewhere(b.ledger(), host)
    take(b, "next", 60, at(500))
    with pytest.raises(LeaseLost):
        stale.append("publications/k_x", {}, expect=0, under=held)


def test_a_lost_lease_is_not_given_back(host: Host) -> None:
    """S4: the loser's end does not end the winner's lease."""
    a, b = host.clone("a"), host.clone("b")
    with a.ledger(clock=at(0)).lease(NAME, "slow", 60):
        elsewhere(b.ledger(), host)
        winner = take(b, "next", 60, at(500))
    assert document(host)["holder"] == "next"
    b.ledger(clock=at(501)).append("publications/k_x", {}, expect=0, under=winner)


def test_the_heartbeat_renews(host: Host) -> None:
    """A holder that works longer than its lease lasts keeps it."""
    with host.clone("a").ledger().lease(NAME, "long", 0.9) as held:
        first, deadline = document(host)["expires"], time.monotonic() + 20
        while document(host)["expires"] == first:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        held.check()
    assert document(host)["fence"] == 1


def test_a_dead_holder_of_this_machine_is_replaced_at_once(host: Host) -> None:
    """S15: after kill -9 the next holder, of any clone here, waits for nothing and breaks nothing by hand."""
    a, b = host.clone("a"), host.clone("b")
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(a.root), "killed", "60"], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "1\n"
    with refused("held by killed"), b.ledger().lease(NAME, "me"):
        pass
    process.kill()
    process.communicate()
    with b.ledger().lease(NAME, "me") as held:
        assert held.fence == 2
    with a.ledger().lease(NAME, "me") as held:
        assert held.fence == 3


@pytest.mark.long
def test_a_lease_that_says_nothing_is_free(host: Host) -> None:
    """What cannot be understood locks nobody out, and a fence that can be read is not given again."""
    ledger = host.clone("a").ledger()
    for torn, fence in ((b"", 1), (b"{", 1), (b"[]", 1), (b'{"expires": "x", "fence": 4}', 5)):
        ledger.commit([], lambda _view, torn=torn: {lease_file(NAME): torn})
        with ledger.lease(NAME, "me") as held:
            assert held.fence == fence


def test_it_is_given_back_when_the_block_fails(host: Host) -> None:
    """An error inside the block gives the lease back."""
    clone = host.clone("a")
    with pytest.raises(RuntimeError), clone.ledger().lease(NAME, "one", 60):
        raise RuntimeError("inside")
    assert document(host)["released"] is True


def test_the_ledger_names_no_machine(host: Host) -> None:
    """The branch is read by many: it tells machines apart and does not describe them."""
    with host.clone("a").ledger().lease(NAME, "one", 60):
        assert len(document(host)["process"]["machine"]) == 16
