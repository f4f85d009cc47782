"""What a job of GitHub Actions was started for: the event file and GITHUB_* become one frozen ``Event``.

Names, texts and shapes come from strangers. Whatever the file holds, the answer is an event or a ``Mistake``
that says what is wrong with it. Payloads: https://docs.github.com/webhooks/webhook-events-and-payloads,
variables: https://docs.github.com/actions/reference/workflows-and-actions/variables.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import field
from datetime import datetime
from pathlib import Path

from gitkitchen.errors import Infrastructure, Mistake, Problem
from gitkitchen.files import read_bounded
from gitkitchen.frozen import dataclass
from gitkitchen.github.payload import REPOSITORY, SHA, Part, parse, wrong

MAX_EVENT = 32 * 1024 * 1024
"""Bytes; GitHub sends events of at most 25 MB."""

LONGEST_COMMENT = 70_000
"""Characters; GitHub keeps 65,536 of a comment."""

ZERO = "0" * 40


@dataclass(frozen=True, slots=True)
class Tip:
    """A commit of a branch of a repository (``owner/name``). ``repository`` is "" for a fork that was
    deleted: it is nobody's, and surely not ours."""

    repository: str
    branch: str
    sha: str


@dataclass(frozen=True, slots=True)
class Pull:
    """A pull request: ``head`` asks to get into ``base``."""

    number: int
    head: Tip
    base: Tip
    author: str = ""
    draft: bool = False
    merged: bool = False
    base_changed: bool = False
    """Of an edit: whether it named another base branch."""
    reviewed: str = ""
    """Of a review: approved, changes_requested, commented, dismissed."""
    open: bool = True


@dataclass(frozen=True, slots=True)
class Group:
    """A merge queue's: the combined commit ``head`` that would land on ``base``."""

    head: Tip
    base: Tip


@dataclass(frozen=True, slots=True)
class Push:
    """A ref that was moved. ``before`` and ``after`` are "" where it did not exist."""

    ref: str
    before: str
    after: str
    forced: bool = False

    @property
    def branch(self) -> str | None:
        """None for a tag."""
        return self.ref.removeprefix("refs/heads/") if self.ref.startswith("refs/heads/") else None


@dataclass(frozen=True, slots=True)
class Dispatch:
    """Started by a person, or by us: the inputs of ``workflow_dispatch``, the texts of ``client_payload`` of
    ``repository_dispatch``."""

    inputs: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Schedule:
    cron: str


@dataclass(frozen=True, slots=True)
class Comment:
    """A comment on issue or pull request ``number``."""

    id: int
    number: int
    author: str
    body: str
    created: datetime
    on_pull: bool
    by_person: bool
    """Neither a bot nor an app speaking for somebody."""
    open: bool = True


@dataclass(frozen=True, slots=True)
class Deletion:
    """A branch (or tag) that was deleted in our own repository."""

    name: str
    is_branch: bool


@dataclass(frozen=True, slots=True)
class FinishedRun:
    """A run of another workflow, for which a job of ``workflow_run`` was started.

    ``pulls`` is empty for forks: the pull request is to be found by head.
    """

    id: int
    attempt: int
    name: str
    path: str
    event: str
    status: str
    conclusion: str
    head: Tip
    repository: str
    title: str = ""
    """Of a dispatch: what the workflow file's ``run-name`` says. Of a pull request: the stranger's title."""
    pulls: tuple[int, ...] = ()


About = Pull | Group | Push | Dispatch | Schedule | Comment | Deletion | FinishedRun


@dataclass(frozen=True, slots=True)
class Event:
    """Why a job runs. ``about`` is None for events that are not for us.

    ``repository`` (``owner/name``), ``server`` (URL), ``ref`` and ``sha`` are the job's own; ``run`` and
    ``attempt`` are 0 where no run is known (a simulated event).
    """

    name: str
    action: str
    repository: str
    server: str
    ref: str
    sha: str
    default_branch: str
    sender: str
    run: int
    attempt: int
    about: About | None = None

    @property
    def home(self) -> str:
        """The repository's URL."""
        return f"{self.server}/{self.repository}"


