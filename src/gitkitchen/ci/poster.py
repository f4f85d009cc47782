"""The trusted half of a pull request: what an untrusted run left is read as hostile, judged, and posted.

A job of ``workflow_run`` runs this on the default branch. It checks nothing of the pull request out and runs
nothing of it. A refused or missing artifact becomes a check run that says why; a request that GitHub does not
answer becomes a warning, never a verdict: what is not posted stays missing, and what is missing is not green.
"""

from __future__ import annotations

import contextlib
import json
import re
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gitkitchen import history, merging
from gitkitchen.ci import answering, judging
from gitkitchen.ci.judging import Asked
from gitkitchen.document import departures
from gitkitchen.errors import GitKitchenError, Place, Problem
from gitkitchen.frozen import dataclass
from gitkitchen.git import Repository
from gitkitchen.github import artifacts
from gitkitchen.github.artifacts import CLAIM, DIFF, NOTHING, PROBLEMS, PULL, Claim, Limits, Refused
from gitkitchen.github.events import Event, FinishedRun
from gitkitchen.github.surfaces import CheckRun
from gitkitchen.github.trouble import Trouble
from gitkitchen.kitchen.event import QUEUE
from gitkitchen.kitchen.identity import is_reserved
from gitkitchen.merging import Unmergeable
from gitkitchen.model import Project
from gitkitchen.printed import text_safe
from gitkitchen.promote.owners import Review
from gitkitchen.report.surfaces import checks, comment, document
from gitkitchen.report.surfaces.pull import Pull, Run
from gitkitchen.road.absorbing import CANDIDATE

if TYPE_CHECKING:
    from gitkitchen.github.api import Client
    from gitkitchen.github.facts import PullRequest

ARTIFACT = "gitkitchen-results"
"""The artifact's name; the attempt may stand behind it: names are unique in a run, with all its attempts."""
PREFIX = "GitKitchen / "
OF_PULLS = ("pull_request", "pull_request_review")
"""Events of runs whose head is that of a pull request's branch."""
MOST_ASKED = 20
"""Changes of a merge queue's group of which their numbers are asked for."""
TOLD = 20
"""So many problems of a job that could not begin are shown."""

_QUEUED = re.compile(re.escape(QUEUE) + r"/(.+)/pr-(\d{1,9})-[0-9a-f]{40}(?:[0-9a-f]{24})?")
_EXTERNAL = re.compile(r"gitkitchen:([0-9a-f]{16}):(\d{1,18}):(\d{1,9})")


@dataclass(frozen=True, slots=True)
class Posted:
    """What came of it. ``refused``: why the results are not believed; ``pull``: what is shown, as far as
    ``warnings`` do not say otherwise."""

    said: tuple[str, ...] = ()
    warnings: tuple[Problem, ...] = ()
    refused: tuple[Problem, ...] = ()
    pull: Pull | None = None


@dataclass(frozen=True, slots=True)
class Where:
    """What a run was about, as GitHub says it: its head, and the pull requests that may be meant."""

    head: str
    pulls: tuple[PullRequest, ...] = ()
    queue: str = ""
    """Of a merge queue's run: the branch that it would land on."""


@dataclass(slots=True)
class _Desk:
    event: Event
    run: FinishedRun
    project: Project
    client: Client
    now: datetime
    warnings: list[Problem] = field(default_factory=list)

    def warn(self, trouble: Trouble) -> None:
        if trouble.problem() not in self.warnings:
            self.warnings.append(trouble.problem())

    @property
    def run_url(self) -> str:
        return f"{self.event.home}/actions/runs/{self.run.id}/attempts/{self.run.attempt}"

    @property
    def nothing(self) -> Pull:
        """A document with nothing in it yet."""
        zero = "0" * 40
        run = Run(self.run.id, self.run.attempt)
        return Pull(self.project.name, self.project.id, self.run.event, None, zero, zero, zero, run)


