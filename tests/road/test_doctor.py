"""`doctor` against the forge: what it reads of settings, rules, files and rights, and what it says of it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from gitkitchen.document import schema
from gitkitchen.github.forge import Forge, Hosted
from gitkitchen.promote.diagnosis import judge
from gitkitchen.promote.health import LEDGER, Level
from gitkitchen.report.doctor import as_text
from gitkitchen.road.doctor import document, examine
from gitkitchen.start import write_project
from shop import Shop

GOLDEN = Path(__file__).parent / "golden"
KITCHEN = """\
version: 1
project: {name: shop, id: 0123456789abcdef}
environments:
  dev: {branch: develop}
  prod: {branch: main}
sandboxes: {base: prod}
store: oci://ghcr.io/octo/shop
ledger: branch
policy:
  require: {recipes: [orders]}
  changes: {by: [codeowners]}
"""
OWNERS = "* @octo/data\n"
ACTION = "octo/kitchen@" + "a" * 40
CHECK = "GitKitchen / (project)"
PUBLISH = ".github/workflows/gitkitchen-publish.yml"


@dataclass
class Road:
    """A project, its repository on the forge, and tokens of its owner and of a job."""

    forge: Forge
    repo: Hosted
    root: Path
    owner: str
    job: str

    def environ(self, token: str) -> dict[str, str]:
        made = {"GITHUB_SERVER_URL": self.forge.server_url, "GITHUB_API_URL": self.forge.api_url}
        return {**made, "GITHUB_TOKEN": token} if token else made

    def doctor(self, token: str | None = None, level: Level = "enforced") -> dict[str, Any]:
        """The document, held to its schema."""
        facts = examine(self.root, self.environ(self.owner if token is None else token))
        made = document(judge(facts), facts, level)
        jsonschema.validate(made, schema("doctor"))
        return made

    def protect(self) -> None:
        """Everything that `enforced` asks for."""
        app = self.forge.state.app("github-actions").id
        strong = {"ruleset": True, "checks": (CHECK,), "strict": True, "code_owners": True, "app": app}
        for branch in ("develop", "main"):
            self.repo.protect(branch, dismiss_stale=True, methods=("merge",), **strong)
        self.repo.protect(
            LEDGER, ruleset=True, pull_request=False, updates=True, bypass=("github-actions[bot]",)
        )
        self.repo.repo.actions_pulls = True


@contextmanager
def laid(folder: Path, kitchen: str = KITCHEN, *, files: Mapping[str, str] | None = None) -> Iterator[Road]:
    """The project as `init` writes it, in a clone and on the forge."""
    root = folder / "shop"
    shop = Shop(root)
    shop.write({"kitchen.yml": kitchen, ".github/CODEOWNERS": OWNERS, **(files or {})})
    shop.git("init", "-q", "-b", "main")
    write_project(root, "shop", ACTION)
    shop.commit()
    with Forge(folder / "forge") as forge:
        told = {
            str(path.relative_to(root)): path.read_text()
            for path in sorted(root.rglob("*"))
            if path.is_file() and ".git" not in path.relative_to(root).parts
        }
        repo = forge.repository("octo/shop", told)
        repo.commit("develop", {"kitchen.yml": kitchen})
        owner = forge.user_token("octo")
        shop.git("remote", "add", "origin", repo.git_url(owner))
        yield Road(forge, repo, root, owner, forge.job_token(repo, contents="write", actions="read"))
        assert not forge.misuse


@pytest.fixture
def road(tmp_path: Path) -> Iterator[Road]:
    with laid(tmp_path) as made:
        yield made


def states(made: Mapping[str, Any], *but: str) -> dict[tuple[str, str], str]:
    """What is not ok: (code, about) -> state."""
    found = {(one["code"], one["about"]): one["state"] for one in made["findings"] if one["state"] != "ok"}
    return {key: state for key, state in found.items() if key[0] not in but}


def golden(name: str, text: str) -> None:
    """Compare with the file in ``golden/``; REPORT_GOLDEN=write writes it anew."""
    path = GOLDEN / f"doctor-{name}.txt"
    if os.environ.get("REPORT_GOLDEN") == "write":
        path.write_text(text + "\n", encoding="utf-8")
    assert path.exists(), f"{path.name} is missing: REPORT_GOLDEN=write pytest tests/road writes it"
    assert text + "\n" == path.read_text(encoding="utf-8")


def test_a_new_repository_is_advice(road: Road) -> None:
    """Nothing protects a new repository: each branch, the ledger and the setting of Actions are told."""
    made = road.doctor(level="guarded")
    assert (made["level"], made["conclusion"]) == ("advice", "gaps")
    assert states(made) == {
        ("actions-open-no-pulls", "Actions"): "gap",
        ("unprotected", "develop (dev)"): "gap",
        ("unprotected", "main (prod)"): "gap",
        ("other-merges", "main (prod)"): "gap",
        ("ledger-unprotected", LEDGER): "gap",
        ("ledger-open", LEDGER): "gap",
    }
    golden("new", as_text(made))


def test_a_repository_with_all_rules_is_enforced(road: Road) -> None:
    """As an administrator reads it: nothing is missing, and trees land by button."""
    road.protect()
    made = road.doctor()
    assert states(made) == {}
    assert (made["level"], made["at_most"], made["conclusion"]) == ("enforced", "enforced", "held")
    assert [[way["possible"] for way in one["ways"]] for one in made["landing"]] == [["yes", "no"]] * 2
    golden("enforced", as_text(made))


def test_a_jobs_token_does_not_see_all_and_says_what_it_takes(road: Road) -> None:
    """What takes `administration` is unknown to a job, with that right, and never held."""
    road.protect()
    made = road.doctor(road.job, level="guarded")
    assert (made["conclusion"], made["at_most"]) == ("unknown", "enforced")
    found = [one for one in made["findings"] if one["state"] == "unknown"]
    assert {one["code"] for one in found} >= {
        "actions-open-no-pulls",
        "actions-off",
        "default-write",
        "bypass",
    }
    assert all("administration" in one["right"] for one in found)
    assert not [one for one in made["findings"] if one["state"] == "gap"]
    golden("job", as_text(made))


@pytest.mark.long
def test_without_a_token_only_the_files_are_judged(road: Road) -> None:
    """The forge is unknown in one finding, and so is a branch that this clone has not seen."""
    made = road.doctor("")
    assert states(made) == {
        ("forge-unread", "octo/shop"): "unknown",
        ("branch-missing", "develop (dev)"): "unknown",
        ("branch-missing", "main (prod)"): "unknown",
    }
    assert not road.forge.writes
    subprocess.run(["git", "fetch", "-q", "origin"], cwd=road.root, check=True)
    assert list(states(road.doctor(""))) == [("forge-unread", "octo/shop")]
    golden("no-token", as_text(road.doctor("")))


def test_a_token_that_has_ended_is_no_verdict(road: Road) -> None:
    """401: the forge is unknown, and a valid token is what it takes."""
    road.protect()
    road.forge.revoke(road.job)
    (one,) = [one for one in road.doctor(road.job)["findings"] if one["code"] == "forge-unread"]
    assert (one["state"], "valid" in one["right"]) == ("unknown", True)


def test_classic_protections_count_as_rulesets_do(road: Road) -> None:
    """Read by an administrator: what they hold is held, and that administrators pass them by is told."""
    for branch in ("develop", "main"):
        road.repo.protect(branch, checks=(CHECK,), strict=True, code_owners=True, bypass=("octo",))
    road.repo.commit(LEDGER, {"README.md": "records\n"})
    road.repo.protect(LEDGER, pull_request=False)
    road.repo.repo.actions_pulls = True
    made = road.doctor(level="guarded")
    assert (made["level"], made["conclusion"]) == ("guarded", "held")
    assert {code for code, about in states(made) if about.startswith("main")} == {
        "check-of-anybody",
        "stale-approvals",
        "bypass",
        "other-merges",
    }
    golden("classic", as_text(made))


def test_a_classic_protection_that_a_job_cannot_read_is_unknown(road: Road) -> None:
    """It sees that there is one; none of what it may hold is told as missing or as held."""
    road.repo.protect("main", checks=(CHECK,))
    made = road.doctor(road.job)
    found = {one["code"]: one["state"] for one in made["findings"] if one["about"] == "main (prod)"}
    assert found["unprotected"] == "unknown"
    assert "gap" not in found.values()
    assert made["landing"][1]["ways"][1]["possible"] == "unknown"


def test_a_ruleset_that_only_evaluates_protects_nothing(road: Road) -> None:
    """It is listed under the rules of GitHub's settings, and binds nobody."""
    road.protect()
    road.repo.repo.protections[1].enforcement = "evaluate"
    assert ("unprotected", "main (prod)") in states(road.doctor())


