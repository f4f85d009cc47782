"""Clearing up a store on another machine, which jobs and laptops use at the same moment.

Nobody can be shut out there, so that removal takes two visits: what nothing refers to is marked, and goes
with a later visit, a grace period on, if nobody said meanwhile that it is needed (data/stores/marks.py). The
zone of a sandbox that ended goes at once: nobody publishes from it any more.
"""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import field
from datetime import datetime
from pathlib import Path

from gitkitchen.data.garbage import Item, References, What, digests_of
from gitkitchen.data.stores.claims import claimed
from gitkitchen.data.stores.contract import TRUSTED, Denied, Remote, Thing, Undeletable
from gitkitchen.data.stores.marks import KEEP, TURN, project_note, read_marks, write_marks
from gitkitchen.data.stores.opening import open_remote
from gitkitchen.data.stores.parallel import each
from gitkitchen.data.stores.sweeping import Judged, judge, sized, whole_zone
from gitkitchen.errors import Conflict, GitKitchenError
from gitkitchen.frozen import dataclass
from gitkitchen.kitchen.stores import parse_store
from gitkitchen.ledger import registry
from gitkitchen.ledger.branch import BranchLedger
from gitkitchen.model import Build
from gitkitchen.premises import Premises

LEASE = "store/gc"
AT_ONCE = 500
"""Things that are removed under one token."""
FEW = 40
"""Things between two looks at the clock."""
WHY = "nothing refers to it"
READ = 64
"""Records of a stream that are read together, from its end."""


@dataclass(slots=True)
class Visit:
    """What a visit removed, or would (``items``); what it marked, or would (``marked``); what it left, and
    why. ``failed``: there was something to be removed, somebody may, and nothing of it could be."""

    items: list[Item] = field(default_factory=list)
    marked: list[Item] = field(default_factory=list)
    left: list[tuple[str, str]] = field(default_factory=list)
    refused: bool = False
    cleared: int = 0
    """Zones in which all was done that was to be done."""

    @property
    def failed(self) -> bool:
        return self.refused and not self.cleared


def visit(
    premises: Premises,
    references: Callable[[], References],
    ending: frozenset[str],
    *,
    now: datetime,
    grace: float,
    keep: float,
    apply: bool,
) -> Visit:
    """Clear up the store of a project, if it is on another machine. ``references``: asked for once the ledger
    is known as it is now. ``ending``: namespaces of sandboxes that
    would be over. Infrastructure where the store or the ledger cannot be asked: then nothing was removed."""
    done = Visit()
    if not parse_store(premises.project.store).remote:
        return done
    remote = open_remote(parse_store(premises.project.store), os.environ)
    _refresh(premises)
    moment = now.timestamp()
    with _alone(premises, done, apply=apply) as may:
        if not may:
            return done
        named = references()
        wanted = References(named.fingerprints | set(_built(premises, moment - keep)), named.digests)
        inventory = remote.inventory()
        for zone, things in inventory.items():
            how = _how(premises, zone, things, ending, done)
            try:
                if how == "whole":
                    _whole(remote, zone, things, done, apply=apply)
                elif how == "garbage":
                    collect_zone(remote, zone, things, wanted, done, now=moment, grace=grace, apply=apply)
                done.cleared += bool(how)
            except Denied as error:
                why = error.problems[0]
                if isinstance(error, Undeletable):  # nobody could: a job that is red for it helps nobody
                    done.left.append((f"zone {zone} of the store", f"{why.message}; {why.hint}"))
                    continue
                done.refused = True
                done.left.append((f"zone {zone} of the store", why.message))
    return done


def clear(premises: Premises, namespace: str) -> str:
    """Remove what a sandbox that ended has on another machine; the reason why that is left, or ""."""
    address = parse_store(premises.project.store)
    if not address.remote:
        return ""
    try:
        remote = open_remote(address, os.environ)
        zone = f"sandbox/{namespace}"
        things = remote.inventory().get(zone, ())
        _whole(remote, zone, things, Visit(), apply=True)
    except GitKitchenError as error:
        return error.problems[0].message
    return ""


@contextmanager
def _alone(premises: Premises, done: Visit, *, apply: bool) -> Iterator[bool]:
    """Whether this visit may write: of two collectors at once, the second leaves the store to the first."""
    if not apply:
        yield True
        return
    with ExitStack() as stack:
        try:
            held = stack.enter_context(premises.ledger.lease(LEASE, f"gc {secrets.token_hex(4)}"))
        except Conflict as error:
            done.left.append(("the store", error.problems[0].message))
            yield False
            return
        if held.withheld:
            done.refused = True
            done.left.append(("the store", held.withheld))
        yield not held.withheld


# --- zones -----------------------------------------------------------------------------------------


def _how(premises: Premises, zone: str, things: Sequence[Thing], ending: frozenset[str], done: Visit) -> str:
    """``whole``: its kitchen is over; ``garbage``: what nothing refers to; "": it is not ours to clear."""
    project = premises.project
    if zone == TRUSTED:
        others = {t.name for t in things if t.name.startswith("project.")} - {project_note(project.id)}
        if project.ledger == "folder":
            done.left.append(
                (f"zone {zone} of the store", "with `ledger: folder` nobody knows who else shows it")
            )
        elif others:
            done.left.append((f"zone {zone} of the store", "another project publishes from it, too"))
        else:
            return "garbage"
        return ""
    space = zone.partition("/")[2]
    entry = registry.registered(premises.ledger, space)
    if entry is None or entry.project != project.id:
        return ""
    if entry.ended or space in ending:
        return "whole"
    return "garbage" if project.ledger == "branch" else ""