def post(event: Event, run: FinishedRun, project: Project, client: Client, now: datetime) -> Posted:
    """Read what a run left, judge it, and show it on its pull request. Nothing that GitHub does raises."""
    desk = _Desk(event, run, project, client, now.astimezone(UTC))
    try:
        if artifacts.asked(run) is not None:
            said, problems = answering.answer(
                event, run, client, lambda: _left(desk), _problems_of, desk.run_url
            )
            return Posted((said,), refused=problems)
        where = _where(desk)
        if isinstance(where, str):  # nobody writes to that commit any more: what a dead job began is ended
            if run.event in OF_PULLS:
                _try(desk, lambda: client.settle_checks(run.head.sha, PREFIX))
            return Posted((where,), tuple(desk.warnings))
        if said := _promotion(desk, where):
            return Posted((said,))
        there = client.standing(where.head, PREFIX)
        if newer := _newer(desk, there):
            return Posted((f"superseded: {newer} has posted already",))
        left = _left(desk)
    except Trouble as trouble:
        desk.warn(trouble)
        return Posted(("nothing is posted: what is missing is not green",), tuple(desk.warnings))
    except Refused as refused:  # of a run that is not ours there is nothing to say on any commit
        return Posted(refused=refused.problems)
    try:
        if isinstance(left, Mapping) and artifacts.nothing_of(left):
            return Posted(("the event asked for nothing to be shown",))
    except Refused as refused:
        left = refused
    found = _judged(desk, where, left)
    if isinstance(found, str):
        return Posted((found,), tuple(desk.warnings))
    pull, number, refused_for = found
    names = frozenset(one.name for one in there)
    sent = checks.posted(pull, desk.run_url, names)
    done = {one.name for one in there if one.status == "completed"}
    done &= {c.name for c in sent if (c.name, c.external_id) in {(o.name, o.external_id) for o in there}}
    for check in (*(_begun(c) for c in sent if c.name not in done), *sent):
        if not _put(desk, check):
            break
    if any(one.status != "completed" and one.name not in {c.name for c in sent} for one in there):
        _try(desk, lambda: client.settle_checks(where.head, PREFIX, frozenset(c.name for c in sent)))
    if number is not None:
        _try(desk, lambda: _comment(desk, pull, number))
    if run.event in OF_PULLS:
        _try(desk, lambda: _settle_earlier(desk))
    return Posted((_said(pull, sent),), tuple(desk.warnings), refused_for, pull)


# --- where ------------------------------------------------------------------------------------------


def _where(desk: _Desk) -> Where | str:
    """The commit and the pull requests of a run; a sentence where there is nothing to post to."""
    run, client = desk.run, desk.client
    if run.event == "merge_group":
        queued = _QUEUED.fullmatch(run.head.branch)
        if queued is None:
            raise Refused("its branch is none of a merge queue", "queue")
        return Where(run.head.sha, (client.pull(int(queued[2])),), queued[1])
    if run.event == "workflow_dispatch":
        head, number = artifacts.expected(desk.event, run)
        assert number is not None
        pull = client.pull(number)
        if pull.state != "open" or pull.head_sha != head:
            return f"superseded: pull request #{number} has moved on from {head[:12]}"
        return Where(head, (pull,))
    owner = run.head.repository.partition("/")[0]
    pulls = client.pulls_of(run.head.sha, head=f"{owner}:{run.head.branch}" if owner else "")
    found = tuple(
        p
        for p in pulls
        if p.head_repository.lower() == run.head.repository.lower() and p.head_ref == run.head.branch
    )
    if not found:
        return f"superseded: no open pull request has {run.head.sha[:12]} as its head any more"
    return Where(run.head.sha, found)


def _promotion(desk: _Desk, where: Where) -> str:
    """Why nothing is posted to the commit of a promotion, whatever a job claims of it: "" where it is none.

    A check counts for a commit, and not for the branch that it was asked for. So the candidate's own trailer
    decides, wherever somebody pushed it to.
    """
    for pull in where.pulls if not where.queue else ():
        ours = pull.head_repository.lower() == desk.event.repository.lower()
        if ours and (is_reserved(pull.head_ref) or desk.project.environment_of(pull.head_ref)):
            return f"#{pull.number} comes from '{pull.head_ref}': its promotion's own job gives the check"
    folder = Repository.find(desk.project.root).root
    with contextlib.suppress(GitKitchenError):  # what cannot be had is refused where it is judged
        merging.bring(folder, where.head, [f"refs/pull/{pull.number}/head" for pull in where.pulls])
        if CANDIDATE in history.commit_of(folder, where.head).trailers:
            return f"{where.head[:12]} is a promotion's candidate: its own job gives the check"
    return ""


