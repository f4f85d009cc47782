"""A ledger on a branch: one truth for all clones, in Git, without touching what its users have there."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from tests.ledger.host import BRANCH, QUICK, Clone, Host, git

from gitkitchen.errors import Conflict, Infrastructure
from gitkitchen.ledger.branch import BranchLedger
from gitkitchen.ledger.folder import FolderLedger
from gitkitchen.ledger.gathering import together
from gitkitchen.ledger.layout import Slot, file_of, folder_of, lease_file
from gitkitchen.ledger.outbox import Outbox, Pending
from gitkitchen.ledger.protocol import Ledger
from gitkitchen.ledger.records import encode, seal
from gitkitchen.plumbing import Plumbing

STREAM = "runs/k_main_0123456789ab/delays"
Open = Callable[[], Ledger]


@pytest.fixture(params=["folder", "branch", "alone"])
def reopen(request: pytest.FixtureRequest, tmp_path: Path) -> Open:
    """Open the same ledger as a new command would: in a folder, on a remote's branch, on a branch here."""
    if request.param == "folder":
        return lambda: FolderLedger(tmp_path / "ledger")
    if request.param == "branch":
        return request.getfixturevalue("host").clone("a").ledger  # type: ignore[no-any-return]
    git(tmp_path, "init", "-q", "alone")
    return Clone(tmp_path / "alone").ledger


# --- what every ledger does -----------------------------------------------------------------------


def test_records_come_back_in_order(reopen: Open) -> None:
    """What was appended is read back whole and in order, from anywhere, by this command and the next."""
    ledger = reopen()
    written = [ledger.append(STREAM, {"n": n, "text": "ü\ud800\n"}) for n in range(1, 5)]
    ledger.deposit(STREAM, {"n": 5, "text": ""})
    with ledger.lease("k/delays", "run"):
        pass
    for again in (ledger, reopen()):
        records = list(again.read(STREAM))
        assert [(r.sequence, r.body["n"]) for r in records] == [(n, n) for n in range(1, 6)]
        assert records[:4] == written
        assert [r.previous for r in records] == ["", *(r.id for r in records[:-1])]
        assert list(again.read(STREAM, after=3)) == records[3:]
        assert list(again.read(STREAM, after=5)) == []
        assert (again.head(STREAM), again.verify(STREAM)) == (5, [])


def test_a_record_names_what_waits_and_goes_with_it(reopen: Open) -> None:
    """However many records wait: one that names them is made when they have their places, and none of them
    was sent before on its own; where nobody makes it, they are there all the same."""
    ledger = reopen()
    with together(reopen):
        for n in range(60):
            ledger.deposit(STREAM, {"n": n})
        with ledger.lease("k/delays", "run", publishes=False):
            pass
        assert ledger.whole is False or ledger.head(STREAM) == 0
        made = ledger.append_made("evidence/prod", lambda newest: {"runs": [r.id for r in newest(STREAM)]})
    records = list(reopen().read(STREAM))
    assert [r.body["n"] for r in records] == list(range(60))
    assert made.body["runs"] == [r.id for r in reversed(records)][: len(made.body["runs"])]
    assert len(made.body["runs"]) >= 50
    with contextlib.suppress(ZeroDivisionError), together(reopen):
        ledger.deposit(STREAM, {"n": 60})
        raise ZeroDivisionError
    assert reopen().head(STREAM) == 61


def test_an_empty_ledger(reopen: Open) -> None:
    """A stream that nobody wrote has head 0 and no record; nothing is made by looking."""
    ledger = reopen()
    assert (ledger.head("none"), list(ledger.read("none")), ledger.streams(), ledger.verify("none")) == (
        0, [], [], [],
    )  # fmt: skip


def test_streams_below_a_prefix(reopen: Open) -> None:
    """Streams are found by the beginning of their path; one may lie inside another."""
    ledger = reopen()
    for stream in ("publications/k_a", "runs/k_a/delays", "runs/k_a", "runs/k_b/2013"):
        ledger.append(stream, {})
    with ledger.lease("k_a/delays", "run"):
        found = reopen()
        assert found.streams() == ["publications/k_a", "runs/k_a", "runs/k_a/delays", "runs/k_b/2013"]
        assert found.streams("runs/k_a") == found.streams("runs/k_a/") == ["runs/k_a", "runs/k_a/delays"]
        assert found.streams("nothing") == []


def test_names_that_leave_the_ledger(reopen: Open) -> None:
    """The name of a stream or a lease is a plain path below the ledger."""
    ledger = reopen()
    for name in ("", "/a", "a/", "../a", "a/../b", "a//b", "@head", ".a"):
        with pytest.raises(ValueError, match="is no name of a stream"):
            ledger.append(name, {})
        with pytest.raises(ValueError, match="is no name of a lease"), ledger.lease(name, "x"):
            pass


