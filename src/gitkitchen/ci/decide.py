"""Event and project become a decision: what this job does, and why. Pure.

What is not for us ends quietly. What this version cannot do is refused; it never counts as done.
"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING

from gitkitchen.frozen import dataclass
from gitkitchen.github.commands import Command, Unclear, parse
from gitkitchen.github.events import (
    Comment,
    Deletion,
    Dispatch,
    Event,
    FinishedRun,
    Group,
    Pull,
    Push,
    Schedule,
    dispatched_pull,
)
from gitkitchen.kitchen.event import QUEUE
from gitkitchen.kitchen.identity import is_reserved
from gitkitchen.model import Project
from gitkitchen.road.ground import CANDIDATES
from gitkitchen.schedule.shapes import Interval

if TYPE_CHECKING:
    from gitkitchen.github.events import Tip


BACK = ("restore", "current", "keep-tree")
"""What may come back of the data with a rollback."""


class Action(Enum):
    """What a job does."""

    IGNORE = "ignore"
    TEST = "test"
    """Run the recipes of a change that is proposed, in its own kitchen."""
    RUN = "run"
    """Run the recipes of a branch, and publish as its authority allows."""
    PROMOTE = "promote"
    """Move a proved tree to an environment, as a dispatch asks for it."""
    ROLLBACK = "rollback"
    """Bring an environment back, as a dispatch asks for it."""
    ABSORB = "absorb"
    """Prove and record what came to the branch of an environment that others promote to."""
    VIEW = "view"
    """Say how the gates of a promotion stand, on its pull request: its own job judges it."""
    RESUME = "resume"
    """Look whether a promotion that waited can go on, because its pull request was reviewed."""
    CLOCK = "clock"
    """Start what is due by the schedules of all environments."""
    SCHEDULED = "scheduled"
    """Run a variation for one data interval, as the clock's dispatch asks for it."""
    DROP = "drop"
    """Remove the kitchen of a branch that is gone."""
    OBEY = "obey"
    """Answer a command in a comment."""
    POST = "post"
    """Read what an untrusted run claims, check it, and show it."""
    REFUSE = "refuse"


@dataclass(frozen=True, slots=True)
class Decision:
    """``reason`` is a sentence for people. ``change``: what to test. ``branch`` of ``repository`` ("" for
    our own): what to run or drop. ``run``: whose results to post."""

    action: Action
    reason: str
    change: Pull | Group | None = None
    branch: str = ""
    repository: str = ""
    environment: str | None = None
    fresh: bool = False
    dataset: str = ""
    comment: Comment | None = None
    command: Command | Unclear | None = None
    run: FinishedRun | None = None
    rev: str = ""
    why: str = ""
    """Of a promotion: the commit that shall move ("" the newest), and the reason that was given."""
    data: str = ""
    """Of a rollback, what of the data comes back; ``hotfix`` of a promotion that is one."""
    dry: bool = False
    """Of a promotion: only say how its gates stand."""
    over: tuple[str, ...] = ()
    """Of a promotion: the open incidents over which it shall land."""
    recipe: str = ""
    variation: str = ""
    interval: Interval | None = None
    """Of a scheduled run."""


TESTED = ("opened", "synchronize", "reopened", "ready_for_review")
REVIEWED = ("approved", "changes_requested", "dismissed")
POSTED = ("pull_request", "pull_request_review", "merge_group", "workflow_dispatch")
"""Events of runs that a poster takes results from: of all others the branch's own job says it all."""