def _whole(remote: Remote, zone: str, things: Sequence[Thing], done: Visit, *, apply: bool) -> None:
    if apply:
        ordered = whole_zone(things)
        for part in ("build", "file", "verdict", "note"):
            remote.remove(zone, [t for t in ordered if t.what == part])
    size = sum(t.bytes for t in things)
    path = remote.where(zone, things[0]).rpartition(zone.partition("/")[2])[0] if things else ""
    if things:
        address = f"{path}{zone.partition('/')[2]}"
        done.items.append(Item("zone", Path(zone), size, f"{zone}: its kitchen ended", address))


def collect_zone(
    remote: Remote,
    zone: str,
    things: Sequence[Thing],
    references: References,
    done: Visit,
    *,
    now: float,
    grace: float,
    apply: bool,
) -> None:
    marks = read_marks(remote, zone)
    builds = _builds(remote, zone, things)
    judged = judge(things, builds, references, marks, now=now, grace=grace)
    done.marked += _items(
        remote, zone, judged.waiting, builds, "marked: it goes when the grace period is over"
    )
    if not apply:
        done.items += _items(remote, zone, judged.due, builds, WHY)
        return
    if judged.marks or marks.marked or judged.spent:
        write_marks(remote, zone, judged.marks)
    if judged.due:
        gone = _take(remote, zone, judged, done, builds)
        write_marks(remote, zone, {n: moment for n, moment in judged.marks.items() if n not in gone})
    # Only now: a note that was heeded is spent once the marks that are read do not name it any more.
    remote.remove(zone, judged.spent)


def _take(
    remote: Remote, zone: str, judged: Judged, done: Visit, builds: Mapping[str, Build | None]
) -> set[str]:
    """Remove what is due, some at a time, but for what somebody needs after all. Returns the names."""
    gone: set[str] = set()
    for what in ("build", "file"):
        due = [t for t in judged.due if t.what == what]
        # A build that stands, for whatever reason, keeps its files.
        standing = {d for n, b in builds.items() if b and n not in gone for d in digests_of(b)}
        for start in range(0, len(due), AT_ONCE):
            part = due[start : start + AT_ONCE]
            begun = time.monotonic()
            write_marks(remote, zone, judged.marks, {t.name for t in part})
            kept = {n.removeprefix(KEEP) for n in remote.notes(zone) if n.startswith(KEEP)}
            spared = kept | (standing if what == "file" else set())
            part = [t for t in part if t.name not in spared]
            for few in (part[n : n + FEW] for n in range(0, len(part), FEW)):
                if time.monotonic() - begun > TURN / 2:
                    break  # the store is slow: who waits for us need not wait longer than was promised
                remote.remove(zone, few)
                gone |= {t.name for t in few}
                done.items += _items(remote, zone, few, builds, WHY)
    return gone


def _builds(remote: Remote, zone: str, things: Sequence[Thing]) -> dict[str, Build | None]:
    found: dict[str, Build | None] = {}

    def read(name: str) -> None:
        found[name] = claimed(remote.build(zone, name), name)

    each(read, sorted({t.name for t in things if t.what == "build"}))
    return found


def _items(
    remote: Remote, zone: str, things: Sequence[Thing], builds: Mapping[str, Build | None], why: str
) -> Iterator[Item]:
    for thing, size in zip(things, sized(things, builds, frozenset()), strict=True):
        what: What = "build" if thing.what == "build" else "file"
        yield Item(what, Path(zone), size, why, remote.where(zone, thing))


# --- references ------------------------------------------------------------------------------------


def _refresh(premises: Premises) -> None:
    """See the ledger as it is now. Unreachable where its remote does not answer: an old state will not do."""
    if isinstance(premises.ledger, BranchLedger):
        premises.ledger.refresh()


def _built(premises: Premises, since: float) -> Iterator[str]:
    """The fingerprints of what runs of living kitchens built lately, whoever ran them and wherever, and the
    newest of each recipe at any time."""
    entries = {e.namespace: e for e in registry.everything(premises.ledger)}
    for stream in premises.ledger.streams("runs"):
        entry = entries.get(stream.split("/")[1])
        if entry is not None and entry.ended:
            continue
        newest = head = premises.ledger.head(stream)
        while head > 0:
            begin = max(head - READ, 0)
            records = [r for r in premises.ledger.read(stream, after=begin) if r.sequence <= head]
            for record in records:
                if record.sequence != newest and _ended(record.body) < since:
                    continue
                built = record.body.get("built")
                for value in built.values() if isinstance(built, Mapping) else ():
                    if isinstance(value, Mapping) and isinstance(value.get("fingerprint"), str):
                        yield value["fingerprint"]
            if not records or _ended(records[0].body) < since:
                break
            head = begin


def _ended(body: Mapping[str, object]) -> float:
    """When a run ended; now where its record does not say."""
    try:
        return datetime.fromisoformat(str(body.get("finished"))).timestamp()
    except ValueError:
        return float("inf")
