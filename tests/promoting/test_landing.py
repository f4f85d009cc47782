"""Promotion without a forge: branches of the repository, and a ledger in a folder."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gitkitchen.process import Cancel
from gitkitchen.promote.protocol import End
from gitkitchen.road import effects
from gitkitchen.road.ground import Ground
from gitkitchen.road.landing import promote
from gitkitchen.road.shown import text
from gitkitchen.road.walking import Asked
from gitkitchen.workplace import Request
from lengths import some
from road import FILES, SQL, TWO, made, promoted, rows, tree
from shop import Shop


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    """The road, with `develop` run and checked out."""
    found = made(tmp_path)
    assert found.cli("run", "--quiet").code == 0
    return found


def record(shop: Shop, environment: str) -> list[dict[str, object]]:
    """The moves of an environment."""
    folder = shop.root / f".gitkitchen/ledger/promotions/{environment}"
    return [json.loads(p.read_text())["body"] for p in sorted(folder.glob("@0*/*.json"))]


def branches(shop: Shop) -> dict[str, str]:
    listed = shop.git("for-each-ref", "--format=%(refname:short) %(objectname)", "refs/heads")
    return dict(line.split() for line in listed.splitlines())


def test_what_passed_is_what_ships_tree_and_data(shop: Shop) -> None:
    """A tree goes the whole road: the same tree, the same rows, each landing told by commit and record."""
    shop.commit({"recipes/delays/data/flights.csv": FILES["recipes/delays/data/flights.csv"] + "DL,1\n"})
    promoted(shop, "staging")
    promoted(shop, "prod", "--reason", "quarter end")
    assert tree(shop, "main") == tree(shop, "staging") == tree(shop, "develop")
    assert rows(shop, "prod") == rows(shop, "staging") == [("AA", 2), ("DL", 1), ("UA", 1)]
    (move,) = record(shop, "prod")
    tip = shop.git("rev-parse", "main")
    assert (move["commit"], move["tree"], move["reason"]) == (tip, tree(shop, "main"), "quarter end")
    assert (move["source"], move["source_environment"]) == (shop.git("rev-parse", "staging"), "staging")
    assert move["published"] == ["flights", "late"]
    assert shop.git("log", "-1", "--format=%P", "main").split()[1] == shop.git("rev-parse", "staging")


def test_nothing_runs_whose_fingerprint_the_trusted_store_has(shop: Shop) -> None:
    """What dev built and tested is not built again on its way to staging and prod."""
    promoted(shop, "staging")
    promoted(shop, "prod")
    for environment in ("staging", "prod"):
        said = shop.cli("log", "--json", "--kitchen", environment)
        (run,) = json.loads(said.out)["runs"]
        outcome = json.loads(shop.cli("show", run["run"], "--json", "--kitchen", environment).out)
        assert {n["node"]: n["state"] for n in outcome["nodes"]} == {"flights": "reused", "late": "reused"}


def test_a_test_that_fails_in_the_target_stops_the_landing(shop: Shop) -> None:
    """A tree that passes at its source and not with the target's variables changes nothing there."""
    text = FILES["kitchen.yml"].replace(
        "staging: {branch: staging}", "staging: {branch: staging, vars: {least: 9}}"
    )
    recipe = FILES["recipes/delays/recipe.yml"].replace("min: 1}", 'min: "${{ vars.least }}"}')
    shop.commit({"kitchen.yml": text + "vars: {least: 1}\n", "recipes/delays/recipe.yml": recipe})
    assert shop.cli("run", "--quiet").code == 0
    before = branches(shop)
    said = shop.cli("promote", "staging", "--quiet")
    assert said.code == 1, said.out + said.err
    assert "required failed" in said.out
    assert "late" in said.out
    after = branches(shop)
    assert after.pop("gitkitchen/promote/staging")
    assert after == before
    assert record(shop, "staging") == []
    assert shop.cli("query", "late", "--kitchen", "staging").code == 2


