"""What a SQL text reads and means, found by sqlglot and kept by content.

Only a text that is not known yet is parsed, and only then sqlglot is imported.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from gitkitchen.files import digest_bytes
from gitkitchen.plan.cache import FactCache
from gitkitchen.plan.sql_facts import SqlFacts, decode


def analyse(
    text: str, *, file: str, line: int = 1, cache: FactCache | None = None, dialect: str = "duckdb"
) -> SqlFacts:
    """Read one SQL text that stands in ``file`` from ``line`` on.

    Mistakes are in ``problems``, with their lines in ``file``; nothing is raised.
    """
    shelf, content = _key(text, dialect)
    raw = cache.get(shelf, content) if cache else None
    facts = decode(raw, file, line)
    if facts is None:
        from gitkitchen.plan.sql_reading import read

        raw = read(text, dialect)
        if cache:
            cache.put(shelf, content, raw)
        facts = decode(raw, file, line)
    assert facts is not None, "what was just read can be decoded"
    return facts


def unknown(texts: Iterable[str], cache: FactCache, dialect: str) -> list[str]:
    """The texts of which the cache knows nothing, each once."""
    return [text for text in dict.fromkeys(texts) if cache.get(*_key(text, dialect)) is None]


def keep(facts: Mapping[str, Any], cache: FactCache, dialect: str) -> None:
    """Put what was read elsewhere, by its text, where ``analyse`` finds it."""
    for text, raw in facts.items():
        cache.put(*_key(text, dialect), raw)


def _key(text: str, dialect: str) -> tuple[str, str]:
    shelf = "sql" if dialect == "duckdb" else f"sql {dialect}"
    return shelf, digest_bytes(text.encode("utf-8", "surrogatepass"))
