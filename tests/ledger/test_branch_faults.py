"""A remote that refuses, hangs, is away, or applies a push and drops the answer: nothing lost or doubled."""

from __future__ import annotations

import time
from collections import Counter

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.ledger.host import BRANCH, Clone, Host, git, make_host

from gitkitchen.errors import Conflict
from gitkitchen.ledger.branch import BranchLedger
from gitkitchen.ledger.committing import Limits
from gitkitchen.ledger.protocol import Kept, Unwritten
from gitkitchen.plumbing import Plumbing

STREAM = "runs/k_a/delays"
SHORT = Limits(call=1.5, patience=2.0, refusals=1)
DROP = "kill -9 $PPID"  # post-receive: the refs are moved, and who would say so is gone


def bodies(clone: Clone, stream: str = STREAM) -> list[int]:
    ledger = clone.ledger()
    assert ledger.verify(stream) == []
    return [int(r.body["n"]) for r in ledger.read(stream)]


def test_an_answer_that_was_lost(host: Host) -> None:
    """A push that was applied and whose answer was dropped is recognised, and not made again."""
    clone = host.clone("a")
    host.hook("post-receive", DROP)
    ledger = clone.ledger()
    assert [ledger.append(STREAM, {"n": n}).sequence for n in (1, 2)] == [1, 2]
    assert ledger.append("publications/k", {"n": 1}, expect=0).sequence == 1
    with ledger.lease("k/delays", "run") as held:
        ledger.append("publications/k", {"n": 2}, expect=1, under=held)
    host.hook("post-receive", "")
    assert bodies(host.clone("b")) == [1, 2]
    assert bodies(host.clone("c"), "publications/k") == [1, 2]
    assert host.commits() == 6


def test_the_last_answer_that_was_lost(host: Host) -> None:
    """After the last of its tries, too, a writer looks whether that one arrived before it says no."""
    host.hook("post-receive", DROP)
    once = Limits(call=20.0, patience=20.0, refusals=1)
    ledger = host.clone("a").ledger(once)
    assert ledger.append(STREAM, {"n": 1}).sequence == 1
    with ledger.lease("k/delays", "run") as held:
        assert (held.fence, held.withheld) == (1, "")
        assert ledger.append("publications/k", {"n": 1}, expect=0, under=held).sequence == 1
    assert (host.commits(), host.clone("b").said) == (4, [])


def test_a_remote_that_refuses_now_and_then(host: Host) -> None:
    """A refusal that passes costs a try."""
    host.hook("pre-receive", "if [ -e ../once ]; then exit 0; fi; touch ../once; echo no luck >&2; exit 1")
    clone = host.clone("a")
    assert clone.ledger().append(STREAM, {"n": 1}).sequence == 1
    assert (host.folder / "once").exists()


def test_a_branch_that_is_guarded(host: Host) -> None:
    """S28: where the branch refuses, a record goes to a ref of its own; the next command brings it home."""
    host.hook("update", f'[ "$1" = refs/heads/{BRANCH} ] && echo guarded >&2 && exit 1; exit 0')
    a, b = host.clone("a"), host.clone("b")
    with pytest.raises(Kept, match="a record is kept on branch gitkitchen-ledger-fallback/") as caught:
        a.ledger().append(STREAM, {"n": 1})
    assert "guarded" in str(caught.value)
    with pytest.raises(Unwritten, match="the remote refused it"):
        a.ledger().append("publications/k", {"n": 1}, expect=0)
    assert a.waiting() == 0
    assert len(host.heads()) == 2
    host.hook("update", "")
    assert b.ledger().append(STREAM, {"n": 2}).sequence == 2
    assert bodies(a) == [1, 2]
    assert host.heads() == {"main", BRANCH}, "the ref of its own is gone"
    assert bodies(host.clone("c"), "publications/k") == []


def test_reading_brings_home_what_waits(host: Host) -> None:
    """The next command may be one that only reads: it finds the record in its place."""
    host.hook("update", f'[ "$1" = refs/heads/{BRANCH} ] && exit 1; exit 0')
    with pytest.raises(Kept):
        host.clone("a").ledger().append(STREAM, {"n": 1})
    host.hook("update", "")
    assert bodies(host.clone("b")) == [1]


