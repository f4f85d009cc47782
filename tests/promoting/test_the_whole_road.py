"""The whole road on the flights example, against a forge that enforces what GitHub does.

One story in chapters, each a test, told in order on one forge: people open pull requests, review and merge;
everything else is done by jobs in new clones with a job's token, which starts no workflow by what it pushes.
The clock stands still unless the story moves it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from gitkitchen.github.api import Client
from gitkitchen.github.forge.state import Pull
from shop import Said, Shop
from stage import Time
from story import EXAMPLE
from town import LEDGER, Town, towned

pytestmark = pytest.mark.long

DAY = 86_400.0
RECIPE = "recipes/delays/recipe.yml"
LATE, SOONER, MENDED = "late_minutes: 15 ", "late_minutes: 10 ", "late_minutes: 20 "
TESTS = ".github/workflows/gitkitchen-pull-request.yml"
GATES = """\
  staging: {branch: staging, gate: {approvals: 1}}
  prod:
    branch: main
    gate:
      approvals: 2
      previous: healthy
      soak: {hours: 24, green_runs: 2}
      hotfix: {approvals: 1}
"""
SHARE = "select round(100.0 * sum(share_late * n_flights) / sum(n_flights), 1) as p from late_by_carrier"


class Journey:
    """The town with what people do in it."""

    def __init__(self, town: Town) -> None:
        self.town, self.repo = town, town.repo

    def opened(self, branch: str, old: str, new: str, base: str = "develop") -> Pull:
        """Olga changes the recipe on a branch of ``base`` and opens a pull request."""
        text = self.town.git("show", f"refs/heads/{base}:{RECIPE}") + "\n"
        assert old in text
        files = {RECIPE: text.replace(old, new)}
        self.repo.commit(branch, files, author="olga", force_from=self.repo.head(base))
        return self.repo.pull(branch, base=base, author="olga", title=branch)

    def tested(self, pull: Pull) -> Said:
        """The untrusted job of the pull request."""
        event = self.repo.event("pull_request", "opened", pull=pull)
        run = self.repo.run(TESTS, "pull_request", pull.head_sha, pull=pull, conclusion=None)
        return self.town.job("pull_request", event, f"refs/heads/{pull.base_ref}", GITHUB_RUN_ID=str(run.id))

    def pressed(self, pull: Pull, by: str, method: str = "merge") -> None:
        """Somebody presses the button of a pull request."""
        time, url, token = self.town.time, self.town.forge.api_url, self.town.forge.user_token(by)
        with Client(url, token, self.repo.full_name, clock=time, sleep=time.sleep) as client:
            path = f"/repos/{self.repo.full_name}/pulls/{pull.number}/merge"
            client._asking.ask("PUT", path, "merge", {}, body={"merge_method": method})

    def merged(self, pull: Pull, by: str = "petra") -> Said:
        """Somebody merges a pull request to ``develop``, and the job of that push publishes dev."""
        before = self.repo.head("develop")
        self.repo.review(pull, by)
        self.pressed(pull, by)
        return self.town.pushed("develop", before)

    def scheduled(self, branch: str) -> Said:
        """The job that a clock started on an environment's branch."""
        event = self.repo.event("schedule", cron="17 5 * * *")
        event["ref"] = ref = f"refs/heads/{branch}"
        self.town.time.now += 600
        return self.town.job("schedule", event, ref)

    def step(self, environment: str) -> Pull:
        """The open pull request of a promotion."""
        branch = f"gitkitchen/promote/{environment}"
        (found,) = [p for p in self.town.pulls() if p.head_ref == branch and p.state == "open"]
        return found

    def approved(self, environment: str, *logins: str) -> None:
        for login in logins:
            self.town.time.now += 60
            self.repo.review(self.step(environment), login)

    def landed(self, environment: str, **inputs: str) -> dict[str, Any]:
        """A promotion that must land, and its record."""
        said = self.town.promote(environment, **inputs)
        assert said.code == 0, said.out
        last = self.town.moves(environment)[-1]
        assert last["move"] == "landing"
        assert last["tree"] == self.town.tree(str(last["branch"]))
        return last

    def waits(self, environment: str, *words: str) -> None:
        """A promotion that must not land, for these reasons; nothing is changed by it."""
        branch = {"staging": "staging", "prod": "main"}[environment]
        tip, moves = self.repo.head(branch), self.town.moves(environment)
        said = self.town.promote(environment)
        assert said.code == 1, said.out
        for word in words:
            assert word in said.out, said.out
        assert (self.repo.head(branch), self.town.moves(environment)) == (tip, moves)

    def to_staging(self) -> dict[str, Any]:
        self.waits("staging", "0 of 1 approvals")
        self.approved("staging", "rita")
        return self.landed("staging")

    def soaked(self) -> None:
        """A day and two green scheduled runs later."""
        for _ in range(2):
            self.town.time.now += DAY
            said = self.scheduled("staging")
            assert said.code == 0, said.out

    def to_prod(self) -> dict[str, Any]:
        self.waits("prod")
        self.soaked()
        self.waits("prod", "0 of 2 approvals")
        self.approved("prod", "sven", "rita")
        return self.landed("prod")

    def late(self, environment: str) -> float:
        """What readers of an environment see: the share of late flights in percent."""
        ((value,),) = self.town.rows(environment, SHARE)  # type: ignore[misc]
        return float(value)

    def clone(self) -> Shop:
        """A new clone, with a token that may push."""
        self.town.count += 1
        root = self.town.folder / f"clone{self.town.count}"
        Shop(self.town.folder).git("clone", "-q", self.repo.git_url(self.town.token), str(root))
        return Shop(root)

    def records(self, kind: str) -> list[dict[str, Any]]:
        """All that the ledger remembers of a kind."""
        listed = self.town.git("ls-tree", "-r", "--name-only", LEDGER).splitlines()
        paths = [p for p in listed if p.startswith(f"{kind}/")]
        found = [json.loads(self.town.git("show", f"{LEDGER}:{p}")) for p in paths]
        return [one["body"] | {"namespace": one["stream"].split("/")[1]} for one in found]

    def built(self) -> Iterator[tuple[str, str, str]]:
        """(run, node, fingerprint) of all that was built: what its record names, and what its publication
        does, of the nodes that were not reused."""
        published: dict[tuple[str, str], str] = {}
        for body in self.records("publications"):
            for dataset, entry in body["datasets"].items():
                if entry is not None:
                    run, node = entry.get("run", body["run"]), entry.get("node", dataset)
                    published[run, node] = entry["fingerprint"]
        for body in sorted(self.records("runs"), key=lambda body: (body["started"], body["run"])):
            if not body["namespace"].startswith(("k_develop", "k_staging", "k_main")):
                continue
            named = {node: made["fingerprint"] for node, made in body["built"].items()}
            ran = {n for state, nodes in body["nodes"].items() if state != "reused" for n in nodes}
            named |= {n: published[body["run"], n] for n in ran if (body["run"], n) in published}
            yield from ((body["run"], node, found) for node, found in named.items())