def read_event(environ: Mapping[str, str]) -> Event:
    """The event of this job. Mistake for what is no event; Infrastructure where its file cannot be read."""
    given, name = environ.get("GITHUB_EVENT_PATH"), environ.get("GITHUB_EVENT_NAME")
    if not given or not name or environ.get("GITHUB_ACTIONS") != "true":
        raise Mistake(
            Problem(
                "no event says what to do: this is no job of GitHub Actions",
                hint="`gitkitchen run` runs a recipe anywhere; GITHUB_ACTIONS, GITHUB_EVENT_NAME and "
                "GITHUB_EVENT_PATH are what a job has",
                code="no-event",
            )
        )
    return parse_event(_read(Path(given)), name, environ)


def _read(path: Path) -> bytes:
    try:
        raw = read_bounded(path, MAX_EVENT)
    except (OSError, ValueError) as error:
        said = error.strerror if isinstance(error, OSError) else error
        raise Infrastructure(
            Problem(
                f"the event file {str(path)!r} cannot be read: {said}",
                hint="run the job again; by hand, see that the path is right",
                code="event-file",
            )
        ) from None
    if len(raw) > MAX_EVENT:
        raise wrong(f"the event file is larger than {MAX_EVENT >> 20} MiB, and no event of GitHub is")
    if not raw.strip():
        raise wrong("the event file is empty")
    return raw


def parse_event(raw: bytes, name: str, environ: Mapping[str, str]) -> Event:
    """An event from the content of its file. Mistake for what is none."""
    whole = Part(parse(raw))
    own = whole.maybe("repository")
    repository = environ.get("GITHUB_REPOSITORY") or (own.repository() if own else "")
    if not REPOSITORY.fullmatch(repository):
        raise wrong("no repository is named, in the event or by GITHUB_REPOSITORY")
    if own and own.has("full_name") and own.repository().lower() != repository.lower():
        raise wrong(f"the event is of {own.repository()}, and this job of {repository}")
    # Reviews and pull_request_target speak of a pull request, too: its code must be told from ours.
    reader = READERS.get(name) or (_pull if whole.has("pull_request") else None)
    sender = whole.maybe("sender")
    return Event(
        name=name,
        action=whole.text_or("action"),
        repository=repository,
        server=(environ.get("GITHUB_SERVER_URL") or "https://github.com").rstrip("/"),
        ref=environ.get("GITHUB_REF", ""),
        sha=environ.get("GITHUB_SHA", ""),
        default_branch=own.text_or("default_branch") if own else "",
        sender=sender.text_or("login") if sender else "",
        run=_counted(environ, "GITHUB_RUN_ID"),
        attempt=_counted(environ, "GITHUB_RUN_ATTEMPT"),
        about=reader(whole, repository) if reader else None,
    )


def _counted(environ: Mapping[str, str], name: str) -> int:
    given = environ.get(name, "")
    return int(given) if given.isascii() and given.isdigit() and len(given) < 19 else 0


# --- one reader for each event ----------------------------------------------------------------------


def _tip(part: Part) -> Tip:
    repository = part.maybe("repo")
    return Tip(repository.repository() if repository else "", part.text("ref"), part.sha("sha"))


def _pull(whole: Part, _repository: str) -> Pull:
    pull = whole.part("pull_request")
    user, changes, review = pull.maybe("user"), whole.maybe("changes"), whole.maybe("review")
    return Pull(
        number=pull.number("number"),
        head=_tip(pull.part("head")),
        base=_tip(pull.part("base")),
        author=user.text_or("login") if user else "",
        draft=pull.flag("draft"),
        merged=pull.flag("merged"),
        base_changed=bool(changes and changes.maybe("base")),
        reviewed=review.text_or("state").lower() if review else "",
        open=pull.text_or("state", "open") == "open",
    )


def _group(whole: Part, repository: str) -> Group:
    group = whole.part("merge_group")
    head, base = (group.text(f"{side}_ref").removeprefix("refs/heads/") for side in ("head", "base"))
    return Group(Tip(repository, head, group.sha("head_sha")), Tip(repository, base, group.sha("base_sha")))


