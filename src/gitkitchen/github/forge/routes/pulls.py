"""Pull requests: read, open, review, merge. https://docs.github.com/en/rest/pulls/pulls"""

from __future__ import annotations

from gitkitchen.github.forge import guarding, render, render_pulls
from gitkitchen.github.forge.happening import deliver, moved, person, refresh
from gitkitchen.github.forge.payloads import pull_request, pull_request_review
from gitkitchen.github.forge.routing import Answer, Call, Refused, invalid, route
from gitkitchen.github.forge.state import Protection, Pull, Repository, Review, State, Token, User

READ, WRITE = "pull-requests:read", "pull-requests:write"
MOST_FILES = 3000
"""Of a pull request; more are not listed."""
EVENTS = {"APPROVE": "APPROVED", "REQUEST_CHANGES": "CHANGES_REQUESTED", "COMMENT": "COMMENTED"}


def open_pull(
    s: State,
    repo: Repository,
    user: User,
    head: str,
    base: str,
    title: str,
    body: str | None,
    token: Token | None,
    *,
    draft: bool = False,
) -> Pull:
    """A new pull request; ``head`` is a branch, or ``owner:branch`` of a fork. Refused as GitHub does."""
    owner, colon, branch = head.rpartition(":")
    source = repo
    if colon and owner != repo.owner.login:
        forks = [
            r for r in s.repositories.values() if r.owner.login == owner and (r.parent is repo or r is repo)
        ]
        if not forks:
            raise invalid("PullRequest", "head")
        source = forks[0]
    sha = source.bare.refs().get(f"refs/heads/{branch}")
    at = repo.bare.refs().get(f"refs/heads/{base}")
    if sha is None or at is None:
        raise invalid("PullRequest", "head" if sha is None else "base")
    if source is not repo:
        repo.bare.take(source.bare, sha)
    if repo.bare.is_ancestor(sha, at):
        raise invalid("PullRequest", "base", "custom", f"No commits between {base} and {head}")
    for pull in repo.pulls.values():
        same = (pull.head_repository, pull.head_ref, pull.base_ref) == (source.full_name, branch, base)
        if same and pull.state == "open":
            raise invalid("PullRequest", "head", "custom", f"A pull request already exists for {head}.")
    repo.numbers += 1
    now = s.clock()
    pull = Pull(
        s.id(),
        repo.numbers,
        user,
        title,
        body,
        base,
        at,
        branch,
        sha,
        source.full_name,
        source.owner,
        now,
        now,
        draft=draft,
    )
    repo.pulls[pull.number] = pull
    refresh(s, repo, pull)
    deliver(s, repo, token, *pull_request(s, repo, pull, "opened", user))
    return pull


@route("pulls/create", WRITE)
def create(call: Call) -> Answer:
    body = call.body
    if call.token is not None and call.token.is_job and not call.repo.actions_pulls:
        raise Refused(403, "GitHub Actions is not permitted to create or approve pull requests.")
    if "title" not in body:
        raise invalid("PullRequest", "title", "missing_field")
    head, draft = body["head"], bool(body.get("draft"))
    pull = open_pull(
        call.state,
        call.repo,
        call.user,
        head,
        body["base"],
        body["title"],
        body.get("body"),
        call.token,
        draft=draft,
    )
    return Answer(201, render_pulls.pull_full(call.state, call.repo, pull))


@route("pulls/get", READ)
def get(call: Call) -> Answer:
    pull = call.number("pull_number", call.repo.pulls)
    return Answer(200, render_pulls.pull_full(call.state, call.repo, pull))


@route("pulls/list", READ)
def listed(call: Call) -> Answer:
    query = call.query
    found = list(call.repo.pulls.values())
    if (state := query.get("state", "open")) != "all":
        found = [pull for pull in found if pull.state == state]
    if "base" in query:
        found = [pull for pull in found if pull.base_ref == query["base"]]
    if "head" in query and ":" in query["head"]:  # without an owner GitHub ignores it
        found = [pull for pull in found if f"{pull.head_owner.login}:{pull.head_ref}" == query["head"]]
    by_update = query.get("sort") == "updated"
    found.sort(key=lambda pull: (pull.updated if by_update else pull.created, pull.number))
    if query.get("direction", "desc" if query.get("sort", "created") == "created" else "asc") == "desc":
        found.reverse()
    return _simple(call, found)


