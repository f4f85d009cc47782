"""`gitkitchen init`: a first project, workflows, editors, pre-commit; again and again."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from gitkitchen import offering
from gitkitchen.automation import COMMAND, WORKFLOWS
from gitkitchen.files import write_atomic
from gitkitchen.offering import RECORD
from shop import Shop

TESTS = "gitkitchen-pull-request.yml"
SHA, NEXT = "a" * 40, "b" * 40


@pytest.fixture
def empty(tmp_path: Path) -> Shop:
    """A repository without a commit."""
    made = Shop(tmp_path / "new")
    subprocess.run(["git", "init", "-q", "-b", "main", str(made.root)], check=True)
    return made


def files(shop: Shop) -> dict[str, bytes]:
    paths = (p for p in shop.root.rglob("*") if p.is_file() and ".git" not in p.relative_to(shop.root).parts)
    return {str(p.relative_to(shop.root)): p.read_bytes() for p in paths}


def test_init_writes_a_project_that_runs(empty: Shop) -> None:
    """Without an action: a project that validates and passes, settings for editors and pre-commit, no
    workflow."""
    said = empty.cli("init")
    assert said.code == 0
    assert "gitkitchen init --action OWNER/REPO@SHA" in said.out
    assert not (empty.root / ".github").exists()
    empty.commit()
    assert empty.cli("validate").code == 0
    assert empty.cli("run", "--quiet").code == 0
    settings = json.loads((empty.root / ".vscode/settings.json").read_text())
    for name, globs in settings["yaml.schemas"].items():
        assert json.loads((empty.root / name).read_text())["$schema"]
        assert name.endswith(("effects.schema.json", "waiver.schema.json")) or list(empty.root.glob(globs[0]))
    (repo,) = yaml.safe_load((empty.root / ".pre-commit-config.yaml").read_text())["repos"]
    assert repo["hooks"][0]["entry"] == "gitkitchen validate"


def test_init_writes_the_workflows(empty: Shop) -> None:
    """With an action: each workflow uses it at that commit and no other; the hook too."""
    assert empty.cli("init", "--action", f"acme/kitchen@{SHA}").code == 0
    written = sorted(p.name for p in (empty.root / ".github/workflows").iterdir())
    # One environment, and no schedule: nothing promotes to another, and nothing runs by the clock.
    absent = ("promote", "clock", "production")
    assert written == sorted(f"gitkitchen-{name}.yml" for name in WORKFLOWS if name not in absent)
    assert COMMAND in written
    for name in written:
        text = (empty.root / ".github/workflows" / name).read_text()
        assert f"uses: acme/kitchen@{SHA} # GitKitchen" in text
        assert not re.search("OWNER/REPO|0{40}|default-branch]", text)
    assert f"rev: {SHA}" in (empty.root / ".pre-commit-config.yaml").read_text()


@pytest.mark.parametrize(
    ("action", "why"),
    [
        ("acme/kitchen@v1", "'v1' is a tag or branch, which may name other code tomorrow"),
        ("acme/kitchen@main", "'main' is a tag or branch"),
        (f"acme/kitchen@{SHA[:12]}", "only the beginning of a commit"),
        ("acme/kitchen", "names no commit"),
        (f"kitchen@{SHA}", "is not OWNER/REPO@SHA"),
        (f"./kitchen@{SHA}", "is not OWNER/REPO@SHA"),
        (f"acme/kitchen@{SHA}\n  run: x", "tag or branch"),
        (f"acme/kitchen@{SHA.upper()}", "tag or branch"),
    ],
    ids=["tag", "branch", "short", "none", "owner", "path", "lines", "case"],
)
def test_an_action_that_may_move_is_refused(empty: Shop, action: str, why: str) -> None:
    """What is no whole commit of a repository is refused with the reason, before anything is written."""
    said = empty.cli("init", "--action", action)
    assert said.code == 2
    assert why in said.err
    assert files(empty) == {}


def test_init_again_changes_nothing(empty: Shop) -> None:
    """A second init, told of the action or not, changes no byte and says that nothing is to be done."""
    empty.cli("init", "--action", f"acme/kitchen@{SHA}")
    before = files(empty)
    for words in ((), ("--action", f"acme/kitchen@{SHA}"), ("--name", "other")):
        said = empty.cli("init", *words)
        assert said.code == 0
        assert "nothing is to be done" in said.out
        assert files(empty) == before


def test_a_newer_action_is_merged_with_edits(empty: Shop) -> None:
    """A person's timeout and a newer commit of the action are both in the workflow, in a clone of its own,
    too."""
    empty.cli("init", "--action", f"acme/kitchen@{SHA}")
    name = f".github/workflows/{TESTS}"
    empty.replace(name, "timeout-minutes: 60", "timeout-minutes: 90")
    empty.commit()
    clone = Shop(empty.root.parent / "clone")
    empty.git("clone", "-q", str(empty.root), str(clone.root))
    said = clone.cli("init", "--action", f"acme/kitchen@{NEXT}")
    assert said.code == 0, said.err
    text = (clone.root / name).read_text()
    assert "timeout-minutes: 90" in text
    assert f"acme/kitchen@{NEXT}" in text
    assert SHA not in text


def test_a_conflict_is_shown(empty: Shop) -> None:
    """An edit of the same line as ours ends with exit code 2, names file and lines, and keeps both."""
    empty.cli("init", "--action", f"acme/kitchen@{SHA}")
    name = f".github/workflows/{TESTS}"
    empty.replace(name, f"acme/kitchen@{SHA} # GitKitchen", f"fork/kitchen@{SHA} # mine")
    said = empty.cli("init", "--action", f"acme/kitchen@{NEXT}")
    assert said.code == 2
    assert re.search(rf"{re.escape(name)}: you and init changed the same lines: \d+", said.err)
    text = (empty.root / name).read_text()
    assert f"fork/kitchen@{SHA} # mine" in text
    assert f"acme/kitchen@{NEXT} # GitKitchen" in text


def test_what_people_have_stays(empty: Shop) -> None:
    """A project, settings and hooks of one's own are not touched; only the example of a new project is
    left out."""
    mine = {
        "kitchen.yml": "version: 1\nproject: {name: mine, id: 0123456789abcdef}\n",
        ".vscode/settings.json": "{}\n",
        ".pre-commit-config.yaml": "repos: []\n",
        ".gitignore": "*.log",
    }
    empty.write(mine)
    said = empty.cli("init", "--action", f"acme/kitchen@{SHA}")
    assert said.code == 0, said.err
    found = files(empty)
    for name, text in mine.items():
        expected = f"{text}\n.gitkitchen/\n" if name == ".gitignore" else text
        assert found[name].decode() == expected
    assert not (empty.root / "recipes").exists()
    assert "gitkitchen-publish.yml" not in said.out  # no environment is declared
    assert (empty.root / f".github/workflows/{TESTS}").exists()


def test_a_workflow_of_somebody_else_is_not_replaced(empty: Shop) -> None:
    """A file in the place of a workflow of ours stays, and init ends with exit code 2."""
    empty.write({f".github/workflows/{TESTS}": "mine\n"})
    said = empty.cli("init", "--action", f"acme/kitchen@{SHA}")
    assert said.code == 2
    assert "init did not write it" in said.err
    assert (empty.root / f".github/workflows/{TESTS}").read_text() == "mine\n"


def test_a_project_below_the_top(empty: Shop) -> None:
    """In a folder of a repository: workflows at its top, told of the folder; a second project is refused."""
    (empty.root / "team").mkdir()
    below = Shop(empty.root / "team")
    assert below.cli("init", "--action", f"acme/kitchen@{SHA}").code == 0
    steps = yaml.safe_load((empty.root / f".github/workflows/{TESTS}").read_text())["jobs"]["recipes"][
        "steps"
    ]
    assert steps[-1]["with"]["folder"] == "team"
    assert json.loads((empty.root / ".vscode/settings.json").read_text())["yaml.schemas"][
        ".vscode/gitkitchen/kitchen.schema.json"
    ] == ["team/kitchen.yml"]
    assert (empty.root / "team/kitchen.yml").exists()
    (empty.root / "other").mkdir()
    said = Shop(empty.root / "other").cli("init")
    assert said.code == 2
    assert "this repository's project is in 'team'" in said.err


def test_a_broken_project_gets_no_workflows(empty: Shop) -> None:
    """A kitchen.yml with mistakes is named by file and line, and no workflow or record is written."""
    empty.write({"kitchen.yml": "version: 1\nproject: {name: mine}\n"})
    said = empty.cli("init", "--action", f"acme/kitchen@{SHA}")
    assert said.code == 2
    assert "kitchen.yml:2" in said.err
    assert not (empty.root / ".github").exists()
    assert not (empty.root / RECORD).exists()


SHOP = "git@github.com:Acme/Shop.git"
GHCR = "oci://ghcr.io/acme/shop"


def settings(shop: Shop, folder: str = "") -> tuple[str, str]:
    """Store and ledger that kitchen.yml names."""
    found = yaml.safe_load((shop.root / folder / "kitchen.yml").read_text())
    return found["store"], found["ledger"]


def test_with_workflows_what_jobs_make_outlives_them(empty: Shop) -> None:
    """At github.com, with an action: the ledger is a branch and the store the repository's own registry; the
    jobs that publish may write both, those of pull requests read, those of strangers neither."""
    empty.git("remote", "add", "origin", SHOP)
    said = empty.cli("init", "--action", f"acme/kitchen@{SHA}")
    assert said.code == 0, said.err
    assert settings(empty) == (GHCR, "branch")
    assert f"Jobs keep what they build in {GHCR}" in said.out
    rights = {}
    for path in (empty.root / ".github/workflows").iterdir():
        for name, job in yaml.safe_load(path.read_text())["jobs"].items():
            rights[path.stem.removeprefix("gitkitchen-"), name] = job["permissions"]
    both = {"contents": "write", "packages": "write"}
    goes_on = {"actions": "write", "pull-requests": "read"}
    assert rights.pop(("publish", "publish")) == both | goes_on
    assert rights.pop(("cleanup", "drop")) == both
    assert rights.pop(("cleanup", "collect")) == both
    read = {"contents": "read", "packages": "read"}
    assert rights.pop(("pull-request", "recipes")) == read | {"pull-requests": "read"}
    assert rights.pop(("command", "recipes")) == read
    assert rights.pop(("pages", "make")) == {"contents": "read", "packages": "read"}
    assert rights.pop(("pages", "publish")) == {"id-token": "write", "pages": "write"}
    for workflow in ("pull-request", "command"):
        assert rights.pop((workflow, "strangers")) == {"contents": "read"}
    assert not [r for r in rights.values() if "packages" in r or r.get("contents") == "write"]


@pytest.mark.parametrize(
    ("remote", "words", "expected"),
    [
        (SHOP, (), (".gitkitchen/store", "folder")),
        (SHOP, ("--store", "s3://bucket/shop"), ("s3://bucket/shop", "folder")),
        (SHOP, ("--action", f"a/b@{SHA}", "--store", "s3://bucket/shop"), ("s3://bucket/shop", "branch")),
        ("https://gitlab.com/acme/shop", ("--action", f"a/b@{SHA}"), (".gitkitchen/store", "branch")),
        ("", ("--action", f"a/b@{SHA}"), (".gitkitchen/store", "branch")),
        ("", ("--store", "a b/c"), ("a b/c", "folder")),
    ],
    ids=["no-action", "store", "both", "elsewhere", "nowhere", "blank"],
)
def test_the_store_is_what_was_said_or_is_at_hand(
    empty: Shop, remote: str, words: tuple[str, ...], expected: tuple[str, str]
) -> None:
    """A flag goes before the registry at hand, which only workflows ask for; a folder under jobs is told."""
    if remote:
        empty.git("remote", "add", "origin", remote)
    said = empty.cli("init", *words)
    assert said.code == 0, said.err
    assert settings(empty) == expected
    assert ("of a hosted runner it ends with the job" in said.err) == (
        "--action" in words and expected[0].startswith(".git")
    )
    before = files(empty)
    assert empty.cli("init").code == 0
    assert files(empty) == before


def test_setting_up_jobs_later_changes_what_init_wrote_and_nothing_else(empty: Shop) -> None:
    """A kitchen.yml as init left it gets store and ledger with the first action, keeps name and id, and is
    then left alone; one that a person changed stays, and is told what jobs lack."""
    empty.git("remote", "add", "origin", SHOP)
    assert empty.cli("init", "--name", "shop").code == 0
    old = (empty.root / "kitchen.yml").read_text()
    theirs = Shop(empty.root.parent / "theirs")
    shutil.copytree(empty.root, theirs.root)
    said = empty.cli("init", "--action", f"acme/kitchen@{SHA}")
    assert said.code == 0, said.err
    assert f"updated  kitchen.yml (store: {GHCR}, ledger: branch)" in said.out
    new = (empty.root / "kitchen.yml").read_text()
    assert new == old.replace(".gitkitchen/store", GHCR).replace("ledger: folder", "ledger: branch")
    empty.replace("kitchen.yml", "ledger: branch", "ledger: folder")
    assert empty.cli("init", "--action", f"acme/kitchen@{NEXT}").code == 0
    assert settings(empty) == (GHCR, "folder")

    theirs.replace("kitchen.yml", "sandboxes: {base: prod}", "sandboxes: {base: prod, ttl: 7d}")
    mine = (theirs.root / "kitchen.yml").read_text()
    said = theirs.cli("init", "--action", f"acme/kitchen@{SHA}")
    assert said.code == 0, said.err
    assert (theirs.root / "kitchen.yml").read_text() == mine
    assert f"`store: {GHCR}`, then run init again for the rights" in said.err
    assert "no job sees what another published" in said.err
    said = theirs.cli("init", "--store", GHCR)
    assert said.code == 2
    assert "this file is yours, and names '.gitkitchen/store'" in said.err
    theirs.replace("kitchen.yml", "store: .gitkitchen/store", f"store: {GHCR}")
    assert theirs.cli("init", "--store", GHCR).code == 0


@pytest.mark.parametrize(
    ("store", "why"),
    [
        ("gs://bucket", "--store 'gs://bucket' is not available in this version"),
        ("oci://me:secret@ghcr.io/a/b", "holds a user or a password"),
        ("oci://ghcr.io/Acme/Shop", "names no repository of a registry"),
        ("../elsewhere", "--store"),
    ],
    ids=["unknown", "password", "case", "outside"],
)
def test_a_store_that_is_none_is_refused(empty: Shop, store: str, why: str) -> None:
    """With the reason, without a password, and before anything is written."""
    said = empty.cli("init", "--store", store)
    assert said.code == 2
    assert why in said.err
    assert "secret" not in said.err
    assert files(empty) == {}


@pytest.mark.long
@pytest.mark.parametrize("remote", [SHOP, ""], ids=["github", "none"])
def test_the_first_run_needs_no_login(empty: Shop, remote: str) -> None:
    """After init with workflows a laptop without network, login or the store's package runs at once: on the
    environment's branch and on one of its own, green, with what was built to be read as a candidate."""
    if remote:  # nobody answers there: git is to find nobody, whatever the network of this machine
        empty.git("remote", "add", "origin", SHOP)
    assert empty.cli("init", "--action", f"acme/kitchen@{SHA}").code == 0
    empty.commit()
    if remote:
        empty.git("config", "url.file:///nobody/.insteadOf", "git@github.com:")
    for branch in ("main", "feature"):
        if branch != "main":
            empty.git("switch", "-q", "-c", branch)
        with without_network():
            said = empty.cli("run")
            assert said.code == 0, said.out + said.err
            assert empty.outcome()["verdict"] == "passed"
            rows = empty.rows("select sum(orders) as n from sales_by_country", "--candidate", "last")
        assert rows == [{"n": 5}]