def test_again_says_that_it_stands_there(shop: Shop) -> None:
    """The same command twice lands once."""
    promoted(shop, "staging")
    tip = shop.git("rev-parse", "staging")
    said = promoted(shop, "staging")
    assert "already" in said.out
    assert shop.git("rev-parse", "staging") == tip
    assert len(record(shop, "staging")) == 1


def test_s19_a_file_that_the_source_deleted_is_gone(shop: Shop) -> None:
    """S19 (lakeFS #9021: a merge kept deleted files): the landed tree is the tested one, deletions too."""
    shop.commit({"notes.txt": "old", **{k: v for k, v in TWO.items() if k not in FILES}})
    promoted(shop, "staging")
    assert rows(shop, "staging", "select carrier from worst") == [("AA",)]
    shop.git("rm", "-q", "-r", "notes.txt", "recipes/report")
    shop.commit()
    promoted(shop, "staging")
    assert tree(shop, "staging") == tree(shop, "develop")
    assert "notes.txt" not in shop.git("ls-tree", "--name-only", "staging")
    assert shop.cli("query", "worst", "--kitchen", "staging").code == 2


@pytest.mark.long
def test_s20_promote_revert_fix_and_promote_again_has_everything(shop: Shop) -> None:
    """S20: after a revert in the target, promoting the fix brings back the whole change, not only the fix."""
    shop.commit({"a.txt": "a", "recipes/delays/late.sql": SQL.replace("count(*)", "count(*) + 10")})
    promoted(shop, "staging")
    shop.git("switch", "-q", "staging")
    shop.git("revert", "--no-edit", "-m", "1", "HEAD")
    shop.git("switch", "-q", "develop")
    shop.commit({"fix.txt": "fixed"})
    promoted(shop, "staging")
    assert tree(shop, "staging") == tree(shop, "develop")
    assert {"a.txt", "fix.txt"} <= set(shop.git("ls-tree", "--name-only", "staging").split())
    assert rows(shop, "staging") == [("AA", 12), ("UA", 11)]


@pytest.mark.parametrize("rev", ["older", "strange"])
def test_s3_s30_only_forward_and_only_what_landed(shop: Shop, rev: str) -> None:
    """S3, S30: what is older than the last promotion goes no way forward; what never stood there, none."""
    first = shop.git("rev-parse", "HEAD")
    shop.commit({"a.txt": "a"})
    promoted(shop, "staging")
    shop.git("switch", "-q", "-c", "aside")
    shop.commit({"b.txt": "b"})
    shop.git("switch", "-q", "develop")
    before = branches(shop)
    said = shop.cli("promote", "staging", "--from", first if rev == "older" else "aside", "--quiet")
    assert said.code == 2
    assert ("rollback" if rev == "older" else "has landed") in said.err
    assert branches(shop) == before


@pytest.mark.long
def test_any_tree_that_the_source_has_landed_can_be_named(shop: Shop) -> None:
    """--from takes an older commit of the source, as long as it is newer than what stands in the target."""
    shop.commit({"a.txt": "a"})
    wanted = shop.git("rev-parse", "HEAD")
    shop.commit({"b.txt": "b"})
    promoted(shop, "staging", "--from", wanted)
    assert tree(shop, "staging") == tree(shop, wanted)


@pytest.mark.long
def test_s11_order_comes_from_the_ledger_and_not_from_a_branch(shop: Shop) -> None:
    """S11: what staging has not landed is not promoted from it, though somebody's commit is on its branch."""
    promoted(shop, "staging")
    landed = shop.git("rev-parse", "staging")
    shop.git("switch", "-q", "staging")
    shop.commit({"sneaked.txt": "in"})
    shop.git("switch", "-q", "develop")
    promoted(shop, "prod")
    assert shop.git("log", "-1", "--format=%P", "main").split()[-1] == landed
    assert "sneaked.txt" not in shop.git("ls-tree", "--name-only", "main")
    shop.commit({"pending.txt": "not in staging yet"})
    before = branches(shop)
    for rev in ("develop", "staging"):
        said = shop.cli("promote", "prod", "--from", rev, "--quiet")
        assert (said.code, "nothing that environment 'staging' has landed" in said.err) == (2, True), rev
    assert branches(shop) == before


