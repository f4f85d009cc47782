"""What ``init`` writes for GitHub Actions, editors and pre-commit, made to measure for one project.

The workflows are the starter workflows that ship (``workflows/``). The action's place and commit, the
branches of environments, the folder of the project and the rights that its store and ledger need are put
in. Pure.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from gitkitchen.document import schema
from gitkitchen.errors import Mistake, Problem
from gitkitchen.model import Project
from gitkitchen.recipe.load import load_recipes
from gitkitchen.shipped import find

WORKFLOWS = (
    "pull-request",
    "command",
    "report",
    "cleanup",
    "publish",
    "promote",
    "clock",
    "production",
    "pages",
)
COMMAND = "gitkitchen-command.yml"
"""The workflow that a command in a comment dispatches."""
PROMOTE = "gitkitchen-promote.yml"
"""The workflow that moves environments."""

PRODUCTION = "gitkitchen-production.yml"
"""The workflow that the clock dispatches for what is due."""

ACTION = "OWNER/REPO@" + 40 * "0"
"""What stands for the action in the starter workflows."""

SCHEMAS = {
    "kitchen": ("kitchen.yml",),
    "recipe": ("recipes/*/recipe.yml",),
    "effects": ("effects/*.yml",),
    "waiver": ("waivers/*.yml",),
}

_PINNED = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]{0,38}/[A-Za-z0-9._-]{1,100}@([0-9a-f]{40}|[0-9a-f]{64})")
_STEP = re.compile(
    rf"^(?P<in> +)uses: {re.escape(ACTION)} # GitKitchen\n(?:(?P=in)with:\n(?P<with>(?:(?P=in)  .*\n)*))?",
    re.M,
)
_LEDGER = re.compile(r"contents: write( # [^\n]*\(ledger: branch\))")
_GLOB = re.compile(r"([+!\]])")
"""What Git lets stand in the name of a branch and GitHub reads as a pattern."""


def pinned(text: str) -> str:
    """OWNER/REPO@SHA, as it was given. Mistake for a tag, a branch, or half a commit."""
    if _PINNED.fullmatch(text):
        return text
    name, at, ref = text.partition("@")
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9-]*/[A-Za-z0-9._-]+", name):
        message = f"--action: '{text[:120]}' is not OWNER/REPO@SHA"
        hint = "name the repository that holds GitKitchen's action.yml, and a commit of it in full"
    elif not at or not ref:
        message = f"--action: '{text[:120]}' names no commit"
        hint = f"`git ls-remote https://github.com/{name}` prints them"
    else:
        part = bool(re.fullmatch(r"[0-9a-f]{7,63}", ref))
        what = "only the beginning of a commit" if part else "a tag or branch"
        message = (
            f"--action: '{ref[:80]}' is {what}, which may name other code tomorrow, with your jobs' rights"
        )
        hint = f"give all 40 digits of the commit; `git ls-remote https://github.com/{name}` prints them"
    raise Mistake(Problem(message, hint=hint, code="action-not-pinned"))


def workflows(project: Project, action: str, folder: str = ".") -> dict[str, str]:
    """The workflows of a project by path. ``action``: see ``pinned``; ``folder``: of kitchen.yml, below the
    repository's top."""
    made = {}
    for name in WORKFLOWS:
        if name == "promote" and not promotes(project):
            continue
        if name in ("clock", "production") and not runs_by_the_clock(project):
            continue
        text = find(f"workflows/{name}.yml").read_text(encoding="utf-8")
        if "$default-branch" in text:
            if not project.environments:
                continue
            text = text.replace("$default-branch", ", ".join(_filter(e.branch) for e in project.environments))
        text = _rights(text, project)
        made[f".github/workflows/gitkitchen-{name}.yml"] = _STEP.sub(
            lambda step: _step(step, project, action, folder), text
        )
    return made


def promotes(project: Project) -> bool:
    """Whether jobs promote: there is an environment behind another, and a ledger that outlives a job."""
    return project.ledger == "branch" and any(e.source for e in project.environments)


