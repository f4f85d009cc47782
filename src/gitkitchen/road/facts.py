"""The facts that gates judge, gathered from the ledger, from Git, from the proof and from the forge.

Nothing is judged here, and nothing that fails ends the gathering: what cannot be read is an ``Unread``, and
its gate is unknown. Order is the ledger's and Git's; a time is only asked for how long something stood.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import field, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from gitkitchen import history
from gitkitchen.data.diff_model import SchemaChange
from gitkitchen.data.diff_schema import schema_changes
from gitkitchen.errors import GitKitchenError, Mistake
from gitkitchen.frozen import dataclass
from gitkitchen.github.trouble import Trouble
from gitkitchen.holdings import version_finder
from gitkitchen.kitchen.authority import EVENTS
from gitkitchen.kitchen.identity import environment_namespace
from gitkitchen.model import Environment, Gate, Verdict
from gitkitchen.promote import policy
from gitkitchen.promote.changes import at as placed
from gitkitchen.promote.gates import ballot
from gitkitchen.promote.gates.case import Case
from gitkitchen.promote.gates.facts import Break, Facts, Hotfix, Source, SourceRun, Unread
from gitkitchen.promote.moves import KINDS, Course, moves_of
from gitkitchen.promote.owners import Review, owners
from gitkitchen.promote.shapes import Incident, Intent, Landing, stream_of
from gitkitchen.road.asking import names_of, with_earlier
from gitkitchen.road.commanding import run_commands
from gitkitchen.road.ground import Ground, environment_named
from gitkitchen.road.hotfix import backport_branch, people_merge_into
from gitkitchen.road.looking import Stretch
from gitkitchen.road.proving import Proof
from gitkitchen.road.reviewing import unread, with_forge, without_forge

if TYPE_CHECKING:
    from gitkitchen.github.api import Client
    from gitkitchen.workplace import Workplace

T = TypeVar("T")
UNBUILT = Unread("the candidate is not built yet")
PUBLISHED = frozenset({"published", "unchanged"})
_URL = re.compile(r"https?://[A-Za-z0-9.:-]{1,200}/[A-Za-z0-9._-]{1,100}/[A-Za-z0-9._-]{1,100}/pull/\d+")
LATELY = timedelta(days=14)
"""What ran by a schedule so long ago is expected to run again."""
LOOKED_BACK = 64
"""So many records of a recipe's runs are looked at first, and four times as many where that is too few."""
MOST_RUNS = 4096
"""So many, at most, where nobody recorded since when the tree stands there."""


@dataclass(frozen=True, slots=True)
class Sources:
    """Where facts come from beyond the repository and its ledger. ``client`` is the forge, or why there is
    none; ``environ`` that of the job, which says who asked."""

    client: Client | Unread
    environ: Mapping[str, str] = field(default_factory=dict)
    pulls: Client | None = None
    """The forge of the job, also where nobody is asked anything here: for what is only told."""


def sources_of(
    ground: Ground, stretch: Stretch, environ: Mapping[str, str], client: Client | None = None
) -> Sources:
    """The forge (through ``client``, else the job's) is asked where the repository's branches are a remote's,
    and something here waits for people.
    """
    if not _asks_people(stretch):
        return Sources(Unread("nobody is asked here"), environ, client)
    if client is not None:
        return Sources(client, environ, client)
    if ground.remote is None or not environ.get("GITHUB_TOKEN"):
        return Sources(without_forge(ground.project.ledger), environ)
    from gitkitchen.github.api import Client

    try:
        made = Client.of_job(environ)
        return Sources(made, environ, made)
    except Mistake as error:  # PyGithub is missing, or the job's environment is not whole
        return Sources(unread(error), environ)


def _asks_people(stretch: Stretch) -> bool:
    if stretch.intent is Intent.ROLLBACK:
        return False
    gate, project = stretch.environment.gate, stretch.ruling.project
    rules = [rule for rule in (gate, gate.hotfix) if rule is not None]
    people = any(r.approvals is not None or (r.contract is not None and r.contract.by) for r in rules)
    return people or (project is not None and project.policy is not None)