@contextlib.contextmanager
def without_network() -> Iterator[None]:
    """As if the package that speaks to registries were not installed: nobody leaves this machine."""
    held = {name: sys.modules.pop(name) for name in list(sys.modules) if name.split(".")[0] == "requests"}
    sys.modules["requests"] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        del sys.modules["requests"]
        sys.modules.update(held)


@pytest.mark.parametrize(
    ("typed", "code"),
    [(f"acme/kitchen@{SHA}\n\n", 0), ("\n", 0), ("\x04", 0), ("acme/kitchen@v1\n", 2)],
    ids=["named", "empty", "end", "tag"],
)
def test_in_a_terminal_init_asks(empty: Shop, typed: str, code: int) -> None:
    """A person at a terminal is asked for the action, and for a store where none is at hand; what they type
    counts as if given with --action and --store."""
    ours, theirs = os.openpty()
    words = [sys.executable, "-m", "gitkitchen", "-C", str(empty.root), "init"]
    with subprocess.Popen(words, stdin=theirs, stdout=theirs, stderr=theirs) as process:
        os.close(theirs)
        said = b""
        while b"no workflows): " not in said:
            said += os.read(ours, 1024)
        os.write(ours, typed.encode())
        with contextlib.suppress(OSError):  # EIO: the other end is closed
            while part := os.read(ours, 1024):
                said += part
        assert process.wait(timeout=60) == code, said
    os.close(ours)
    assert (empty.root / ".github").exists() == (SHA in typed)
    assert (b"is a tag or branch" in said) == (code == 2)
    assert (b"Hosted runners forget their disks" in said) == (SHA in typed)