def _newer(desk: _Desk, there: Sequence[Any]) -> str:
    """The run that posted to this commit and began after ours; "" where there is none."""
    own = _EXTERNAL.fullmatch(checks.external_id(desk.project.id, "", Run(desk.run.id, desk.run.attempt)))
    assert own is not None
    for one in there:
        found = _EXTERNAL.fullmatch(one.external_id)
        if found and found[1] == own[1] and (int(found[2]), int(found[3])) > (int(own[2]), int(own[3])):
            return f"run {found[2]} (attempt {found[3]})"
    return ""


# --- what was left ----------------------------------------------------------------------------------


def _left(desk: _Desk) -> dict[str, bytes] | Refused:
    """The files of the run's artifact, or why they are not read. Trouble where GitHub does not answer."""
    run, names = desk.run, (f"{ARTIFACT}-{desk.run.attempt}", ARTIFACT)
    stored = [a for a in desk.client.artifacts(run.id) if a.name in names and a.run in (0, run.id)]
    if not stored:
        ended = text_safe(run.conclusion or "it is not known how")[:40]
        return Refused(f"run {run.id} left no results; it ended as: {ended}", "missing")
    best = min(stored, key=lambda a: (names.index(a.name), -a.id))
    limits = Limits()
    try:
        data = desk.client.download(best.id, limits.archive)
    except Trouble as trouble:
        if trouble.kind in ("missing", "refused"):
            return Refused(trouble.reason, "download")
        raise
    with tempfile.TemporaryDirectory(prefix="gitkitchen-artifact-") as folder:
        archive = Path(folder) / "artifact.zip"
        archive.write_bytes(data)
        try:
            return artifacts.read(archive, {CLAIM, DIFF, PULL, PROBLEMS, NOTHING}.__contains__, limits)
        except Refused as refused:
            return refused


def _judged(
    desk: _Desk, where: Where, left: Mapping[str, bytes] | Refused
) -> tuple[Pull, int | None, tuple[Problem, ...]] | str:
    """The document as it counts, with the pull request to comment on; a sentence where nothing is posted."""
    number = where.pulls[0].number if len(where.pulls) == 1 and not where.queue else None
    about = replace(desk.nothing, number=number, head=where.head)
    about = replace(about, base=where.pulls[0].base_sha) if where.pulls else about
    try:
        if isinstance(left, Refused):
            raise left
        claim = artifacts.claim_of(left, desk.event, desk.run)
        request = _meant(where, claim)
        if request is not None and not where.queue:
            number = request.number
            about = replace(about, number=number, base=claim.base)
        return _checked(desk, where, left, claim, request, about), number, ()
    except Unmergeable as conflict:
        return judging.refusal(replace(about, base=conflict.base), conflict.problems), number, ()
    except Trouble as trouble:
        desk.warn(trouble)
        return "nothing is posted: what is missing is not green"
    except GitKitchenError as error:
        claimed = left if isinstance(left, Mapping) else {}
        problems = (*error.problems, *_problems_of(claimed))
        root = desk.project.root
        folder = judging.project_folder(root, Repository.find(root).root)
        return judging.refusal(about, problems, folder), number, error.problems


def _meant(where: Where, claim: Claim) -> PullRequest | None:
    if where.queue:
        if claim.number is not None:
            raise Refused("it is about a pull request, and the run about a merge queue", "number")
        return where.pulls[0]
    for one in where.pulls:
        if one.number == claim.number:
            return one
    raise Refused(f"it is about pull request #{claim.number}, whose head is another", "number")


def _checked(
    desk: _Desk,
    where: Where,
    left: Mapping[str, bytes],
    claim: Claim,
    request: PullRequest | None,
    about: Pull,
) -> Pull:
    assert request is not None
    asked = Asked(
        target=where.queue or request.base_ref,
        reviews=tuple(Review(r.author, r.commit, r.state) for r in desk.client.reviews(request.number)),
        author=request.author,
        head=request.head_sha,
        queue=bool(where.queue),
        branch=desk.run.head.branch if where.queue else "",
    )
    repository = Repository.find(desk.project.root)
    merged, tip = judging.merged_again(repository.root, claim, asked)
    if not claim.tree:
        raise Refused("it says that head and base conflict, and they do not", "conflict")
    if PULL not in left:
        raise Refused(f"it holds no {PULL}: the job ended before it was done", "document")
    try:
        raw = json.loads(left[PULL].decode("utf-8")) if len(left[PULL]) <= document.MAX_BYTES else {}
    except (ValueError, RecursionError):
        raw = {}
    pull = document.read(left[PULL])
    artifacts.same_subject(claim, raw)
    pull = replace(pull, event=desk.run.event, head=where.head, run=about.run)
    place = (repository.root, judging.project_folder(desk.project.root, repository.root))
    found = judging.judged(pull, merged, tip, asked, place, desk.now.date(), _member(desk))
    return replace(found, queued=_queued(desk, repository.root, claim, request)) if where.queue else found


