"""One repository of the forge, for those who make the stage: branches, pull requests, people, events."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gitkitchen.github.forge import payloads
from gitkitchen.github.forge.answering import Desk
from gitkitchen.github.forge.bare import Bare, Person
from gitkitchen.github.forge.happening import deliver, moved
from gitkitchen.github.forge.render import Json
from gitkitchen.github.forge.routes.checks import suite_of
from gitkitchen.github.forge.routes.pulls import open_pull
from gitkitchen.github.forge.state import (
    RIGHTS,
    Artifact,
    Check,
    Comment,
    Delivery,
    Job,
    Protection,
    Pull,
    Repository,
    Review,
    Run,
    Team,
    Workflow,
)

ZERO = "0" * 40


class Hosted:
    """What a test does to a repository of the forge, without going through the API."""

    def __init__(self, desk: Desk, repo: Repository) -> None:
        self.desk, self.repo = desk, repo
        self.state = desk.state

    @property
    def full_name(self) -> str:
        return self.repo.full_name

    @property
    def url(self) -> str:
        """Where Git clones it from."""
        return f"{self.state.server_url}/{self.full_name}.git"

    def git_url(self, token: str) -> str:
        """Where Git clones it from and pushes it to, with a token."""
        scheme, _, rest = self.url.partition("://")
        return f"{scheme}://x-access-token:{token}@{rest}"

    def head(self, branch: str) -> str:
        """The commit of a branch. KeyError where there is none."""
        return self.repo.bare.refs()[f"refs/heads/{branch}"]

    def commit(
        self,
        branch: str,
        files: Mapping[str, str | bytes | None],
        *,
        message: str = "Change",
        author: str | None = None,
        force_from: str | None = None,
    ) -> str:
        """A commit on a branch (begun at the default branch) that writes files (None: removes), as if pushed
        by ``author`` (default: the owner). ``force_from``: rewrite the branch to begin at that commit."""
        with self.desk.lock:
            bare, user = self.repo.bare, self.state.user(author or self.repo.owner.login)
            before = bare.refs()
            parent = (
                force_from
                or before.get(f"refs/heads/{branch}")
                or before.get(f"refs/heads/{self.repo.default_branch}")
            )
            tree = bare.tree_with(parent, files)
            who = Person(user.login, f"{user.login}@example.com")
            sha = bare.commit_tree(tree, (parent,) if parent else (), message, who, self.state.clock())
            bare.set(f"refs/heads/{branch}", sha)
            self._workflows(branch, files)
            moved(self.state, self.repo, before, user, None)
            return sha

    def _workflows(self, branch: str, files: Mapping[str, Any]) -> None:
        for name in files:
            if branch == self.repo.default_branch and name.startswith(".github/workflows/"):
                self.workflow(name)

    def delete_branch(self, branch: str, by: str | None = None) -> None:
        """As if a push had deleted it; its pull requests are closed."""
        with self.desk.lock:
            before = self.repo.bare.refs()
            self.repo.bare.set(f"refs/heads/{branch}", None)
            moved(self.state, self.repo, before, self.state.user(by or self.repo.owner.login), None)

    def fork(self, owner: str) -> Hosted:
        """A fork with all branches."""
        with self.desk.lock:
            bare = Bare.make(self.state.folder / owner / f"{self.repo.name}.git", self.repo.default_branch)
            bare.git("fetch", "--quiet", str(self.repo.bare.path), "+refs/heads/*:refs/heads/*")
            made = Repository(
                self.state.id(),
                self.state.user(owner),
                self.repo.name,
                bare,
                self.state.clock(),
                self.repo.default_branch,
                self.repo.private,
                self.repo,
            )
            self.state.repositories[made.full_name] = made
            return Hosted(self.desk, made)

    def delete(self) -> None:
        """The repository is gone; pull requests from it stay and have no head repository."""
        with self.desk.lock:
            del self.state.repositories[self.full_name]

    def allow(self, login: str, role: str) -> None:
        """Give a person a role: none, read, triage, write, maintain, admin."""
        if role not in RIGHTS:
            raise ValueError(f"{role!r} is no role: {', '.join(RIGHTS)}")
        with self.desk.lock:
            self.state.user(login)
            self.repo.people[login] = role

    def team(self, slug: str, role: str, *members: str) -> None:
        """A team of the owning organization."""
        with self.desk.lock:
            for login in members:
                self.state.user(login)
            self.repo.owner.type = "Organization"
            self.repo.teams.append(Team(self.state.id(), self.repo.owner.login, slug, role, list(members)))

    def protect(self, pattern: str, **about: Any) -> Protection:
        """Protect a branch, or with ``*`` at the end all of a beginning: see ``Protection``."""
        with self.desk.lock:
            made = Protection(self.state.id(), pattern, **about)
            self.repo.protections.append(made)
            return made

    def pull(
        self,
        head: str,
        *,
        base: str = "",
        title: str = "A change",
        body: str | None = None,
        author: str | None = None,
        draft: bool = False,
    ) -> Pull:
        """Open a pull request; ``head`` is a branch, or ``owner:branch`` of a fork."""
        with self.desk.lock:
            owner = head.rpartition(":")[0] or self.repo.owner.login
            user = self.state.user(author or owner)
            target = base or self.repo.default_branch
            return open_pull(self.state, self.repo, user, head, target, title, body, None, draft=draft)

    def close(self, pull: Pull, by: str | None = None) -> None:
        with self.desk.lock:
            user = self.state.user(by or pull.user.login)
            pull.state, pull.closed_at = "closed", self.state.clock()
            deliver(
                self.state,
                self.repo,
                None,
                *payloads.pull_request(self.state, self.repo, pull, "closed", user),
            )

    def comment(self, pull: Pull, login: str, body: str) -> Comment:
        """A person's comment."""
        with self.desk.lock:
            now = self.state.clock()
            made = Comment(self.state.id(), pull.number, self.state.user(login), body, now, now)
            self.repo.comments[made.id] = made
            event = payloads.issue_comment(self.state, self.repo, made, "created", made.user)
            deliver(self.state, self.repo, None, *event)
            return made

    def edit(self, comment: Comment, body: str) -> None:
        """A person edits a comment."""
        with self.desk.lock:
            before, comment.body, comment.updated = comment.body, body, self.state.clock()
            event = payloads.issue_comment(self.state, self.repo, comment, "edited", comment.user, before)
            deliver(self.state, self.repo, None, *event)

    def review(self, pull: Pull, login: str, state: str = "APPROVED", sha: str | None = None) -> Review:
        """A person's review: APPROVED, CHANGES_REQUESTED, COMMENTED or DISMISSED."""
        with self.desk.lock:
            user = self.state.user(login)
            made = Review(self.state.id(), user, state, sha or pull.head_sha, "", self.state.clock())
            pull.reviews.append(made)
            event = payloads.pull_request_review(self.state, self.repo, pull, made, user)
            deliver(self.state, self.repo, None, *event)
            return made

    def workflow(self, path: str, name: str = "") -> Workflow:
        """A workflow of the default branch, made where there is none."""
        with self.desk.lock:
            if path not in self.repo.workflows:
                shown = name or path.rpartition("/")[2].partition(".")[0]
                self.repo.workflows[path] = Workflow(self.state.id(), path, shown)
            return self.repo.workflows[path]

    def run(
        self,
        workflow: str,
        event: str,
        sha: str,
        *,
        branch: str | None = None,
        pull: Pull | None = None,
        head_repository: str | None = None,
        actor: str | None = None,
        attempt: int = 1,
        conclusion: str | None = "success",
        job: str = "",
    ) -> Run:
        """A run of a workflow (``conclusion`` None: not yet ended); ``job``: give it a job of that name."""
        with self.desk.lock:
            now, of = self.state.clock(), self.workflow(workflow)
            number = sum(1 for run in self.repo.runs.values() if run.workflow is of) + 1
            source = head_repository or (pull.head_repository if pull is not None else None) or self.full_name
            made = Run(
                self.state.id(),
                number,
                of,
                event,
                branch or (pull.head_ref if pull is not None else None),
                sha,
                self.state.user(actor or (pull.user.login if pull is not None else self.repo.owner.login)),
                source,
                now,
                now,
                attempt,
                "completed" if conclusion else "in_progress",
                conclusion,
                pull.number if pull is not None else None,
            )
            if job:
                suite = suite_of(
                    self.state, self.repo, self.state.app("github-actions", "GitHub Actions"), sha
                )
                status, done = ("completed", now) if conclusion else ("in_progress", None)
                check = Check(
                    self.state.id(), suite, job, sha, status, conclusion, now, done, None, "", job=made.id
                )
                self.repo.checks[check.id] = check
                made.jobs.append(Job(check.id, job, check))
            self.repo.runs[made.id] = made
            return made

    def artifact(self, run: Run, name: str, data: bytes) -> Artifact:
        """An artifact of a run: the bytes of a zip file (``zipped``), or of what pretends to be one."""
        with self.desk.lock:
            made = Artifact(self.state.id(), run.id, name, data, self.state.clock())
            self.repo.artifacts[made.id] = made
            return made

    def approve(self, pull: Pull, by: str) -> list[Run]:
        """Somebody with write access lets the waiting runs of a pull request start. ValueError for others."""
        with self.desk.lock:
            if not self.repo.may(by, "write"):
                raise ValueError(f"{by} may not approve runs here")
            runs = [
                run
                for run in self.repo.runs.values()
                if (run.pull, run.sha, run.conclusion) == (pull.number, pull.head_sha, "action_required")
            ]
            for run in runs:
                run.status, run.conclusion, run.updated = "queued", None, self.state.clock()
            if runs:
                event = payloads.pull_request(self.state, self.repo, pull, "opened", self.state.user(by))
                deliver(self.state, self.repo, None, *event)
            return runs

    def queue(self, pull: Pull, behind: str = "") -> tuple[str, str]:
        """Put a pull request into the merge queue: the branch that GitHub makes, and its commit. ``behind``:
        the commit of the group that waits before it."""
        with self.desk.lock:
            bare = self.repo.bare
            base = behind or self.head(pull.base_ref)
            tree = bare.merged(base, pull.head_sha)
            if tree is None:
                raise ValueError("it conflicts with its base")
            message = f"Merge pull request #{pull.number} from {pull.head_owner.login}/{pull.head_ref}"
            who = Person("GitHub", "noreply@example.com")
            sha = bare.commit_tree(tree, (base, pull.head_sha), message, who, self.state.clock())
            branch = f"gh-readonly-queue/{pull.base_ref}/pr-{pull.number}-{base}"
            bare.set(f"refs/heads/{branch}", sha)
            payload = payloads.merge_group(self.state, self.repo, branch, sha, pull.base_ref, base, pull.user)
            deliver(self.state, self.repo, None, "merge_group", payload)
            return branch, sha

    def event(self, name: str, action: str = "", *, sender: str | None = None, **about: Any) -> Json:
        """The event file of a job. ``about``, by name: ``pull`` (pull_request), ``comment`` (issue_comment),
        ``run`` (workflow_run), ``ref``, ``before``, ``after`` (push), ``ref`` (delete, create), ``branch``
        and ``pull`` (merge_group, after ``queue``), ``workflow``, ``ref``, ``inputs`` (workflow_dispatch),
        ``kind``, ``payload`` (repository_dispatch), ``cron`` (schedule). ValueError for other events."""
        with self.desk.lock:
            s, repo, user = self.state, self.repo, self.state.user(sender or self.repo.owner.login)
            match name:
                case "pull_request":
                    return payloads.pull_request(s, repo, about["pull"], action or "opened", user)[1]
                case "issue_comment":
                    return payloads.issue_comment(s, repo, about["comment"], action or "created", user)[1]
                case "workflow_run":
                    return payloads.workflow_run(s, repo, about["run"], action or "completed", user)
                case "push":
                    after = about.get("after") or self.head(about["ref"].removeprefix("refs/heads/"))
                    return payloads.push(s, repo, about["ref"], about.get("before", ZERO), after, user)
                case "create":
                    return payloads.created(s, repo, about["ref"], user)
                case "delete":
                    return payloads.deleted(s, repo, about["ref"], user)
                case "merge_group":
                    pull: Pull = about["pull"]
                    sha = self.head(about["branch"])
                    base = repo.bare.facts(sha).parents[0]
                    return payloads.merge_group(s, repo, about["branch"], sha, pull.base_ref, base, user)
                case "workflow_dispatch":
                    inputs = about.get("inputs") or {}
                    return payloads.workflow_dispatch(s, repo, about["workflow"], about["ref"], inputs, user)
                case "repository_dispatch":
                    payload = about.get("payload") or {}
                    return payloads.repository_dispatch(s, repo, about["kind"], payload, user)
                case "schedule":
                    return payloads.schedule(s, repo, about["cron"], user)
            raise ValueError(f"the forge renders no event {name!r}")

    def deliveries(self, *names: str) -> list[Delivery]:
        """The events that happened here, all or of these names, oldest first."""
        return [
            one
            for one in self.state.deliveries
            if one.repository == self.full_name and (not names or one.name in names)
        ]