def decide(event: Event, project: Project) -> Decision:
    """What is done about an event. Mistake for a dispatch that names half a pull request."""
    about = event.about
    if event.name == "pull_request_target":
        return _refuse(
            "`pull_request_target` gives a stranger's code our rights: use `pull_request`, whose results "
            "a job of `workflow_run` posts"
        )
    if event.name == "pull_request" and isinstance(about, Pull):
        return _pull(event, about, project)
    if event.name == "pull_request_review" and isinstance(about, Pull):
        return _review(event, about, project)
    if isinstance(about, Group):
        return _group(event, about)
    if isinstance(about, Push):
        return _push(about, project)
    if isinstance(about, Dispatch):
        return _dispatch(event, about, project)
    if isinstance(about, Schedule):
        return _schedule(event, about, project)
    if isinstance(about, Comment):
        return _comment(event, about)
    if isinstance(about, Deletion):
        return _deletion(about.name, project, is_branch=about.is_branch)
    if isinstance(about, FinishedRun):
        return _finished(event, about, project)
    return _ignore(f"nothing is done about events of '{event.name}'")


def _ignore(reason: str) -> Decision:
    return Decision(Action.IGNORE, reason)


def _refuse(reason: str) -> Decision:
    return Decision(Action.REFUSE, reason)


def _is_ours(tip: Tip, event: Event) -> bool:
    return tip.repository.lower() == event.repository.lower()


def _pull(event: Event, pull: Pull, project: Project) -> Decision:
    ours = _is_ours(pull.head, event)
    environment = project.environment_of(pull.head.branch) if ours else None
    name = f"pull request #{pull.number}"
    if event.action == "closed":
        if environment or (ours and is_reserved(pull.head.branch)):
            return _ignore(f"{name} was closed, and '{pull.head.branch}' is no sandbox")
        origin = "" if ours else (pull.head.repository or "deleted/fork")
        ended = "merged" if pull.merged else "closed"
        return Decision(Action.DROP, f"{name} was {ended}", pull, pull.head.branch, origin)
    if event.action == "edited":
        if not pull.base_changed:
            return _ignore(f"{name} was edited, and its base was not")
    elif event.action not in TESTED:
        return _ignore(f"'{event.action}' of {name} changes nothing that is tested")
    return _tested(event, pull, project, f"{name}: {event.action}")


def _review(event: Event, pull: Pull, project: Project) -> Decision:
    """An approval may be what the policy waits for. Nothing is built anew, and the poster judges again."""
    name = f"pull request #{pull.number}"
    if event.action not in ("submitted", "dismissed") or pull.reviewed not in REVIEWED:
        return _ignore(f"a review of {name} that is {event.action or 'no more'} decides nothing")
    if not pull.open:
        return _ignore(f"{name} is closed")
    return _tested(event, pull, project, f"{name} was reviewed: {pull.reviewed.replace('_', ' ')}")


def _tested(event: Event, pull: Pull, project: Project, reason: str, **more: object) -> Decision:
    if _is_ours(pull.head, event):
        environment = project.environment_of(pull.head.branch)
        if environment or is_reserved(pull.head.branch):
            target = promoted_by(pull, project)
            if target:
                reason = (
                    f"pull request #{pull.number} is a promotion to '{target}': its own job proves and "
                    "judges it, and gives the check; nothing is tested here"
                )
                return Decision(Action.VIEW, reason, pull, environment=target)
            what = f"environment '{environment.name}'" if environment else "GitKitchen's own"
            return _refuse(
                f"the head of pull request #{pull.number} is the branch '{pull.head.branch}' of {what}, "
                f"which does not promote to '{pull.base.branch}', and is no sandbox to test it in: propose "
                "the same commits from a branch of their own"
            )
    return Decision(Action.TEST, reason, pull, pull.head.branch, **more)  # type: ignore[arg-type]


def promoted_by(pull: Pull, project: Project) -> str:
    """The environment to which a pull request of our own repository would promote: from the branch of its
    candidates, or from the branch of the environment before it. "" where it does neither."""
    target = project.environment_of(pull.base.branch)
    if target is None or not target.source:
        return ""
    source = project.environment(target.source)
    heads = {CANDIDATES + target.name, source.branch if source is not None else ""}
    return target.name if pull.head.branch in heads else ""


def _group(event: Event, group: Group) -> Decision:
    if event.action != "checks_requested":
        return _ignore(f"'{event.action}' of a merge queue asks for no check")
    return Decision(
        Action.TEST, f"the merge queue of '{group.base.branch}' asks for checks", group, group.head.branch
    )