def _queued(desk: _Desk, folder: Path, claim: Claim, last: PullRequest) -> tuple[int, ...]:
    """The pull requests of a queue's group: its branch names the last one, and those before it are asked for
    by the heads that were merged. A view: of what GitHub does not tell nothing is shown."""
    found: list[int] = []
    for head in merging.changes_of(folder, claim.head, claim.base)[:MOST_ASKED]:
        if head != last.head_sha:
            with contextlib.suppress(Trouble):
                found += [p.number for p in desk.client.pulls_of(head)]
    return (*dict.fromkeys(n for n in found if n != last.number), last.number)


def _member(desk: _Desk) -> Callable[[str, str], bool]:
    """Whether somebody is in a team. Where the token may not know, nobody is, and a warning says so."""
    told: list[str] = []

    def ask(team: str, login: str) -> bool:
        if told:
            return False
        try:
            return desk.client.member(team, login)
        except Trouble as trouble:
            if trouble.kind != "missing":
                told.append(team)
                desk.warnings.append(
                    Problem(
                        f"{trouble}: no approval counts for its team",
                        hint="name people, or give the job a token that may read the organisation's members",
                        code="github-teams",
                    )
                )
            return False

    return ask


def _problems_of(left: Mapping[str, bytes]) -> Iterator[Problem]:
    """What the job itself said that it could not do: a stranger's words, shown as such."""
    try:
        value = json.loads(left.get(PROBLEMS, b"{}")[:1_000_000])
        for one in value["problems"][:TOLD] if not departures(value, "problems") else ():
            file, line = one.get("file"), one.get("line")
            placed = isinstance(file, str) and file and isinstance(line, int | None)
            place = Place(file[:500], line or 0) if placed else None
            yield Problem(f"the job says: {str(one['message'])[:500]}", place, one["hint"][:300], "job")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return


# --- posting ----------------------------------------------------------------------------------------


def _begun(check: CheckRun) -> CheckRun:
    """The check run before its conclusion."""
    said = "The results are being read; the conclusion follows."
    return replace(
        check,
        status="in_progress",
        conclusion=None,
        title="in progress",
        summary=said,
        text="",
        annotations=(),
    )


def _put(desk: _Desk, check: CheckRun) -> bool:
    """Post one check run; False where no other would fare better."""
    try:
        desk.client.put_check(check)
    except Trouble as trouble:
        desk.warn(trouble)
        return trouble.kind not in ("denied", "budget", "limit")
    return True


def _try(desk: _Desk, what: Callable[[], object]) -> None:
    try:
        what()
    except Trouble as trouble:
        desk.warn(trouble)


def _settle_earlier(desk: _Desk) -> None:
    """End what a job that died left in progress on the commits that the branch had before: no other comes."""
    head = desk.run.head
    for sha in desk.client.earlier_heads(head.branch, head.repository, desk.run.id):
        if sha != head.sha:
            desk.client.settle_checks(sha, PREFIX)


def _comment(desk: _Desk, pull: Pull, number: int) -> None:
    """The one comment, unless the pull request moved on: then the newer head's run writes it."""
    now = desk.client.pull(number)
    if now.head_sha == pull.head:
        made = comment.comment(pull, desk.run_url)
        desk.client.put_comment(number, made.marker, made.body)


def _said(pull: Pull, sent: Sequence[CheckRun]) -> str:
    concluded = ", ".join(f"{c.name}: {c.conclusion}" for c in sent[:20])
    if pull.queued:
        group = ", ".join(f"#{number}" for number in pull.queued)
        return f"queue of {group} at {pull.head[:12]}: {concluded}"
    return f"#{pull.number} at {pull.head[:12]}: {concluded}" if pull.number else concluded
