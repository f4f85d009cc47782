"""A pull request without GitHub: both jobs of it, by the same code, against the forge in this process.

The forge is seeded from the repository here. What is shown is made of the very requests that would be sent.
Nothing leaves the machine: the repository's remote is the forge as long as it lasts.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from gitkitchen.ci import results
from gitkitchen.ci.decide import Action, decide
from gitkitchen.ci.shapes import Job, Report
from gitkitchen.ci.whole import do
from gitkitchen.errors import GitKitchenError, Mistake, Problem
from gitkitchen.frozen import dataclass
from gitkitchen.git import Repository
from gitkitchen.github.api import Client
from gitkitchen.github.asking import library
from gitkitchen.github.events import parse_event
from gitkitchen.github.forge import Forge, Hosted, Record, zipped
from gitkitchen.github.forge.state import Run
from gitkitchen.kitchen.config import find_root, load_project
from gitkitchen.ledger.apart import Apart
from gitkitchen.model import Project
from gitkitchen.plumbing import Plumbing
from gitkitchen.report.preview import Preview, ShownCheck
from gitkitchen.report.text import one_line

TESTED = ("pull_request", "merge_group")
"""Events that are carried out: both jobs."""
EVENTS = (*TESTED, "push", "delete", "schedule", "workflow_dispatch", "pull_request.closed")
"""Those that publish or remove are only decided."""
TESTS = ".github/workflows/gitkitchen-pull-request.yml"
OWNER = "here"
_POSTING = {"checks": "write", "pull_requests": "write", "actions": "read", "contents": "read"}


@dataclass(frozen=True, slots=True)
class Wish:
    """What to simulate: an event of ``EVENTS``; ``head`` and ``base`` name commits ("": the branch that is
    checked out, and the branch of the environment that sandboxes start from)."""

    event: str
    head: str = ""
    base: str = ""


@dataclass(frozen=True, slots=True)
class _Ends:
    branch: str
    head: str
    target: str
    base: str


def simulate(wish: Wish, job: Job, told: Callable[[str], None]) -> tuple[Preview, int]:
    """What would stand on GitHub, and the exit code of the job that tests. Raises GitKitchenError.

    ``job`` gives the place, the clock and who hears of progress; its client and environment are replaced.
    """
    if wish.event not in EVENTS:
        raise Mistake(
            Problem(f"'{wish.event[:80]}' is not simulated", hint=f"there are: {', '.join(EVENTS)}")
        )
    library()  # before the work, and not behind minutes of it
    root = find_root(job.start)
    project, repository = load_project(root), Repository.find(root)
    ends = _ends(wish, project, repository)
    with tempfile.TemporaryDirectory(prefix="gitkitchen-forge-") as folder, Forge(Path(folder)) as forge:
        place = Path(folder)
        hosted = _seeded(forge, repository, project, ends)
        name, event, run = _event(wish, hosted, ends)
        environ = _environ(job.environ, forge, hosted, name, event, run, root, place)
        read = parse_event(json.dumps(event).encode(), name, environ)
        decision = decide(read, project)
        said = f"{decision.action.value}: {decision.reason}"
        if decision.action is not Action.TEST:
            return Preview(said), 0
        told(said)
        # What would be published in the change's own kitchen is kept for the two jobs, and then forgotten.
        apart = Apart(secrets.token_hex(8), asks=False, closed="nothing leaves this machine")
        with _remote(repository, hosted.git_url(forge.job_token(hosted, contents="write"))):
            trial = replace(job, environ=environ, apart=apart)
            code, summary = _tested(trial, read, place / "gitkitchen-results")
            files = {p.name: p.read_bytes() for p in (place / "gitkitchen-results").glob("[!.]*")}
            run.status, run.conclusion = "completed", "failure" if code else "success"
            hosted.artifact(run, f"gitkitchen-results-{run.attempt}", zipped(files))
            before = len(forge.log)
            told("posting, as the job on the default branch does")
            report = _posted(job, forge, hosted, run, environ)
        return _preview(said, forge.log[before:], summary, report), code


# --- the stage ---------------------------------------------------------------------------------------


def _ends(wish: Wish, project: Project, repository: Repository) -> _Ends:
    plumbing = Plumbing(repository.root)
    environment = project.environment(project.sandbox_base or "") or next(iter(project.environments), None)
    target = environment.branch if environment is not None else "main"
    current = repository.branch()
    wanted, onto = wish.head or current or "HEAD", wish.base or target
    head, base = (plumbing.ref(f"{name}^{{commit}}") for name in (wanted, onto))
    for name, commit in ((wanted, head), (onto, base)):
        if commit is None:
            hint = "commit first, or name commits with --head and --base"
            raise Mistake(Problem(f"there is no commit '{name[:80]}' here", hint=hint, code="no-commit"))
    assert head is not None
    assert base is not None
    named = plumbing.ref(f"refs/heads/{wanted}") and not re.search(r"[~^@]", wanted)
    branch = wanted if named else f"simulated-{head[:10]}"
    if project.environment_of(branch) is not None:
        message = f"'{branch}' is the branch of an environment, and what is proposed to it comes from another"
        hint = "`git switch --create a-change` and commit there, or name a commit with --head"
        raise Mistake(Problem(message, hint=hint, code="no-change"))
    if wish.event.partition(".")[0] in TESTED and plumbing.is_ancestor(head, base):
        message = f"'{wanted[:80]}' has no commit that '{onto[:80]}' lacks: there is nothing to propose"
        raise Mistake(Problem(message, hint="commit the change first", code="no-change"))
    known = project.environment_of(re.sub(r"[~^@].*", "", onto))
    return _Ends(branch, head, known.branch if known is not None else target, base)


def _seeded(forge: Forge, repository: Repository, project: Project, ends: _Ends) -> Hosted:
    """The forge's repository: the objects of this one, its branches, and those of the change."""
    name = re.sub(r"[^A-Za-z0-9_.-]", "-", project.name)[:80] or "project"
    hosted = forge.repository(f"{OWNER}/{name}", branch=ends.target)
    bare = hosted.repo.bare
    (bare.path / "objects" / "info" / "alternates").write_text(f"{repository.objects.resolve()}\n")
    listed = Plumbing(repository.root).list(str(repository.root), ["refs/heads/*"])
    for ref, commit in {**listed, **_refs(ends)}.items():
        bare.set(ref, commit)
    return hosted