def _push(push: Push, project: Project) -> Decision:
    branch = push.branch
    if branch is None:
        return _ignore(f"'{push.ref}' is no branch")
    if not push.after:
        return _deletion(branch, project, is_branch=True)
    environment = project.environment_of(branch)
    if environment is None:
        return _ignore(f"'{branch}' is of no environment: its pull request is what is tested")
    how = "was replaced (force-push)" if push.forced else "moved"
    if environment.source:
        reason = f"branch '{branch}' {how}: what stands there is proved before it is published"
        return Decision(Action.ABSORB, reason, branch=branch, environment=environment.name)
    return Decision(Action.RUN, f"branch '{branch}' {how}", branch=branch, environment=environment.name)


def _branch_of(event: Event) -> str:
    return event.ref.removeprefix("refs/heads/") if event.ref.startswith("refs/heads/") else ""


def _dispatch(event: Event, dispatch: Dispatch, project: Project) -> Decision:
    pull = dispatched_pull(event)
    dataset, fresh = dispatch.inputs.get("dataset", ""), dispatch.inputs.get("fresh", "") == "true"
    if pull is not None:
        reason = f"a comment on pull request #{pull.number} asked for it"
        return _tested(event, pull, project, reason, fresh=fresh, dataset=dataset)
    if dispatch.inputs.get("clock") == "true":
        return Decision(Action.CLOCK, "a dispatch asked what is due", branch=_branch_of(event))
    if "interval" in dispatch.inputs:
        return _interval(event, dispatch, project)
    if dispatch.inputs.get("promote"):
        return _promote(event, dispatch, project)
    if dispatch.inputs.get("rollback"):
        return _rollback(event, dispatch, project)
    if {"promote", "rollback"} & set(dispatch.inputs):
        return _refuse("the dispatch names no environment: `promote` or `rollback` does")
    return _run_of_branch(event, project, f"{event.name} on {event.ref or 'no branch'}", fresh=fresh)


def _promote(event: Event, dispatch: Dispatch, project: Project) -> Decision:
    name = dispatch.inputs["promote"]
    environment = project.environment(name)
    if environment is None or not environment.source:
        known = ", ".join(e.name for e in project.environments if e.source) or "none"
        return _refuse(f"nothing promotes to '{name[:60]}'; these take promotions: {known}")
    if event.name != "workflow_dispatch":
        return _refuse(f"a promotion is started by `workflow_dispatch`, and not by '{event.name}'")
    return Decision(
        Action.PROMOTE,
        f"a dispatch asked for the promotion to '{name}'",
        environment=name,
        branch=environment.branch,
        rev=dispatch.inputs.get("from", ""),
        why=dispatch.inputs.get("reason", ""),
        data="hotfix" if dispatch.inputs.get("hotfix") == "true" else "",
        dry=dispatch.inputs.get("dry_run", "") == "true",
        over=tuple(dispatch.inputs.get("over", "").split()),
    )


def _rollback(event: Event, dispatch: Dispatch, project: Project) -> Decision:
    name, data = dispatch.inputs["rollback"], dispatch.inputs.get("data", "") or "restore"
    environment = project.environment(name)
    if environment is None:
        known = ", ".join(e.name for e in project.environments) or "none"
        return _refuse(f"there is no environment '{name[:60]}'; there are: {known}")
    if data not in BACK:
        return _refuse(f"a rollback brings back `data`: {', '.join(BACK)}; not '{data[:60]}'")
    if event.name != "workflow_dispatch":
        return _refuse(f"a rollback is started by `workflow_dispatch`, and not by '{event.name}'")
    return Decision(
        Action.ROLLBACK,
        f"a dispatch asked for a rollback of '{name}'",
        environment=name,
        branch=environment.branch,
        rev=dispatch.inputs.get("to", ""),
        why=dispatch.inputs.get("reason", ""),
        data=data,
    )


