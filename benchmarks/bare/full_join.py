"""Two tables compared by key in bare DuckDB: one full outer join, as a person would write it.

Arguments: the two Parquet files, the key, the file for the answers. It answers what `diff --data` does: is
the key a key; rows added, removed, changed; of each column the changed rows, NULLs gained and lost and the
size of the change; five rows of each kind; and of each column that changed how it is distributed on both
sides, its quantiles from one key in so many.
"""

import json
import sys
from pathlib import Path

import duckdb

before, after, key, answers = sys.argv[1:5]
NUMBERS = ("BIGINT", "INTEGER", "DOUBLE", "DECIMAL(9,2)")
connection = duckdb.connect()
for name, file in (("a", before), ("b", after)):
    connection.execute(f"CREATE VIEW {name} AS SELECT * FROM read_parquet('{file}')")
columns = {n: t for n, t, *_ in connection.execute("DESCRIBE a").fetchall() if n != key}

found: dict[str, object] = {}
for side in "ab":
    found[f"key {side}"] = connection.execute(
        f"SELECT count(*), count(*) - count({key}), count(DISTINCT {key}) FROM {side}"
    ).fetchone()

figures = [
    f"count(*) FILTER (WHERE a.{key} IS NULL)",
    f"count(*) FILTER (WHERE b.{key} IS NULL)",
    f"count(*) FILTER (WHERE a.{key} IS NOT NULL AND b.{key} IS NOT NULL AND ("
    + " OR ".join(f"a.{c} IS DISTINCT FROM b.{c}" for c in columns)
    + "))",
]
both = f"a.{key} IS NOT NULL AND b.{key} IS NOT NULL"
for column, kind in columns.items():
    differs = f"{both} AND a.{column} IS DISTINCT FROM b.{column}"
    figures += [
        f"count(*) FILTER (WHERE {differs})",
        f"count(*) FILTER (WHERE {both} AND a.{column} IS NOT NULL AND b.{column} IS NULL)",
        f"count(*) FILTER (WHERE {both} AND a.{column} IS NULL AND b.{column} IS NOT NULL)",
    ]
    if kind in NUMBERS:
        step = f"b.{column} - a.{column}"
        figures += [f"{f}({step}) FILTER (WHERE {differs})" for f in ("sum", "min", "max")]
        figures.append(f"sum(abs({step})) FILTER (WHERE {differs})")
for where in (f"a.{key} IS NULL", f"b.{key} IS NULL", f"{both} AND a IS DISTINCT FROM b"):
    figures.append(f"arg_min({{'a': a, 'b': b}}, coalesce(a.{key}, b.{key}), 5) FILTER (WHERE {where})")
row = connection.execute(f"SELECT {', '.join(figures)} FROM a FULL JOIN b ON a.{key} = b.{key}").fetchone()
assert row is not None
found |= {"added": row[0], "removed": row[1], "changed": row[2]}

place, changed = 3, {}
for column, kind in columns.items():
    changed[column] = row[place]
    place += 7 if kind in NUMBERS else 3
found["columns"] = changed

for side in "ab":
    parts = []
    for column in (c for c, n in changed.items() if n):
        parts += [f"count({column})", f"approx_count_distinct({column})", f"min({column})", f"max({column})"]
        if columns[column] in NUMBERS:
            parts.append(f"sum({column})")
        parts.append(
            f"quantile_disc({column}, [0.05, 0.25, 0.5, 0.75, 0.95]) FILTER (WHERE hash({key}) % 100 = 0)"
        )
    if parts:
        found[f"profile {side}"] = [
            str(v) for v in connection.execute(f"SELECT {', '.join(parts)} FROM {side}").fetchone()
        ]
Path(answers).write_text(json.dumps(found, default=str), "utf-8")
