"""Ledger, Git and project become one ``Site``. Nothing is written but the cache of what was read."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

from gitkitchen import history
from gitkitchen.data.catalog import stream_of as publications_of
from gitkitchen.data.catalog import time_of_run
from gitkitchen.errors import GitKitchenError, Problem
from gitkitchen.files import read_bounded
from gitkitchen.kitchen.identity import environment_namespace
from gitkitchen.ledger.records import Record
from gitkitchen.ledger.registry import PREFIX
from gitkitchen.model import Environment, PageSettings, Project
from gitkitchen.page.cache import Streams
from gitkitchen.page.shapes import (
    CONTENT,
    EPOCH,
    GONE,
    Alert,
    Contents,
    Excuse,
    KitchenEntry,
    Moved,
    Place,
    Publication,
    RecipeFact,
    Run,
    Said,
    Site,
    Way,
    moment,
)
from gitkitchen.plumbing import Plumbing
from gitkitchen.premises import Premises
from gitkitchen.promote.moves import Course, fold, moves_of
from gitkitchen.promote.shapes import stream_of
from gitkitchen.recipe.waivers import read_waivers, void_anywhere

NOTES = "incidents"
"""The folder of people's notes: ``incidents/<incident>.md``."""
NOTE = 200_000
"""Bytes of a note."""
LOGGED = 2_000
"""Commits of a branch among which what changed between two runs is looked for."""
SHOWN = 50
"""Commits on their way that are listed."""

Columns = Mapping[str, tuple[tuple[str, str], ...]]


def read_site(
    premises: Premises,
    now: datetime,
    *,
    recipes: Callable[[Columns], Sequence[RecipeFact]] = lambda _columns: (),
    columns: Callable[[Mapping[str, str]], Columns] = lambda _entries: {},
    version: str = "",
) -> Site:
    """The site as it is at ``now``. ``recipes`` tells of those that are checked out, given what ``columns``
    finds in the store of the fingerprints that were published last. Infrastructure names a bad record."""
    project, ledger = premises.project, premises.ledger
    settings = project.page or PageSettings()
    streams = Streams(ledger, project.state / "cache" / "page")
    lacks: list[str] = []
    git = Plumbing(premises.repository.root)
    places = tuple(_places(project, streams, git, premises.repository.root, lacks))
    homes = [name for name in ledger.streams("runs") if name.count("/") == 2]
    runs = [
        Run(r.id, r.stream.split("/")[1], r.stream.rsplit("/", 1)[1], r.body)
        for stream in homes
        for r in streams.records(stream, _kept, later=True)
    ]
    published = _published(places)
    found = columns(published)
    written = dict(_written(premises.repository.root, places))
    return Site(
        project=project.name,
        title=settings.title or project.name,
        url=settings.url,
        made=now,
        stale=now + timedelta(seconds=settings.stale_after),
        since=now - timedelta(seconds=settings.recent),
        commit=_head(premises),
        places=places,
        runs=_last_of_each(runs),
        recipes=tuple(recipes(found)),
        kitchens=tuple(_kitchens(ledger.streams(PREFIX), streams)),
        alerts=tuple(a for p in places for a in _alerts(streams, p.name)),
        schedules=tuple(_schedules(ledger.streams("schedules"), streams)),
        waivers=tuple(_waivers(project, now.astimezone(UTC).date(), lacks)),
        notes=dict(_notes(project.root)),
        columns=found,
        log={p.name: _log(premises.repository.root, p.tip or p.live) for p in places},
        written=written,
        lacks=tuple(lacks),
        removed=streams.removed([*homes, *(publications_of(p.namespace) for p in places)]),
        version=version,
    )


# --- runs ----------------------------------------


def _kept(body: Mapping[str, Any]) -> Mapping[str, Any]:
    """A run's record without what nobody is shown."""
    return {k: v for k, v in body.items() if k not in ("built", "outcome", "evidence")}


def _last_of_each(runs: Iterable[Run]) -> tuple[Run, ...]:
    """The oldest first. A run that was resumed has a record for each time that it ended: the last counts."""
    found = {(run.namespace, run.recipe, run.id): run for run in runs}
    return tuple(sorted(found.values(), key=lambda run: (run.started, run.id)))


# --- environments ----------------------------------------


def _places(
    project: Project, streams: Streams, git: Plumbing, root: Path, lacks: list[str]
) -> Iterator[Place]:
    branches = {e.name: _tip(git, e.branch) for e in project.environments}
    courses: dict[str, tuple[Course, tuple[Moved, ...]]] = {}
    for environment in project.environments:
        records = streams.records(stream_of(environment.name))
        moves = tuple(Moved(r.sequence, r.id, m) for r, m in zip(records, moves_of(records), strict=True))
        courses[environment.name] = fold(environment.name, (m.move for m in moves)), moves
    for environment in project.environments:
        course, moves = courses[environment.name]
        tip = branches[environment.name]
        live = course.tip or tip
        namespace = environment_namespace(project, environment)
        yield Place(
            environment,
            namespace,
            course,
            moves,
            tip,
            _subject(root, live),
            _way(project, environment, courses, branches, root, lacks),
            tuple(_publications(streams.records(publications_of(namespace), _moved))),
        )


