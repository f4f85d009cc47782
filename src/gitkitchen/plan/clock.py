"""What in a SQL text answers differently each time: functions of time, chance and the session, and samples.

One list for nodes (which get a note) and tests (which are always judged). Imports no sqlglot.
"""

from __future__ import annotations

import re

BARE = frozenset(
    {"current_date", "current_time", "current_timestamp", "current_localtime", "current_localtimestamp"}
    | {"localtime", "localtimestamp", "current_catalog", "current_schema", "current_user", "current_role"}
    | {"session_user"}
)
"""Those that may stand without parentheses."""

CALLED = BARE | frozenset(
    {"now", "today", "age", "get_current_time", "get_current_timestamp", "transaction_timestamp"}
    | {"clock_timestamp", "statement_timestamp", "timeofday", "random", "setseed", "uuid", "uuidv1", "uuidv4"}
    | {"uuidv6", "uuidv7", "gen_random_uuid", "nextval", "currval", "setval", "txid_current"}
    | {"current_setting", "current_database", "current_schemas", "current_query", "current_query_id"}
    | {"current_connection_id", "current_transaction_id", "getvariable", "getenv", "in_search_path"}
    | {"pg_conf_load_time", "pg_postmaster_start_time", "version", "user"}
)
"""Those that count where they are called. ``age`` of two times is certain, of one it is not."""

_GAP = r"(?:\s|/\*.*?\*/|--[^\n]*(?:\n|$))*"
_ASKS = re.compile(
    rf"\b(?P<bare>{'|'.join(sorted(BARE))})\b"
    rf"|\b(?P<called>{'|'.join(sorted(CALLED - BARE))})\b(?=\"?{_GAP}\()"
    rf"|\b(?P<sample>tablesample\b|using{_GAP}\bsample\b)",
    re.IGNORECASE | re.DOTALL,
)


def asked(sql: str) -> tuple[str, ...]:
    """What a text asks of them, in the order of their names.

    It reads no SQL: a word in a literal or a comment is a false alarm, which only costs a test's reuse.
    """
    return tuple(sorted({"sample" if m["sample"] else m.group(0).lower() for m in _ASKS.finditer(sql)}))