def gathered(
    known: Facts,
    at: datetime,
    *,
    ground: Ground,
    stretch: Stretch,
    course: Course,
    proof: Proof | None,
    sources: Sources,
) -> Facts:
    """The facts with all that is not in the proof and the course alone. ``course``: of the target, as the
    ledger was read last."""
    facts = replace(
        known,
        hotfixes=_read(lambda: _brought(ground, _hotfixes(ground, stretch, course), sources)),
        dispatchers=_dispatchers(sources.environ, ground, stretch),
        reviews=sources.client if isinstance(sources.client, Unread) else (),
        commits=sources.client if isinstance(sources.client, Unread) else (),
        owners=_read(lambda: _owners(ground, stretch)),
        commands=proof.commands if proof is not None else (),
        breaks=_owned(stretch, proof.breaks) if proof is not None else UNBUILT,
    )
    source = stretch.source
    if source is not None:
        previous = _read(lambda: source_of(ground, source, stretch.tree, at))
        facts = replace(facts, source=source.name, previous=previous)
    if stretch.intent is Intent.ROLLBACK and not isinstance(facts.evidence, Unread):
        then = tuple(e for landing in course.stood_on(stretch.tree) for e in landing.evidence)
        facts = replace(facts, evidence=(*then, *facts.evidence))
    if not isinstance(sources.client, Unread):
        with sources.client as client:
            facts = with_forge(facts, ground, stretch, client, _names(stretch, facts))
        facts = _with_changes(facts, stretch, at)
    return facts


def _owned(stretch: Stretch, found: tuple[Break, ...] | Unread) -> tuple[Break, ...] | Unread:
    """Breaks with the owners of their recipes' files."""
    if isinstance(found, Unread):
        return found
    paths = [placed(stretch.reading.folder, b.file) for b in found]
    return tuple(
        replace(b, owners=owners(stretch.ruling.texts, p)) for b, p in zip(found, paths, strict=True)
    )


def _read(question: Callable[[], T]) -> T | Unread:
    try:
        return question()
    except GitKitchenError as error:
        return unread(error)


def _with_changes(facts: Facts, stretch: Stretch, at: datetime) -> Facts:
    """What the tree changes of what judges it: somebody whom the target's policy names must allow it.

    Asked where there is a forge at which anybody could: without one, whoever has the folder decides.
    """
    if stretch.ruling.problems or isinstance(facts.findings, Unread):
        return facts
    judgement = policy.judge_changes(
        policy.Case(
            target=stretch.ruling,
            head=stretch.reading,
            head_sha=stretch.candidate,
            outcomes=(),
            today=at.astimezone(UTC).date(),
            environment=facts.environment,
            reviews=_approving(facts, stretch, at),
        )
    )
    return replace(facts, findings=tuple(dict.fromkeys([*facts.findings, *judgement.findings])))


def _approving(facts: Facts, stretch: Stretch, at: datetime) -> tuple[Review, ...]:
    """The approvals that count for this tree, as the policy of pull requests reads them."""
    if isinstance(facts.reviews, Unread):
        return ()
    counted = ballot.count(Case(stretch.environment.gate, facts, at, stretch.intent), facts.reviews)
    if counted.nameless or counted.objecting:
        return ()
    return tuple(
        Review(login, stretch.candidate, "APPROVED", tuple(_teams_of(facts, login)))
        for login in counted.certain
    )


def _teams_of(facts: Facts, login: str) -> Iterator[str]:
    for team, members in facts.teams.items():
        if not isinstance(members, Unread) and login.lower() in members:
            yield team


# --- the candidate -----------------------------------------------------------------------------------


def seen(proof: Proof, place: Workplace, gate: Gate, root: Path, environ: Mapping[str, str]) -> Proof:
    """The proof with what its gate asks of the candidate beyond its recipes: columns, and commands run in
    ``root``. ``place``: the target's kitchen."""
    rules = [rule for rule in (gate, gate.hotfix) if rule is not None]
    if any(rule.contract is not None for rule in rules):
        proof = replace(proof, breaks=_read(lambda: breaks(place, proof)))
    commands = {command.name: command for rule in reversed(rules) for command in rule.commands}
    if proof.patch is None or not commands:  # what failed already need not be looked at further
        return proof
    return replace(proof, commands=run_commands(tuple(commands.values()), root, proof.tree, environ))


def breaks(place: Workplace, proof: Proof) -> tuple[Break, ...]:
    """How the columns of published datasets change, and which datasets go. Infrastructure where a published
    version cannot be read."""
    catalog = place.catalog()
    find = version_finder(place.store, catalog)
    made = {d: v for b in proof.builds for d, v in b.versions.items()}
    patch = proof.patch if proof.patch is not None else {}
    found: list[Break] = []
    for dataset, entry in sorted(catalog.entries.items()):
        file = f"recipes/{entry.recipe}/recipe.yml"
        if dataset in patch and patch[dataset] is None:
            found.append(Break(dataset, "the dataset is removed", file=file))
            continue
        new = made.get(dataset)
        if new is None or new.fingerprint == entry.fingerprint:
            continue
        old = find(dataset)
        if old is None:
            found.append(Break(dataset, "its published version is not in the store to compare", file=file))
            continue
        for change in schema_changes(old.columns, new.columns, {}):
            if change.kind != "moved":
                found.append(Break(dataset, _words(change), breaking=change.breaking, file=file))
    return tuple(found)