def test_the_head_that_was_expected(reopen: Open) -> None:
    """An append that expects a head succeeds on it, and otherwise changes nothing."""
    ledger, other = reopen(), reopen()
    assert other.head("publications/k") == 0
    assert ledger.append("publications/k", {"n": 1}, expect=0).sequence == 1
    with pytest.raises(Conflict, match="has moved on from record 0 to 1; nothing was written"):
        other.append("publications/k", {"n": 2}, expect=0)
    assert [r.body for r in reopen().read("publications/k")] == [{"n": 1}]
    assert other.append("publications/k", {"n": 2}, expect=1).sequence == 2


def test_a_stale_holder_writes_nothing(reopen: Open) -> None:
    """S14: what is appended under a lease that has passed to another is refused, and nothing is written."""
    first, second = reopen(), reopen()
    with first.lease("k/delays", "slow", 60) as slow:
        first.append("publications/k", {"by": "slow"}, expect=0, under=slow)
    with second.lease("k/delays", "next") as successor:
        assert successor.fence == slow.fence + 1
        with pytest.raises(
            Conflict, match="lease 'k/delays' of slow has passed to next; nothing was written"
        ):
            first.append("publications/k", {"by": "slow"}, expect=1, under=slow)
        second.append("publications/k", {"by": "next"}, expect=1, under=successor)
    assert [r.body["by"] for r in reopen().read("publications/k")] == ["slow", "next"]


# --- the branch -----------------------------------------------------------------------------------


def test_all_clones_see_one_truth(host: Host) -> None:
    """What one clone appends, another that opens the ledger reads, whichever came first."""
    a, b = host.clone("a"), host.clone("b")
    a.ledger().append(STREAM, {"by": "a"})
    assert b.ledger().append(STREAM, {"by": "b"}).sequence == 2
    late = b.ledger()
    assert late.head(STREAM) == 2
    a.ledger().append(STREAM, {"by": "a"})
    assert late.head(STREAM) == 2, "a command works on the state that it saw"
    late.refresh()
    assert [r.body["by"] for r in late.read(STREAM)] == ["a", "b", "a"]


def test_two_make_the_branch(host: Host) -> None:
    """Where there is no branch yet, two who begin it end on one."""
    a, b = host.clone("a").ledger(), host.clone("b").ledger()
    assert (a.head(STREAM), b.head(STREAM)) == (0, 0)
    assert [a.append(STREAM, {}).sequence, b.append(STREAM, {}).sequence] == [1, 2]
    assert (host.commits(), host.heads()) == (2, {"main", BRANCH})


def test_the_users_repository_is_untouched(host: Host) -> None:
    """Index, work tree, configuration, branches, HEAD and FETCH_HEAD of the clone stay as they are."""
    clone = host.clone("a")
    (clone.root / ".git/info/exclude").write_text(".gitkitchen/\n")
    (clone.root / "draft.txt").write_text("mine")
    git(clone.root, "add", "draft.txt")
    (clone.root / "draft.txt").write_text("mine, changed")

    def state() -> list[object]:
        files = [clone.root / ".git" / n for n in ("index", "config", "HEAD", "FETCH_HEAD", "shallow")]
        contents: list[object] = [f.read_bytes() if f.exists() else None for f in files]
        heads = git(clone.root, "for-each-ref", "refs/heads", "refs/tags", "refs/stash")
        return [*contents, heads, git(clone.root, "status", "--porcelain")]

    before = state()
    with clone.ledger().lease("k/delays", "run") as held:
        clone.ledger().append("publications/k", {}, expect=0, under=held)
    host.clone("b").ledger().append(STREAM, {})
    assert clone.ledger().head(STREAM) == 1
    assert state() == before


