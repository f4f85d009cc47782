"""Compaction: the branch begins anew with what is kept, and nobody can take away more under that name."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.ledger.compacted import DAY, MOVES, NOW, RUNS, SHOWN, forged, publication, run, whole, years
from tests.ledger.host import BRANCH, QUICK, Clone, Host, git, make_host, writer

from gitkitchen.errors import Infrastructure, Mistake
from gitkitchen.ledger.checking import check
from gitkitchen.ledger.gaps import Removed, Span, removed
from gitkitchen.ledger.grafting import graft
from gitkitchen.ledger.layout import View
from gitkitchen.ledger.outbox import Outbox, Pending
from gitkitchen.ledger.protocol import Kept, New
from gitkitchen.ledger.records import encode, seal
from gitkitchen.ledger.tip import ARCHIVE
from gitkitchen.ledger.viewing import compactions, faults, records
from gitkitchen.page.cache import Streams
from gitkitchen.plumbing import Plumbing

OTHER = "runs/k_main/delays_again"


def numbers(clone: Clone, stream: str) -> list[int]:
    ledger = clone.ledger()
    assert ledger.verify(stream) == []
    return [r.sequence for r in ledger.read(stream)]


def test_what_is_kept_reads_as_before(host: Host) -> None:
    """From a clone that saw it before, a new one, a shallow one and a partial one: every record that is kept,
    with its number and id; what was removed is no gap that anybody would miss, and writing goes on."""
    git(host.remote, "config", "uploadpack.allowFilter", "true")
    a, saw = host.clone("a"), host.clone("saw")
    years(a.ledger())
    before = whole(saw.ledger())
    pages = Streams(saw.ledger(), host.folder / "page")
    assert [r.sequence for r in pages.records(RUNS)] == list(range(1, 8))
    old = git(host.remote, "rev-parse", BRANCH)
    made = a.ledger().compact("ada", 400 * DAY)
    assert made is not None
    assert made.compaction.records == 6
    pages = Streams(saw.ledger(), host.folder / "page")
    assert [r.sequence for r in pages.records(RUNS)] == [2, 5, 6, 7], "what was read before is forgotten"
    clones = [
        a,
        saw,
        host.clone("new"),
        host.clone("shallow", "--depth=1"),
        host.clone("partial", "--filter=blob:none"),
    ]
    for clone in clones:
        after = whole(clone.ledger())
        assert clone.said == []
        assert set(after) == {*before, "compactions"}
        assert [r.sequence for r in after[RUNS]] == [2, 5, 6, 7], "the second proved a landing"
        assert [r.sequence for r in after[SHOWN]] == [4, 5, 6, 7], "the fourth published both datasets last"
        for stream, known in before.items():
            kept = {r.sequence for r in after[stream]}
            assert after[stream] == [r for r in known if r.sequence in kept]
        problems, _ = check(clone.ledger(), clone.root)
        assert problems == []
    assert host.commits() == 1
    assert git(host.remote, "for-each-ref", "--format=%(objectname)", ARCHIVE) == old
    assert saw.ledger().append(RUNS, run(0)).sequence == 8
    assert numbers(host.clone("last"), RUNS) == [2, 5, 6, 7, 8]
    assert next(saw.ledger().read(RUNS, 3)).sequence == 5
    assert [r.sequence for r in saw.ledger().read(RUNS, 6)] == [7, 8]


@pytest.mark.long
def test_without_retention_history_alone_is_closed(host: Host) -> None:
    """No record goes where nothing says how long they are kept; a second time there is nothing to do."""
    a, saw = host.clone("a"), host.clone("saw")
    years(a.ledger())
    before = whole(saw.ledger())
    made = a.ledger().compact("ada", None)
    assert made is not None
    assert (made.compaction.records, made.compaction.before, made.commits) == (0, None, 2)
    after = whole(saw.ledger())
    assert {s: r for s, r in after.items() if s != "compactions"} == before
    assert a.ledger().compact("ada", None) is None
    assert host.commits() == 1


@pytest.mark.long
def test_one_after_the_other(host: Host) -> None:
    """Each compaction adds its own statement; who saw nothing since before the first still follows all."""
    a, first, second = host.clone("a"), host.clone("first"), host.clone("second")
    years(a.ledger())
    whole(first.ledger())
    a.ledger().compact("ada", 650 * DAY)
    assert numbers(second, RUNS) == [2, *range(3, 8)]
    for days, expected in ((400, [2, 5, 6, 7]), (90, [2, 7])):
        a.ledger().append("publications/k_main", publication(0, "a"))
        a.ledger().compact("ada", days * DAY)
        assert numbers(a, RUNS) == expected
    for clone in (first, second, host.clone("new")):
        assert numbers(clone, RUNS) == [2, 7]
        assert [one.records for one in compactions(clone.ledger().view())] == [1, 5, 3]
        clone.ledger().fetch_archives()
        assert check(clone.ledger(), clone.root, every=True)[0] == []


@pytest.mark.long
def test_a_schedule_that_begins_again(host: Host) -> None:
    """Its old runs were not needed when they went: who comes later does not call that false."""
    a, saw = host.clone("a"), host.clone("saw")
    years(a.ledger())
    stream, mine = "schedules/prod/delays_again.daily", {"interval": ["x", "y"], "variation": "daily"}
    told = [New(stream, {"kind": kind}) for kind in ("begun", "stopped")]
    a.ledger().append_together([*told, New(OTHER, {**run(900), **mine}), New(OTHER, {**run(1), **mine})])
    whole(saw.ledger())
    a.ledger().compact("ada", 400 * DAY)
    a.ledger().append(stream, {"kind": "begun"})
    assert numbers(saw, OTHER) == [2]
    saw.ledger().fetch_archives()
    assert check(saw.ledger(), saw.root)[0] == []


def test_a_branch_here(tmp_path: Path) -> None:
    """A repository without a remote is compacted like one with."""
    git(tmp_path, "init", "-q", "alone")
    alone = Clone(tmp_path / "alone")
    years(alone.ledger())
    made = alone.ledger().compact("ada", 400 * DAY)
    assert made is not None
    assert numbers(alone, RUNS) == [2, 5, 6, 7]
    assert git(alone.root, "rev-parse", made.compaction.archive) == made.compaction.source
    assert alone.ledger().append(RUNS, run(0)).sequence == 8
    assert check(alone.ledger(), alone.root)[0] == []


# --- false ones -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> tuple[Host, Clone, Clone]:
    """A host, whoever can push over its branch, and whoever saw it before."""
    host = make_host(tmp_path_factory.mktemp("scene"))
    mallory, saw = host.clone("mallory"), host.clone("saw")
    years(mallory.ledger())
    whole(saw.ledger())
    return host, mallory, saw


Files = dict[str, bytes | None]


class Forger:
    """What a false compaction is made of: an honest one, ``made``, of the state ``view``."""

    def __init__(self, clone: Clone) -> None:
        ledger = clone.ledger()
        self.view = ledger.view()
        made = ledger.compactor("mallory", 400 * DAY, archived=False).propose(self.view)
        assert made is not None
        self.made, self.streams = made, dict(made.compaction.streams or {})
        self.records = whole(ledger)
        self.objects = Plumbing(clone.root).objects()

    def path(self, stream: str, sequence: int) -> str:
        return next(p for p in self.view.paths(stream) if f"/{sequence:09d}." in p)

    def said(self, **changed: Any) -> Files:
        """The file of the compaction's record, where it says something else."""
        path = next(iter(View(self.objects, self.made.commit).paths("compactions")))
        said = replace(self.made.compaction, **changed)
        return {path: encode(seal("compactions", 1, said.body(), ""))}

    def of(self, stream: str, removed: Removed) -> Files:
        return self.said(streams={**self.streams, stream: removed})

    def taken(self, stream: str, *sequences: int) -> Files:
        """Records more are removed, and it is said."""
        old = self.streams.get(stream)
        before = [
            r for r in self.records[stream] if old and any(s.first <= r.sequence <= s.last for s in old.spans)
        ]
        more = [r for r in self.records[stream] if r.sequence in sequences]
        gone = sorted([*before, *more], key=lambda r: r.sequence)
        return {**self.of(stream, removed(gone, 6)), **{self.path(stream, n): None for n in sequences}}


