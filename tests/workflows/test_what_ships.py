"""The action and the workflows that ship, and those that `init` makes of them: safe, valid, and as
documented."""

from __future__ import annotations

import itertools
import json
import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from gitkitchen.automation import ACTION as PLACEHOLDER
from gitkitchen.automation import COMMAND, PRODUCTION, WORKFLOWS, hook, workflows
from gitkitchen.ci import results
from gitkitchen.ci.decide import Action, Decision
from gitkitchen.ci.shapes import Report
from gitkitchen.cli.arguments import parser
from gitkitchen.github.artifacts import DISPATCHED
from gitkitchen.github.events import PULL_INPUTS, Dispatch, Event
from gitkitchen.kitchen.config import load_project
from gitkitchen.shipped import find
from workflows.tools import ACTION, HERE, ROOT, github_says, schema_says, zizmor_says

PINS = {
    "actions/checkout": ("3d3c42e5aac5ba805825da76410c181273ba90b1", "v7.0.1"),
    "actions/cache": ("27d5ce7f107fe9357f9df03efb73ab90386fccae", "v5.0.5"),
    "actions/upload-artifact": ("bbbca2ddaa5d8feaa63e36b76fdaad77386f024f", "v7.0.0"),
    "actions/upload-pages-artifact": ("fc324d3547104276b827a68afc52ff2a11cc49c9", "v5.0.0"),
    "actions/deploy-pages": ("cd2ce8fcbc39b97be8ca5fce6e763baed58fa128", "v5.0.0"),
}
KITCHENS = {
    "folder": "environments: {prod: {branch: main}}",
    "branch": "environments: {dev: {branch: develop}, prod: {branch: 'release/+1'}}\nledger: branch\n"
    "store: oci://ghcr.io/acme/shop\nconnections: {warehouse: {type: postgres, dsn: '${{ secrets.DSN }}'}}",
    "none": "ledger: branch\nstore: s3://bucket/shop",
}
OWN = ("cleanup", "promote", "clock", "production", "page")
"""Workflows that test nothing of a stranger's."""
# YAML 1.1's `on:` is true; GitHub's own reader takes 1.2, where it is a word.
ON: Any = True


def load(path: Path) -> dict[Any, Any]:
    found = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert isinstance(found, dict)
    return found


def action() -> dict[Any, Any]:
    return load(ROOT / "action.yml")


def made_for(kind: str, tmp_path: Path) -> list[Path]:
    """The workflows as they ship, or as `init` makes them for a project of one kind."""
    if kind == "shipped":
        return [find(f"workflows/{name}.yml") for name in WORKFLOWS]
    root = tmp_path / kind
    root.mkdir(exist_ok=True)
    top = "version: 1\nproject: {name: shop, id: 0123456789abcdef}\n"
    (root / "kitchen.yml").write_text(top + KITCHENS[kind])
    (root / "recipes/orders").mkdir(parents=True, exist_ok=True)
    (root / "recipes/orders/recipe.yml").write_text(
        "version: 1\nrecipe: orders\nnodes: {orders: {sql: select 1 as x}}\n"
        "variations: {daily: {schedule: {cron: 17 5 * * *}}}\n"
    )
    folder = "." if kind == "folder" else "data: team"
    made = workflows(load_project(root), ACTION, folder)
    for name, text in made.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return [root / name for name in made]


@pytest.fixture(params=["shipped", *KITCHENS])
def written(request: pytest.FixtureRequest, tmp_path: Path) -> list[Path]:
    """The workflows of each kind."""
    return made_for(request.param, tmp_path)


@pytest.fixture
def all_written(tmp_path: Path) -> list[Path]:
    """Those of all kinds, for programs that take long to start."""
    return [path for kind in ("shipped", *KITCHENS) for path in made_for(kind, tmp_path)]


# --- what others say of it --------------------------------------------------------------------------


def test_github_finds_nothing(all_written: list[Path]) -> None:
    """GitHub's own validator has nothing to say of workflows and action: shape, expressions, inputs."""
    assert github_says([*all_written, ROOT / "action.yml"]) == []


def test_github_finds_mistakes(tmp_path: Path) -> None:
    """The validator that finds nothing in ours finds an unknown key, context and input."""
    text = find("workflows/report.yml").read_text(encoding="utf-8")
    broken = text.replace("runs-on", "run-on", 1).replace("github.event_name", "githu.event_name", 1)
    (tmp_path / "broken.yml").write_text(broken.replace("extras: github", "extra: github"))
    said = " ".join(str(one["message"]) for one in github_says([tmp_path / "broken.yml"]))
    assert "run-on" in said
    assert "githu" in said
    assert "'extra'" in said


