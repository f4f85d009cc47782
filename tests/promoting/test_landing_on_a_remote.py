"""Promotion with the ledger on a branch: one push moves the environment and everything that goes with it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gitkitchen.road import effects
from road import SQL, TWO, Remote, remote, rows, tree
from shop import Said, Shop

LEDGER = "gitkitchen-ledger"


@pytest.fixture
def host(tmp_path: Path) -> Remote:
    """The road on a remote; dev was run by a job."""
    found = remote(tmp_path)
    said = found.job(found.clone("dev"), "develop", "run", "--quiet")
    assert said.code == 0, said.out + said.err
    return found


def promote(host: Remote, shop: Shop, environment: str = "staging", *words: str) -> Said:
    return host.job(shop, "main", "promote", environment, "--quiet", *words)


def files(host: Remote, rev: str = LEDGER) -> set[str]:
    return set(host.git("ls-tree", "-r", "--name-only", rev).splitlines())


def test_one_push_moves_branch_record_and_all_datasets(tmp_path: Path) -> None:
    """The move and the publication of every recipe's datasets are one commit, pushed with the branch."""
    host = remote(tmp_path, TWO)
    dev = host.clone("dev")
    for name in ("delays", "report"):
        assert host.job(dev, "develop", "run", name, "--quiet").code == 0
    said = promote(host, host.clone("job", "main"))
    assert said.code == 0, said.out + said.err
    landed = host.git("rev-parse", "staging")
    assert host.git("rev-parse", "staging^{tree}") == host.git("rev-parse", "develop^{tree}")
    assert host.git("rev-parse", "gitkitchen/promote/staging") == landed
    commits = host.git("log", "--format=%H", LEDGER, "--", "promotions").split()
    assert len(commits) == 1
    added = host.git("diff-tree", "--no-commit-id", "-r", "--name-only", commits[0]).splitlines()
    assert [p.split("/")[0] for p in sorted(added) if p.split("/")[0] in ("promotions", "publications")] == [
        "promotions",
        "publications",
    ]
    (path,) = [p for p in added if p.startswith("publications")]
    body = json.loads(host.git("show", f"{commits[0]}:{path}"))["body"]
    assert sorted(body["datasets"]) == ["flights", "late", "worst"]
    assert body["landing"] == landed
    assert rows(host.clone("reader", "staging"), "staging", "select * from worst") == [("AA", 2)]


def test_a_laptop_promotes_nothing(host: Remote) -> None:
    """What a laptop has is not what was reviewed: refused, with the way that is open."""
    shop = host.clone("laptop")
    before = host.git("for-each-ref")
    said = shop.cli("promote", "staging", "--quiet")
    assert said.code == 2
    assert "jobs on branch 'staging'" in said.err
    said = host.job(shop, "develop", "promote", "staging", "--quiet")
    assert said.code == 2
    assert host.git("for-each-ref") == before


def test_a_rule_that_guards_the_branch_lets_nothing_through(host: Remote) -> None:
    """A remote that refuses the branch takes neither the record nor the data, and the words say so."""
    hook = host.path / "hooks/update"
    hook.write_text(
        '#!/bin/bash\n[ "$1" != refs/heads/staging ] || { echo "GH006: Protected branch"; exit 1; }\n'
    )
    hook.chmod(0o755)
    before = host.git("rev-parse", "staging")
    said = promote(host, host.clone("job", "main"))
    assert said.code == 3, said.out + said.err
    assert "GH006" in said.err
    assert host.git("rev-parse", "staging") == before
    assert not any(p.startswith(("promotions", "publications/@")) and "staging" in p for p in files(host))


def test_an_answer_that_was_lost_is_found_out(host: Remote) -> None:
    """The push landed and its answer did not arrive: the promotion sees it, and nothing lands twice."""
    shop = host.clone("job", "main")
    hook = host.path / "hooks/post-receive"
    hook.write_text("#!/bin/bash\ngrep -q refs/heads/staging && kill -9 $PPID\nexit 0\n")
    hook.chmod(0o755)
    said = promote(host, shop)
    assert said.code == 0, said.out + said.err
    assert sum(p.startswith("promotions") for p in files(host)) == 1
    assert "already" in promote(host, shop).out


@pytest.mark.long
def test_s21_a_hand_that_pushes_meanwhile_wins_and_is_proved_next(host: Remote) -> None:
    """S21 on a remote: the push is refused whole, and what came in between is proved before the next try."""
    shop, other = host.clone("job", "main"), host.clone("hand", "staging")
    done = []

    def push(name: str, when: str) -> None:
        if (name, when) == ("atomic-push", "before") and not done:
            other.commit({"recipes/delays/late.sql": SQL + "-- by hand\n"})
            other.git("push", "-q", "origin", "staging")
            done.append(host.git("rev-parse", "staging"))

    effects.watchers.append(push)
    try:
        said = promote(host, shop)
    finally:
        effects.watchers.remove(push)
    assert said.code == 0, said.out + said.err
    assert host.git("rev-parse", "staging^1") == done[0]
    assert host.git("rev-parse", "staging^{tree}") == host.git("rev-parse", "develop^{tree}")


@pytest.mark.long
def test_the_next_step_takes_what_the_last_one_landed(host: Remote) -> None:
    """staging to prod, from another clone: the ledger says what staging landed."""
    assert promote(host, host.clone("one", "main")).code == 0
    said = promote(host, host.clone("two", "main"), "prod")
    assert said.code == 0, said.out + said.err
    reader = host.clone("reader", "main")
    assert tree(reader, "origin/main") == tree(reader, "origin/develop")
    assert rows(reader, "prod") == [("AA", 2), ("UA", 1)]


@pytest.mark.long
def test_a_shallow_clone_is_deepened(host: Remote) -> None:
    """A job's clone without history sees the order of commits all the same."""
    shop = host.clone("dev2")
    shop.commit({"a.txt": "a"})
    shop.git("push", "-q", "origin", "develop")
    shop.git("clone", "-q", "--depth=1", "-b", "main", host.path.as_uri(), str(host.folder / "shallow"))
    said = promote(host, Shop(host.folder / "shallow"))
    assert said.code == 0, said.out + said.err
    assert host.git("rev-parse", "staging^{tree}") == host.git("rev-parse", "develop^{tree}")


@pytest.mark.long
def test_more_recipes_make_no_more_pushes(tmp_path: Path) -> None:
    """Hosts ask for few pushes a minute: the records of all runs of a proof and its evidence are one push, so
    that a promotion of two recipes makes as many as one of one. Six with the first, which registers the
    environment's kitchen."""
    counts = []
    for number, files_of in enumerate((None, TWO)):
        folder = tmp_path / str(number)
        folder.mkdir()
        host = remote(folder, files_of)
        log = folder / "pushes"
        hook = host.path / "hooks/post-receive"
        hook.write_text(f"#!/bin/sh\ncat >/dev/null\necho >>'{log}'\n")
        hook.chmod(0o755)
        said = promote(host, host.clone("job", "main"))
        assert said.code == 0, said.out + said.err
        counts.append(len(log.read_text().splitlines()))
        runs = [p for p in files(host) if p.startswith("runs/")]
        assert len(runs) == number + 1
        added = [
            host.git("diff-tree", "--no-commit-id", "-r", "--name-only", commit).split()
            for commit in host.git("log", "--format=%H", LEDGER, "--", "evidence").split()
        ]
        ((*paths,),) = added
        assert {p for p in paths if p.startswith("runs/")} == set(runs)
    assert counts[0] == counts[1] <= 6