def _tip(git: Plumbing, branch: str) -> str:
    names = [f"refs/heads/{branch}"]
    if remote := git.remote():
        names.insert(0, f"refs/remotes/{remote}/{branch}")
    found = git.refs(names)
    return next((found[name] for name in names if name in found), "")


def _subject(root: Path, commit: str) -> str:
    try:
        return history.commit_of(root, commit).message.partition("\n")[0] if commit else ""
    except GitKitchenError:
        return ""


def _way(
    project: Project,
    environment: Environment,
    courses: Mapping[str, tuple[Course, tuple[Moved, ...]]],
    branches: Mapping[str, str],
    root: Path,
    lacks: list[str],
) -> Way | None:
    """What the source has landed and this environment has not. None where there is no source, or nothing."""
    source = project.environment(environment.source or "")
    if source is None:
        return None
    here, there = courses[environment.name][0], courses[source.name][0]
    ahead = there.tip or branches[source.name]
    own = here.tip or branches[environment.name]
    if not ahead or (there.tree and there.tree == here.tree) or ahead == own:
        return None
    base = here.last.source if here.last is not None else own
    try:
        commits = list(history.line(root, ahead, below=[b for b in (base, own) if b], most=1_000))
    except GitKitchenError:
        lacks.append(f"Git could not tell what {source.name} has and {environment.name} has not")
        return Way(source.name, known=False)
    return Way(source.name, tuple(commits[:SHOWN]), max(0, len(commits) - SHOWN)) if commits else None


def _publications(records: Iterable[Record]) -> Iterator[Publication]:
    for record in records:
        body = record.body
        if body:
            yield Publication(
                record.sequence,
                body["run"],
                moment(body["at"]) or EPOCH,
                body["recipe"],
                Contents.of(body["names"], body["contents"]),
                body["landing"],
            )


def _moved(body: Mapping[str, Any]) -> Mapping[str, Any]:
    """What a page says of a publication, which is a tenth of its record: when, whose, and of each dataset the
    beginning of its content's digest. Nothing of one that names no datasets."""
    datasets = body.get("datasets")
    if not isinstance(datasets, dict):
        return {}
    kept = {d: v for d, v in datasets.items() if "\n" not in d}  # a line each: a dataset's name has none
    run = str(body.get("run") or "")
    at = moment(body.get("at")) or time_of_run(run) or EPOCH
    return {
        "run": run,
        "at": at.isoformat(),
        "recipe": str(body.get("recipe") or ""),
        "landing": bool(body.get("landing")),
        "names": "\n".join(kept),
        "contents": "\n".join(
            " ".join(str(v.get("content") or "")[:CONTENT].split("\n")) if isinstance(v, dict) else GONE
            for v in kept.values()
        ),
    }


def _published(places: Sequence[Place]) -> dict[str, str]:
    """Dataset -> environment that has it, of those furthest down the road."""
    found: dict[str, str] = {}
    for place in places:
        for names in {q.names for q in place.publications if not q.removes}:
            found |= dict.fromkeys(names, place.name)
        for q in place.publications:
            if q.removes:
                found |= {d: place.name for d, c in q.datasets.items() if c is not None}
    return found


def _written(root: Path, places: Sequence[Place]) -> Iterator[tuple[str, datetime]]:
    """When the commits that landings brought were written; those that are not in this clone are left out."""
    wanted = {landing.source or landing.commit for p in places for landing in p.course.landings}
    tips = [p.live for p in places if p.live]
    for tip in dict.fromkeys(tips):
        try:
            for commit in history.between(root, tip, None):
                if commit.oid in wanted:
                    wanted.discard(commit.oid)
                    yield commit.oid, datetime.fromtimestamp(commit.when, UTC)
        except (GitKitchenError, OverflowError, OSError):
            continue


def _log(root: Path, tip: str) -> tuple[history.Commit, ...]:
    try:
        return tuple(history.line(root, tip, most=LOGGED)) if tip else ()
    except GitKitchenError:
        return ()


def _head(premises: Premises) -> str:
    seen = premises.repository.seen  # not the work tree: a site that is written into it may have many files
    try:
        return seen.commit if seen else history.commit_of(premises.repository.root, "HEAD").oid
    except GitKitchenError:
        return ""


# --- what else the ledger says ----------------------------------------