FALSE: dict[str, tuple[Callable[[Forger], Files], str]] = {
    "a landing is gone": (lambda f: {f.path(MOVES, 1): None}, "record 1 of stream 'promotions/prod' is gone"),
    "the newest is gone": (
        lambda f: {f.path(RUNS, 7): None},
        "record 7 of stream 'runs/k_main/delays' is gone",
    ),
    "one that is not stated": (
        lambda f: {f.path(RUNS, 6): None},
        "record 6 of stream 'runs/k_main/delays' is",
    ),
    "one is altered": (
        lambda f: {f.path(RUNS, 6): encode(seal(RUNS, 6, run(100, verdict="passed"), "0" * 64))},
        "record 6 of stream 'runs/k_main/delays' is gone or altered",
    ),
    "what is young": (lambda f: f.said(before=NOW - timedelta(days=2)), "younger than 30 days"),
    "of tomorrow": (lambda f: f.said(at=NOW + timedelta(days=30)), "its compaction is of"),
    "another digest": (
        lambda f: f.of(RUNS, replace(f.streams[RUNS], digest="0" * 64)),
        "the digest of what was removed",
    ),
    "another id": (
        lambda f: f.of(
            RUNS,
            replace(f.streams[RUNS], spans=(Span(1, 1, "0" * 64), *f.streams[RUNS].spans[1:])),
        ),
        "does not follow",
    ),
    "what is live": (
        lambda f: f.taken(SHOWN, 4),
        "record 4 of stream 'publications/k_main' was removed, and no",
    ),
    "what proved": (
        lambda f: f.taken(RUNS, 2),
        "record 2 of stream 'runs/k_main/delays' was removed, and no",
    ),
    "what is not old": (
        lambda f: f.taken(RUNS, 6),
        "record 6 of stream 'runs/k_main/delays' was removed, and",
    ),
    "moves": (lambda f: f.taken(MOVES, 1), "nothing may be removed from stream 'promotions/prod'"),
    "of another commit": (lambda f: f.said(source="1" * 40, streams={}), "is gone or altered"),
}