def _words(change: SchemaChange) -> str:
    types = f" ({change.was} -> {change.now})" if change.was and change.now else ""
    return f"column {change.column} is {change.kind}{types}"


# --- the ledger --------------------------------------------------------------------------------------


def source_of(ground: Ground, source: Environment, tree: str, at: datetime) -> Source:
    """The environment before: when the tree stood there, what was run on it, what is wrong there."""
    moves = tuple(moves_of(ground.ledger.read(stream_of(source.name))))
    course = ground.course(source.name)
    stood = _stood(course, tree) if course.landings else ()
    since = min((start for start, _ in stood), default=at) if course.landings else None
    runs = tuple(_runs(ground, source, tree, at, since))
    tip = ground.tip(source.branch)
    if not course.landings:
        stood = _stood_unrecorded(ground, tip, tree, runs, at)
    return Source(
        environment=source.name,
        tree=history.commit_of(ground.folder, tip).tree if tip else "",
        stood=stood,
        runs=runs,
        scheduled=_scheduled(runs, tree, at),
        trouble=course.broken,
        incidents=tuple(m.at for m in moves if isinstance(m, Incident) and not m.closed and _hurts(m)),
    )


def _hurts(incident: Incident) -> bool:
    return incident.kind == "rollback" or KINDS.get(incident.kind, True)


def _stood(course: Course, tree: str) -> tuple[tuple[datetime, datetime | None], ...]:
    ends: tuple[datetime | None, ...] = (*course.since[1:], None)
    return tuple(
        (start, end)
        for landing, start, end in zip(course.landings, course.since, ends, strict=True)
        if landing.tree == tree
    )


def _stood_unrecorded(
    ground: Ground, tip: str, tree: str, runs: tuple[SourceRun, ...], at: datetime
) -> tuple[tuple[datetime, datetime | None], ...]:
    """Of an environment that nothing was promoted to: its branch's first parents say what stood there, and
    the ledger's runs since when. A commit's own time is whatever its author's clock said."""
    trees = history.trees(ground.folder, tip, 1000) if tip else ()
    if tree not in trees:
        return ()
    first = min((r.at for r in runs if r.tree == tree), default=None)
    if first is None:
        return ((at, None if trees[0] == tree else at),)
    if trees[0] == tree:
        return ((first, None),)
    after = min((r.at for r in runs if r.at > first and r.tree != tree), default=first)
    return ((first, after),)