@route("repos/list-pull-requests-associated-with-commit", READ)
def of_commit(call: Call) -> Answer:
    """Those of this repository's own branches that contain it: of a fork's commit GitHub finds none."""
    bare = call.repo.bare
    sha = bare.resolve(call.path["commit_sha"])
    if sha is None:
        raise Refused(422, f"No commit found for SHA: {call.path['commit_sha']}")
    found = [
        pull
        for pull in call.repo.pulls.values()
        if pull.head_repository == call.repo.full_name
        and (
            sha in (pull.head_sha, pull.merge_sha if pull.merged_at else None)
            or (bare.is_ancestor(sha, pull.head_sha) and not bare.is_ancestor(sha, pull.base_sha))
        )
    ]
    return _simple(call, found)


def _simple(call: Call, found: list[Pull]) -> Answer:
    items, headers = call.paged(found)
    return Answer(200, [render_pulls.pull_simple(call.state, call.repo, pull) for pull in items], headers)


@route("pulls/update", WRITE)
def update(call: Call) -> Answer:
    pull: Pull = call.number("pull_number", call.repo.pulls)
    body = call.body or {}
    if body.get("state") == "open" and pull.merged_at is not None:
        raise invalid("PullRequest", "state", "custom", "A merged pull request cannot be reopened")
    if "base" in body and call.repo.bare.resolve(body["base"]) is None:
        raise invalid("PullRequest", "base")
    action = "edited"
    for key, name in (("title", "title"), ("body", "body"), ("base", "base_ref")):
        if key in body:
            setattr(pull, name, body[key])
    if "state" in body and body["state"] != pull.state:
        pull.state = body["state"]
        pull.closed_at = call.now() if pull.state == "closed" else None
        action = "closed" if pull.state == "closed" else "reopened"
    pull.updated = call.now()
    refresh(call.state, call.repo, pull)
    deliver(call.state, call.repo, call.token, *pull_request(call.state, call.repo, pull, action, call.user))
    return Answer(200, render_pulls.pull_full(call.state, call.repo, pull))


@route("pulls/list-files", READ)
def files(call: Call) -> Answer:
    pull: Pull = call.number("pull_number", call.repo.pulls)
    bare = call.repo.bare
    base = bare.merge_base(pull.base_sha, pull.head_sha) or pull.base_sha
    items, headers = call.paged(bare.changed(base, pull.head_sha, patches=True)[:MOST_FILES])
    return Answer(
        200, [render.diff_entry(call.state, call.repo, pull.head_sha, one) for one in items], headers
    )


@route("pulls/list-commits", READ)
def commits(call: Call) -> Answer:
    pull: Pull = call.number("pull_number", call.repo.pulls)
    found = list(reversed(call.repo.bare.log(pull.head_sha, f"^{pull.base_sha}")))[:250]
    items, headers = call.paged(found)
    return Answer(200, [render.commit(call.state, call.repo, facts) for facts in items], headers)


@route("pulls/list-reviews", READ)
def reviews(call: Call) -> Answer:
    pull: Pull = call.number("pull_number", call.repo.pulls)
    items, headers = call.paged(pull.reviews)
    made = [render_pulls.review(call.state, call.repo, pull, review) for review in items]
    return Answer(200, made, headers)


@route("pulls/create-review", WRITE)
def review(call: Call) -> Answer:
    pull: Pull = call.number("pull_number", call.repo.pulls)
    body = call.body or {}
    state = EVENTS.get(body.get("event", ""), "PENDING")
    is_job = call.token is not None and call.token.is_job
    if state == "APPROVED" and is_job and not call.repo.actions_pulls:
        words = "GitHub Actions is not permitted to approve pull requests."
        raise Refused(422, "Unprocessable Entity", errors=[words])
    if state != "COMMENTED" and pull.user is call.user and state != "PENDING":
        raise Refused(422, "Unprocessable Entity", errors=["Can not approve your own pull request"])
    if state in ("COMMENTED", "CHANGES_REQUESTED") and not body.get("body"):
        raise Refused(422, "Unprocessable Entity", errors=["body cannot be blank"])
    made = Review(
        call.state.id(),
        call.user,
        state,
        body.get("commit_id", pull.head_sha),
        body.get("body", ""),
        call.now(),
    )
    pull.reviews.append(made)
    if state != "PENDING":
        event = pull_request_review(call.state, call.repo, pull, made, call.user)
        deliver(call.state, call.repo, call.token, *event)
    return Answer(200, render_pulls.review(call.state, call.repo, pull, made))


