"""The locks of the views that a publication changes: taken all at once, and never at a reader's cost.

Readers lock views as they come to them, and keep them to the end of their transaction. Who changes several
views can therefore meet a reader in a deadlock, which the server ends with an error for whoever looked first:
a session looks when it has waited for ``deadlock_timeout``. A reader waits for us from our first request at
the earliest. So we wait for no view any more when half of that time is over: before any reader looks we have
all of the locks and wait for nobody, or have given all of them back.

Who waits while it has views never gets through where many readers go through them in all orders, nor where
one view is read for longer at a time. So there are three ways, tried in turn. In order: each view is waited
for, as above. In a moment: when nobody has any of them, they are taken. Alone: the view that was in the way
is waited for, holding nothing that a reader could wait for in a circle, and then the others are taken, if
nobody has them. Who comes to one of those only now has not begun to wait, and looks later.
"""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import field
from typing import TYPE_CHECKING, Any

from gitkitchen.data.engines.postgres_sql import quoted
from gitkitchen.errors import Infrastructure, Problem
from gitkitchen.frozen import dataclass

if TYPE_CHECKING:
    from psycopg import Connection

ALONE = 2000
"""How long, in milliseconds, a publication waits for one view, and at most for all: readers that come then
wait behind it for as long."""
MOMENT = 1.0
"""How long, in seconds, it looks for a moment in which nobody has any of the views."""
PATIENCE = 30.0
"""Seconds after which a publication no longer tries to get its locks."""
PAUSE, LONGEST_PAUSE = 0.1, 1.0
"""Seconds between two tries, in which readers that waited behind us go on; half as much again or less, by
chance, so that two who wait for each other fall out of step."""


@dataclass(slots=True)
class Tries:
    """What was learnt from one try to the next. ``number``: how many there were; ``holders``: how often
    somebody was found with a view; ``obstacle``: a view that somebody was found with last, or None."""

    number: int = 0
    holders: Counter[str] = field(default_factory=Counter)
    obstacle: str | None = None


def patiently(
    schema: str,
    look: Callable[[], AbstractContextManager[Connection[Any]]],
    attempt: Callable[[Tries], None],
    patience: float,
) -> None:
    """Call ``attempt`` until it gets its locks: what it raises as Infrastructure of code "lock" is tried
    again. After ``patience`` seconds that is raised, with who holds the views. ``look``: a session."""
    end, pause, tries = time.monotonic() + patience, PAUSE, Tries()
    while True:
        try:
            attempt(tries)
        except Infrastructure as error:
            if error.problems[0].code != "lock":
                raise
            with look() as own:
                found = _holders(own, schema)
            tries.holders.update({who for who, _ in found})
            tries.obstacle = min((view for _, view in found), default=tries.obstacle)
            tries.number += 1
            if time.monotonic() > end:
                raise _held(schema, tries.holders, patience) from error
        else:
            return
        time.sleep(pause * random.uniform(0.5, 1.5))  # noqa: S311  chance, and no secret
        pause = min(pause * 2, LONGEST_PAUSE)