@pytest.mark.long
def test_a_fallback_ref_that_cannot_be_removed_is_taken_once(host: Host) -> None:
    """Exactly once: a ref of its own that stays is seen by every command and taken by the first alone."""
    host.hook("update", f'[ "$1" = refs/heads/{BRANCH} ] && exit 1; exit 0')
    with pytest.raises(Kept):
        host.clone("a").ledger().append(STREAM, {"n": 1})
    git(host.remote, "config", "receive.denyDeletes", "true")
    host.hook("update", "")
    for n in range(2, 5):
        host.clone(f"c{n}").ledger().append(STREAM, {"n": n})
    assert sorted(bodies(host.clone("d"))) == [1, 2, 3, 4]


def test_all_is_refused(host: Host) -> None:
    """Where the remote takes nothing, the record stays here, and the next command sends it."""
    clone = host.clone("a")
    host.hook("pre-receive", "exit 1")
    with pytest.raises(Kept, match="kept in the outbox of this clone"):
        clone.ledger().append(STREAM, {"n": 1})
    assert clone.waiting() == 1
    host.hook("pre-receive", "")
    assert clone.ledger().append(STREAM, {"n": 2}).sequence == 2
    assert (bodies(host.clone("b")), clone.waiting()) == ([1, 2], 0)


def test_a_remote_that_is_away(host: Host) -> None:
    """Offline: reading shows what was seen last and says so; a record waits; nothing is published."""
    clone = host.clone("a")
    clone.ledger().append(STREAM, {"n": 1})
    away = host.remote.rename(host.folder / "away")
    ledger = clone.ledger()
    assert [r.body["n"] for r in ledger.read(STREAM)] == [1]
    (told,) = clone.said
    assert "the ledger's remote could not be asked (origin: " in told.message
    assert "what it held at " in told.message
    with ledger.lease("k/delays", "run") as held:
        assert "could not be asked" in held.withheld
        with pytest.raises(Unwritten):
            ledger.append("publications/k", {"n": 1}, expect=0, under=held)
        ledger.deposit(STREAM, {"n": 2})
    assert "a record is kept in the outbox of this clone" in clone.said[-1].message
    away.rename(host.remote)
    assert bodies(clone) == [1, 2]
    assert bodies(host.clone("b"), "publications/k") == []


def test_an_address_keeps_its_password(host: Host) -> None:
    """Secrets: what stands before the @ of a remote's address is in no message."""
    clone = host.clone("a")
    git(clone.root, "remote", "set-url", "origin", "http://user:hunter2@127.0.0.1:9/x.git")
    with pytest.raises(Kept) as caught:
        clone.ledger().append(STREAM, {"n": 1})
    assert "127.0.0.1:9" in str(caught.value)
    assert "hunter2" not in f"{caught.value}{clone.said}"


def detached(clone: Clone) -> None:
    """As over a network: what the remote does goes on when we hang up."""
    git(clone.root, "config", "remote.origin.receivepack", "setsid -w git-receive-pack")


def arrival(host: Host, commits: int) -> None:
    """Wait until the remote has so many commits: what it was sent comes late, behind our back."""
    deadline = time.monotonic() + 20
    while host.commits() < commits:
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.long
def test_a_remote_that_hangs(host: Host) -> None:
    """Every call has its time; what the remote does after we hung up is not done twice."""
    clone = host.clone("a")
    detached(clone)
    clone.ledger().append(STREAM, {"n": 1})
    host.hook("pre-receive", "sleep 2.5")
    begun = time.monotonic()
    with pytest.raises(Kept, match=r"no answer within 1\.5 s"):
        clone.ledger(SHORT).append(STREAM, {"n": 2})
    assert time.monotonic() - begun < 15
    arrival(host, 2)
    host.hook("pre-receive", "")
    assert clone.waiting() == 1
    assert clone.ledger().append(STREAM, {"n": 3}).sequence == 3
    assert (bodies(host.clone("b")), clone.waiting()) == ([1, 2, 3], 0)


@pytest.mark.long
def test_a_publication_that_comes_late_is_seen(host: Host) -> None:
    """A publication without an answer is told as not written, and is found by whoever looks again."""
    clone = host.clone("a")
    detached(clone)
    clone.ledger().append(STREAM, {"n": 1})
    host.hook("pre-receive", "sleep 2.5")
    with pytest.raises(Unwritten, match="did not say whether it was"):
        clone.ledger(SHORT).append("publications/k", {"n": 7}, expect=0)
    arrival(host, 2)
    host.hook("pre-receive", "")
    assert bodies(clone, "publications/k") == [7]
    with pytest.raises(Conflict):
        clone.ledger().append("publications/k", {"n": 7}, expect=0)