@pytest.mark.parametrize("what", FALSE)
def test_a_false_compaction_is_a_rewrite(scene: tuple[Host, Clone, Clone], what: str) -> None:
    """Who knew better refuses it, and names what is wrong; what was seen is still here."""
    host, mallory, saw = scene
    forger = Forger(mallory)
    make, why = FALSE[what]
    old = git(host.remote, "rev-parse", BRANCH)
    forged(mallory, forger.made.commit, make(forger))
    with pytest.raises(Infrastructure, match="was rewritten") as caught:
        saw.ledger().head(RUNS)
    git(host.remote, "update-ref", f"refs/heads/{BRANCH}", old)
    assert why in str(caught.value)
    assert whole(saw.ledger()) == forger.records


def test_a_rewrite_that_says_nothing(scene: tuple[Host, Clone, Clone]) -> None:
    """A commit that does not follow is a rewrite, as ever."""
    host, mallory, saw = scene
    forger = Forger(mallory)
    old = git(host.remote, "rev-parse", BRANCH)
    forged(mallory, old, {forger.path(RUNS, 6): None})
    with pytest.raises(Infrastructure, match="says of no compaction"):
        saw.ledger().head(RUNS)
    git(host.remote, "update-ref", f"refs/heads/{BRANCH}", old)