def test_recipes_see_what_those_before_them_will_publish(tmp_path: Path) -> None:
    """A recipe that reads another's dataset is proved on the new version of it, and both land together."""
    shop = made(tmp_path, TWO)
    for name in ("delays", "report"):
        assert shop.cli("run", name, "--quiet").code == 0
    promoted(shop, "staging")
    assert rows(shop, "staging", "select * from worst") == [("AA", 2)]
    shop.commit({"recipes/delays/late.sql": SQL.replace("count(*)", "99 - count(*)")})
    promoted(shop, "staging")
    assert rows(shop, "staging", "select * from worst") == [("UA", 98)]
    publications = list((shop.root / ".gitkitchen/ledger/publications").glob("k_staging_*/@0*/*.json"))
    assert len(publications) == 2


@pytest.mark.long
def test_a_checkout_of_the_target_comes_along(shop: Shop) -> None:
    """Where the target's branch is checked out, its files are those that landed; changed ones stay."""
    shop.commit({"a.txt": "a"})
    shop.git("switch", "-q", "staging")
    promoted(shop, "staging")
    assert (shop.root / "a.txt").read_text() == "a"
    assert shop.git("status", "--porcelain") == ""
    shop.git("switch", "-q", "develop")
    shop.commit({"b.txt": "b"})
    shop.git("switch", "-q", "staging")
    shop.write({"a.txt": "mine"})
    tip = shop.git("rev-parse", "staging")
    said = shop.cli("promote", "staging", "--quiet")
    assert said.code == 2
    assert "uncommitted" in said.err
    assert (shop.root / "a.txt").read_text() == "mine"
    assert shop.git("rev-parse", "staging") == tip


@pytest.mark.long
def test_a_branch_that_does_not_exist_is_made(tmp_path: Path) -> None:
    """The first promotion to an environment without a branch makes it."""
    shop = made(tmp_path)
    shop.git("branch", "-q", "-D", "staging")
    promoted(shop, "staging")
    assert tree(shop, "staging") == tree(shop, "develop")
    assert rows(shop, "staging") == [("AA", 2), ("UA", 1)]


@pytest.mark.parametrize("words", [["dev"], ["nowhere"]])
def test_where_nothing_promotes_to_it_says_so(shop: Shop, words: list[str]) -> None:
    """The first environment and an unknown name are mistakes, each with what to do."""
    said = shop.cli("promote", *words)
    assert said.code == 2
    assert "merge pull requests" in said.err or "there are: dev, staging, prod" in said.err


def test_a_source_without_a_branch_says_how_to_make_one(shop: Shop) -> None:
    """Who wrote a road into `kitchen.yml` and made no branches is told so; nothing was lost."""
    shop.git("switch", "-q", "main")
    shop.git("branch", "-q", "-D", "develop")
    said = shop.cli("promote", "staging", "--quiet")
    assert said.code == 2
    assert "there is no branch 'develop'" in said.err
    assert "`git branch develop COMMIT` makes it" in said.err
    assert "gone" not in said.err


@pytest.mark.parametrize("words", [(), ("--dry-run",)], ids=["promote", "dry-run"])
def test_a_clone_whose_history_is_cut_off_is_refused(
    shop: Shop, tmp_path: Path, words: tuple[str, ...]
) -> None:
    """Without a remote that counts nothing is deepened: the command says how, and has recorded nothing."""
    shop.commit()
    url = shop.root.as_uri()
    shop.git("clone", "-q", "--depth", "1", "--no-single-branch", url, str(tmp_path / "cut"))
    cut = Shop(tmp_path / "cut")
    said = cut.cli("promote", "staging", "--quiet", *words)
    assert said.code == 2
    assert "git fetch --unshallow" in said.err
    assert not (cut.root / ".gitkitchen/ledger/promotions").exists()


