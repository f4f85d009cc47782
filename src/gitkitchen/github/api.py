"""The client of GitHub's API: few verbs, each bounded in time and requests, each safe to repeat.

A failure is a ``Trouble``: a warning to show, never a verdict. GitHub Enterprise Server is reached by its own
URLs (``GITHUB_API_URL``). What is posted is what ``surfaces`` says; who posts is a job's token unless told.
"""

from __future__ import annotations

import hashlib
import re
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Self, TypeVar
from urllib.parse import quote, urlsplit

from gitkitchen.errors import Mistake, Problem
from gitkitchen.github import facts, issues, merges, posting
from gitkitchen.github.asking import Asking, Budget, library
from gitkitchen.github.facts import ROLES, Authored, ChangedFile, PullRequest, Reviewed, Started, Stored
from gitkitchen.github.settings import Settings
from gitkitchen.github.surfaces import CheckRun, Comment, marker_of
from gitkitchen.github.trouble import Trouble

T = TypeVar("T")

API = "https://api.github.com"
JOB = "github-actions[bot]"
"""Who posts with a job's token."""
REACTIONS = ("+1", "-1", "laugh", "confused", "heart", "hooray", "rocket", "eyes")
DISPATCH_LOOKS = (2.0, 4.0, 8.0)
"""Seconds before each look for the run of a dispatch that ended without an answer."""

_NAME = re.compile(r"[A-Za-z0-9_.-]{1,100}/[A-Za-z0-9_.-]{1,100}")