def test_a_plan_without_rules_is_told_as_such(road: Road) -> None:
    """Rules are written down and ignored: that is a gap, and no missing right."""
    road.protect()
    road.repo.repo.rules_in_plan = False
    found = states(road.doctor())
    assert found["rules-not-in-plan", "octo/shop"] == "gap"
    assert found["unprotected", "main (prod)"] == "gap"


@pytest.mark.parametrize(
    ("changed", "button", "push"),
    [
        ({"pull_request": False, "checks": ()}, "yes", "yes"),
        pytest.param({"bypass": ("octo",)}, "yes", "yes", marks=pytest.mark.long),
        pytest.param({"linear": True}, "no", "no", marks=pytest.mark.long),
        ({"queue": True}, "no", "no"),
        pytest.param({"methods": ("squash",)}, "no", "no", marks=pytest.mark.long),
        pytest.param({"signatures": True}, "no", "no", marks=pytest.mark.long),
    ],
    ids=["open", "bypassed", "linear", "queue", "squash", "signed"],
)
def test_what_doctor_says_of_landing_is_what_the_forge_does(
    road: Road, tmp_path: Path, changed: dict[str, Any], button: str, push: str
) -> None:
    """A merge commit by the API and a push of one succeed exactly where doctor says that trees land so."""
    rule = road.repo.protect("main", ruleset=True)
    for name, value in changed.items():
        setattr(rule, name, value)
    landing = {one["environment"]: one["ways"] for one in road.doctor()["landing"]}
    assert [way["possible"] for way in landing["prod"]] == [button, push]
    road.repo.commit("change", {"new.sql": "select 1\n"}, author="alice")
    clone = Shop(tmp_path / "pushing")
    subprocess.run(["git", "clone", "-q", road.repo.git_url(road.owner), str(clone.root)], check=True)
    clone.git("merge", "-q", "--no-ff", "--no-edit", "origin/change")
    done = subprocess.run(["git", "push", "-q", "origin", "HEAD:main"], cwd=clone.root, capture_output=True)
    assert (done.returncode == 0) == (push == "yes")
    if push == "yes":
        road.repo.commit("change", {"new.sql": "select 2\n"}, author="alice")
    pull = road.repo.pull("change", author="alice")
    token = road.owner if "bypass" not in changed else road.job
    assert (merged(road, token, pull.number) == 200) == (button == "yes")