def test_an_interrupted_proof_is_no_verdict(shop: Shop) -> None:
    """What was cancelled failed no gate: the command says that nothing was changed; asked again, it lands."""
    cancel = Cancel()

    def interrupt(step: str, now: str) -> None:
        if (step, now) == ("prove", "before"):
            cancel.set()

    effects.watchers.append(interrupt)
    try:
        done = promote(Asked("staging", Request(start=shop.root), cancel))
    finally:
        effects.watchers.remove(interrupt)
    assert (done.end, done.gates) == (End.WAITING, ())
    assert "interrupted" in text(done.shown())
    promoted(shop, "staging")


def test_a_source_that_is_gone_or_rewritten_is_refused(shop: Shop) -> None:
    """Head deleted or force-pushed: refused, and the words say which branch."""
    promoted(shop, "staging")
    shop.git("switch", "-q", "--orphan", "other")
    shop.commit({"x.txt": "x"})
    orphan = shop.git("rev-parse", "HEAD")
    shop.git("switch", "-q", "develop")
    shop.git("branch", "-q", "-f", "staging", orphan)
    said = shop.cli("promote", "prod", "--quiet")
    assert said.code == 2
    assert "rewritten" in said.err
    shop.git("branch", "-q", "-D", "staging")
    said = shop.cli("promote", "prod", "--quiet")
    assert said.code == 2
    assert "gone" in said.err


# --- somebody is faster ------------------------------------------------------------------------------


class At:
    """Does something once, before a step."""

    def __init__(self, step: str, do: object) -> None:
        self.step, self.do, self.count = step, do, 0
        self.seen: list[str] = []

    def __call__(self, name: str, when: str) -> None:
        if when == "before":
            self.seen.append(name)
        if (name, when) == (self.step, "before") and not self.count:
            self.count += 1
            self.do()  # type: ignore[operator]


def watched(shop: Shop, step: str, do: object, *words: str) -> tuple[At, object]:
    watcher = At(step, do)
    effects.watchers.append(watcher)
    try:
        return watcher, shop.cli("promote", *words, "--quiet")
    finally:
        effects.watchers.remove(watcher)


STEPS = [
    *(pytest.param(name, marks=pytest.mark.long) for name in ("push-candidate", "prove", "record-evidence")),
    *(pytest.param(name, marks=pytest.mark.long) for name in ("judge", "take-lease", "judge-again")),
    "move-branch",
]


@pytest.mark.parametrize("step", STEPS)
def test_s21_a_base_that_moves_is_proved_again_and_never_rebased_on(shop: Shop, step: str) -> None:
    """S21: whenever the target's branch moves, another proof is made on the new tip before anything lands."""
    promoted(shop, "staging")
    shop.commit({"a.txt": "a"})

    def move() -> None:
        head = shop.git("commit-tree", "staging^{tree}", "-p", "staging", "-m", "by hand")
        shop.git("update-ref", "refs/heads/staging", head)

    watcher, said = watched(shop, step, move, "staging")
    assert said.code == 0, said.out + said.err  # type: ignore[attr-defined]
    assert watcher.seen.count("prove") >= 3  # what was begun, the commit by hand, and the new tip
    moves = record(shop, "staging")
    assert [m["method"] for m in moves] == ["push", "hand", "push"]
    assert moves[2]["before"] == moves[1]["commit"]
    assert [e["base"] for e in moves[2]["evidence"]] == [moves[1]["commit"]]  # type: ignore[attr-defined]
    assert tree(shop, "staging") == tree(shop, "develop")


@pytest.mark.parametrize("step", some(["judge-again", "move-branch"], "move-branch"))
def test_a_source_that_is_deleted_meanwhile_is_refused(shop: Shop, step: str) -> None:
    """The head is gone between proof and landing: nothing lands."""
    before = branches(shop)["staging"]

    def delete() -> None:
        shop.git("switch", "-q", "--detach")
        shop.git("branch", "-q", "-D", "develop")

    _, said = watched(shop, step, delete, "staging")
    if step == "move-branch":  # by then it was judged for the last time
        assert said.code == 0  # type: ignore[attr-defined]
        return
    assert said.code == 2  # type: ignore[attr-defined]
    assert "develop" in said.err  # type: ignore[attr-defined]
    assert branches(shop)["staging"] == before


