"""``doctor``: what is gathered of a project and its repository, for ``promote.diagnosis`` to judge.

Reads alone: files of this checkout, refs of this clone, settings of the forge. Nothing is changed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

from gitkitchen import automation
from gitkitchen.errors import Mistake
from gitkitchen.files import read_bounded
from gitkitchen.git import Repository
from gitkitchen.github.api import API, Client
from gitkitchen.github.settings import Ruleset, Settings
from gitkitchen.github.trouble import Trouble
from gitkitchen.kitchen.config import find_root, load_project
from gitkitchen.kitchen.identity import repository_name
from gitkitchen.kitchen.stores import parse_store
from gitkitchen.model import Project
from gitkitchen.offering import read_record
from gitkitchen.plumbing import Plumbing
from gitkitchen.promote.health import (
    LEDGER,
    Branch,
    Facts,
    Health,
    Hosting,
    Level,
    Rules,
    Unread,
    WorkflowFile,
)
from gitkitchen.promote.owners import FILES, MAX_BYTES, owners
from gitkitchen.road.rules import is_plan, rules_of, unread
from gitkitchen.road.workflow_files import workflow_files

T = TypeVar("T")
SERVER = "https://github.com"
TOKENS = ("GITHUB_TOKEN", "GH_TOKEN")
ASKING = 30.0
"""Seconds for a question to the remote."""
NO_TOKEN = Unread("not read: there is no token", "GITHUB_TOKEN (of an administrator, to see everything)")


def examine(start: Path, environ: Mapping[str, str]) -> Facts:
    """All facts of the project around ``start``. Mistake where its files cannot be read."""
    root = find_root(start)
    repository = Repository.find(root)
    project = load_project(root)
    below = automation.folder_of(root, repository.root)
    action = read_record(repository.root).told.get("action", "")
    files = workflow_files(repository.root, project, action, below) if action else ()
    name, known = _name(repository, environ)
    hosting: Hosting | Unread = NO_TOKEN
    branches: tuple[Branch, ...] = tuple(
        Branch(one.branch, one.name, _seen(repository, one.branch), Rules()) for one in project.environments
    )
    if name:
        hosting, branches = _asked(repository, project, name, environ)
    return Facts(
        environments=tuple((one.name, one.branch) for one in project.environments),
        policy=project.policy is not None,
        store=project.store,
        folder_store=not _is_remote(project.store),
        ledger=project.ledger,
        unowned=_unowned(repository.root, below, files),
        action=action,
        workflows=files,
        remote=known,
        name=name,
        hosting=hosting,
        branches=branches,
        atomic=_atomic(repository) if project.ledger == "branch" and known else None,
    )


def document(health: Health, facts: Facts, wanted: Level) -> dict[str, Any]:
    """What ``gitkitchen doctor --json`` prints: ``schemas/doctor.schema.json``."""
    against = health.against(wanted)
    gaps = any(finding.state == "gap" for finding in against)
    return {
        "version": 1,
        "repository": facts.name or None,
        "level": health.level,
        "at_most": health.at_most,
        "wanted": wanted,
        "conclusion": "gaps" if gaps else "unknown" if against else "held",
        "findings": [
            {
                "code": one.code,
                "state": one.state,
                "about": one.about,
                "said": one.said,
                "why": one.why,
                "fix": one.fix,
                "level": one.level,
                "reached": one.reached if one.state == "gap" else None,
                "right": one.right or None,
            }
            for one in health.findings
        ],
        "landing": [
            {
                "environment": environment,
                "branch": branch,
                "ways": [
                    {
                        "method": way.method,
                        "possible": way.possible,
                        "because": list(way.because),
                        "right": way.right or None,
                    }
                    for way in both
                ],
            }
            for environment, branch, both in health.landing
        ],
    }


# --- the files and the clone ---------------------------------------------------------------------


def _is_remote(store: str) -> bool:
    return parse_store(store).remote


def _unowned(top: Path, below: str, files: tuple[WorkflowFile, ...]) -> tuple[str, ...]:
    """Of the files that decide what is tested, those that CODEOWNERS gives nobody."""
    texts: dict[str, str] = {}
    for name in FILES:
        try:
            texts[name] = read_bounded(top / name, MAX_BYTES).decode("utf-8", "replace")
        except (OSError, ValueError):
            continue
    where = "" if below == "." else f"{below}/"
    paths = [f"{where}kitchen.yml", *(one.path for one in files), *texts]
    return tuple(path for path in paths if not owners(texts, path)) if texts else (f"{where}kitchen.yml",)


def _seen(repository: Repository, branch: str) -> bool | Unread:
    """Whether a branch exists, as far as this clone knows."""
    if branch in repository.remote_branches():
        return True
    if repository.remote() is None:
        return branch in repository.branches()
    return Unread("this clone has not seen it on the remote", "git fetch")


def _atomic(repository: Repository) -> bool | Unread:
    git = Plumbing(repository.root, ASKING)
    remote = git.remote()
    offered = git.offers_atomic(remote) if remote is not None else None
    if offered is None:
        return Unread("not asked: git could not speak to the remote as one who pushes", "the right to push")
    return offered


def _name(repository: Repository, environ: Mapping[str, str]) -> tuple[str, bool]:
    """OWNER/NAME on the forge ("" where it is none of the forge's), and whether there is a remote."""
    url = repository.remote()
    given = environ.get("GITHUB_REPOSITORY", "")
    if given:
        return given, True
    if url is None:
        return "", False
    host = (urlsplit(environ.get("GITHUB_SERVER_URL") or SERVER).hostname or "").lower()
    found, _, name = repository_name(url).partition("/")
    return (name if found == host and name.count("/") == 1 else ""), True


# --- the forge -----------------------------------------------------------------------------------


def _asked(
    repository: Repository, project: Project, name: str, environ: Mapping[str, str]
) -> tuple[Hosting | Unread, tuple[Branch, ...]]:
    token = next((environ[key] for key in TOKENS if environ.get(key)), "")
    missing: Unread | None = None if token else NO_TOKEN
    server = (environ.get("GITHUB_SERVER_URL") or SERVER).rstrip("/")
    api_url = environ.get("GITHUB_API_URL") or (API if server == SERVER else f"{server}/api/v3")
    if missing is None:
        try:
            with Client(api_url, token, name) as client:
                return _answers(project, client.settings)
        except Trouble as trouble:
            missing = unread(trouble)
        except Mistake as mistake:
            problem = mistake.problems[0]
            missing = Unread(f"not read: {problem.message}", problem.hint or "another GITHUB_REPOSITORY")
    branches = tuple(
        Branch(branch, of, _seen(repository, branch) if of else True, missing)
        for branch, of in _branches(project)
    )
    return missing, branches


def _branches(project: Project) -> list[tuple[str, str]]:
    """What is looked at: branches of environments, with their name, the ledger's, and those we prepare on."""
    found = [(one.branch, one.name) for one in project.environments]
    if project.ledger == "branch":
        found.append((LEDGER, ""))
    return found + [(f"gitkitchen/promote/{one.name}", "") for one in project.environments]


def _answers(project: Project, settings: Settings) -> tuple[Hosting, tuple[Branch, ...]]:
    home = settings.home()
    shown = "contents: write (a token that may push is shown how pull requests are merged)"
    methods = home.methods if home.methods is not None else Unread("not shown to this token", shown)
    jobs = _or_unread(settings.jobs)
    rulesets: dict[int, Ruleset | Unread] = {}
    branches: list[Branch] = []
    in_plan = True
    for branch, of in _branches(project):
        exists = _exists(settings, branch) if of else True
        try:
            rules = rules_of(settings, branch, rulesets) if in_plan else Rules()
        except Trouble as trouble:
            in_plan, rules = not is_plan(trouble), Rules()
        branches.append(Branch(branch, of, exists, rules))
    hosting = Hosting(
        methods=methods,
        archived=home.archived,
        in_plan=in_plan,
        enabled=_or_unread(settings.actions),
        default=jobs if isinstance(jobs, Unread) else jobs[0],
        pulls=jobs if isinstance(jobs, Unread) else jobs[1],
        workflows=_or_unread(settings.workflows),
    )
    return hosting, tuple(branches)


def _exists(settings: Settings, branch: str) -> bool | Unread:
    return _or_unread(lambda: settings.branch(branch) is not None)


def _or_unread(ask: Callable[[], T]) -> T | Unread:
    try:
        return ask()
    except Trouble as trouble:
        return unread(trouble)