@pytest.fixture(scope="module")
def on(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Journey]:
    """The flights example on a forge with all rules on, dev published, nothing promoted."""
    folder = tmp_path_factory.mktemp("road")
    files = {
        str(p.relative_to(EXAMPLE)): p.read_text(encoding="utf-8")
        for p in sorted(EXAMPLE.rglob("*"))
        if p.is_file() and "__pycache__" not in p.parts and ".gitkitchen" not in p.parts
    }
    text = files["kitchen.yml"]
    old = text[text.index("  staging:") : text.index("\nsandboxes")]
    text = text.replace(old, GATES).replace("store: .gitkitchen/store", f"store: file://{folder}/store")
    files[TESTS] = "on: pull_request\n"
    files["kitchen.yml"] = text.replace("ledger: folder", "ledger: branch")
    clock = Time(now=datetime.now(UTC).timestamp() + 3600)  # runs end by the clock of this machine
    with towned(folder, files, clock, only=True) as town:
        for login in ("rita", "sven"):
            town.repo.allow(login, "write")
        for branch in ("develop", "staging", "main"):
            town.repo.protect(branch, approvals=1 if branch == "develop" else 0)
        yield Journey(town)


def test_1_a_change_comes_to_dev_by_its_pull_request(on: Journey) -> None:
    """A pull request is tested by a job that may not publish, merged by a person, and dev is published."""
    assert on.town.pushed("develop", "0" * 40).code == 0
    pull = on.opened("note", "owner: ", "# of this recipe\nowner: ")
    said = on.tested(pull)
    assert said.code == 0, said.out
    said = on.merged(pull)
    assert said.code == 0, said.out
    assert on.late("dev") == 23.8