def test_a_process_that_was_killed_between_record_and_push(host: Host) -> None:
    """kill -9 with a record in hand: it waits in the outbox, and the next command sends it."""
    clone = host.clone("a")
    clone.ledger().deposit(STREAM, {"n": 1})  # and then nothing: the process is gone
    assert bodies(host.clone("b")) == []
    assert bodies(clone) == [1]
    assert bodies(host.clone("c")) == [1]


# --- the model ------------------------------------------------------------------------------------

ACT = st.tuples(
    st.integers(0, 2),  # clone
    st.integers(0, 1),  # stream
    st.sampled_from(["append", "append", "expect", "stale", "deposit", "settle", "new"]),
    st.sampled_from(["well", "well", "well", "refused", "lost", "guarded", "moved"]),
)
ACTS = st.lists(ACT, min_size=2, max_size=9)


SLOW = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]


@pytest.mark.long
@settings(max_examples=2, suppress_health_check=SLOW)
@given(acts=ACTS)
def test_the_ledger_is_a_list(
    tmp_path_factory: pytest.TempPathFactory, acts: list[tuple[int, int, str, str]]
) -> None:
    """Whatever is appended, by whom and through which faults: each stream is the list of what was
    acknowledged and of what was kept, each once."""
    the_ledger_is_a_list(tmp_path_factory, acts)


@pytest.mark.long
@settings(max_examples=60, suppress_health_check=SLOW)
@given(acts=st.lists(ACT, min_size=5, max_size=20))
def test_the_ledger_is_a_long_list(
    tmp_path_factory: pytest.TempPathFactory, acts: list[tuple[int, int, str, str]]
) -> None:
    """The same for longer stories, and more of them."""
    the_ledger_is_a_list(tmp_path_factory, acts)


def the_ledger_is_a_list(
    tmp_path_factory: pytest.TempPathFactory, acts: list[tuple[int, int, str, str]]
) -> None:
    host = make_host(tmp_path_factory.mktemp("model"))
    clones = [host.clone(f"c{n}") for n in range(3)]
    ledgers: list[BranchLedger] = [c.ledger(Limits(20.0, 60.0, 2)) for c in clones]
    expected: dict[str, Counter[int]] = {f"runs/k_{s}/x": Counter() for s in range(2)}
    heads: dict[str, list[int]] = {name: [] for name in expected}
    for number, (who, where, act, fault) in enumerate(acts):
        stream, ledger = f"runs/k_{where}/x", ledgers[who]
        _break(host, fault)
        try:
            if act == "new":
                ledgers[who] = clones[who].ledger(Limits(20.0, 60.0, 2))
            elif act == "settle":
                ledger.settle()
            elif act == "deposit":
                ledger.deposit(stream, {"n": number})
                expected[stream][number] += 1
            elif act in ("expect", "stale"):
                head = ledger.head(stream) - (act == "stale")
                record = ledger.append(stream, {"n": number}, expect=head)
                assert record.sequence == head + 1
                expected[stream][number] += 1
            else:
                ledger.append(stream, {"n": number})
                expected[stream][number] += 1
        except Kept:
            expected[stream][number] += 1
        except (Conflict, Unwritten):
            pass  # refused or not written: with these faults, nothing arrives later
        _break(host, "well")
    for clone in clones:
        clone.ledger().settle()
    reader = clones[0].ledger()
    for stream, counted in expected.items():
        assert reader.verify(stream) == []
        heads[stream] = [int(r.body["n"]) for r in reader.read(stream)]
        assert Counter(heads[stream]) == counted
    assert [c.waiting() for c in clones] == [0, 0, 0]
    assert host.heads() <= {"main", BRANCH}


def _break(host: Host, fault: str) -> None:
    guarded = f'[ "$1" = refs/heads/{BRANCH} ] && exit 1; exit 0'
    once = "[ -e ../{0} ] && exit 0; touch ../{0}; "
    (host.folder / "once").unlink(missing_ok=True)
    host.hook("pre-receive", once.format("once") + "exit 1" if fault == "refused" else "")
    host.hook("post-receive", DROP if fault == "lost" else "")
    host.hook("update", guarded if fault == "guarded" else "")
    if fault == "moved":
        other = Plumbing(host.remote)
        tip = other.ref(f"refs/heads/{BRANCH}")
        if tip:
            root = other.objects().root(tip)
            assert root is not None
            assert other.move(f"refs/heads/{BRANCH}", other.commit(root, tip, "someone"), tip)