def _refs(ends: _Ends) -> dict[str, str]:
    return {f"refs/heads/{ends.target}": ends.base, f"refs/heads/{ends.branch}": ends.head}


def _event(wish: Wish, hosted: Hosted, ends: _Ends) -> tuple[str, Any, Run]:
    name, _, action = wish.event.partition(".")
    if name in TESTED:
        pull = hosted.pull(ends.branch, base=ends.target, title="A change")
        if name == "merge_group":
            branch, sha = hosted.queue(pull)
            run = hosted.run(TESTS, name, sha, branch=branch, conclusion=None)
            return name, hosted.event(name, branch=branch, pull=pull), run
        run = hosted.run(TESTS, name, pull.head_sha, pull=pull, conclusion=None)
        return name, hosted.event(name, action or "opened", pull=pull), run
    run = hosted.run(TESTS, name, ends.base, branch=ends.target, conclusion=None)
    about: dict[str, Any] = {
        "push": {"ref": f"refs/heads/{ends.target}"},
        "delete": {"ref": f"refs/heads/{ends.branch}"},
        "schedule": {"cron": "17 5 * * *"},
        "workflow_dispatch": {"workflow": TESTS, "ref": f"refs/heads/{ends.target}"},
    }[name]
    return name, hosted.event(name, **about), run