class Killed(BaseException):
    """As if the process had ended here: nothing behind it is done."""


def test_ended_before_any_write_the_same_command_ends_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An init that brings files up to date and ends before any one of its writes: the same command again ends
    where an unbroken one does, with the person's edit, and then has nothing to do."""
    template = Shop(tmp_path / "template")
    subprocess.run(["git", "init", "-q", "-b", "main", str(template.root)], check=True)
    template.cli("init", "--action", f"acme/kitchen@{SHA}")
    template.replace(f".github/workflows/{TESTS}", "timeout-minutes: 60", "timeout-minutes: 90")
    words = ("init", "--action", f"acme/kitchen@{NEXT}")
    whole = Shop(tmp_path / "whole")
    shutil.copytree(template.root, whole.root)
    assert whole.cli(*words).code == 0
    wanted, ended = files(whole), 0
    assert b"timeout-minutes: 90" in wanted[f".github/workflows/{TESTS}"]
    while True:
        broken = Shop(tmp_path / f"broken{ended}")
        shutil.copytree(template.root, broken.root)
        left = [ended]

        def write(path: Path, text: str, left: list[int] = left) -> None:
            if not left[0]:
                raise Killed
            left[0] -= 1
            write_atomic(path, text)

        monkeypatch.setattr(offering, "write_atomic", write)
        try:
            broken.cli(*words)
        except Killed:
            ended += 1
        else:
            break
        finally:
            monkeypatch.undo()
        assert broken.cli(*words).code == 0
        assert files(broken) == wanted
        assert "nothing is to be done" in broken.cli(*words).out
    assert ended == 8  # six workflows, the hook, the record