def runs_by_the_clock(project: Project) -> bool:
    """Whether jobs run by the clock: a variation has a schedule, and the ledger outlives a job."""
    recipes = load_recipes(project).recipes.values() if project.ledger == "branch" else ()
    declared = any(v.schedule is not None for raw in recipes for v in raw.variations.values())
    return declared and bool(project.environments)


def _filter(branch: str) -> str:
    """A branch as a pattern that matches it alone."""
    return json.dumps(_GLOB.sub(r"\\\1", branch), ensure_ascii=False)


def _rights(text: str, project: Project) -> str:
    """Without the rights that this project's store, ledger and alerts do not need."""
    if project.ledger != "branch":
        text = _LEDGER.sub("contents: read # to check out", text)
    if not project.store.lower().startswith("oci://ghcr.io/"):
        text = re.sub(r"^ +packages: (write|read) .*\n", "", text, flags=re.M)
    if not any(channel.kind == "github_issue" for channel in project.alerts.channels.values()):
        text = re.sub(r"^ +issues: write .*\n", "", text, flags=re.M)
    return text


def _step(step: re.Match[str], project: Project, action: str, folder: str) -> str:
    lines = (line.strip().partition(": ") for line in (step["with"] or "").splitlines())
    given = {key: value for key, _, value in lines}
    extras = [*filter(None, given.pop("extras", "").strip('"').split(",")), *_extras(project)]
    if extras:
        given["extras"] = ",".join(dict.fromkeys(extras))
    if folder != ".":
        given["folder"] = json.dumps(folder, ensure_ascii=False)
    indent = step["in"]
    text = f"{indent}uses: {action} # GitKitchen\n"
    return text + (f"{indent}with:\n" if given else "") + "".join(
        f"{indent}  {key}: {given[key]}\n" for key in sorted(given)
    )  # fmt: skip


def _extras(project: Project) -> Iterable[str]:
    """The extras that a project's files name by themselves."""
    scheme = project.store.partition("://")[0].lower() if "://" in project.store else ""
    if scheme in ("oci", "s3"):
        yield scheme
    if any(c.get("type") == "postgres" for c in project.connections.values()):
        yield "postgres"


def editor(folder: str = ".") -> dict[str, str]:
    """Settings by which editors check and complete our files: schemas beside them, for VS Code and others."""
    where = "" if folder == "." else f"{folder}/"
    globs = {
        f".vscode/gitkitchen/{n}.schema.json": [where + g for g in globs] for n, globs in SCHEMAS.items()
    }
    made = {".vscode/settings.json": _json({"yaml.schemas": globs})}
    for name in SCHEMAS:
        made[f".vscode/gitkitchen/{name}.schema.json"] = _json(schema(name))
    return made


def hook(action: str, folder: str = ".") -> dict[str, str]:
    """The configuration by which pre-commit checks our files before each commit."""
    entry = "gitkitchen validate" if folder == "." else f"gitkitchen -C {json.dumps(folder)} validate"
    name, _, sha = action.partition("@")
    lines = [
        "# Before each commit our files are checked: `pipx run pre-commit install`, once a clone.",
        "repos:",
    ]
    if action:
        lines += [f"  - repo: https://github.com/{name}", f"    rev: {sha}"]
        lines += ["    hooks:", "      - id: gitkitchen-validate"]
        lines += [] if folder == "." else [f"        entry: {json.dumps(entry, ensure_ascii=False)}"]
    else:
        lines += ["  - repo: local", "    hooks:", "      - id: gitkitchen-validate"]
        lines += [
            "        name: gitkitchen validate",
            f"        entry: {json.dumps(entry, ensure_ascii=False)}",
        ]
        lines += ["        language: system", "        pass_filenames: false"]
        lines += [r"        files: ^(.*/)?(kitchen\.yml|(recipes|effects|waivers)/.*)$"]
    return {".pre-commit-config.yaml": "\n".join(lines) + "\n"}


def _json(value: Mapping[str, object]) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"


def folder_of(project: Path, top: Path) -> str:
    """The project's folder below the repository's top, as workflows name it."""
    return project.resolve().relative_to(top.resolve()).as_posix() or "."
