"""The ledger as tables: what its records say, to be asked with SQL.

All records are put into one table of an in-memory database, ``records``; the others are views that take its
JSON apart. Then everything else is closed as for any query of a user: no file, no network, no setting. What a
record does not say, or says in another shape than this release writes, is NULL.
"""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import duckdb

from gitkitchen.data.engines.statements import explained, one_select
from gitkitchen.data.sql import literal
from gitkitchen.errors import Infrastructure, Mistake, Problem
from gitkitchen.ledger.protocol import Ledger

MOST = 2_000_000
"""Records that one query reads."""

_BEGAN = "try_strptime(left(body->>'$.run', 15), '%Y%m%dT%H%M%S')"
_PARTS = "split_part(stream, '/', 2)"


def _text(*paths: str) -> str:
    """Columns of texts, each by the last name on its way."""
    return ", ".join(f"body->>'$.{path}' AS {path.rpartition('.')[2]}" for path in paths)


def _moment(path: str, of: str = "body") -> str:
    return f"(try_cast({of}->>'$.{path}' AS TIMESTAMPTZ) AT TIME ZONE 'UTC')"


def _at(path: str, name: str = "") -> str:
    return f"{_moment(path)} AS {name or path}"


VIEWS: dict[str, str] = {
    "runs": f"""
        SELECT {_PARTS} AS namespace, {_text("recipe", "run", "variation", "verdict")},
            {_at("started")}, {_at("finished")},
            date_diff('milliseconds', started, finished) / 1000 AS seconds,
            {_text("kitchen.branch", "kitchen.repository", "subject.commit", "subject.tree")},
            try_cast(body->>'$.subject.dirty' AS BOOLEAN) AS dirty, {_text("event")},
            {_at("interval[0]", "interval_start")}, {_at("interval[1]", "interval_end")},
            body->>'$.publication.state' AS publication,
            try_cast(body->>'$.publication.sequence' AS BIGINT) AS published_as,
            coalesce(try_cast(body->>'$.tests.passed' AS BIGINT), 0) AS tests_passed,
            coalesce(try_cast(body->>'$.tests.failed' AS BIGINT), 0) AS tests_failed,
            coalesce(try_cast(body->>'$.tests.error' AS BIGINT), 0) AS tests_error,
            {_text("url")}, sequence, id, body
        FROM records WHERE kind = 'runs'""",
    "nodes": """
        SELECT namespace, recipe, run, started, state.key AS state, node.value->>'$' AS node, sequence
        FROM runs, json_each(body, '$.nodes') AS state, json_each(state.value) AS node
        WHERE state.key IS NOT NULL""",
    "tests": f"""
        SELECT namespace, recipe, run, started, test.value->>'$.id' AS test, test.value->>'$.state' AS state,
            test.value->>'$.severity' AS severity, try_cast(test.value->>'$.failing' AS BIGINT) AS failing,
            try_cast(test.value->>'$.tested' AS BIGINT) AS tested, test.value->>'$.message' AS message,
            test.value->>'$.waived[0]' AS waived_by,
            {_moment("waived[1]", "test.value")} AS waived_until, sequence
        FROM runs, json_each(body, '$.failing') AS test""",
    "publications": f"""
        SELECT {_PARTS} AS namespace, sequence, nullif(body->>'$.recipe', '') AS recipe, {_text("run")},
            {_BEGAN} AS began, try_cast(body->>'$.read' AS BIGINT) AS read,
            try_cast(body->>'$.fence' AS BIGINT) AS fence,
            {_text("subject.commit", "subject.tree", "landing")},
            len(json_keys(body, '$.datasets')) AS datasets, id, body
        FROM records WHERE kind = 'publications'""",
    "published": """
        SELECT namespace, sequence, dataset.key AS dataset, dataset.type = 'NULL' AS removed,
            dataset.value->>'$.fingerprint' AS fingerprint, dataset.value->>'$.content' AS content,
            CASE WHEN NOT removed THEN coalesce(dataset.value->>'$.recipe', recipe) END AS recipe,
            CASE WHEN NOT removed THEN coalesce(dataset.value->>'$.node', dataset.key) END AS node,
            CASE WHEN NOT removed THEN coalesce(dataset.value->>'$.run', run) END AS run,
            CASE WHEN NOT removed THEN coalesce(dataset.value->>'$.zone', 'trusted') END AS zone
        FROM publications, json_each(body, '$.datasets') AS dataset""",
    "moves": f"""
        SELECT {_PARTS} AS environment, sequence, {_text("move")}, {_at("at", "happened")},
            {_text("intent", "method", "commit", "tree", "before", "source", "source_environment", "data")},
            body->>'$.reason' AS reason, body->>'$.by' AS actor,
            coalesce(body->>'$.id', body->>'$.hold') AS name, body->>'$.said' AS said,
            try_cast(body->>'$.closed' AS BOOLEAN) AS closed, id, body
        FROM records WHERE kind = 'promotions'""",
    "promotions": """
        SELECT environment, sequence, happened, intent, method, commit, tree, before, source,
            source_environment, data, reason, json_array_length(body, '$.published') AS datasets, id, body
        FROM moves WHERE move = 'landing'""",
    "incidents": f"""
        SELECT {_PARTS} AS environment, {_text("incident")},
            min(body->>'$.key') AS key, min(body->>'$.what.event') AS event,
            min(body->>'$.what.recipe') AS recipe, min(body->>'$.what.node') AS node,
            min(body->>'$.what.owner') AS owner, min(body->>'$.what.run') AS run,
            min({_moment("what.at")}) FILTER (WHERE body->>'$.kind' = 'opened') AS opened,
            max({_moment("at")}) FILTER (WHERE body->>'$.kind' = 'closed') AS closed,
            count(*) FILTER (WHERE body->>'$.kind' = 'updated') AS updates,
            count(*) FILTER (WHERE body->>'$.kind' = 'delivered') AS messages
        FROM records WHERE kind = 'alerts' AND body->>'$.incident' IS NOT NULL GROUP BY ALL""",
    "alerts": f"""
        SELECT {_PARTS} AS environment, sequence, {_text("incident", "channel", "message", "ref")},
            1 + coalesce(len(json_keys(body->'$.with')), 0) AS things
        FROM records WHERE kind = 'alerts' AND body->>'$.kind' = 'delivered'""",
    "schedules": f"""
        SELECT {_PARTS} AS environment, split_part(split_part(stream, '/', 3), '.', 1) AS recipe,
            nullif(split_part(split_part(stream, '/', 3), '.', 2), '') AS variation, sequence,
            body->>'$.kind' AS said, {_at("interval[0]", "interval_start")},
            {_at("interval[1]", "interval_end")}, {_at("at", "happened")}, body->>'$.by' AS actor,
            {_text("reason")}, body
        FROM records WHERE kind = 'schedules'""",
    "kitchens": f"""
        SELECT {_PARTS} AS namespace, sequence, body->>'$.kind' AS said, {_at("at", "happened")},
            {_text("repository", "branch", "environment", "reason")},
            try_cast(body->>'$.birth' AS BIGINT) AS birth
        FROM records WHERE kind = 'kitchens'""",
}
_COLUMNS = {"stream": "VARCHAR", "sequence": "BIGINT", "id": "VARCHAR", "previous": "VARCHAR", "body": "JSON"}
_AS_TEXT = re.compile(r"WITH TIME ZONE|\bINTERVAL\b")


