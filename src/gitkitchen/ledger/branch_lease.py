"""Leases on the ledger's branch: one file each, changed by compare-and-swap like everything there.

What is written under a lease is refused, in the same compare-and-swap, once the lease has another fence:
nothing that is wrong with anybody's clock lets a stale holder write. Clocks decide only how long one
waits for a dead holder: until its own time of expiry plus ``SKEW``, or until this clone has seen the same
unrenewed lease for its whole length by its own clock, whichever comes first.
"""

from __future__ import annotations

import json
import secrets
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from gitkitchen.answers import Unreachable
from gitkitchen.errors import GitKitchenError
from gitkitchen.files import canonical, digest_bytes, write_atomic
from gitkitchen.frozen import dataclass
from gitkitchen.ledger.committing import NotWon
from gitkitchen.ledger.layout import View, lease_file
from gitkitchen.ledger.lease import LeaseLost, in_use, lease, lost, machine, started
from gitkitchen.ledger.protocol import Held, Unwritten

if TYPE_CHECKING:
    from gitkitchen.ledger.branch import BranchLedger

SECONDS = 900.0
"""A renewal is a push, and hosts ask for few of them: a third of this lies between two."""
LOCAL_SECONDS = 60.0
SKEW = timedelta(minutes=2)


@dataclass(frozen=True, slots=True)
class Local:
    """Who publishes nothing: held among the commands of this clone, unknown to others."""

    inner: Held
    withheld: str = ""
    fence: int = 0

    def check(self) -> None:
        self.inner.check()

    def renew(self) -> None:
        self.inner.renew()


@dataclass(frozen=True, slots=True)
class BranchLease:
    """A lease while it is held. ``mark`` tells this holder from all others."""

    ledger: BranchLedger
    name: str
    holder: str
    fence: int
    mark: str
    seconds: float
    withheld: str = ""

    def check(self) -> None:
        """Raise LeaseLost where the branch, as it was seen last, names another holder."""
        self.guard(self.ledger.view())

    def renew(self) -> None:
        """Give it its full time again, by a commit on the branch: what was pushed before and has not arrived
        by now compares an older tip, and is refused."""
        try:
            self.ledger.commit([], self.renewed)
        except Unreachable as error:
            raise Unwritten(*error.problems) from error

    def guard(self, view: View) -> Mapping[str, bytes | None]:
        """The condition of everything that is written under this lease."""
        current = _read(view, self.name)
        if current.get("mark") != self.mark or current.get("released"):
            raise lost(self.name, self.holder, str(current.get("holder", "someone else")))
        return {}

    def ending(self, view: View) -> Mapping[str, bytes | None]:
        """The condition of the last that is written under this lease, which is given back with it."""
        self.guard(view)
        return {lease_file(self.name): self._file(released=True)}

    def renewed(self, view: View) -> Mapping[str, bytes | None]:
        """The lease with its full time again."""
        self.guard(view)
        return {lease_file(self.name): self._file()}

    def given_back(self, view: View) -> Mapping[str, bytes | None]:
        """The lease, free for the next; nothing where it is not ours any more."""
        current = _read(view, self.name)
        ours = current.get("mark") == self.mark and not current.get("released")
        return {lease_file(self.name): self._file(released=True)} if ours else {}

    def _file(self, *, released: bool = False) -> bytes:
        return _document(self, self.ledger.clock() + timedelta(seconds=self.seconds), released=released)


@dataclass(slots=True)
class LateLease:
    """A lease that was free when its holder looked, and is not on the branch before its first renewal.

    What is written under it until then is refused, in the same compare-and-swap, if anybody has taken the
    lease since. Its fence is the one of the holder before: two that were late at once are told apart by what
    they publish (``data/catalog.py``), of which the second sees the first.
    """

    ledger: BranchLedger
    name: str
    holder: str
    before: int
    seconds: float
    withheld: str = ""
    taken: BranchLease | None = field(default=None)

    @property
    def fence(self) -> int:
        return self.taken.fence if self.taken else self.before

    def check(self) -> None:
        self.guard(self.ledger.view())

    def renew(self) -> None:
        """Take it, or give it its full time again: see BranchLease."""
        if self.taken:
            self.taken.renew()
            return
        try:
            self.taken = _acquire(self.ledger, self.name, self.holder, self.seconds, after=self.before)
        except Unreachable as error:
            raise Unwritten(*error.problems) from error

    def guard(self, view: View) -> Mapping[str, bytes | None]:
        """The condition of everything that is written under this lease."""
        if self.taken:
            return self.taken.guard(view)
        _refuse_other(view, self.name, self.holder, self.before)
        return {}

    def ending(self, view: View) -> Mapping[str, bytes | None]:
        return self.taken.ending(view) if self.taken else self.guard(view)

    def given_back(self, view: View) -> Mapping[str, bytes | None]:
        return self.taken.given_back(view) if self.taken else {}


@contextmanager
def hold(
    ledger: BranchLedger, name: str, holder: str, seconds: float | None, *, publishes: bool, late: bool
) -> Iterator[Held]:
    """The lease for the length of a block; at its end it is given back with what waits, in one push.

    ``late``: it is taken with the first renewal, if the block lasts so long. Where the remote cannot be
    reached or written, the block runs under a lease that publishes nothing.
    """
    lease_file(name)
    with lease(ledger.state / "ledger", name, holder=holder, seconds=LOCAL_SECONDS) as local:
        if not publishes:
            try:
                yield Local(local)
            finally:
                ledger.settle()
            return
        try:
            held = (_look if late else _acquire)(ledger, name, holder, seconds or SECONDS)
        except (Unreachable, NotWon) as error:
            try:
                yield Local(local, withheld=error.problems[0].message)
            finally:
                ledger.settle()
            return
        with _renewals(held):
            yield held
        # Not in a `finally` of its own: `_renewals` gives it back also when the block fails.


