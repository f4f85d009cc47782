"""Which code this is, for what it remembers: of other code nothing that was remembered counts."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from gitkitchen import __version__
from gitkitchen.files import digest_bytes
from gitkitchen.report import text


@lru_cache(maxsize=1)
def code() -> str:
    """The digest of all code that decides what a page says of a record."""
    sources = [*sorted(Path(__file__).parent.rglob("*.py")), Path(text.__file__)]
    parts = [__version__.encode(), *(digest_bytes(p.read_bytes()).encode() for p in sources if p.is_file())]
    return digest_bytes(b" ".join(parts))[:32]
