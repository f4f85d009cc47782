"""One small DuckDB of the process, for our own statements on few rows and names.

To make an instance costs as much time as all of them: whoever needs one takes a cursor of this.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from gitkitchen.data.sql import literal

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_lock = threading.Lock()
_made: list[DuckDBPyConnection] = []
_kept = threading.local()
_names = itertools.count()


def small_cursor() -> DuckDBPyConnection:
    """A connection of its own to the instance, in UTC and without an optimizer: whoever asked closes it.

    It may read files. It makes nothing there that outlives its statement: all of the process share it.
    """
    return _cursor()[1]


def _cursor() -> tuple[DuckDBPyConnection, DuckDBPyConnection]:
    """The instance, and a new connection to it."""
    with _lock:
        if not _made:
            import duckdb

            made = duckdb.connect(":memory:", config={"threads": 1, "enable_external_file_cache": False})
            made.execute("SET GLOBAL TimeZone = 'UTC'")
            _made.append(made)
        instance = _made[0]
        cursor = instance.cursor()
    cursor.execute("PRAGMA disable_optimizer")
    return instance, cursor


def kept_cursor() -> DuckDBPyConnection:
    """The calling thread's own cursor of the instance, for many short SELECTs: nobody closes it.

    To make one, and to set it up, takes a third of the time of reading a small file. It ends with its
    thread, and is another one where the instance was given up since.
    """
    instance, cursor = getattr(_kept, "pair", (None, None))
    if cursor is None or instance not in _made:
        instance, cursor = _kept.pair = _cursor()
    return cursor


@contextmanager
def attached(file: Path, options: str = "") -> Iterator[str]:
    """A DuckDB file, attached to the instance under the name that this yields, as long as the block lasts.

    Raises duckdb.Error where the file is damaged, or a statement of the block fails: then the instance is
    given up, since damage that DuckDB calls fatal would end all that is asked of it later.
    """
    import duckdb

    name = f"file_{next(_names)}"
    with small_cursor() as cursor:
        try:
            cursor.execute(f"ATTACH {literal(str(file))} AS {name}{f' ({options})' if options else ''}")
            yield name
        except duckdb.Error:
            with _lock:
                _made.clear()
            raise
        finally:
            with suppress(duckdb.Error):
                cursor.execute(f"DETACH {name}")