def _push(whole: Part, _repository: str) -> Push:
    before, after = (whole.sha(key) for key in ("before", "after"))
    return Push(
        ref=whole.text("ref"),
        before="" if not before.strip("0") else before,
        after="" if not after.strip("0") else after,
        forced=whole.flag("forced"),
    )


def _inputs(key: str) -> Callable[[Part, str], Dispatch]:
    def read(whole: Part, _repository: str) -> Dispatch:
        given = whole.maybe(key)
        found = {k: v for k, v in given.value.items() if isinstance(v, str | int)} if given else {}
        return Dispatch({k: _word(v) for k, v in list(found.items())[:100]})

    return read


def _word(value: str | int) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)[:LONGEST_COMMENT]


def _schedule(whole: Part, _repository: str) -> Schedule:
    return Schedule(whole.text_or("schedule"))


def _comment(whole: Part, _repository: str) -> Comment:
    issue, comment = whole.part("issue"), whole.part("comment")
    user = comment.maybe("user")  # null: an account that was deleted
    app = comment.has("performed_via_github_app")
    return Comment(
        id=comment.number("id"),
        number=issue.number("number"),
        author=user.text("login") if user else "",
        body=comment.text_or("body", longest=LONGEST_COMMENT),
        created=comment.moment("created_at"),
        on_pull=issue.has("pull_request"),
        by_person=bool(user and user.text_or("type") == "User") and not app,
        open=issue.text_or("state", "open") == "open",
    )


def _deletion(whole: Part, _repository: str) -> Deletion:
    return Deletion(whole.text("ref"), whole.text("ref_type") == "branch")


def _finished(whole: Part, _repository: str) -> FinishedRun:
    run = whole.part("workflow_run")
    head, own = run.maybe("head_repository"), run.maybe("repository")
    pulls = (p.get("number") for p in run.items("pull_requests") if isinstance(p, dict))
    return FinishedRun(
        id=run.number("id"),
        attempt=run.number("run_attempt") if run.has("run_attempt") else 1,
        name=run.text_or("name"),
        path=run.text_or("path").partition("@")[0],
        event=run.text("event"),
        status=run.text_or("status"),
        conclusion=run.text_or("conclusion"),
        head=Tip(head.repository() if head else "", run.text_or("head_branch"), run.sha("head_sha")),
        repository=own.repository() if own else "",
        title=run.text_or("display_title", longest=LONGEST_COMMENT),
        pulls=tuple(n for n in pulls if isinstance(n, int) and not isinstance(n, bool)),
    )


READERS: Mapping[str, Callable[[Part, str], About]] = {
    "pull_request": _pull,
    "merge_group": _group,
    "push": _push,
    "workflow_dispatch": _inputs("inputs"),
    "repository_dispatch": _inputs("client_payload"),
    "schedule": _schedule,
    "issue_comment": _comment,
    "delete": _deletion,
    "workflow_run": _finished,
}


# --- a dispatch of our own --------------------------------------------------------------------------

PULL_INPUTS = ("number", "head_repository", "head_branch", "head_sha", "base_branch", "base_sha")
"""The inputs by which a comment's job starts the tests of one head of one pull request."""


def dispatched_pull(event: Event) -> Pull | None:
    """The pull request that a dispatch names; None where it names none. Mistake where it is half named."""
    if not isinstance(event.about, Dispatch):
        return None
    given = {k: event.about.inputs.get(k, "") for k in PULL_INPUTS}
    if not any(given.values()):
        return None
    number, shas = given["number"], (given["head_sha"], given["base_sha"])
    whole = number.isascii() and number.isdigit() and len(number) < 10 and int(number) > 0
    right = whole and all(SHA.fullmatch(s) for s in shas) and given["base_branch"] and given["head_branch"]
    if not right or not REPOSITORY.fullmatch(given["head_repository"] or "deleted/fork"):
        raise wrong(f"the dispatch names no whole pull request: it needs {', '.join(PULL_INPUTS)}")
    head = Tip(given["head_repository"], given["head_branch"], given["head_sha"])
    base = Tip(event.repository, given["base_branch"], given["base_sha"])
    return Pull(int(number), head, base)