@pytest.mark.parametrize("used", [ACTION, ""], ids=["action", "local"])
def test_zizmor_finds_nothing(written: list[Path], tmp_path: Path, used: str) -> None:
    """The security audit, at its strictest, has nothing to say of workflows, action, hook, and its use."""
    ((name, text),) = hook(used).items()
    (tmp_path / name).write_text(text)
    more = [ROOT / "action.yml", ROOT / ".pre-commit-hooks.yaml", tmp_path / name]
    code, said = zizmor_says([*written, *more])
    assert code == 0, said
    assert "No findings to report" in said


def test_zizmor_finds_mistakes(tmp_path: Path) -> None:
    """The audit that finds nothing in ours finds a title in a script and credentials that stay."""
    text = find("workflows/pull-request.yml").read_text(encoding="utf-8")
    text = text.replace("persist-credentials: false", "persist-credentials: true")
    text = text.replace("exec false", "echo ${{ github.event.pull_request.title }}; exec false")
    (tmp_path / "broken.yml").write_text(text)
    code, said = zizmor_says([tmp_path / "broken.yml"])
    assert code != 0
    assert "template-injection" in said
    assert "artipacked" in said


def test_schemas_find_nothing(written: list[Path]) -> None:
    """The schemas that editors use have nothing to say."""
    for kind, paths in (("github-workflows", written), ("github-actions", [ROOT / "action.yml"])):
        code, said = schema_says(kind, paths)
        assert code == 0, said


# --- what we promise of it --------------------------------------------------------------------------


def test_workflows_give_the_least(written: list[Path]) -> None:
    """No right but what a job names, no write beside a stranger's code, no trigger that mixes the two."""
    for path in written:
        found = load(path)
        assert found["permissions"] == {}, path
        assert "pull_request_target" not in found[ON]
        for trigger in found[ON].values():
            assert not isinstance(trigger, dict) or not {"paths", "paths-ignore"} & set(trigger)
        for name, job in found["jobs"].items():
            assert "permissions" in job, f"{path.name}: {name}"
            assert job["timeout-minutes"] <= 120
        assert "secrets." not in path.read_text(encoding="utf-8")


def test_every_action_is_pinned(written: list[Path]) -> None:
    """Each action is one whole commit, the one of the table, with its release behind it."""
    for path in [*written, ROOT / "action.yml"]:
        for line in re.findall(r"uses: (.*)", path.read_text(encoding="utf-8")):
            name, sha, _, note = re.fullmatch(r"([\w./-]+)@([0-9a-f]{40})( # (.*))?", line).groups()  # type: ignore[union-attr]
            assert (sha, note) == PINS[name] if name in PINS else f"{name}@{sha}" in (ACTION, PLACEHOLDER)


def test_checkouts_keep_no_credentials(written: list[Path]) -> None:
    """No job leaves its token in the clone."""
    for path in written:
        for job in load(path)["jobs"].values():
            for step in job["steps"]:
                if step.get("uses", "").startswith("actions/checkout@"):
                    assert step["with"]["persist-credentials"] is False


def test_trusted_jobs_check_out_nothing_of_a_pull_request(written: list[Path]) -> None:
    """Where a job may write, `ref:` is the default branch's, or none; the event decides it, and no
    stranger."""
    for path in written:
        if "pull-request" in path.name:
            continue
        for job in load(path)["jobs"].values():
            refs = {step.get("with", {}).get("ref") for step in job["steps"]}
            assert refs <= {None, "${{ github.event.repository.default_branch }}"}


def test_jobs_that_write_read_no_cache(written: list[Path]) -> None:
    """A cache may be poisoned: no job that is more than a reader takes anything from one."""
    for path in written:
        if "pull-request" in path.name:
            continue
        for job in load(path)["jobs"].values():
            for step in job["steps"]:
                if not step["uses"].startswith("actions/"):
                    assert step["with"]["cache"] == "false"
                assert "/cache@" not in step["uses"]


def test_s16_the_gate_passes_only_success(written: list[Path]) -> None:
    """The one required job always runs, and passes where the one job that tests succeeded and the other was
    not for this event (S16); whatever else the two came to, it fails."""
    (path,) = (p for p in written if p.name.endswith("pull-request.yml"))
    gate = load(path)["jobs"]["gate"]
    assert gate["if"] == "always()"
    assert gate["needs"] == ["recipes", "strangers"]
    (step,) = gate["steps"]
    assert step["env"] == {"RESULTS": "${{ needs.recipes.result }} ${{ needs.strangers.result }}"}
    words = ("success", "skipped", "failure", "cancelled", "")
    passed = set()
    for pair in itertools.product(words, words):
        environ = {"RESULTS": " ".join(pair), "PATH": os.environ["PATH"]}
        done = subprocess.run(["bash", "-e", "-c", step["run"]], env=environ, check=False)
        passed |= {pair} if done.returncode == 0 else set()
    assert passed == {("success", "skipped"), ("skipped", "success")}