def test_no_identity_and_odd_settings(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """CI has no user.name; people have hooks, signatures and pruning: the ledger works all the same."""
    for name in [n for n in os.environ if n.startswith(("GIT_AUTHOR_", "GIT_COMMITTER_"))]:
        monkeypatch.delenv(name)
    clone = host.clone("a")
    settings = {
        "commit.gpgSign": "true", "push.gpgSign": "if-asked", "push.followTags": "true",
        "fetch.prune": "true",
        "i18n.commitEncoding": "latin1", "user.useConfigOnly": "true", "core.autocrlf": "true",
        "remote.pushDefault": "elsewhere", "push.default": "nothing",
    }  # fmt: skip
    for key, value in settings.items():
        git(clone.root, "config", key, value)
    (clone.root / ".git/hooks/pre-push").write_text("#!/bin/sh\nexit 1\n")
    (clone.root / ".git/hooks/pre-push").chmod(0o755)
    clone.ledger().append(STREAM, {"text": "ü"})
    assert clone.ledger().verify(STREAM) == []
    who = git(host.remote, "log", "-1", "--format=%an <%ae> %cn", BRANCH)
    assert who == "GitKitchen <ledger@gitkitchen.invalid> GitKitchen"


@pytest.mark.parametrize(
    ("options", "fetched"),
    [
        pytest.param((), True, id="whole-fetched", marks=pytest.mark.long),
        pytest.param(("--depth=1",), False, id="shallow", marks=pytest.mark.long),
        pytest.param(("--depth=1",), True, id="shallow-fetched"),
        pytest.param(("--filter=blob:none",), False, id="blobless", marks=pytest.mark.long),
        pytest.param(("--filter=blob:none",), True, id="blobless-fetched", marks=pytest.mark.long),
        pytest.param(("--depth=1", "--filter=tree:0"), True, id="shallow-treeless-fetched"),
    ],
)
def test_clones_that_lack_things(host: Host, options: tuple[str, ...], fetched: bool) -> None:
    """Shallow and partial clones, as CI has them, read and write all of it; a full clone stays full."""
    full = host.clone("full")
    for n in range(3):
        full.ledger().append(STREAM, {"n": n})
    clone = host.clone("other", *options)
    if fetched:
        git(clone.root, "fetch", "-q", "origin", f"+{BRANCH}:refs/remotes/origin/{BRANCH}")
    assert [r.body["n"] for r in clone.ledger().read(STREAM)] == [0, 1, 2]
    full.ledger().append(STREAM, {"n": 3})
    clone.ledger().append(STREAM, {"n": 4})
    assert [r.body["n"] for r in clone.ledger().read(STREAM)] == [0, 1, 2, 3, 4]
    assert clone.ledger().verify(STREAM) == []
    assert git(full.root, "rev-parse", "--is-shallow-repository") == "false"
    assert clone.said == []


def test_an_object_format_of_sha256(tmp_path: Path) -> None:
    """Repositories with sha256 objects have ledgers, too."""
    git(tmp_path, "init", "-q", "--object-format=sha256", "alone")
    clone = Clone(tmp_path / "alone")
    for n in range(3):
        clone.ledger().append(STREAM, {"n": n})
    assert [r.body["n"] for r in clone.ledger().read(STREAM)] == [0, 1, 2]


def test_which_remote(host: Host) -> None:
    """It is on `origin`, or on the only remote; with two others and no origin it stays here."""
    clone = host.clone("a")
    git(clone.root, "remote", "rename", "origin", "upstream")
    clone.ledger().append(STREAM, {"n": 1})
    assert host.commits() == 1
    git(clone.root, "remote", "add", "other", "/nowhere")
    assert clone.ledger().append(STREAM, {"n": 2}).sequence == 1
    assert git(clone.root, "rev-parse", "--verify", BRANCH)


def test_a_ledger_from_before_the_remote_goes_along(tmp_path: Path, host: Host) -> None:
    """What was recorded without a remote is there when the repository gets one."""
    git(tmp_path, "init", "-q", "alone")
    alone = Clone(tmp_path / "alone")
    alone.ledger().append(STREAM, {"n": 1})
    git(alone.root, "remote", "add", "origin", host.remote.as_uri())
    assert alone.ledger().head(STREAM) == 1
    assert alone.ledger().append(STREAM, {"n": 2}).sequence == 2
    assert [r.body["n"] for r in host.clone("b").ledger().read(STREAM)] == [1, 2]


def test_a_branch_that_was_removed_comes_back(host: Host) -> None:
    """Whoever deletes the branch on the remote loses nothing that a clone has seen."""
    clone = host.clone("a")
    clone.ledger().append(STREAM, {"n": 1})
    git(host.remote, "update-ref", "-d", f"refs/heads/{BRANCH}")
    assert clone.ledger().append(STREAM, {"n": 2}).sequence == 2
    assert [r.body["n"] for r in host.clone("b").ledger().read(STREAM)] == [1, 2]


def test_a_branch_that_was_rewritten_is_refused(host: Host) -> None:
    """A remote whose branch lost records that were seen there is named, with both commits and a way out."""
    clone = host.clone("a")
    for n in range(3):
        clone.ledger().append(STREAM, {"n": n})
    seen = git(host.remote, "rev-parse", BRANCH)
    git(host.remote, "update-ref", f"refs/heads/{BRANCH}", f"{BRANCH}~1")
    host.clone("b").ledger().append(STREAM, {"n": "other"})
    for act in (lambda: clone.ledger().head(STREAM), lambda: clone.ledger().append(STREAM, {})):
        with pytest.raises(
            Infrastructure, match="branch gitkitchen-ledger of 'origin' was rewritten"
        ) as caught:
            act()
        assert seen[:12] in str(caught.value)
    git(clone.root, "update-ref", "-d", "refs/gitkitchen/ledger/origin")
    assert clone.ledger().head(STREAM) == 3


# --- its form -------------------------------------------------------------------------------------


def test_the_form_is_stable() -> None:
    """Ledgers are kept for years: a record's path is the same in every release."""
    path = file_of("runs/k_main/delays", Slot(1234, "9f86d081884c7d65", ""), "@2026-11")
    name = "000001234.9f86d081884c7d65.gitkitchen.json"
    assert path == f"runs/@00/k_main/delays/@2026-11.000012/{name}"
    assert folder_of("runs") == "runs"
    assert lease_file("k_main/delays") == "@leases/@00/k_main/delays/lease.json"


def test_records_in_folders_of_before_are_read_and_followed(host: Host) -> None:
    """A ledger whose records lie as an earlier release laid them goes on with the same numbers and chain."""
    clone = host.clone("a")
    ledger = clone.ledger()
    for n in range(3):
        ledger.append(STREAM, {"n": n})
    work = host.clone("b", "--branch", BRANCH).root
    for path in sorted(work.glob("runs/*/*/*/@*/*.json")):
        month, _, shard = path.parent.name.partition(".")
        older = path.parent.parent / month / shard / path.name.replace(".gitkitchen.json", ".json")
        older.parent.mkdir(parents=True, exist_ok=True)
        path.rename(older)
    tree = git(work, "add", "-A") or git(work, "write-tree")
    commit = git(work, "commit-tree", "-m", "as it was", tree)
    git(work, "push", "-q", "--force", "origin", f"{commit}:refs/heads/{BRANCH}")
    after = host.clone("c").ledger()
    assert [record.body["n"] for record in after.read(STREAM)] == [0, 1, 2]
    assert after.append(STREAM, {"n": 3}).sequence == 4
    read = host.clone("d").ledger()
    assert (read.head(STREAM), read.streams(), read.verify(STREAM)) == (4, [STREAM], [])
    assert [record.body["n"] for record in read.read(STREAM, after=1)] == [1, 2, 3]


@pytest.mark.long
def test_folders_stay_small_and_files_are_written_once(host: Host) -> None:
    """However long a stream grows, a push adds files and changes none, and folders are short."""
    ledger = host.clone("a").ledger()
    for n in range(230):
        ledger.deposit(STREAM, {"n": n})
    for _ in range(5):  # fifty with each push
        ledger.settle()
    assert ledger.head(STREAM) == 230
    folders: dict[str, int] = {}
    for path in host.files():
        folder = path.rpartition("/")[0]
        folders[folder] = folders.get(folder, 0) + 1
    assert max(folders.values()) <= 100
    changes = git(host.remote, "log", "--format=", "--name-status", BRANCH).split("\n")
    assert {line.split("\t")[0] for line in changes if line} == {"A"}


def test_the_clock_files_and_never_orders(host: Host) -> None:
    """S3: clocks that run back or far ahead change folders' names; the order is that of the pushes."""
    clone = host.clone("a")
    for n, month in enumerate([11, 3, 12, 1]):
        clone.ledger(clock=lambda m=month: datetime(2026, m, 1, tzinfo=UTC)).append(STREAM, {"n": n})
    assert [r.body["n"] for r in clone.ledger().read(STREAM)] == [0, 1, 2, 3]
    months = [m[0] for p in sorted(host.files()) if (m := re.search(r"@\d{4}-\d{2}", p))]
    assert months == ["@2026-11", "@2026-11", "@2026-12", "@2026-12"]
    assert clone.ledger().head(STREAM) == 4
    assert [r.sequence for r in clone.ledger().read(STREAM, after=1)] == [2, 3, 4]


# --- damage ---------------------------------------------------------------------------------------


def damage(host: Host, change: Callable[[Path], None]) -> None:
    """Commit a change of the files of the branch, as somebody with a checkout of it would."""
    git(host.folder, "clone", "-q", "-b", BRANCH, host.remote.as_uri(), "checkout")
    change(host.folder / "checkout")
    git(host.folder / "checkout", "add", "-A")
    git(host.folder / "checkout", "commit", "-q", "-m", "by hand")
    git(host.folder / "checkout", "push", "-q", "origin", BRANCH)


def of(root: Path, sequence: int) -> Path:
    return next(root.rglob(f"{sequence:09d}.*.json"))


def cut(root: Path) -> None:
    of(root, 3).write_bytes(of(root, 3).read_bytes()[:-20])


def remove(root: Path) -> None:
    of(root, 3).unlink()


def twice(root: Path) -> None:
    path = of(root, 3)
    path.with_name("000000003.0123456789abcdef.json").write_bytes(path.read_bytes())


def rewritten(root: Path) -> None:
    of(root, 3).write_bytes(encode(seal(STREAM, 3, {"n": 300}, "")))


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (cut, "record 3 of stream 'runs/k_main_0123456789ab/delays' is damaged: it is not JSON"),
        pytest.param(
            remove,
            "record 3 of stream 'runs/k_main_0123456789ab/delays' is missing",
            marks=pytest.mark.long,
        ),
        pytest.param(
            twice,
            "record 3 of stream 'runs/k_main_0123456789ab/delays' is there twice",
            marks=pytest.mark.long,
        ),
        (rewritten, "record 3 of stream 'runs/k_main_0123456789ab/delays' is damaged: it does not follow"),
    ],
    ids=["cut", "removed", "twice", "rewritten"],
)
def test_harm_is_found_by_name(host: Host, change: Callable[[Path], None], named: str) -> None:
    """A changed, removed or doubled record is named, with the commit that did it; no reader takes it."""
    clone = host.clone("a")
    for n in range(1, 6):
        clone.ledger().append(STREAM, {"n": n})
    damage(host, change)
    problems = clone.ledger().verify(STREAM)
    assert any(p.message.startswith(named) for p in problems)
    by_commit = [p for p in problems if "was changed or removed by commit" in p.message]
    assert len(by_commit) == (change is not twice)
    with pytest.raises(Infrastructure, match="record 3 of stream"):
        list(clone.ledger().read(STREAM))
    clone.ledger().append("runs/k_other/x", {})
    assert clone.ledger().head("runs/k_other/x") == 1, "other streams go on"


