"""What of a remote store's zone may go now, and what is only marked: see data/stores/marks.py. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from gitkitchen.data.garbage import Found, References, digests_of, free_of_charge, split
from gitkitchen.data.stores.contract import Thing
from gitkitchen.data.stores.marks import KEEP, NAME, Marks
from gitkitchen.frozen import dataclass
from gitkitchen.model import Build


@dataclass(frozen=True, slots=True)
class Judged:
    """``due``: what may be removed, builds before files. ``marks``: what is marked from now on, with those
    that are due. ``waiting``: marked things that are not due yet. ``spent``: notes that were heeded."""

    due: tuple[Thing, ...]
    waiting: tuple[Thing, ...]
    marks: Mapping[str, float]
    spent: tuple[Thing, ...]


def judge(
    things: Sequence[Thing],
    builds: Mapping[str, Build | None],
    references: References,
    marks: Marks,
    *,
    now: float,
    grace: float,
) -> Judged:
    """``builds``: each build that ``things`` name, None where it cannot be read. Seconds since 1970, seconds.

    A thing is garbage where nothing refers to it, and due where it was marked ``grace`` ago and not written
    since. A file stays as long as any build stays that names it.
    """
    spent = tuple(t for t in things if t.what == "note" and t.name.startswith(KEEP))
    kept_names = {t.name.removeprefix(KEEP) for t in spent}
    wanted = References(references.fingerprints | kept_names, references.digests | kept_names)
    changed = {t.name: t.changed or 0.0 for t in things if t.what == "build"}
    # Whatever was written lately is marked all the same: it is the mark that must grow old.
    found = [Found(f"{name}.json", "", 0, changed.get(name, 0.0), build) for name, build in builds.items()]
    kept, loose = split(found, wanted, float("inf"))
    live = {d for entry in kept if entry.build for d in digests_of(entry.build)} | wanted.digests
    free = free_of_charge(loose, live)
    gone = {entry.name for entry in loose if entry.path not in free}
    blind = any(entry.build is None for entry in kept)  # which files it needs is not known: all stay
    garbage = [t for t in things if t.what == "build" and t.name in gone]
    garbage += [t for t in things if t.what == "file" and t.name not in live and not blind]
    since = {t.name: _since(t, marks, now) for t in garbage}
    old = marks.marked
    ripe = {name for name, moment in since.items() if moment == old.get(name) and now - moment >= grace}
    staying = {d for name, b in builds.items() if b and name not in ripe for d in digests_of(b)}
    due = [t for t in garbage if t.name in ripe and (t.what == "build" or t.name not in staying)]
    names = {t.place for t in due}
    waiting = tuple(t for t in garbage if t.place not in names)
    return Judged(tuple(due), waiting, since, spent)


def whole_zone(things: Sequence[Thing]) -> tuple[Thing, ...]:
    """All of a zone whose kitchen ended, in the order in which it goes: builds, files, the rest, marks."""
    order = {"build": 0, "file": 1, "verdict": 2, "note": 3}
    return tuple(sorted(things, key=lambda t: (order[t.what], t.name == NAME)))


def sized(due: Sequence[Thing], builds: Mapping[str, Build | None], live: frozenset[str]) -> Iterator[int]:
    """The bytes that each thing frees: of a build in a registry, those of files that only it has."""
    counted = set(live)
    for thing in due:
        build = builds.get(thing.name)
        if thing.what != "build" or thing.bytes or build is None:
            yield thing.bytes
            continue
        files = {f.digest: f.bytes for v in build.versions.values() for f in v.files}
        yield sum(size for digest, size in files.items() if digest not in counted)
        counted |= files.keys()


def _since(thing: Thing, marks: Marks, now: float) -> float:
    """When a thing was marked: now, where it was not, or was written again since."""
    moment = marks.marked.get(thing.name)
    return now if moment is None or (thing.changed or 0.0) > moment else moment