def test_who_may_write_at_github_can(written: list[Path]) -> None:
    """A job of ours that has the right to write issues, checks or pull requests, or to start workflows,
    installs what speaks to GitHub: without it an alert would wait for ever."""
    speaking = {"actions", "checks", "issues", "pull-requests"}
    seen = 0
    for path in written:
        for name, job in load(path)["jobs"].items():
            if not speaking & {k for k, v in (job.get("permissions") or {}).items() if v == "write"}:
                continue
            ours = [s for s in job["steps"] if str(s.get("uses", "")) in (ACTION, PLACEHOLDER)]
            assert ours, f"{path.name}: {name}"
            for step in ours:
                if (step.get("with") or {}).get("command", "ci") == "ci":
                    assert "github" in step["with"]["extras"].split(","), f"{path.name}: {name}"
                    seen += 1
    assert seen >= 2


def test_strangers_get_no_right_to_packages(written: list[Path]) -> None:
    """A token that may read private packages is given to no job that runs a fork's code: two jobs test the
    same by the same steps, and differ in that alone."""
    for path in written:
        jobs = load(path)["jobs"]
        if "strangers" not in jobs:
            assert not path.name.endswith(("pull-request.yml", "command.yml"))
            continue
        ours, theirs = jobs["recipes"], jobs["strangers"]
        assert theirs["permissions"] == {"contents": "read"}
        more = set(ours["permissions"].items()) - set(theirs["permissions"].items())
        assert more <= {("packages", "read"), ("pull-requests", "read")}
        differ = {key for key in ours if ours[key] != theirs[key]}
        assert differ <= {"name", "if", "permissions"}


def test_the_dispatch_is_what_commands_and_posters_expect(written: list[Path]) -> None:
    """The dispatched workflow takes what a command gives, and its title says what the poster reads."""
    by_name = {load(path)["name"]: path for path in written}
    found = load(by_name["GitKitchen command"])
    assert by_name["GitKitchen command"].name.endswith(COMMAND.removeprefix("gitkitchen-"))
    assert set(found[ON]["workflow_dispatch"]["inputs"]) == {*PULL_INPUTS, "fresh", "dataset", "key"}
    values = {"key": "[comment 1]", "number": "7", "head_sha": "a" * 40}
    title = re.sub(r"\$\{\{ inputs\.(\w+) \}\}", lambda m: values[m[1]], found["run-name"])
    assert title == f"GitKitchen [comment 1] #7 at {'a' * 40}"
    assert DISPATCHED.search(title)


def test_all_that_runs_a_strangers_code_is_posted(written: list[Path]) -> None:
    """`report` follows the workflows that test, each of which only reads, and no other."""
    by_name = {load(path)["name"]: load(path) for path in written}
    followed = by_name["GitKitchen report"][ON]["workflow_run"]["workflows"]
    assert followed == [n for n, w in by_name.items() if {"pull_request", "workflow_dispatch"} & set(w[ON])
                        and n.split()[-1] not in OWN]  # fmt: skip
    for name in followed:
        for job in by_name[name]["jobs"].values():
            assert set(job["permissions"].values()) <= {"read"}


def test_rights_follow_the_project(tmp_path: Path) -> None:
    """Only a ledger on a branch gets `contents: write`, only a store on ghcr.io `packages: write`."""
    rights = {}
    for name, more in KITCHENS.items():
        (tmp_path / "kitchen.yml").write_text(
            f"version: 1\nproject: {{name: shop, id: 0123456789abcdef}}\n{more}"
        )
        made = workflows(load_project(tmp_path), ACTION)
        jobs = yaml.safe_load(made[".github/workflows/gitkitchen-cleanup.yml"])["jobs"]
        rights[name] = jobs["drop"]["permissions"]
        step = jobs["drop"]["steps"][1]["with"]
        assert step.get("extras") == {"folder": None, "branch": "oci,postgres", "none": "s3"}[name]
        if name == "branch":
            pushed = yaml.safe_load(made[".github/workflows/gitkitchen-publish.yml"])[ON]["push"]
            assert pushed["branches"] == ["develop", "release/\\+1"]
        assert (".github/workflows/gitkitchen-publish.yml" in made) == (name != "none")
    assert rights == {
        "folder": {"contents": "read"},
        "branch": {"contents": "write", "packages": "write"},
        "none": {"contents": "write"},
    }


def test_starter_workflows_have_their_properties() -> None:
    """Each workflow has the file by which GitHub shows it as a starter workflow, and the other way round."""
    folder = find("workflows")
    assert {p.name for p in folder.iterdir()} == {
        f"{name}.{end}" for name in WORKFLOWS for end in ("yml", "properties.json")
    }
    for name in WORKFLOWS:
        found = json.loads((folder / f"{name}.properties.json").read_text())
        assert found["name"] == load(folder / f"{name}.yml")["name"]
        assert set(found) == {"name", "description", "iconName", "creator", "categories", "filePatterns"}
        assert re.fullmatch(r"octicon [a-z-]+", found["iconName"])