def take(own: Connection[Any], schema: str, views: Mapping[str, int], tries: Tries) -> None:
    """Lock views (name -> oid) against all others to the end of the transaction, in the order of their names.

    Infrastructure of code "lock" where they could not be had in time: nothing else is to be done then in
    this transaction, whose end gives them back.
    """
    row = own.execute(
        "SELECT setting::int FROM pg_catalog.pg_settings WHERE name = 'deadlock_timeout'"
    ).fetchone()
    most = max(1, min(ALONE, int(row[0]) // 2)) if row else 1
    names = sorted(views)
    if tries.number % 3 == 1:
        _await_moment(own, list(views.values()))
        own.execute("SET LOCAL lock_timeout = 1")
        batch = [_lock(schema, n) for n in names]
    elif tries.number % 3 == 2 and tries.obstacle in views:
        first = str(tries.obstacle)
        with _lacking():
            own.execute(f"SET LOCAL lock_timeout = {ALONE}; {_lock(schema, first)}".encode())
        names.remove(first)
        if _are_held(own, [views[n] for n in names]):
            raise _lock_error()
        own.execute("SET LOCAL lock_timeout = 1")
        batch = [_lock(schema, n) for n in names]
    else:
        # One message, so that statement_timestamp() is that of its beginning. What is left of the time is the
        # limit of the next lock; nothing left is no valid limit, and ends it (0 would be none at all).
        left = f"{most} - 1000 * extract(epoch FROM clock_timestamp() - statement_timestamp())"
        left = f"coalesce(nullif(greatest(floor(least({most}, {left})), 0), 0), -1)::int::text"
        limit = f"SELECT set_config('lock_timeout', {left}, true)"
        batch = [f"{limit}; {_lock(schema, n)}" for n in names]
    if batch:
        with _lacking():
            own.execute("; ".join(batch).encode())
    own.execute(f"SET LOCAL lock_timeout = {most}")


def _lock(schema: str, name: str) -> str:
    """Locks a view and changes nothing: it is in that schema. LOCK TABLE would lock the tables that the view
    reads as well, which other schemas show too."""
    return f"ALTER VIEW {quoted(schema, name)} SET SCHEMA {quoted(schema, name).split('.', 1)[0]}"


def _await_moment(own: Connection[Any], oids: Sequence[int]) -> None:
    end = time.monotonic() + MOMENT
    while _are_held(own, oids):
        if time.monotonic() > end:
            raise _lock_error()
        time.sleep(0.002)


def _are_held(own: Connection[Any], oids: Sequence[int]) -> bool:
    held = own.execute(
        "SELECT 1 FROM pg_catalog.pg_locks WHERE locktype = 'relation' AND relation = ANY(%s::oid[]) "
        "AND database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database()) "
        "AND pid IS DISTINCT FROM pg_backend_pid() LIMIT 1",
        [list(oids)],
    ).fetchone()
    return held is not None


@contextmanager
def _lacking() -> Iterator[None]:
    from psycopg import errors

    try:
        yield
    except errors.InvalidParameterValue as error:  # no time is left
        raise _lock_error() from error


def _lock_error() -> Infrastructure:
    return Infrastructure(Problem("the warehouse: others hold the views", code="lock"))


def _holders(own: Connection[Any], schema: str) -> list[tuple[str, str]]:
    """Who has locks on which views of a schema now: (session in words, view)."""
    rows = own.execute(
        "SELECT coalesce(a.usename, '') || coalesce(' (' || nullif(a.application_name, '') || ')', ''), "
        "l.pid, c.relname FROM pg_catalog.pg_locks l "
        "JOIN pg_catalog.pg_class c ON c.oid = l.relation AND c.relkind = 'v' "
        "JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace "
        "LEFT JOIN pg_catalog.pg_stat_activity a ON a.pid = l.pid "
        "WHERE n.nspname = %s AND l.granted AND l.pid IS DISTINCT FROM pg_backend_pid() "
        "AND l.database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database())",
        [schema],
    ).fetchall()
    said = "a prepared transaction (pg_prepared_xacts)"
    return [(f"{who}, pid {pid}" if pid is not None else said, str(view)) for who, pid, view in rows]


def _held(schema: str, holders: Counter[str], patience: float) -> Infrastructure:
    """Those who were found most often: who came and went meanwhile is not in the way."""
    often = max(holders.values(), default=0) / 2
    names = [who for who, times in sorted(holders.items(), key=lambda h: (-h[1], h[0])) if times >= often]
    who = "; ".join(names[:5]) or "somebody"
    message = f"schema '{schema}' cannot be brought up to date: transactions of {who} have held its views"
    hint = "end them and run the same command again; until then consumers read what they read before"
    return Infrastructure(Problem(f"{message} for {patience:.0f} s", hint=hint, code="lock"))