def test_a_compaction_of_another_history(scene: tuple[Host, Clone, Clone]) -> None:
    """Where the commit that it was made from is here, it must be what was seen, or have followed that."""
    host, mallory, saw = scene
    forger = Forger(mallory)
    old = git(host.remote, "rev-parse", BRANCH)
    forged(mallory, forger.made.commit, forger.said(source=git(saw.root, "rev-parse", "HEAD")))
    with pytest.raises(Infrastructure, match="which does not follow it either"):
        saw.ledger().head(RUNS)
    git(host.remote, "update-ref", f"refs/heads/{BRANCH}", old)


@pytest.mark.long
@pytest.mark.parametrize("what", ["proof", "vouched"])
def test_an_archive_shows_what_was_false(scene: tuple[Host, Clone, Clone], what: str) -> None:
    """Who never saw what was before takes a false compaction for what it says, until the archive is asked."""
    host, mallory, _ = scene
    forger = Forger(mallory)
    old = git(host.remote, "rev-parse", BRANCH)
    files = forger.taken(RUNS, 2) if what == "proof" else forger.said(vouched=("1" * 40,))
    forged(mallory, forger.made.commit, files)
    git(host.remote, "update-ref", f"{ARCHIVE}{what}", old)
    new = host.clone(f"new-{what}")
    try:
        assert check(new.ledger(), new.root)[0] == []
        new.ledger().fetch_archives()
        found = [p.message for p in check(new.ledger(), new.root)[0]]
    finally:
        git(host.remote, "update-ref", f"refs/heads/{BRANCH}", old)
    said = "no rule lets it go" if what == "proof" else "vouches for 111111111111, which was no part of it"
    assert [text for text in found if said in text]


# --- what was said, and what becomes of it -----------------------------------------------------------


def test_a_flipped_byte_of_a_compaction_is_found(host: Host) -> None:
    """By verification, by name; and nobody takes what it says for granted."""
    a = host.clone("a")
    years(a.ledger())
    a.ledger().compact("ada", 400 * DAY)
    view = a.ledger().view()
    [(path, oid)] = view.paths("compactions").items()
    raw = bytearray(view.content(oid))
    raw[raw.index(b'"through":4') + 10] = ord("5")
    plumbing = Plumbing(a.root)
    commit = graft(plumbing, view, {path: bytes(raw)}, "x\n")
    git(a.root, "push", "-q", "origin", f"{commit}:refs/heads/{BRANCH}")
    b = host.clone("b")
    problems, _ = check(b.ledger(), b.root)
    texts = [p.message for p in problems]
    assert any("record 1 of stream 'compactions' is damaged" in t for t in texts)
    assert any("was changed or removed by commit" in t for t in texts)
    with pytest.raises(Infrastructure, match="record 1 of stream 'compactions' is damaged"):
        list(b.ledger().read(RUNS))


@pytest.mark.long
def test_a_record_that_goes_after_a_compaction_is_missed(host: Host) -> None:
    """Nothing that is gone hides behind a gap: not beside it, not at the end."""
    a = host.clone("a")
    years(a.ledger())
    a.ledger().compact("ada", 400 * DAY)
    for number in (2, 5, 7):
        view = a.ledger().view()
        path = next(p for p in view.paths(RUNS) if f"/{number:09d}." in p)
        assert a.ledger().verify(RUNS) == []
        plumbing = Plumbing(a.root)
        commit = graft(plumbing, view, {path: None}, "x\n")
        found = [p.message for p in faults(View(plumbing.objects(), commit), RUNS)]
        if number < 7:
            assert f"record {number} of stream '{RUNS}' is missing" in found
        view = View(plumbing.objects(), commit)
        if number == 2:
            with pytest.raises(Infrastructure, match="record 2 of stream"):
                list(records(view, RUNS, 0))