# --- the action -------------------------------------------------------------------------------------


def test_each_input_is_used_and_there_are_few() -> None:
    """Fewer than 15 inputs, all described, all read by a step or naming its artifact; none is read that is
    none."""
    found = action()
    assert len(found["inputs"]) < 15
    read = set(re.findall(r"inputs\.([a-z-]+)", json.dumps(found["runs"])))
    assert read == set(found["inputs"])
    assert all(i["description"] and "default" in i for i in found["inputs"].values())


def test_inputs_agree_with_the_code() -> None:
    """Defaults and commands are those of the program; outputs are those that it writes."""
    found = action()
    ci = parser().parse_args(["ci"])
    assert found["inputs"]["results"]["default"] == str(ci.results) == results.FOLDER
    assert parser().parse_args(["ci", "--results", "x", "--jobs", "2"]).jobs == 2
    assert parser().parse_args(["gc", "--apply"]).apply
    event = Event("x", "", "a/b", "", "", "", "", "", 0, 0, Dispatch())
    written = results.outputs(Report(event, Decision(Action.IGNORE, "")), None)
    assert set(found["outputs"]) == {*written, "program"}
    for action_word in Action:
        assert action_word.value in found["outputs"]["action"]["description"]
    extras = json.loads((ROOT / "action/extras.json").read_text())
    assert all(re.search(rf"\b{e}\b", found["inputs"]["extras"]["description"]) for e in extras if e)


def test_inputs_agree_with_the_documentation() -> None:
    """The tables of docs/action.md are the inputs and outputs of action.yml, defaults and order included."""
    found, text = action(), (ROOT / "docs/action.md").read_text(encoding="utf-8")
    tables = [re.findall(r"(?m)^\| `([a-z-]+)` \| (.*?) \|", part) for part in text.split("\n### ")]
    inputs = next(t for t in tables if t and t[0][0] == "command")
    defaults = {name: value.get("default", "") for name, value in found["inputs"].items()}
    assert [(n, d.strip("`")) for n, d in inputs] == list(defaults.items())
    outputs = next(t for t in tables if t and t[0][0] == "action")
    assert [name for name, _ in outputs] == list(found["outputs"])
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    given = set(re.findall(r"`with: \{([a-z-]+):", readme))
    assert given <= set(found["inputs"])


def test_nothing_untrusted_is_written_into_a_script() -> None:
    """No expression stands in `run:`: what people wrote arrives by the environment. Steps end with `exec`."""
    for step in action()["runs"]["steps"]:
        if "run" in step:
            assert "${{" not in step["run"]
            assert step["shell"] == "bash"
            assert step["run"].strip().splitlines()[-1].startswith("exec ")
    for name in WORKFLOWS:
        for job in load(find(f"workflows/{name}.yml"))["jobs"].values():
            for step in job["steps"]:
                assert "${{" not in step.get("run", "")
                assert step.get("run", "exec").strip().splitlines()[-1].startswith("exec")


def test_doubles_are_of_actions_that_we_use() -> None:
    """Each third-party action has a double of its release, and docs/action.md says what it stands for."""
    text = (ROOT / "docs/action.md").read_text(encoding="utf-8")
    assert {f"actions/{p.name}" for p in (HERE / "doubles").iterdir()} == set(PINS)
    for name, (sha, release) in PINS.items():
        double = load(HERE / "doubles" / name.split("/")[1] / "action.yml")
        assert double["description"] == f"Stands for {name} {release}"
        assert f"| `{name}` | {release} | `{sha}` |" in text


def test_the_clock_starts_what_production_takes(written: list[Path]) -> None:
    """Where they are written: odd minutes, the inputs that the clock gives, its key, and none is dropped."""
    by_name = {load(path)["name"]: path for path in written}
    if "GitKitchen clock" not in by_name:
        assert "GitKitchen production" not in by_name
        return
    (cron,) = load(by_name["GitKitchen clock"])[ON]["schedule"]
    minutes = [int(m) for m in cron["cron"].split()[0].split(",")]
    assert all(m % 2 for m in minutes)
    production = load(by_name["GitKitchen production"])
    assert by_name["GitKitchen production"].name.endswith(PRODUCTION.removeprefix("gitkitchen-"))
    assert set(production[ON]["workflow_dispatch"]["inputs"]) == {"recipe", "variation", "interval", "key"}
    assert "${{ inputs.key }}" in production["run-name"]
    assert production["concurrency"]["queue"] == "max"
    assert "cancel-in-progress" not in production["concurrency"]