def test_2_staging_takes_it_when_somebody_else_approves(on: Journey) -> None:
    """Who asked and wrote it does not count; the button lands it, its push starts nothing and the runs of its
    pull request wait for a person, so a dispatch starts what follows."""
    on.waits("staging", "0 of 1 approvals")
    on.approved("staging", "olga")
    on.waits("staging", "olga's does not count")
    pushes = len(on.repo.deliveries("push"))
    on.approved("staging", "rita")
    move = on.landed("staging")
    assert move["method"] == "button"
    assert on.town.tree("staging") == on.town.tree("develop")
    assert on.late("staging") == 23.8
    by_jobs = [d for d in on.repo.deliveries("push")[pushes:] if d.payload["ref"] == "refs/heads/staging"]
    assert [d.starts for d in by_jobs] == [False]
    waiting = [r for r in on.repo.repo.runs.values() if r.branch == "gitkitchen/promote/staging"]
    assert {r.conclusion for r in waiting} == {"action_required"}
    started = on.repo.deliveries("workflow_dispatch")[-1].payload["inputs"]
    assert started["promote"] == "prod"


def test_3_production_waits_for_a_day_for_runs_and_for_two(on: Journey) -> None:
    """Hours, green scheduled runs and two approvals, each named while it is missing; an approval of staging's
    step says nothing of production's; changes that are asked for block."""
    on.waits("prod", "of 24 h", "0 of 2 approvals")
    on.soaked()
    on.waits("prod", "0 of 2 approvals")
    on.approved("prod", "petra", "sven")
    on.waits("prod", "1 of 2 approvals", "petra's does not count")  # she merged it: that commit is hers
    on.repo.review(on.step("prod"), "rita", "CHANGES_REQUESTED")
    on.waits("prod", "rita")
    on.approved("prod", "rita")
    move = on.landed("prod")
    assert move["method"] == "button"
    assert on.town.tree("main") == on.town.tree("develop") == on.town.tree("staging")
    assert on.late("prod") == 23.8
    gates = {gate["gate"]: gate["standing"] for gate in move["gates"]}
    assert set(gates.values()) == {"passed"}
    assert {"approvals", "soak:hours", "soak:green_runs", "previous", "required"} <= set(gates)


def test_4_a_change_of_workflows_needs_a_right_that_no_job_has(on: Journey) -> None:
    """It is refused with the name of that right, and nothing moves; without it the road is open again."""
    on.repo.commit("develop", {TESTS: "on: [pull_request]\n"}, author="olga")
    tip = on.repo.head("staging")
    said = on.town.promote("staging")
    assert said.code != 0
    assert "workflows" in said.out
    assert on.repo.head("staging") == tip
    on.repo.commit("develop", {TESTS: "on: pull_request\n"}, author="olga")


def test_5_a_bad_surprise_comes_as_far_as_production(on: Journey) -> None:
    """All tests let it pass and people approve it; readers of production see it, and nobody before."""
    pull = on.opened("sooner", LATE, SOONER)
    assert on.tested(pull).code == 0
    assert on.merged(pull).code == 0
    assert (on.late("dev"), on.late("staging"), on.late("prod")) == (28.0, 23.8, 23.8)
    on.to_staging()
    assert (on.late("staging"), on.late("prod")) == (28.0, 23.8)
    on.to_prod()
    assert on.late("prod") == 28.0