@pytest.mark.long
def test_what_waits_goes_home_or_is_past(host: Host) -> None:
    """A run that waited in an outbox, or on a ref of its own, comes behind a compaction; one that is so old
    that nobody can tell whether it was there is not written a second time."""
    a, b = host.clone("a"), host.clone("b")
    years(a.ledger())
    entry = {r.sequence: r for r in b.ledger().read(RUNS)}
    view = b.ledger().view()
    marks = {slot.sequence: slot.mark for slot in view.slots(RUNS)}
    box = Outbox(b.root / ".gitkitchen/outbox")
    box.put(Pending(RUNS, entry[1].body, marks[1], 0))  # it arrived, and its writer never learned it
    box.put(Pending(RUNS, entry[6].body, marks[6], 0))
    box.put(Pending(RUNS, run(20), "f" * 16, 7))
    host.hook("update", f'[ "$1" = refs/heads/{BRANCH} ] && exit 1; exit 0')
    c = host.clone("c")
    with pytest.raises(Kept, match="gitkitchen-ledger-fallback"):
        c.ledger().append(RUNS, run(10))
    host.hook("update", "")
    d = host.clone("d")
    git(d.root, "config", "user.name", "ada")
    d.ledger().compact("ada", 400 * DAY)
    assert numbers(d, RUNS) == [2, 5, 6, 7, 8]
    assert numbers(b, RUNS) == [2, 5, 6, 7, 8, 9]
    assert b.waiting() == 0
    assert [r.body for r in b.ledger().read(RUNS, 7)] == [run(10), run(20)]


@pytest.mark.long
def test_a_branch_that_is_deleted_after_a_compaction(host: Host) -> None:
    """The next command of a clone that saw the compaction makes the branch again, gaps and all."""
    a = host.clone("a")
    years(a.ledger())
    a.ledger().compact("ada", 400 * DAY)
    git(host.remote, "update-ref", "-d", f"refs/heads/{BRANCH}")
    assert a.ledger().append(RUNS, run(0)).sequence == 8
    assert numbers(host.clone("b"), RUNS) == [2, 5, 6, 7, 8]


@pytest.mark.long
def test_writers_and_compactions_at_once(host: Host) -> None:
    """Whoever is faster, the other goes on from there: every record is there once, whoever looks."""
    a = host.clone("a")
    years(a.ledger())
    clones = [host.clone(f"w{n}") for n in range(2)]
    writers = [writer(c, c.root.name, 0, 5, QUICK) for c in clones]
    made = 0
    while any(w.poll() is None for w in writers):
        made += a.ledger().compact("ada", 400 * DAY) is not None
    for process in writers:
        lines = process.communicate()[0].splitlines()
        assert [line.split()[0] for line in lines if not line.startswith("try")] == ["ok"] * 5, lines
    assert made
    archives = git(host.remote, "for-each-ref", "--format=%(refname)", ARCHIVE).split()
    assert archives == sorted(one.archive for one in compactions(a.ledger().view()))
    for clone in (a, *clones, host.clone("new")):
        ledger = clone.ledger()
        found = [r.body for n in range(3) for r in ledger.read(f"runs/k_{n}/delays")]
        assert sorted((b["writer"], b["n"]) for b in found) == [
            (f"w{i}", n) for i in range(2) for n in range(5)
        ]
        assert numbers(clone, RUNS) == [2, 5, 6, 7]


@pytest.mark.long
def test_an_answer_that_was_lost(host: Host) -> None:
    """A compaction whose push was applied and not answered is known by what the branch says."""
    a = host.clone("a")
    years(a.ledger())
    host.hook("post-receive", "kill -9 $PPID")
    made = a.ledger().compact("ada", 400 * DAY)
    host.hook("post-receive", "")
    assert made is not None
    assert numbers(host.clone("b"), RUNS) == [2, 5, 6, 7]
    assert git(host.remote, "rev-parse", BRANCH) == made.commit


@pytest.mark.long
def test_a_branch_that_may_not_be_forced(host: Host) -> None:
    """Where a rule refuses it, nothing is changed, and who asked is told which right it needs."""
    a = host.clone("a")
    years(a.ledger())
    git(host.remote, "config", "receive.denyNonFastForwards", "true")
    before = git(host.remote, "rev-parse", BRANCH)
    with pytest.raises(Infrastructure, match="force-push"):
        a.ledger().compact("ada", 400 * DAY)
    assert git(host.remote, "rev-parse", BRANCH) == before
    assert numbers(a, RUNS) == list(range(1, 8))