class Client:
    """One repository, through one token. Every method raises Trouble where it cannot do its part.

    ``author``: the login whose comments and check runs are ours. ``clock`` gives seconds since the epoch.
    Mistake where PyGithub is missing or ``repository`` is no OWNER/NAME.
    """

    def __init__(
        self,
        api_url: str,
        token: str,
        repository: str,
        *,
        author: str = JOB,
        budget: Budget | None = None,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        if not _NAME.fullmatch(repository) or {".", ".."} & set(repository.split("/")):
            raise Mistake(Problem(f"'{repository:.100}' is not OWNER/NAME", code="github-repository"))
        if urlsplit(api_url).scheme not in ("http", "https"):
            raise Mistake(Problem("the address of the API must begin with https://", code="github-url"))
        library()
        self.repository, self.author = repository, author
        self._repo = f"/repos/{repository}"
        self._app = author.removesuffix("[bot]")
        self._asking = Asking(api_url, token, budget=budget, clock=clock, sleep=sleep)

    @classmethod
    def of_job(
        cls,
        environ: Mapping[str, str],
        *,
        budget: Budget | None = None,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], None] = time.sleep,
    ) -> Client:
        """The client of the job we are in: GITHUB_API_URL, _REPOSITORY, _TOKEN. Raises Mistake."""
        repository, token = environ.get("GITHUB_REPOSITORY", ""), environ.get("GITHUB_TOKEN", "")
        if not repository or not token:
            lacking = "GITHUB_REPOSITORY" if not repository else "GITHUB_TOKEN"
            hint = "pass the job's token by `env: {GITHUB_TOKEN: ${{ github.token }}}`"
            raise Mistake(Problem(f"{lacking} is not set", hint=hint, code="github-environment"))
        api_url = environ.get("GITHUB_API_URL") or API
        return cls(api_url, token, repository, budget=budget, clock=clock, sleep=sleep)

    def close(self) -> None:
        """End the connection. A client that goes on afterwards begins another."""
        self._asking.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def settings(self) -> Settings:
        """What protects this repository, as far as the token may see it."""
        return Settings(self._asking, self._repo)

    @property
    def requests(self) -> int:
        """How many were sent."""
        return self._asking.requests

    # What is written

    def put_check(self, check: CheckRun) -> int:
        """Make the check run what it should be, however often; its number."""
        return posting.put_check(self._asking, self._repo, self._app, check)

    def settle_checks(self, sha: str, prefix: str, keep: frozenset[str] = frozenset()) -> tuple[str, ...]:
        """End our check runs that a dead job left open: names with ``prefix`` but for ``keep``."""
        return posting.settle(self._asking, self._repo, self._app, sha, prefix, keep)

    def standing(self, sha: str, prefix: str) -> tuple[posting.Standing, ...]:
        """Our check runs at a commit whose names begin with ``prefix``, newest first."""
        return posting.standing(self._asking, self._repo, self._app, sha, prefix)

    def put_comment(self, number: int, marker: str, body: str) -> int:
        """Make the one comment of ``marker`` what it should be; its number. ValueError beyond the limits."""
        return posting.put_comment(self._asking, self._repo, self.author, number, Comment(marker, body))

    def reply(self, number: int, comment_id: int, body: str, *, over: bool = True) -> int:
        """Answer a comment, once however often: the answer to ``comment_id``. ``over``: what it says already
        is replaced."""
        answer = Comment(marker_of(f"gitkitchen reply {comment_id}"), body)
        return posting.put_comment(self._asking, self._repo, self.author, number, answer, over=over)

    def put_issue(self, issue: issues.Issue) -> int:
        """Make the one issue of a mark what it should be, however often; its number."""
        return issues.put_issue(self._asking, self._repo, self.author, issue)

    def put_pull(self, step: merges.Step) -> int:
        """Make the one open pull request of a step what it should be, however often; its number."""
        return merges.put_pull(self._asking, self._repo, step)

    def merge_pull(self, number: int, sha: str, title: str, message: str) -> None:
        """Merge a pull request whose head is exactly ``sha``; merged already is merged."""
        merges.merge_pull(self._asking, self._repo, number, sha, title, message)

    def close_pull(self, head: str, base: str) -> None:
        """Close the open pull request from one branch of ours into another, if there is one."""
        merges.close_pull(self._asking, self._repo, head, base)

    def react(self, comment_id: int, content: str) -> None:
        """Acknowledge a comment; a second reaction of one kind is the first. ValueError for other kinds."""
        if content not in REACTIONS:
            raise ValueError(f"{content!r} is no reaction: {', '.join(REACTIONS)}")
        path = f"{self._repo}/issues/comments/{int(comment_id)}/reactions"
        doing = f"react to comment {comment_id}"
        self._asking.ask("POST", path, doing, posting.COMMENTS, body={"content": content}, again=True)

    def dispatch_workflow(self, workflow: str, ref: str, inputs: Mapping[str, str], *, key: str = "") -> bool:
        """Start a workflow (the name of its file) on a branch, once. Whether it was not there already.

        ``key``: a text that the workflow's ``run-name`` shows (``run-name: … ${{ inputs.key }}``). With it a
        run that is there already is not started again, and a lost answer is looked up; without it a lost
        answer is Trouble, since a second dispatch could be a second run.
        """
        doing = f"start the workflow '{workflow}'"
        path = f"{self._repo}/actions/workflows/{quote(workflow, safe='')}"
        if key and self._is_dispatched(path, key, doing):
            return False
        body = {"ref": ref, "inputs": dict(inputs)}
        for last in (False, True):
            try:
                self._asking.ask("POST", f"{path}/dispatches", doing, {"actions": "write"}, body=body)
                return True
            except Trouble as trouble:
                if trouble.kind != "unsure" or not key:
                    raise
                for seconds in DISPATCH_LOOKS:
                    self._asking.pause(seconds, doing)
                    if self._is_dispatched(path, key, doing):
                        return True
                if last:
                    raise
        raise AssertionError("the last try returns or raises")

    def started(self, workflow: str, most: int = 300) -> tuple[Started, ...]:
        """The runs of a workflow that dispatches started, the newest first, at most so many."""
        doing = f"list the runs of '{workflow}'"
        path = f"{self._repo}/actions/workflows/{quote(workflow, safe='')}/runs"
        found: list[Started] = []
        for page in range(1, most // 100 + 1):
            query = {"event": "workflow_dispatch", "per_page": 100, "page": page}
            answer = self._asking.get(path, doing, {"actions": "read"}, query)
            runs = answer.get("workflow_runs") if isinstance(answer, dict) else None
            if not isinstance(runs, list):
                raise Trouble("unreachable", doing, "the answer is not a list of runs")
            found += [Started.of(run) for run in runs if isinstance(run, dict)]
            if len(runs) < 100:
                break
        return tuple(found)

    def _is_dispatched(self, path: str, key: str, doing: str) -> bool:
        query = {"event": "workflow_dispatch", "per_page": 100}
        answer = self._asking.get(f"{path}/runs", doing, {"actions": "read"}, query)
        runs = answer.get("workflow_runs") if isinstance(answer, dict) else None
        if not isinstance(runs, list):
            raise Trouble("unreachable", doing, "the answer is not a list of runs")
        return any(key in str(run.get("display_title", "")) for run in runs)

    # What is read

    def pull(self, number: int) -> PullRequest:
        """A pull request as it is now."""
        doing = f"read pull request {number}"
        answer = self._asking.get(f"{self._repo}/pulls/{int(number)}", doing, {"pull-requests": "read"})
        return _made(facts.pull_request, answer, doing)

    def pulls_of(self, sha: str, *, head: str = "") -> tuple[PullRequest, ...]:
        """The open pull requests whose head is exactly ``sha``.

        GitHub does not find those of forks by their commit: ``head`` (``owner:branch``, as a ``workflow_run``
        tells) finds them by their branch.
        """
        doing = f"find the pull request of {sha[:12]}"
        needs = {"pull-requests": "read"}
        found = self._asking.pages(f"{self._repo}/commits/{quote(sha, safe='')}/pulls", doing, needs)
        pulls = [_made(facts.pull_request, one, doing) for one in found]
        if head:
            listed = self._asking.pages(f"{self._repo}/pulls", doing, needs, {"head": head, "state": "open"})
            pulls += [_made(facts.pull_request, one, doing) for one in listed]
        ours = {
            pull.number: pull
            for pull in pulls
            if pull.head_sha == sha
            and pull.state == "open"
            and pull.base_repository.casefold() == self.repository.casefold()
        }
        return tuple(ours[number] for number in sorted(ours))

    def head_seen(self, number: int, sha: str) -> datetime | None:
        """When this head came to the pull request, by GitHub's own clock: the newest run that it started for
        it; None where there is none.

        The newest, and of this branch of this repository: a head that was there before, was taken away and
        came back after somebody looked, or that another pull request had first, is as new as its return.
        """
        doing = f"find out when {sha[:12]} came to pull request {number}"
        pull = self.pull(number)
        path, needs = f"{self._repo}/actions/runs", {"actions": "read"}
        query = {"head_sha": sha, "event": "pull_request"}
        found = self._asking.pages(path, doing, needs, query, key="workflow_runs")
        moments = [
            _made(facts.started, one, doing)
            for one in found
            if isinstance(one, dict)
            and one.get("head_sha") == sha
            and one.get("head_branch") == pull.head_ref
            and (one.get("head_repository") or {}).get("full_name") == pull.head_repository
        ]
        return max(moments, default=None)

    def earlier_heads(self, branch: str, repository: str, run: int, most: int = 3) -> tuple[str, ...]:
        """The last commits that a branch (of ``repository``) had before the one that ``run`` is about."""
        doing = f"find what '{branch[:60]}' was before"
        query = {"branch": branch, "event": "pull_request", "per_page": 30}
        answer = self._asking.get(f"{self._repo}/actions/runs", doing, {"actions": "read"}, query)
        runs = answer.get("workflow_runs") if isinstance(answer, dict) else None
        if not isinstance(runs, list):
            raise Trouble("unreachable", doing, "the answer is not a list of runs")
        newest: dict[str, int] = {}
        for one in runs:
            if isinstance(one, dict) and (one.get("head_repository") or {}).get("full_name") == repository:
                sha = str(one.get("head_sha"))
                newest[sha] = max(newest.get(sha, 0), int(one.get("id") or 0))
        return tuple(sorted((s for s, n in newest.items() if n < run), key=lambda s: -newest[s])[:most])

    def permission(self, login: str) -> str:
        """The live role of a person here: none, read, triage, write, maintain or admin."""
        doing = f"read the permission of '{login[:60]}'"
        path = f"{self._repo}/collaborators/{quote(login, safe='')}/permission"
        try:
            answer = self._asking.get(path, doing, {})
        except Trouble as trouble:
            if trouble.kind == "missing":
                return "none"
            raise
        # A role of the organization's own has a name that nobody else knows; the old word says what it is.
        role, old = str(answer.get("role_name", "")), str(answer.get("permission", ""))
        known = role if role in ROLES else old
        return known if known in ROLES else "none"

    def member(self, team: str, login: str) -> bool:
        """Whether a person is in a team (``organisation/team``). A job's own token may not see that."""
        organisation, _, slug = team.partition("/")
        path = f"/orgs/{quote(organisation, safe='')}/teams/{quote(slug, safe='')}/memberships/"
        doing = f"read whether '{login[:60]}' is in the team '{team[:120]}'"
        answer = self._asking.get(path + quote(login, safe=""), doing, {})
        return isinstance(answer, dict) and answer.get("state") == "active"

    def files(self, number: int) -> tuple[ChangedFile, ...]:
        """The files that a pull request changes; GitHub lists 3,000 at most."""
        doing = f"read the files of pull request {number}"
        path = f"{self._repo}/pulls/{int(number)}/files"
        found = self._asking.pages(path, doing, {"pull-requests": "read"})
        return tuple(_made(facts.changed_file, one, doing) for one in found)

    def reviews(self, number: int) -> tuple[Reviewed, ...]:
        """The reviews of a pull request, oldest first, of all commits and states."""
        doing = f"read the reviews of pull request {number}"
        path = f"{self._repo}/pulls/{int(number)}/reviews"
        found = self._asking.pages(path, doing, {"pull-requests": "read"})
        return tuple(_made(facts.reviewed, one, doing) for one in found)

    def commits(self, base: str, head: str) -> tuple[Authored, ...]:
        """The commits that ``head`` has and ``base`` has not, with the accounts of who made them."""
        doing = f"read who made the commits between {base[:12]} and {head[:12]}"
        path = f"{self._repo}/compare/{quote(base, safe='')}...{quote(head, safe='')}"
        found = self._asking.pages(path, doing, {"contents": "read"}, key="commits")
        return tuple(_made(facts.authored, one, doing) for one in found)

    def pull_between(self, head: str, base: str) -> PullRequest | None:
        """The open pull request of one of this repository's branches into another; None where there is
        none."""
        doing = f"find the pull request of '{head[:120]}' into '{base[:120]}'"
        owner = self.repository.partition("/")[0]
        query = {"head": f"{owner}:{head}", "base": base, "state": "open"}
        found = self._asking.pages(f"{self._repo}/pulls", doing, {"pull-requests": "read"}, query)
        made = [_made(facts.pull_request, one, doing) for one in found]
        ours = [p for p in made if (p.head_ref, p.base_ref) == (head, base) and not p.is_fork]
        return ours[0] if ours else None

    def artifacts(self, run_id: int) -> tuple[Stored, ...]:
        """The artifacts of a run, newest first."""
        doing = f"list the artifacts of run {run_id}"
        path = f"{self._repo}/actions/runs/{int(run_id)}/artifacts"
        found = self._asking.pages(path, doing, {"actions": "read"}, key="artifacts")
        return tuple(_made(facts.stored, one, doing) for one in found)

    def download(self, artifact_id: int, limit: int) -> bytes:
        """The zip file of an artifact, of at most ``limit`` bytes; compared with its digest, if it has one.

        It lies on another server, which is not shown the token. What is in it comes from a stranger.
        """
        doing = f"download artifact {artifact_id}"
        path, needs = f"{self._repo}/actions/artifacts/{int(artifact_id)}", {"actions": "read"}
        about = _made(facts.stored, self._asking.get(path, doing, needs), doing)
        if about.expired:
            raise Trouble("missing", doing, "it has expired")
        if about.size > limit:
            raise Trouble("refused", doing, f"it has {about.size} bytes, and {limit} are allowed")
        headers, _ = self._asking.ask("GET", f"{path}/zip", doing, needs)
        data = self._fetch(headers.get("location", ""), limit, doing)
        digest = about.digest.removeprefix("sha256:")
        if digest and hashlib.sha256(data).hexdigest() != digest:
            raise Trouble("unreachable", doing, "what came is not what was stored")
        return data

    def _fetch(self, url: str, limit: int, doing: str) -> bytes:
        parts = urlsplit(url)
        if parts.scheme != "https" and parts.scheme != urlsplit(self._asking.api_url).scheme:
            raise Trouble("refused", doing, "GitHub sends us to an address that is not https")
        opener = urllib.request.build_opener(_NoRedirect())
        request = urllib.request.Request(url, headers={"User-Agent": "gitkitchen"})  # noqa: S310
        reason = ""
        for pause in (0.0, 1.0, 3.0):
            self._asking.pause(pause, doing)
            try:
                with opener.open(request, timeout=self._asking.budget.timeout) as answer:
                    data: bytes = answer.read(limit + 1)
            except (OSError, ValueError) as error:  # HTTPError is an OSError
                reason = f"no answer came ({type(error).__name__})"
                if isinstance(error, urllib.error.HTTPError):
                    error.close()
                    if 300 <= error.code < 500:
                        raise Trouble("refused", doing, f"the storage answers {error.code}") from None
                continue
            if len(data) > limit:
                raise Trouble("refused", doing, f"it has more than {limit} bytes")
            return data
        raise Trouble("unreachable", doing, reason)


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """One redirect is GitHub's way; a second is nobody's."""

    def redirect_request(self, *_args: Any, **_named: Any) -> None:
        return None


def _made(make: Callable[[Mapping[str, Any]], T], answer: Any, doing: str) -> T:
    """A value from an answer. Raises Trouble where it is not what it should be."""
    try:
        return make(answer)
    except (KeyError, TypeError, ValueError, AttributeError):
        raise Trouble("unreachable", doing, "the answer is not what GitHub describes") from None
