"""A few calls at once, and the first error of any."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

T = TypeVar("T")

AT_ONCE = 8
"""Requests to another machine at the same time."""


def each(call: Callable[[T], Any], items: Sequence[T]) -> None:
    """Call for every item, at most ``AT_ONCE`` together. The first error is raised after the rest ended;
    what had not begun by then is left out."""
    if len(items) < 2:
        for item in items:
            call(item)
        return
    from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait

    with ThreadPoolExecutor(min(AT_ONCE, len(items)), "gitkitchen-store") as pool:
        futures = [pool.submit(call, item) for item in items]
        wait(futures, return_when=FIRST_EXCEPTION)
        for future in futures:
            future.cancel()
    for future in futures:
        if not future.cancelled():
            future.result()