def test_6_each_form_of_a_rollback_brings_the_old_numbers_back(on: Journey) -> None:
    """Data of then under the tree of now, tree and data of then, tree of then on today's sources: each by one
    dispatch, recorded, held, by the button of a protected branch; nobody is asked, nothing soaks."""
    first, bad = [m for m in on.town.moves("prod") if m["move"] == "landing"]
    for form, tree in (("keep-tree", bad["tree"]), ("restore", first["tree"]), ("current", first["tree"])):
        on.town.time.now += 600
        said = on.town.back("prod", data=form, to=str(first["commit"]))
        assert said.code == 0, f"{form}: {said.out}"
        last = on.town.moves("prod")[-1]
        assert (last["intent"], last["data"], last["tree"]) == ("rollback", form, tree)
        assert last["method"] == "button"
        assert on.town.tree("main") == tree
        assert on.late("prod") == 23.8
        assert on.late("staging") == 28.0
    on.waits("prod", "on hold")


def test_7_a_fix_brings_everything_again(on: Journey) -> None:
    """The hold is released by name; promoting again after the fix has the fix and all that had gone back."""
    pull = on.opened("mended", SOONER, MENDED)
    assert on.merged(pull).code == 0
    on.to_staging()
    on.waits("prod", "on hold")
    assert on.clone().cli("hold", "prod", "--release").code == 0
    on.to_prod()
    assert on.town.tree("main") == on.town.tree("develop")
    assert on.late("prod") == on.late("dev") < 23.8
    assert "# of this recipe" in on.town.git("show", f"refs/heads/main:{RECIPE}")


def test_8_a_hotfix_goes_straight_and_is_brought_back(on: Journey) -> None:
    """One approval of production's shorter list, no soak; a pull request brings it to develop, and until it
    is in, nothing is promoted; then everything goes the road again."""
    assert on.merged(on.opened("another-note", "# of this", "# of just this")).code == 0
    text = on.town.git("show", f"refs/heads/main:{RECIPE}") + "\n"
    files = {RECIPE: text.replace(MENDED, "late_minutes: 25 ")}
    on.repo.commit("hot", files, author="olga", force_from=on.repo.head("main"))
    given = {"hotfix": "true", "from": "hot", "reason": "still too many"}
    said = on.town.promote("prod", **given)
    assert said.code == 1, said.out
    assert "0 of 1 approvals" in said.out
    on.approved("prod", "sven")
    before = on.late("prod")
    move = on.landed("prod", **given)
    assert (move["intent"], "soak:hours" in {g["gate"] for g in move["gates"]}) == ("hotfix", False)
    assert on.late("prod") < before == on.late("staging")
    (backport,) = [p for p in on.town.pulls() if p.head_ref.startswith("gitkitchen-backport/")]
    assert (backport.base_ref, backport.state) == ("develop", "open")
    on.to_staging()
    on.waits("prod", "lacks what was mended")
    on.waits("prod", f"whoever merges the back-port #{backport.number} (http")
    assert on.merged(backport).code == 0
    on.to_staging()
    on.to_prod()
    assert on.town.tree("main") == on.town.tree("develop")
    assert "# of just this" in on.town.git("show", f"refs/heads/main:{RECIPE}")
    assert on.late("prod") == on.late("dev") == on.late("staging")


def test_9_no_node_ran_whose_version_the_trusted_store_had(on: Journey) -> None:
    """Of all runs of environments and of all candidates, no fingerprint was built twice."""
    built: dict[str, str] = {}
    for run, node, fingerprint in on.built():
        key = f"{node} {fingerprint}"
        assert key not in built, f"{node} was built by {built[key]} and again by {run}"
        built[key] = run
    assert len(set(built.values())) >= 3
    assert len(built) >= 11


def test_9_the_record_is_whole(on: Journey) -> None:
    """What the ledger, Git and the views say of it agree: audited and reconciled from a new clone."""
    said = on.clone().cli("audit", "--verify")
    assert said.code == 0, said.out + said.err