@pytest.mark.long
def test_s6_a_run_that_publishes_meanwhile_makes_another_proof(shop: Shop) -> None:
    """S6: versions that moved between proof and landing are not overwritten by what was proved before."""
    promoted(shop, "staging")
    shop.commit({"recipes/delays/late.sql": SQL.replace("count(*)", "count(*) + 1")})

    def publish() -> None:
        shop.git("switch", "-q", "staging")
        shop.write({"recipes/delays/data/flights.csv": "carrier,late\nZZ,1\n"})
        shop.git("commit", "-q", "-a", "-m", "by hand")
        assert shop.cli("run", "--quiet").code == 0
        shop.git("switch", "-q", "develop")

    watcher, said = watched(shop, "judge-again", publish, "staging")
    assert said.code == 0, said.out + said.err  # type: ignore[attr-defined]
    assert watcher.seen.count("prove") == 3
    assert rows(shop, "staging") == [("AA", 3), ("UA", 2)]


TICKING = """\
version: 1
recipe: ticks
nodes:
  tick: {sql: tick.sql, volatile: true, tests: [{rows: {between: [1, 1]}}]}
"""


@pytest.mark.parametrize("step", some(["judge-again", "record-move"], "judge-again"))
def test_s6_what_a_run_published_meanwhile_is_not_taken_back(shop: Shop, step: str) -> None:
    """S6: the branch stands still, and a run on it publishes newer data between proof and landing: what was
    proved on the older is not published over it; another proof is made on what is there by now."""
    shop.commit({"recipes/ticks/recipe.yml": TICKING, "recipes/ticks/tick.sql": "select random() as x\n"})
    promoted(shop, "staging")
    shop.commit({"a.txt": "a"})
    there = shop.root.parent / "there"
    shop.git("worktree", "add", "-q", str(there), "staging")

    def publish() -> None:
        assert Shop(there).cli("run", "ticks", "--quiet").code == 0

    before = heads(shop)
    watcher, said = watched(shop, step, publish, "staging")
    if said.code:  # type: ignore[attr-defined]
        assert (said.code, step) == (3, "record-move")  # type: ignore[attr-defined]
        watcher, said = watched(shop, "", publish, "staging")
        assert said.code == 0, said.out + said.err  # type: ignore[attr-defined]
        assert watcher.seen.count("prove") == 1  # type: ignore[attr-defined]
    else:
        assert watcher.seen.count("prove") == 2  # type: ignore[attr-defined]
    ledger = Ground.of(Request(start=shop.root)).ledger
    (stream,) = [s for s in ledger.streams("publications/") if "staging" in s]
    published = list(ledger.read(stream, after=before))
    assert [bool(r.body.get("landing")) for r in published] == [False, True]
    assert all(r.body["read"] == r.sequence - 1 for r in published)
    assert tree(shop, "staging") == tree(shop, "develop")


def heads(shop: Shop) -> int:
    """How many publications staging has."""
    ledger = Ground.of(Request(start=shop.root)).ledger
    (stream,) = [s for s in ledger.streams("publications/") if "staging" in s]
    return ledger.head(stream)


def test_s14_of_two_promoters_one_is_told_who_has_it(shop: Shop) -> None:
    """S14: while one promotion holds the environment, another changes nothing and names the holder."""
    shop.commit({"a.txt": "a"})
    told = []

    def again() -> None:
        told.append(shop.cli("promote", "staging", "--quiet"))

    _, said = watched(shop, "move-branch", again, "staging")
    assert said.code == 0  # type: ignore[attr-defined]
    (other,) = told
    assert other.code == 3
    assert "promotion" in other.err
    assert len(record(shop, "staging")) == 1