@pytest.mark.long
def test_an_archive_that_is_refused(host: Host) -> None:
    """Without its archive nothing is compacted, unless that was said; then what is removed is gone."""
    a = host.clone("a")
    years(a.ledger())
    before = git(host.remote, "rev-parse", BRANCH)
    host.hook("update", f'case "$1" in {ARCHIVE}*) exit 1;; esac; exit 0')
    with pytest.raises(Infrastructure, match="--no-archive"):
        a.ledger().compact("ada", 400 * DAY)
    assert git(host.remote, "rev-parse", BRANCH) == before
    made = a.ledger().compact("ada", 400 * DAY, archived=False)
    assert made is not None
    assert made.compaction.archive == ""
    assert git(host.remote, "for-each-ref", ARCHIVE) == ""
    git(host.remote, "gc", "-q", "--prune=now")
    assert numbers(host.clone("b"), RUNS) == [2, 5, 6, 7]


def test_a_damaged_ledger_and_a_shallow_clone_are_not_compacted(host: Host) -> None:
    """What cannot be vouched for is not closed."""
    a = host.clone("a")
    years(a.ledger())
    shallow = host.clone("shallow", "--depth=1")
    with pytest.raises(Mistake, match="shallow"):
        shallow.ledger().compact("ada", None)
    view = a.ledger().view()
    path = next(p for p in view.paths(MOVES))
    commit = graft(Plumbing(a.root), view, {path: b"{}"}, "x\n")
    git(a.root, "push", "-q", "origin", f"{commit}:refs/heads/{BRANCH}")
    with pytest.raises(Infrastructure, match="a ledger with faults is not compacted"):
        a.ledger().compact("ada", None)


COMPACT = """
import os
import sys
from pathlib import Path
from gitkitchen.ledger.branch import BranchLedger
root = Path(sys.argv[1])
(root.parent / "pid").write_text(str(os.getpid()))
ledger = BranchLedger(root, root / ".gitkitchen", say=lambda problem: None)
print(ledger.compact("ada", 400 * 86400.0) is not None)
"""


@pytest.mark.long
@pytest.mark.parametrize("hook", ["pre-receive", "post-receive"])
@pytest.mark.parametrize("ref", ["refs/gitkitchen/archive/", "refs/heads/"])
def test_killed_before_and_after_each_effect(host: Host, ref: str, hook: str) -> None:
    """kill -9 before or after the archive or the branch is moved: nothing is lost, and the same command ends
    what was begun, with one archive."""
    a, saw = host.clone("a"), host.clone("saw")
    years(a.ledger())
    before = whole(saw.ledger())
    refuse = "exit 1" if hook == "pre-receive" else "exit 0"
    kill = f'case "$name" in {ref}*) kill -9 $(cat ../pid); {refuse};; esac'
    host.hook(hook, f"while read old new name; do {kill}; done")
    words = [sys.executable, "-c", COMPACT]
    done = subprocess.run([*words, str(a.root)], capture_output=True, text=True)
    assert done.returncode == -9, done.stderr
    host.hook(hook, "")
    for clone in (saw, host.clone("new")):
        after = whole(clone.ledger())
        for stream, known in before.items():
            kept = {r.sequence for r in after[stream]}
            assert after[stream] == [r for r in known if r.sequence in kept]
        assert check(clone.ledger(), clone.root)[0] == []
    done = subprocess.run([*words, str(a.root)], capture_output=True, text=True, check=True)
    moved = (hook, ref) == ("post-receive", "refs/heads/")
    assert done.stdout == f"{not moved}\n"
    assert [numbers(c, RUNS) for c in (a, saw)] == [[2, 5, 6, 7]] * 2
    archives = git(host.remote, "for-each-ref", "--format=%(refname)", ARCHIVE).split()
    assert archives == [one.archive for one in compactions(a.ledger().view())]
    assert host.commits() == 1
