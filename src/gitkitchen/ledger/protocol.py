"""What every ledger can do, wherever it keeps its records."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, Protocol

from gitkitchen.errors import Infrastructure, Problem
from gitkitchen.frozen import dataclass
from gitkitchen.ledger.gaps import Gaps
from gitkitchen.ledger.records import Record

if TYPE_CHECKING:
    from gitkitchen.plumbing import Moves


class Unwritten(Infrastructure):
    """The ledger could not be written, or did not say whether it was: what was sent may still arrive."""


class Kept(Unwritten):
    """A record could not be put into its stream now. It is kept, and the next command puts it there."""


class Held(Protocol):
    """A lease while it is held."""

    @property
    def fence(self) -> int:
        """Grows with every holder; what is written carries it."""
        ...

    @property
    def withheld(self) -> str:
        """Why nothing may be published under this lease ("" when it may): its ledger cannot be reached."""
        ...

    def check(self) -> None:
        """Raise Conflict where it is known that another holder has taken the lease."""
        ...

    def renew(self) -> None:
        """Give the lease its full time again. Where the ledger is ``whole`` this moves the ledger on, so that
        a write which had no answer is refused if it has not arrived by now. LeaseLost where another holder
        has the lease (which moved the ledger, too), Infrastructure where it cannot be told whether it was
        renewed."""
        ...


Newest = Callable[[str], Iterator[Record]]
"""The last records of a stream, the newest first."""
LATEST = 50
"""So many records of a stream are looked at, at most, by who looks for one that was just written."""


@dataclass(frozen=True, slots=True)
class New:
    """A record that shall be added, and the head that its stream must still have (None: any)."""

    stream: str
    body: Mapping[str, Any]
    expect: int | None = None
    mark: str = ""
    """16 hexadecimal digits, where its writer may ask for it again (``deposit``): it is written once."""


class Ledger(Protocol):
    """Append-only streams of records. Stream names are paths like ``runs/k_x/delays``."""

    @property
    def whole(self) -> bool:
        """Whether ``append_together`` writes all or nothing, and moves refs of the repository with it."""
        ...

    @property
    def private(self) -> bool:
        """Whether nobody on another machine sees what is written."""
        ...

    def append(
        self, stream: str, body: Mapping[str, Any], *, expect: int | None = None, under: Held | None = None
    ) -> Record:
        """Add a record to the end of ``stream``; it is there for every reader when this returns.

        ``expect`` is the head that the stream must still have, ``under`` a lease that must still be held:
        Conflict otherwise, and nothing is written. Infrastructure where it could not be written; Kept, a
        kind of it, where a record without conditions will be written by the next command.
        """
        ...

    def append_together(
        self,
        entries: Sequence[New],
        *,
        under: Held | None = None,
        beside: Moves | None = None,
        last: bool = False,
    ) -> list[Record]:
        """Add records to several streams; where the ledger is ``whole``, all or none, and with them the refs
        ``beside`` move. Conflict where a condition does not hold or a ref is elsewhere. ``last``: nothing
        more will be published under the lease, so it may be given back in the same write."""
        ...

    def deposit(self, stream: str, body: Mapping[str, Any], *, mark: str = "") -> None:
        """Add a record to the end of ``stream`` when it suits, at the latest with the end of the lease.

        It survives a kill when this returns. For streams below ``runs/``: nothing waits for them. ``mark``:
        of what was tried before and may have arrived; then nothing is added.
        """
        ...

    def append_made(self, stream: str, make: Callable[[Newest], Mapping[str, Any]]) -> Record:
        """Add a record that names others, together with what waits: ``make`` is given all streams as they
        are with it, in one write. It may be called more than once. Errors as of ``append``; its own go on."""
        ...

    def head(self, stream: str) -> int:
        """The sequence of the last record, 0 for an empty stream."""
        ...

    def read(self, stream: str, after: int = 0) -> Iterator[Record]:
        """The records behind ``after``, in order, verified. Infrastructure names a bad or missing one. Where
        a compaction removed some, they are left out: see ``gaps``."""
        ...

    def gaps(self, stream: str) -> Gaps:
        """Which records of a stream compactions removed."""
        ...

    def streams(self, prefix: str = "") -> list[str]:
        """The names of all streams that hold records, those below ``prefix`` (``runs``) if given, sorted."""
        ...

    def verify(self, stream: str) -> list[Problem]:
        """Everything that is wrong with a stream, each bad record by name."""
        ...

    def lease(
        self,
        name: str,
        holder: str,
        seconds: float | None = None,
        *,
        publishes: bool = True,
        late: bool = False,
    ) -> AbstractContextManager[Held]:
        """Hold ``name`` for the length of a block. Conflict, naming the holder, while somebody else has it.

        ``seconds``: how long it lasts after its last renewal (the ledger's own default). Who ``publishes``
        nothing does not keep those waiting who work elsewhere. Who is ``late`` says nothing to those
        elsewhere before the first renewal: what is written until then is refused if anybody took the lease.
        """
        ...