def _runs(
    ground: Ground, source: Environment, tree: str, at: datetime, since: datetime | None
) -> list[SourceRun]:
    """The runs of an environment, oldest first, as far back as anything is asked of them: what ran lately,
    and all on ``tree`` ``since`` it landed there first; None: nobody recorded when, and as far as runs on it
    reach. Where the ledger is a branch those of jobs."""
    namespace = environment_namespace(ground.project, source)
    lately = min(at, since or at) - LATELY  # so that clocks may differ
    found: list[SourceRun] = []
    for stream in ground.ledger.streams(f"runs/{namespace}/"):
        head, back = ground.ledger.head(stream), LOOKED_BACK
        while True:
            bodies = [record.body for record in ground.ledger.read(stream, max(head - back, 0))]
            runs = [_run(body, jobs_only=ground.project.ledger == "branch") for body in bodies]
            older = [run for run in runs[: back // 2] if run is not None]
            enough = bool(older) and all(run.at < lately for run in older)
            if since is None and back < MOST_RUNS:
                enough &= all(run.tree != tree for run in older) and any(r and r.tree == tree for r in runs)
            if enough or back >= head:
                break
            back *= 4
        found += [run for run in runs if run is not None]
    return sorted(found, key=lambda run: run.at)


def _run(body: Mapping[str, Any], *, jobs_only: bool) -> SourceRun | None:
    subject, publication = body.get("subject") or {}, body.get("publication") or {}
    event, verdict = str(body.get("event", "")), str(body.get("verdict", ""))
    if subject.get("dirty") or "candidate" in body or (jobs_only and event not in EVENTS):
        return None
    if verdict == Verdict.PASSED.value and publication.get("state") not in PUBLISHED:
        return None  # green, and not what its readers got
    try:
        at = datetime.fromisoformat(str(body["finished"]))
        run, recipe = str(body["run"]), str(body["recipe"])
    except (KeyError, ValueError):
        return None
    scheduled = event == "schedule" or bool(body.get("interval"))
    return SourceRun(recipe, body.get("variation"), str(subject.get("tree", "")), run, at, verdict, scheduled)


def _scheduled(runs: tuple[SourceRun, ...], tree: str, at: datetime) -> tuple[str, ...]:
    """What runs by a schedule there: what did on this tree, or lately on any."""
    since = at - LATELY
    own = [r for r in runs if r.scheduled and (r.tree == tree or r.at >= since)]
    return tuple(sorted({f"{r.recipe}:{r.variation}" if r.variation else r.recipe for r in own}))


def _hotfixes(ground: Ground, stretch: Stretch, course: Course) -> tuple[Hotfix, ...]:
    """The hotfixes since the last forward landing: what came before had to be in that one."""
    last = max((n for n, l in enumerate(course.landings) if l.intent is Intent.FORWARD), default=-1)  # noqa: E741
    found = []
    for landing in course.landings[last + 1 :]:
        if landing.intent is Intent.HOTFIX:
            contained = _read(partial(_contains, ground, stretch, landing))
            found.append(
                Hotfix(landing.commit, contained, landing.at, landing.reason, environment=landing.environment)
            )
    return tuple(found)


def _brought(ground: Ground, hotfixes: tuple[Hotfix, ...], sources: Sources) -> tuple[Hotfix, ...]:
    """Hotfixes, and of each that is not in yet what brings it back, as far as that can be told. It decides
    nothing."""
    return tuple(h if h.contained is not False else _with_backport(ground, h, sources) for h in hotfixes)


def _with_backport(ground: Ground, hotfix: Hotfix, sources: Sources) -> Hotfix:
    into = people_merge_into(ground, environment_named(ground.project, hotfix.environment))
    branch = backport_branch(hotfix.environment, hotfix.commit)
    if into is None or not ground.tip(branch):
        return hotfix
    hotfix, pull = replace(hotfix, branch=branch), None
    if sources.pulls is not None:
        with suppress(Trouble), sources.pulls as client:
            pull = client.pull_between(branch, into.branch)
    if pull is None:
        return hotfix
    server, name = sources.environ.get("GITHUB_SERVER_URL", ""), sources.environ.get("GITHUB_REPOSITORY", "")
    url = f"{server}/{name}/pull/{pull.number}"
    return replace(hotfix, pull=pull.number, url=url if _URL.fullmatch(url) else "")


def _contains(ground: Ground, stretch: Stretch, landing: Landing) -> bool:
    """Whether what is promoted has a hotfix: every change that it made, or its commits, in a line of commits
    that hand their content on."""
    if landing.before and history.has_change(ground.folder, stretch.head, landing.before, landing.commit):
        return True
    wanted = {oid for oid in (landing.source, landing.commit) if oid}
    return history.comes_from(ground.folder, stretch.head, wanted, landing.before)


# --- people ------------------------------------------------------------------------------------------


def _dispatchers(environ: Mapping[str, str], ground: Ground, stretch: Stretch) -> tuple[str, ...] | Unread:
    names = names_of(environ)
    if environ.get("GITHUB_ACTIONS") == "true" and names:
        return _read(lambda: with_earlier(names, ground.ledger, stretch.environment.name, stretch.tree))
    return Unread("only a job of GitHub Actions knows which account asked")


def _owners(ground: Ground, stretch: Stretch) -> dict[str, tuple[str, ...]]:
    """Each file that the landing changes with its owners by the target's CODEOWNERS."""
    if not stretch.base:
        return {}
    names = history.changed(ground.folder, stretch.base, stretch.tree)
    return {name: owners(stretch.ruling.texts, name) for name in names}


def _names(stretch: Stretch, facts: Facts) -> list[str]:
    """Everybody who may allow something here, by name."""
    found: list[str] = []
    gate = stretch.environment.gate
    for rule in (gate, gate.hotfix):
        if rule is not None and rule.approvals is not None:
            found += rule.approvals.teams
        if rule is not None and rule.contract is not None:
            found += rule.contract.by
    project = stretch.ruling.project
    if project is not None and project.policy is not None:
        found += project.policy.changes_by
        found += project.policy.waivers.by if project.policy.waivers is not None else ()
    if not isinstance(facts.owners, Unread):
        found += [name for by in facts.owners.values() for name in by]
    if not isinstance(facts.breaks, Unread):
        found += [name for change in facts.breaks for name in change.owners]
    return list(dict.fromkeys(found))