@route("pulls/check-if-merged", READ)
def is_merged(call: Call) -> Answer:
    pull: Pull = call.number("pull_number", call.repo.pulls)
    if pull.merged_at is None:
        raise Refused(404, "Not Found")
    return Answer(204)


@route("pulls/merge", "contents:write", role="write")
def merge(call: Call) -> Answer:
    """405: it may not be merged; 409: ``sha`` is not the head. The base may move freely in between."""
    pull: Pull = call.number("pull_number", call.repo.pulls)
    repo, bare, body = call.repo, call.repo.bare, call.body or {}
    if "sha" in body and body["sha"] != pull.head_sha:
        raise Refused(409, "Head branch was modified. Review and try the merge again.")
    refresh(call.state, repo, pull)
    if pull.state != "open" or pull.mergeable is not True:
        raise Refused(405, "Pull Request is not mergeable")
    if pull.draft:
        raise Refused(405, "Pull Request is still a draft")
    method = body.get("merge_method", "merge")
    if method not in repo.merge_methods:
        words = {"merge": "Merge commits are", "squash": "Squash merges are", "rebase": "Rebase merges are"}
        raise Refused(405, f"{words[method]} not allowed on this repository.")
    rules_here = guarding.bound(repo, call.login, pull.base_ref)
    asked = _against(repo, pull, rules_here, method) + render_pulls.unsatisfied(repo, pull, rules_here)
    if asked:
        rules = any(protection.ruleset for protection in rules_here)
        raise Refused(
            405, "Repository rule violations found\n\n" + "\n\n".join(asked) if rules else " ".join(asked)
        )
    base = pull.base_sha
    guarding.refuse_workflows(repo, call.token, base, pull.head_sha)
    tree = bare.merged(base, pull.head_sha)
    assert tree is not None
    title = (
        body.get("commit_title")
        or f"Merge pull request #{pull.number} from {pull.head_owner.login}/{pull.head_ref}"
    )
    text = body.get("commit_message", pull.title)
    sha = _merged(call, pull, method, tree, f"{title}\n\n{text}")
    before = bare.refs()
    if not bare.set(f"refs/heads/{pull.base_ref}", sha, old=base):
        raise Refused(409, "Base branch was modified. Review and try the merge again.")
    now = call.now()
    pull.state, pull.merged_at, pull.closed_at, pull.updated = "closed", now, now, now
    pull.merged_by, pull.merge_sha = call.user, sha
    deliver(call.state, repo, call.token, *pull_request(call.state, repo, pull, "closed", call.user))
    moved(call.state, repo, before, call.user, call.token)
    return Answer(200, {"sha": sha, "merged": True, "message": "Pull Request successfully merged"})


def _against(repo: Repository, pull: Pull, rules: list[Protection], method: str) -> list[str]:
    """What rules have against this way of merging."""
    found = [guarding.QUEUE for rule in rules if rule.queue]
    found += [guarding.UPDATES for rule in rules if rule.updates]
    found += [guarding.LINEAR for rule in rules if rule.linear and method == "merge"]
    for rule in rules:
        if rule.signatures and not _are_signed(repo, pull):
            found.append(guarding.SIGNED)
        if rule.methods and method not in rule.methods:
            found.append(f"Merge method {method} is not allowed: {', '.join(rule.methods)}.")
    return list(dict.fromkeys(found))


def _are_signed(repo: Repository, pull: Pull) -> bool:
    """Whether each commit of a pull request has a signature; nobody looks whose."""
    commits = repo.bare.git("rev-list", pull.head_sha, f"^{pull.base_sha}").split()
    return all("\ngpgsig" in repo.bare.git("cat-file", "commit", sha).partition("\n\n")[0] for sha in commits)


def _merged(call: Call, pull: Pull, method: str, tree: str, message: str) -> str:
    """The commit that a merge makes. A rebase keeps each commit that stands on the base's tip."""
    repo, bare, base = call.repo, call.repo.bare, pull.base_sha
    who, now = person(call.user), call.now()
    if method == "rebase" and bare.is_ancestor(base, pull.head_sha):
        tip = base
        for facts in reversed(bare.log(pull.head_sha, f"^{base}")):
            if len(facts.parents) < 2:
                tip = bare.commit_tree(facts.tree, (tip,), facts.message, who, now)
        if repo.bare.facts(tip).tree == tree:
            return tip
    parents = (base, pull.head_sha) if method == "merge" else (base,)
    return bare.commit_tree(tree, parents, message, who, now)