class LedgerTables:
    """A database of one ledger's records, locked down. Not for two threads at once."""

    def __init__(self, ledger: Ledger) -> None:
        """Reads all records. Infrastructure names a damaged one; Mistake where there are over ``MOST``."""
        self._connection = duckdb.connect(":memory:")
        try:
            self._connection.execute("SET GLOBAL TimeZone = 'UTC'")
            with tempfile.TemporaryDirectory(prefix="gitkitchen-ledger-") as folder, explained():
                path = Path(folder) / "records.json"
                _write(ledger, path)
                columns = ", ".join(f"{name}: '{kind}'" for name, kind in _COLUMNS.items())
                self._connection.execute(
                    "CREATE TABLE records AS SELECT split_part(stream, '/', 1) AS kind, * FROM read_json("
                    f"{literal(str(path))}, format = 'newline_delimited', columns = {{{columns}}}, "
                    "maximum_object_size = 67108864) ORDER BY stream, sequence"
                )
                for name, sql in VIEWS.items():
                    self._connection.execute(f"CREATE VIEW {name} AS {sql}")
            self._lock_down()
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> LedgerTables:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()

    def close(self) -> None:
        self._connection.close()

    def _lock_down(self) -> None:
        for setting in (
            "SET GLOBAL python_enable_replacements = false",
            "SET autoinstall_known_extensions = false",
            "SET autoload_known_extensions = false",
            "SET temp_directory = ''",
            "SET enable_external_access = false",
            "SET lock_configuration = true",
        ):
            self._connection.execute(setting)

    def fetch(self, sql: str, *, limit: int | None = None) -> tuple[list[str], list[tuple[Any, ...]]]:
        """The column names and rows of one SELECT (at most ``limit`` rows). SqlError for everything else."""
        text = one_select(sql)
        with explained(before=0):
            done = self._connection.execute(text)
            rows = done.fetchall() if limit is None else done.fetchmany(limit)
            names = [str(column[0]) for column in done.description or ()]
        return names, rows

    def columns(self) -> dict[str, Sequence[tuple[str, str]]]:
        """All tables with their columns: (name, type)."""
        found: dict[str, Sequence[tuple[str, str]]] = {}
        for name in ("records", *VIEWS):
            described = self._connection.execute(f"DESCRIBE {name}").fetchall()
            found[name] = [(str(row[0]), str(row[1])) for row in described]
        return found


def _write(ledger: Ledger, path: Path) -> None:
    count = 0
    try:
        with path.open("w", encoding="utf-8") as file:
            for stream in ledger.streams():
                for record in ledger.read(stream):
                    count += 1
                    if count > MOST:
                        raise Mistake(
                            Problem(f"the ledger has more than {MOST:,} records: too many for a query")
                        )
                    line = {"stream": stream, "sequence": record.sequence, "id": record.id}
                    line |= {"previous": record.previous, "body": record.body}
                    file.write(json.dumps(line) + "\n")
    except OSError as error:
        raise Infrastructure(
            Problem(
                f"the ledger's records could not be put into tables: {error.strerror or error}",
                hint="free some space in the folder for temporary files (TMPDIR)",
                code="ledger-tables",
            )
        ) from error