@contextmanager
def _renewals(held: BranchLease | LateLease) -> Iterator[None]:
    stop = threading.Event()
    thread = threading.Thread(target=_beat, args=(held, stop), name=f"lease {held.name}", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
        held.ledger.settle(held.given_back)


def _beat(held: BranchLease | LateLease, stop: threading.Event) -> None:
    while not stop.wait(held.seconds / 3):
        try:
            held.renew()
        except LeaseLost:
            return  # the holder learns it when it writes
        except GitKitchenError:
            continue  # the next beat may succeed; otherwise it expires


def _look(ledger: BranchLedger, name: str, holder: str, seconds: float) -> BranchLease | LateLease:
    """The lease, not on the branch where it is free: then nobody is told. One that its holder left behind is
    taken from it at once. Unreachable where the remote does not answer."""
    current = _read(ledger.now(), name)
    if current and not current.get("released"):
        return _acquire(ledger, name, holder, seconds)
    return LateLease(ledger, name, holder, _number(current), seconds)


def _refuse_other(view: View, name: str, holder: str, before: int) -> None:
    """Raise LeaseLost where anybody has taken a lease that was free after fence ``before``."""
    current = _read(view, name)
    if _number(current) != before or (current and not current.get("released")):
        raise lost(name, holder, str(current.get("holder", "someone else")))


def _acquire(
    ledger: BranchLedger, name: str, holder: str, seconds: float, *, after: int | None = None
) -> BranchLease:
    """Take the lease. ``after``: LeaseLost where it is not as free as it was behind that fence."""
    mark = secrets.token_hex(8)
    taken: list[BranchLease] = []

    def take(view: View) -> Mapping[str, bytes | None]:
        current = _read(view, name)
        fence = _number(current)
        if current.get("mark") == mark:  # a push whose answer was lost has arrived
            taken[:] = [BranchLease(ledger, name, holder, fence, mark, seconds)]
            return {}
        if after is not None:
            _refuse_other(view, name, holder, after)
        if not _free(ledger, name, current):
            raise in_use(name, current)
        mine = BranchLease(ledger, name, holder, fence + 1, mark, seconds)
        taken[:] = [mine]
        return {lease_file(name): mine._file()}

    ledger.commit([], take)
    return taken[0]


def _free(ledger: BranchLedger, name: str, current: Mapping[str, Any]) -> bool:
    """Whether a lease with this state may be taken."""
    if not current or current.get("released"):
        return True
    now = ledger.clock()
    try:
        process = current["process"]
        if process["machine"] == _machine() and started(int(process["pid"])) != process["started"]:
            return True
        if datetime.fromisoformat(current["expires"]) + SKEW <= now:
            return True
        length = float(current["seconds"])
    except (KeyError, TypeError, ValueError):
        return True
    return _seen_for(ledger, name, current, now) >= timedelta(seconds=length)


def dead_holders(ledger: BranchLedger, above: str) -> dict[str, str]:
    """Of the leases ``<above>/<name>``: those that nobody gave back and whose holder is dead or out of time,
    name -> holder."""
    view = ledger.view()
    folder = lease_file(f"{above}/x").rpartition("/x/")[0]
    found = {}
    for name, entry in view.folder(folder).items():
        if entry.is_folder:
            current = _read(view, f"{above}/{name}")
            if current and not current.get("released") and _free(ledger, f"{above}/{name}", current):
                found[name] = str(current.get("holder"))
    return found


def _seen_for(ledger: BranchLedger, name: str, current: Mapping[str, Any], now: datetime) -> timedelta:
    """How long this clone has been seeing the lease as it is, by its own clock."""
    path = ledger.state / "cache" / "leases" / f"{digest_bytes(name.encode())}.json"
    state = digest_bytes(canonical(current))
    try:
        note = json.loads(path.read_bytes())
        since = datetime.fromisoformat(note["since"])
        if note["state"] == state and since <= now:
            return now - since
    except (OSError, ValueError, KeyError, TypeError):
        pass
    write_atomic(path, json.dumps({"state": state, "since": now.isoformat()}))
    return timedelta(0)


def _read(view: View, name: str) -> dict[str, Any]:
    """What the branch says about a lease; nothing where it cannot be understood."""
    try:
        found = json.loads(view.file(lease_file(name)) or b"{}")
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _number(current: Mapping[str, Any]) -> int:
    number = current.get("fence")
    return number if isinstance(number, int) else 0


def _document(held: BranchLease, expires: datetime, *, released: bool) -> bytes:
    import os

    pid = os.getpid()
    document = {
        "version": 1,
        "name": held.name,
        "holder": held.holder,
        "fence": held.fence,
        "mark": held.mark,
        "seconds": held.seconds,
        "expires": expires.isoformat(),
        "released": released,
        "process": {"machine": _machine(), "pid": pid, "started": started(pid)},
    }
    return canonical(document) + b"\n"


def _machine() -> str:
    """This machine, told from others and not named: the ledger is read by many."""
    return digest_bytes(machine().encode())[:16]
