"""Records that wait go together: hosts ask for few pushes, and a command of many runs is one piece of work.

Each record is on the disk when it is deposited, as always. What is gathered is sent by the one write that
ends the work, or, where that never comes, at the end of the block; after a kill, by the next command.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from typing import TYPE_CHECKING

from gitkitchen.errors import GitKitchenError

if TYPE_CHECKING:
    from gitkitchen.ledger.protocol import Ledger

_GATHERING: ContextVar[bool] = ContextVar("gathering", default=False)


def is_gathering() -> bool:
    """Whether nothing is sent now for the sake of waiting records alone."""
    return _GATHERING.get()


@contextmanager
def together(ledger: Callable[[], Ledger]) -> Iterator[None]:
    """Within the block, records that wait are sent with other writes alone. ``ledger``: looked at where the
    block fails, which sends them: a job's disk ends with the job."""
    token = _GATHERING.set(True)
    done = False
    try:
        yield
        done = True
    finally:
        _GATHERING.reset(token)
        if not done:
            with suppress(GitKitchenError):
                ledger().streams("runs")
