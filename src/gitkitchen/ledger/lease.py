"""Leases: of all that would do the same thing, one does it; nobody ever has to break a lock by hand.

A lease is a file ``@leases/<name>/<fence>.json``; the highest fence is the holder's. Taking it is creating
the next fence, which only one can do. It ends by release, by expiry, or at once when the holder's process
is dead; a holder that was superseded learns it from ``check`` before it writes.
"""

from __future__ import annotations

import json
import os
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

from gitkitchen.errors import Conflict, GitKitchenError, Infrastructure, Problem
from gitkitchen.files import canonical, write_atomic
from gitkitchen.frozen import dataclass
from gitkitchen.ledger.exclusive import create
from gitkitchen.process import capture

Clock = Callable[[], datetime]
FENCE = re.compile(r"(\d{9})\.json")


def _now() -> datetime:
    return datetime.now(UTC)


class LeaseLost(Conflict):
    """Another holder has taken the lease: what was to be written under it must not be."""


@dataclass(frozen=True, slots=True)
class Lease:
    """What a holder has. ``fence`` grows with every holder; writes carry it, and older ones are refused."""

    name: str
    holder: str
    fence: int
    expires: datetime
    folder: Path
    seconds: float
    withheld: str = ""

    def check(self) -> None:
        """Raise Conflict when another holder has taken the lease."""
        check(self)

    def renew(self) -> None:
        """Give it its full time again. Conflict when another holder has taken it."""
        renew(self)


@contextmanager
def lease(
    ledger_root: Path,
    name: str,
    *,
    holder: str,
    seconds: float,
    clock: Clock = _now,
    heartbeat: bool = True,
) -> Iterator[Lease]:
    """Hold ``name`` for the length of a block. Conflict, naming the holder, while somebody else has it.

    It expires ``seconds`` after it was last renewed; ``heartbeat`` renews it from a thread while the block
    lasts, so that only a dead or frozen holder's expires.
    """
    held = _acquire(ledger_root, name, holder, seconds, clock)
    stop = threading.Event()
    thread = threading.Thread(target=_beat, args=(held, clock, stop), name=f"lease {name}", daemon=True)
    if heartbeat:
        thread.start()
    try:
        yield held
    finally:
        stop.set()
        if heartbeat:
            thread.join()
        with suppress(Conflict, OSError):  # superseded or on a broken disk: then expiry releases it
            check(held)
            write_atomic(_path(held), _encode(held, released=True))


def check(held: Lease) -> None:
    """Raise Conflict when another holder has taken the lease: what was to be written must not be."""
    highest = _highest(held.folder)
    if highest == held.fence:
        return
    raise lost(held.name, held.holder, _read(held.folder, highest).get("holder", "someone else"))


def lost(name: str, holder: str, successor: str) -> LeaseLost:
    return LeaseLost(
        Problem(
            f"the lease '{name}' of {holder} has passed to {successor}; nothing was written",
            hint="run the command again",
            code="lease-lost",
        )
    )


def renew(held: Lease, *, clock: Clock = _now) -> Lease:
    """The same lease with its full time again. Conflict when another holder has taken it."""
    check(held)
    renewed = replace(held, expires=clock() + timedelta(seconds=held.seconds))
    write_atomic(_path(held), _encode(renewed))
    return renewed


def _beat(held: Lease, clock: Clock, stop: threading.Event) -> None:
    while not stop.wait(held.seconds / 3):
        try:
            renew(held, clock=clock)
        except GitKitchenError:
            return  # superseded: the holder learns it from `check`
        except OSError:
            continue  # the next beat may succeed; otherwise it expires


def _acquire(root: Path, name: str, holder: str, seconds: float, clock: Clock) -> Lease:
    if not name or any(part.startswith((".", "@")) or not part for part in name.split("/")):
        raise ValueError(f"{name!r} is no name of a lease")
    folder = root / "@leases" / name
    while True:
        highest = _highest(folder)
        current = _read(folder, highest)
        if not _free(current, clock()):
            raise in_use(name, current)
        expires = clock() + timedelta(seconds=seconds)
        mine = Lease(name, holder, highest + 1, expires, folder, seconds)
        try:
            created = create(_path(mine), _encode(mine), root / "@scratch", sync=False)
        except OSError as error:
            raise _unwritable(root, error) from error
        if created and _highest(folder) == mine.fence:
            _forget_older(mine)
            return mine
        if created:  # it was taken and given back between our look and our link: ours is an old number
            _path(mine).unlink(missing_ok=True)


def _free(current: dict[str, Any], now: datetime) -> bool:
    """Whether a lease with this state may be taken. What cannot be read was torn by a power cut."""
    if not current or current.get("released"):
        return True
    try:
        expired = datetime.fromisoformat(current["expires"]) <= now
        process = current["process"]
        same_machine = process["machine"] == machine()
        return expired or (same_machine and started(int(process["pid"])) != process["started"])
    except (KeyError, TypeError, ValueError):
        return True


def _highest(folder: Path) -> int:
    try:
        names = os.listdir(folder)  # noqa: PTH208 (names only)
    except FileNotFoundError:
        return 0
    return max((int(m[1]) for m in map(FENCE.fullmatch, names) if m), default=0)


def _read(folder: Path, fence: int) -> dict[str, Any]:
    try:
        found = json.loads((folder / f"{fence:09d}.json").read_bytes())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _path(held: Lease) -> Path:
    return held.folder / f"{held.fence:09d}.json"


def _encode(held: Lease, *, released: bool = False) -> bytes:
    pid = os.getpid()
    document = {
        "version": 1,
        "name": held.name,
        "holder": held.holder,
        "fence": held.fence,
        "expires": held.expires.isoformat(),
        "released": released,
        "process": {"machine": machine(), "pid": pid, "started": started(pid)},
    }
    return canonical(document) + b"\n"


def _forget_older(held: Lease) -> None:
    with suppress(OSError):
        for path in held.folder.iterdir():
            found = FENCE.fullmatch(path.name)
            if found and int(found[1]) < held.fence:
                path.unlink(missing_ok=True)


@cache
def machine() -> str:
    """This boot of this machine, and on Linux this space of process numbers (a container has its own)."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot} {Path('/proc/self/ns/pid').readlink()}"
    except OSError:
        answer = capture(["sysctl", "-n", "kern.boottime"], env=dict(os.environ), cwd=Path("/"))
        return answer.output.decode(errors="replace").strip()


def started(pid: int) -> str | None:
    """When a process started, in its system's own words; None when it is dead (or a zombie)."""
    if Path("/proc/self/stat").exists():
        try:
            # proc(5): the command's name may hold spaces and brackets; state and start time stand behind it.
            fields = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
        except OSError:
            return None
        return None if fields[0] in "ZX" else fields[19]
    answer = capture(
        ["ps", "-o", "lstart=", "-p", str(pid)], env={**os.environ, "LC_ALL": "C"}, cwd=Path("/")
    )
    return answer.output.decode(errors="replace").strip() or None


def in_use(name: str, current: dict[str, Any]) -> Conflict:
    """The refusal of a lease that somebody has."""
    return Conflict(
        Problem(
            f"'{name}' is held by {current.get('holder')} (process {current['process']['pid']}) "
            f"until {current['expires']}",
            hint="wait for it to end; a dead holder is replaced at once",
            code="lease-held",
        )
    )


def _unwritable(root: Path, error: OSError) -> Infrastructure:
    return Infrastructure(
        Problem(
            f"the ledger in {root} cannot be written: {error.strerror or error}",
            hint="mend the disk or its permissions and run the command again",
            code="ledger-write",
        )
    )