def _run_of_branch(event: Event, project: Project, reason: str, *, fresh: bool = False) -> Decision:
    branch = _branch_of(event)
    if not branch or is_reserved(branch) or branch.split("/")[0] == QUEUE:
        return _ignore(f"{event.ref or 'no branch'} is no kitchen")
    environment = project.environment_of(branch)
    named = environment.name if environment else None
    return Decision(Action.RUN, reason, branch=branch, environment=named, fresh=fresh)


def _schedule(event: Event, schedule: Schedule, project: Project) -> Decision:
    branch = _branch_of(event)
    environment = project.environment_of(branch)
    named = environment.name if environment else None
    reason = f"the clock '{schedule.cron}': what is due is started"
    return Decision(Action.CLOCK, reason, branch=branch, environment=named)


def _interval(event: Event, dispatch: Dispatch, project: Project) -> Decision:
    inputs, branch = dispatch.inputs, _branch_of(event)
    environment = project.environment_of(branch)
    if event.name != "workflow_dispatch":
        return _refuse(f"a scheduled run is started by `workflow_dispatch`, and not by '{event.name}'")
    if environment is None:
        return _refuse(f"a scheduled run is of an environment, and '{branch[:80]}' is the branch of none")
    recipe, variation = inputs.get("recipe", ""), inputs.get("variation", "")
    try:
        interval = Interval.read(inputs["interval"])
    except ValueError as error:
        return _refuse(f"'{inputs['interval'][:80]}' is no interval FROM--TO: {error}")
    if not recipe or not variation:
        return _refuse("a scheduled run needs `recipe` and `variation`")
    return Decision(
        Action.SCHEDULED,
        f"{recipe[:64]}.{variation[:64]} is due in {environment.name} for {interval.name}",
        branch=branch,
        environment=environment.name,
        recipe=recipe,
        variation=variation,
        interval=interval,
    )


def _comment(event: Event, comment: Comment) -> Decision:
    if event.action != "created":
        return _ignore(f"a comment that is {event.action} commands nothing")
    if not comment.on_pull:
        return _ignore("the comment is on an issue, and not on a pull request")
    if not comment.by_person:
        return _ignore("the comment is of a bot, an app, or an account that is gone")
    command = parse(comment.body)
    if command is None:
        return _ignore("the comment holds no command")
    return Decision(
        Action.OBEY, f"a command on pull request #{comment.number}", comment=comment, command=command
    )


def _deletion(name: str, project: Project, *, is_branch: bool) -> Decision:
    if not is_branch:
        return _ignore(f"'{name}' is no branch")
    environment = project.environment_of(name)
    if environment is not None:
        return _ignore(f"branch '{name}' of environment '{environment.name}' is gone; its data stays")
    if is_reserved(name):
        return _ignore(f"'{name}' is GitKitchen's own, and no kitchen")
    return Decision(Action.DROP, f"branch '{name}' was deleted", branch=name)


def _finished(event: Event, run: FinishedRun, project: Project) -> Decision:
    if event.action != "completed":
        return _ignore(f"a run that is {event.action} has no results yet")
    if run.event not in POSTED:
        return _ignore(f"a run for '{run.event}' shows its results itself")
    if run.repository and run.repository.lower() != event.repository.lower():
        return _ignore(f"the run is of {run.repository}")
    if run.conclusion == "skipped":
        return _ignore("the run was skipped as a whole")
    name = run.head.branch.removeprefix(CANDIDATES)
    target = project.environment(name) if run.head.branch.startswith(CANDIDATES) else None
    if run.event == "pull_request_review" and target is not None and _is_ours(run.head, event):
        reason = (
            f"the promotion to '{name}' was reviewed: it goes on where nothing stands against it any more"
        )
        return Decision(Action.RESUME, reason, environment=name, run=run)
    return Decision(Action.POST, f"run {run.id} (attempt {run.attempt}) of '{run.event}' ended", run=run)
