"""Every effect of a promotion goes through one function, under the name that the protocol gives it.

So the list of effects is the code's own: whoever tests what a kill leaves behind watches here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Literal

from gitkitchen.promote.protocol import STEPS

Watcher = Callable[[str, Literal["before", "after"]], None]

KEEPING = frozenset({"end-run", "accept-grants"})
"""Effects of keeping an environment in order, beside those by which it moves: each is one record, written
once, on which nothing else waits."""
watchers: list[Watcher] = []
"""Told of each effect before and after it."""


@contextmanager
def effect(name: str) -> Iterator[None]:
    """The step of that name of ``promote/protocol.py``, or of ``KEEPING``, is done in the block. KeyError for
    any other name."""
    if name not in KEEPING:
        STEPS[name]
    for watch in watchers:
        watch(name, "before")
    yield
    for watch in watchers:
        watch(name, "after")