def merged(road: Road, token: str, number: int) -> int:
    from gitkitchen.github.asking import Asking
    from gitkitchen.github.trouble import Trouble

    asking = Asking(road.forge.api_url, token)
    try:
        asking.ask("PUT", f"/repos/octo/shop/pulls/{number}/merge", "merge", {})
    except Trouble as trouble:
        return trouble.status
    finally:
        asking.close()
    return 200


@pytest.mark.long
def test_whatever_is_not_answered_never_counts_as_held(road: Road) -> None:
    """Each question of doctor refused in turn: with full protection `enforced` is never claimed without its
    answer, but where the answer is of no consequence."""
    road.protect()
    road.doctor()
    asked = list(dict.fromkeys(record.path for record in road.forge.log if "/repos/" in record.path))
    alike = ("develop", "%2Fdev")  # what is asked of main and prod is asked of these, too
    asked = [path for path in asked if not path.endswith(alike) and "/develop/" not in path]
    assert len(asked) > 10
    for path in asked:
        road.forge.fail("403", path=f"^{path}$", times=-1)
        made = road.doctor()
        road.forge.heal()
        # Where a ruleset is read, that a classic protection is hidden takes nothing from what it holds.
        held = made["conclusion"] == "held"
        assert not held or "%2Fpromote%2F" in path or path.endswith(("/protection", "branches/main")), path


@pytest.mark.parametrize(
    ("code", "text"),
    [
        ("workflow-edited", lambda text: text.replace("timeout-minutes: 120", "timeout-minutes: 60")),
        ("workflow-rights", lambda text: text.replace("contents: write", "contents: read")),
        ("workflow-conflict", lambda text: text.replace("jobs:", "<<<<<<< yours\njobs:")),
        ("workflow-missing", lambda _text: None),
    ],
    ids=["edited", "rights", "conflict", "removed"],
)
def test_workflows_that_are_not_what_init_writes(road: Road, code: str, text: Any) -> None:
    """Each way to depart from them has its own code."""
    path = road.root / PUBLISH
    made = text(path.read_text())
    path.unlink() if made is None else path.write_text(made)
    assert (code, PUBLISH) in states(road.doctor())