def test_a_forged_fallback_publishes_nothing(host: Host) -> None:
    """Poisoning: whoever may push a fallback ref, and not the ledger, can add no publication by it."""
    clone = host.clone("a")
    plumbing = Plumbing(clone.root)
    for n, stream in enumerate(["publications/k_main", "runs/../publications/k", "runs/@2026-11/x"]):
        box = Outbox(host.folder / f"box{n}")
        box.put(Pending(stream, {"forged": True}, f"{n:016x}", 0))
        (path,) = box.folder.iterdir()
        tree = plumbing.trees([{path.name: _entry(plumbing, path.read_bytes())}])[0]
        commit = plumbing.commit(tree, None, "forged")
        git(clone.root, "push", "-q", "origin", f"{commit}:refs/heads/{BRANCH}-fallback/f{n}")
    clone.ledger().append(STREAM, {"honest": True})
    ledger = clone.ledger()
    assert [list(ledger.read(s)) for s in ledger.streams() if s != STREAM] == []
    assert len(host.heads()) == 5, "what is not understood is not removed"


def _entry(plumbing: Plumbing, data: bytes) -> object:
    from gitkitchen.objects import FILE, Entry

    return Entry(FILE, plumbing.write(data))


def test_every_name_in_a_git_call_stands_behind_the_options(
    host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A branch, remote or stream is never an option of git: all argv of all calls are looked at."""
    clone = host.clone("a")
    log = tmp_path / "argv"
    (tmp_path / "bin").mkdir()
    real = git(tmp_path, "--exec-path") + "/git"
    shim = tmp_path / "bin/git"
    shim.write_text(f'#!/bin/bash\nprintf "%s\\x01" "$@" >> {log}; echo >> {log}\nexec {real} "$@"\n')
    shim.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    stream = "runs/--upload-pack=evil/-x"
    ledger = clone.ledger()
    ledger.append(stream, {})
    with ledger.lease("--force/-d", "run"):
        ledger.verify(stream)
    clone.ledger(QUICK).append(stream, {})
    calls = [line.split("\1")[:-1] for line in log.read_text().splitlines()]
    assert len(calls) > 20
    for words in calls:
        for at, word in enumerate(words):
            if "evil" in word or "/-d" in word or re.fullmatch(r"[0-9a-f]{40}(:.*)?|origin|refs/.*", word):
                before = words[:at]
                flag = at and words[at - 1] == "-p"
                assert flag or "--" in before or "--end-of-options" in before or "commit-tree" in before, (
                    words
                )
    assert isinstance(ledger, BranchLedger)
