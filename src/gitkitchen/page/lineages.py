"""Where the columns of queries come from, remembered: of hundreds of queries few change between two pages."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path

from gitkitchen.files import digest, digest_bytes
from gitkitchen.page import sealed
from gitkitchen.plan import lineage

Columns = Mapping[str, tuple[str, ...]]
"""Column -> ``dataset.column`` that it comes from, sorted."""


class Lineages:
    """Remembered in the file ``path``; without one, nothing is."""

    def __init__(self, path: Path | None = None) -> None:
        self.path = path
        text = sealed.kept(path) if path is not None else None
        self._known: dict[str, object] = json.loads(text) if text is not None else {}
        self._used: dict[str, object] = {}

    def of(self, sql: str, schemas: Mapping[str, Sequence[str]]) -> Columns | str:
        """Where each column of a query comes from; a reason where that cannot be told. ``schemas``: of what
        it reads."""
        name = digest([_code(), sql, {table: list(columns) for table, columns in schemas.items()}])
        found = self._known.get(name)
        if found is None:
            made = lineage.origins(sql, schemas)
            found = made if isinstance(made, str) else [
                [column, sorted(f"{table}.{of}" for table, of in sources)]
                for column, sources in made.columns.items()
            ]  # fmt: skip
        self._used[name] = found
        return found if isinstance(found, str) else {c: tuple(s) for c, s in found}  # type: ignore[attr-defined]

    def keep(self) -> None:
        """Remember what was asked for, and nothing else. Raises OSError."""
        if self.path is not None and self._used != self._known:
            sealed.keep(self.path, json.dumps(self._used, separators=(",", ":")))


@lru_cache(maxsize=1)
def _code() -> str:
    """What reads the queries: of other code nothing that was remembered counts."""
    source = Path(lineage.__file__)
    return f"{digest_bytes(source.read_bytes()) if source.is_file() else ''} sqlglot {version('sqlglot')}"