def test_workflows_of_another_kitchen_yml_are_out_of_date(road: Road) -> None:
    """A new environment belongs into the workflow that publishes: `init` would write it."""
    kitchen = road.root / "kitchen.yml"
    kitchen.write_text(KITCHEN.replace("  prod:", "  staging: {branch: staging}\n  prod:"))
    found = states(road.doctor())
    assert found["workflow-outdated", PUBLISH] == "gap"
    assert found["branch-missing", "staging (staging)"] == "gap"


def test_what_github_knows_of_the_workflows(road: Road) -> None:
    """One that its default branch lacks is told, and so is one that it has switched off."""
    road.protect()
    road.repo.repo.workflows[PUBLISH].state = "disabled_inactivity"
    del road.repo.repo.workflows[PUBLISH.replace("publish", "report")]
    assert states(road.doctor()) == {
        ("workflow-disabled", PUBLISH): "gap",
        ("workflow-unknown", PUBLISH.replace("publish", "report")): "gap",
    }


def test_a_remote_without_atomic_pushes_is_told(road: Road) -> None:
    """It is asked by a push that is none, and takes nothing."""
    road.repo.repo.atomic = "absent"
    before = road.repo.repo.bare.refs()
    assert ("not-atomic", "git push --atomic") in states(road.doctor())
    assert road.repo.repo.bare.refs() == before


def test_a_project_in_a_folder_of_its_own_has_its_own_files_looked_at(tmp_path: Path) -> None:
    """CODEOWNERS are those of the repository, and name files below its top."""
    owners = "/shop-data/ @octo/data\n/.github/ @octo/data\n"
    with laid(tmp_path) as road:
        sub = road.root / "shop-data"
        sub.mkdir()
        (road.root / "kitchen.yml").rename(sub / "kitchen.yml")
        (road.root / ".gitkitchen-init.json").unlink()
        (road.root / ".github" / "CODEOWNERS").write_text(owners)
        facts = examine(sub, road.environ(road.owner))
        assert facts.unowned == ()
        (road.root / ".github" / "CODEOWNERS").write_text("/.github/ @octo/data\n")
        assert examine(sub, road.environ(road.owner)).unowned == ("shop-data/kitchen.yml",)


# --- the command ---------------------------------------------------------------------------------


def test_a_project_on_one_machine_is_told_what_a_forge_would_add(shop: Shop) -> None:
    """Offline, without a remote: exit 1 with the gaps, 0 where no level is wanted, and a document."""
    said = shop.cli("doctor")
    assert said.code == 1
    assert "[no-forge]" in said.out
    assert "[no-policy]" in said.out
    golden("local", said.out.rstrip("\n"))
    assert shop.cli("doctor", "--level", "advice").code == 0
    made = json.loads(shop.cli("doctor", "--json").out)
    jsonschema.validate(made, schema("doctor"))
    assert (made["repository"], made["landing"], made["conclusion"]) == (None, [], "gaps")


@pytest.mark.long
def test_exit_codes_of_the_command(road: Road) -> None:
    """0 where the wanted level holds, 3 where it could not be read, 1 where something is missing."""
    road.protect()

    def code(token: str, *words: str) -> int:
        environ = {**os.environ, **road.environ(token)}
        line = [sys.executable, "-m", "gitkitchen", "-C", str(road.root), "doctor", *words]
        return subprocess.run(line, env=environ, capture_output=True, check=False).returncode

    assert code(road.owner, "--level", "enforced") == 0
    assert code(road.job, "--level", "enforced") == 3
    road.repo.repo.protections[0].no_force = False
    assert code(road.owner, "--level", "guarded") == 1


def test_a_file_that_cannot_be_read_is_a_mistake(shop: Shop) -> None:
    """Exit 2, as of every command."""
    shop.write({"kitchen.yml": "version: 1\nproject: 3\n"})
    assert shop.cli("doctor").code == 2


def test_hostile_words_of_the_forge_stay_words(road: Road) -> None:
    """The name of a bypassing actor, or of an answer, can hold no command and no line of its own."""
    road.protect()
    road.forge.fail("403", path="actions/permissions$", times=-1)
    made = road.doctor()
    for one in made["findings"]:
        one["said"] += "\n::error::boom \x1b[31m"
    text = as_text(made)
    assert "\x1b" not in text
    assert not [line for line in text.splitlines() if line.strip().startswith("::error")]
