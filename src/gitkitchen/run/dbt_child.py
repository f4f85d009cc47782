"""Runs in a process of its own beside dbt's: lays inputs into the database that dbt builds in, and takes
its models out as Parquet. It imports nothing of GitKitchen.

The task is a JSON file: {"kind": "open", "database", "schema", "inputs": {name: [paths]}} or
{"kind": "take", "database", "relations": {path to write: relation}, "folders": [paths to read]}.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import duckdb


def quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


def lay(task: dict[str, Any]) -> None:
    """A view for each input, in a file that an older DuckDB opens too: dbt may have one of its own."""
    with duckdb.connect(task["database"], config={"storage_compatibility_version": "v1.2.0"}) as connection:
        connection.execute(f"CREATE SCHEMA IF NOT EXISTS {quoted(task['schema'])}")
        for name, paths in task["inputs"].items():
            files = ", ".join(text(path) for path in paths)
            view = f"{quoted(task['schema'])}.{quoted(name)}"
            connection.execute(
                f"CREATE VIEW {view} AS SELECT * FROM read_parquet([{files}], hive_partitioning = false)"
            )


def take(task: dict[str, Any]) -> None:
    """Each relation as a Parquet file; what views read beyond the kitchen's folders is refused."""
    with duckdb.connect(task["database"], read_only=True) as connection:
        folders = ", ".join(text(folder) for folder in task["folders"])
        connection.execute(f"SET allowed_directories = [{folders}]")
        connection.execute("SET enable_external_access = false")
        connection.execute("SET lock_configuration = true")
        for path, relation in task["relations"].items():
            try:
                connection.execute(f"COPY (SELECT * FROM {relation}) TO {text(path)} (FORMAT parquet)")
            except duckdb.Error as error:
                raise SystemExit(f"{relation} cannot be read: {error}") from error


def main(path: str) -> None:
    task = json.loads(Path(path).read_text(encoding="utf-8"))
    try:
        (lay if task["kind"] == "open" else take)(task)
    except duckdb.Error as error:
        raise SystemExit(f"dbt's database cannot be used: {error}") from error


if __name__ == "__main__":
    main(sys.argv[1])