def _environ(
    environ: Mapping[str, str],
    forge: Forge,
    hosted: Hosted,
    name: str,
    event: Any,
    run: Run,
    root: Path,
    place: Path,
) -> dict[str, str]:
    path = place / "event.json"
    path.write_text(json.dumps(event), encoding="utf-8")
    kept = {n: v for n, v in environ.items() if not n.startswith(("GITHUB_", "RUNNER_"))}
    return kept | {
        **forge.environ(hosted),
        "GITHUB_EVENT_NAME": name,
        "GITHUB_EVENT_PATH": str(path),
        "GITHUB_WORKSPACE": str(root),
        "GITHUB_REF": f"refs/heads/{hosted.repo.default_branch}",
        "GITHUB_SHA": run.sha,
        "GITHUB_RUN_ID": str(run.id),
        "GITHUB_RUN_ATTEMPT": str(run.attempt),
    }


@contextmanager
def _remote(repository: Repository, url: str) -> Iterator[None]:
    """Let git find the forge wherever it would ask the repository's remote, or as a remote of its own."""
    own = repository.remote()
    key, value = (f"url.{url}.insteadOf", own) if own is not None else ("remote.origin.url", url)
    before = dict(os.environ)
    count = int(os.environ.get("GIT_CONFIG_COUNT") or 0)
    os.environ |= {
        "GIT_ALLOW_PROTOCOL": "http",  # of a remote that is not found under its name nobody is asked
        "GIT_CONFIG_COUNT": str(count + 1),
        f"GIT_CONFIG_KEY_{count}": key,
        f"GIT_CONFIG_VALUE_{count}": value,
    }
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


# --- both jobs --------------------------------------------------------------------------------------


def _tested(job: Job, event: Any, folder: Path) -> tuple[int, str]:
    """The untrusted job: its exit code and its summary."""
    try:
        report = do(job, event, folder)
    except GitKitchenError as error:
        results.refused({}, error, event, folder)
        return error.exit_code, results.listed(error.problems)
    return report.code, results.summary(report)


def _posted(job: Job, forge: Forge, hosted: Hosted, run: Run, environ: Mapping[str, str]) -> Report:
    from gitkitchen.ci.work import carry_out

    token = forge.job_token(hosted, **_POSTING)
    given = {**environ, "GITHUB_TOKEN": token, "GITHUB_EVENT_NAME": "workflow_run"}
    event = hosted.event("workflow_run", run=run)
    trusted = replace(
        job,
        environ=given,
        clock=lambda: datetime.now(UTC),
        client=lambda found: Client.of_job(found, sleep=lambda _seconds: None),
        decided=lambda _decision: None,
    )
    return carry_out(trusted, parse_event(json.dumps(event).encode(), "workflow_run", given))


def _preview(decision: str, log: list[Record], summary: str, report: Report) -> Preview:
    """What the requests come to, one after the other, as GitHub would show it."""
    checks: dict[str, dict[str, Any]] = {}
    comment, writes = "", 0
    for record in log:
        is_git = record.operation.startswith("git/")
        if not record.is_write or is_git or not 200 <= record.status < 300:
            continue
        writes += 1
        body = record.body or {}
        if "check-runs" in record.path:
            known = checks.setdefault(str(body.get("name", "")), {"annotations": []})
            output = body.get("output") or {}
            known["annotations"] += output.get("annotations") or []
            known |= {k: body.get(k, known.get(k)) for k in ("status", "conclusion")}
            known |= {k: output.get(k, known.get(k, "")) for k in ("title", "summary", "text")}
        elif "comments" in record.path:
            comment = str(body.get("body", ""))
    shown = tuple(
        ShownCheck(
            name=name,
            conclusion=str(one["conclusion"] or one["status"]),
            title=str(one["title"]),
            summary=str(one["summary"]),
            text=str(one["text"]),
            annotations=tuple(
                (f"{a['path']}:{a['start_line']}", a["annotation_level"], a.get("title", ""), a["message"])
                for a in one["annotations"]
            ),
        )
        for name, one in checks.items()
    )
    said = tuple(one_line(str(p)) for p in report.warnings)
    return Preview(decision, shown, comment, summary, said, writes)
