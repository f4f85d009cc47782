"""One thread's session on a warehouse."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from gitkitchen.data.engines.errors import SqlError
from gitkitchen.data.engines.postgres_server import as_moments, explained
from gitkitchen.data.engines.postgres_sql import one_select
from gitkitchen.data.engines.postgres_versions import standing
from gitkitchen.data.sql import quote_identifier
from gitkitchen.model import Column, Version

if TYPE_CHECKING:
    from psycopg import Connection

    from gitkitchen.data.engines.postgres import Engine

BETWEEN_CANCELS = 0.5


class Cursor:
    """One thread's session. It reads only; ``dialect`` tells tests what to speak."""

    dialect = "postgres"

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.thread = threading.get_ident()
        self._connection: Connection[Any] | None = None
        self.asked = False
        self._last = 0.0

    @property
    def connection(self) -> Connection[Any]:
        if self._connection is None or self._connection.closed:
            self._connection = self.engine.warehouse.connect()
        return self._connection

    def read(self, sql: str) -> tuple[list[str], list[tuple[Any, ...]]]:
        """Names and rows of one SELECT of ours, which may hold what users wrote in tests."""
        self.engine.allow(one_select(sql), self.engine.names)
        return self.rows(self.engine.bound(sql, self.engine.names), moments=True)

    def relation(self, version: Version) -> str:
        """A version as it stands after FROM in what ``answers`` is asked."""
        return standing(version)

    def answers(self, sql: str) -> list[tuple[Any, ...]]:
        """The rows of one SELECT that was written here."""
        return self.rows(sql)[1]

    def rows(
        self, sql: str, *, user: str = "", moments: bool = False
    ) -> tuple[list[str], list[tuple[Any, ...]]]:
        """Names and rows of one statement. ``user``: the part of it that a user wrote; ``moments``: those
        with a zone as Python has them, to be compared."""
        with self.working(sql, user) as connection:
            cursor = connection.cursor()
            if moments:
                as_moments(cursor)
            # Prepared: the extended protocol takes one statement and no more.
            cursor.execute(sql.encode(), prepare=True)
            names = [str(c.name) for c in cursor.description or ()]
            return names, _fetched(cursor)

    def columns(self, dataset: str) -> tuple[Column, ...]:
        """The columns of a dataset."""
        return self.engine.describe(f"SELECT * FROM {quote_identifier(dataset)}", cursor=self)

    @contextmanager
    def working(self, sql: str = "", user: str = "") -> Iterator[Connection[Any]]:
        """The session, its errors told; Interrupted where ``interrupt`` came."""
        prefix = sql.find(user) if user else 0
        self.asked = False
        with explained(max(prefix, 0), user, lambda: self.asked):
            yield self.connection

    def interrupt(self) -> None:
        """Cancel this session's own statement, by the key that only this session has."""
        self.asked = True
        now = time.monotonic()
        if self._connection is None or now - self._last < BETWEEN_CANCELS:
            return
        self._last = now
        import psycopg

        with suppress(psycopg.Error):
            self._connection.cancel_safe(timeout=2.0)

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()


def _fetched(cursor: Any) -> list[tuple[Any, ...]]:
    import psycopg

    try:
        return [tuple(row) for row in cursor.fetchall()]
    except psycopg.DataError as error:
        raise SqlError(f"a value has no equal here ({error}); cast it to text") from None