def _kitchens(names: Iterable[str], streams: Streams) -> Iterator[KitchenEntry]:
    for stream in names:
        body: Mapping[str, Any] = {}
        ended = ""
        for record in streams.records(stream):
            if record.body.get("kind") == "birth":
                body, ended = record.body, ""
            elif record.body.get("kind") == "end":
                ended = str(record.body.get("reason") or "ended")
        branch, repository = str(body.get("branch") or ""), str(body.get("repository") or "")
        environment = str(body.get("environment") or "")
        label = environment or (f"{repository}:{branch}" if repository else branch)
        namespace = stream.partition("/")[2]
        yield KitchenEntry(namespace, label, branch, environment, moment(body.get("at")), ended)


def _alerts(streams: Streams, environment: str) -> Iterator[Alert]:
    """Incidents of the alerts, each folded from its records; what no incident names is passed over."""
    found: dict[str, list[Mapping[str, Any]]] = {}
    for record in streams.records(f"alerts/{environment}"):
        name = record.body.get("incident")
        if isinstance(name, dict):
            name = name.get("id") or name.get("key")
        told = record.body.get("with")  # a message may tell of several
        for one in (name, *(told if isinstance(told, dict) else ())):
            if one:
                found.setdefault(str(one), []).append(record.body)
    for name, bodies in found.items():
        if alert := fold_alert(environment, name, bodies):
            yield alert


def fold_alert(environment: str, name: str, bodies: Sequence[Mapping[str, Any]]) -> Alert | None:
    """An incident from the bodies of its records; None where none opened it."""
    merged: dict[str, Any] = {}
    opened = updated = closed = None
    first_run = last_run = ""
    updates = 0
    told: list[str] = []
    for body in bodies:
        inner = body.get("what")
        flat = {**(inner if isinstance(inner, dict) else {}), **body}
        at = moment(flat.get("at")) or updated or EPOCH
        kind = flat.get("kind")
        if kind == "delivered":
            told.append(str(flat.get("channel") or ""))
            continue
        if kind == "opened":
            opened, closed = opened or at, None
            first_run = first_run or str(flat.get("run") or "")
        elif kind == "closed":
            closed = at
        else:
            updates += 1
        updated = at
        last_run = str(flat.get("run") or "") or last_run
        if kind != "closed":
            merged.update({k: v for k, v in flat.items() if isinstance(v, str) and v})
    if opened is None:
        return None
    about = "/".join(filter(None, (merged.get("node", ""), merged.get("test", "")))) or merged.get(
        "about", ""
    )
    return Alert(
        id=name,
        environment=environment,
        recipe=merged.get("recipe", ""),
        about=about,
        event=merged.get("event", ""),
        severity=merged.get("severity", ""),
        owner=merged.get("owner", ""),
        said=merged.get("said", ""),
        opened=opened,
        updated=updated or opened,
        closed=closed,
        updates=updates,
        run=first_run,
        last=last_run,
        commit=merged.get("commit", ""),
        reproduce=merged.get("reproduce", ""),
        runbook=merged.get("runbook", ""),
        told=tuple(dict.fromkeys(filter(None, told))),
    )


def _schedules(names: Iterable[str], streams: Streams) -> Iterator[Said]:
    for stream in names:
        parts = stream.split("/")
        if len(parts) != 3:
            continue
        recipe, _, variation = parts[2].partition(".")
        for record in streams.records(stream):
            body = record.body
            yield Said(
                parts[1],
                recipe,
                variation,
                str(body.get("kind") or ""),
                moment(body.get("at")) or EPOCH,
                str(body.get("by") or ""),
                str(body.get("reason") or ""),
                _span(body.get("interval")),
            )


def _span(interval: object) -> str:
    """``2026-11-18 05:00 to 06:00``, as UTC; what is no interval as it is written."""
    if not isinstance(interval, list):
        return str(interval or "")
    ends = [end for end in map(moment, interval) if end]
    if len(interval) != 2 or len(ends) != 2:
        return " to ".join(map(str, interval))
    start, end = ends
    form = "%H:%M" if start.date() == end.date() else "%Y-%m-%d %H:%M"
    return f"{start:%Y-%m-%d %H:%M} to {end:{form}}"


# --- what the files say ----------------------------------------


def _waivers(project: Project, today: date, lacks: list[str]) -> Iterator[Excuse]:
    waivers, problems = read_waivers(project)
    lacks += [_sentence(problem) for problem in problems[:5]]
    for w in waivers:
        why = "expired" if today > w.expires else void_anywhere(w, project.policy, today)
        yield Excuse(w.file, w.recipe, w.node, w.rule, w.reason, w.approver, w.expires.isoformat(), why)


def _sentence(problem: Problem) -> str:
    return f"{problem.place}: {problem.message}" if problem.place else problem.message


def _notes(root: Path) -> Iterator[tuple[str, str]]:
    folder = root / NOTES
    if not folder.is_dir() or folder.is_symlink():
        return
    for path in sorted(folder.glob("*.md"))[:10_000]:
        if path.is_file() and not path.is_symlink():
            yield path.stem, read_bounded(path, NOTE).decode("utf-8", "replace")
