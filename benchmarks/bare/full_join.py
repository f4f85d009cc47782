"""Two tables compared by key in bare DuckDB: one full outer join, written as well as it can be.

Arguments: the two Parquet files, the key, the file for the answers. It answers what `diff --data` does: is
the key a key; rows added, removed, changed; of each column the changed rows, NULLs gained and lost and the
size of the change; five rows of each kind; and of each column that changed how it is distributed on both
sides, its quantiles from one key in so many.
"""

import json
import sys
from pathlib import Path

import duckdb

file_a, file_b, key, answers = sys.argv[1:5]
NUMBERS = ("BIGINT", "INTEGER", "DOUBLE", "DECIMAL(9,2)")
connection = duckdb.connect()
for name, file in (("a", file_a), ("b", file_b)):
    connection.execute(f"CREATE VIEW {name} AS SELECT * FROM read_parquet('{file}')")
columns = {n: t for n, t, *_ in connection.execute("DESCRIBE a").fetchall() if n != key}

found: dict[str, object] = {}
for side in "ab":
    found[f"key {side}"] = connection.execute(
        f"SELECT count(*), count(*) - count({key}), count(DISTINCT {key}) FROM {side}"
    ).fetchone()

both = "NOT is_new AND NOT is_gone"
figures = [f"count(*) FILTER (WHERE {w})" for w in ("is_new", "is_gone", both)]
chosen = [f"a.{key} IS NULL AS is_new, b.{key} IS NULL AS is_gone, coalesce(a.{key}, b.{key}) AS k"]
for column, kind in columns.items():
    chosen.append(f"a.{column} AS a_{column}, b.{column} AS b_{column}")
    before, after = f"a_{column}", f"b_{column}"
    differs = f"{both} AND {before} IS DISTINCT FROM {after}"
    figures += [
        f"count(*) FILTER (WHERE {differs})",
        f"count(*) FILTER (WHERE {both} AND {before} IS NOT NULL AND {after} IS NULL)",
        f"count(*) FILTER (WHERE {both} AND {before} IS NULL AND {after} IS NOT NULL)",
    ]
    if kind in NUMBERS:
        step = f"{after} - {before}"
        figures += [f"{f}({step}) FILTER (WHERE {differs})" for f in ("sum", "min", "max")]
        figures.append(f"sum(abs({step})) FILTER (WHERE {differs})")
record = ", ".join(f"a_{c}, b_{c}" for c in columns)
figures += [f"arg_min(row({record}), k, 5) FILTER (WHERE {w})" for w in ("is_new", "is_gone", both)]
# Only rows that differ leave the join: of 10 million a few thousand.
different = " OR ".join(f"a.{c} IS DISTINCT FROM b.{c}" for c in columns)
row = connection.execute(
    f"SELECT {', '.join(figures)} FROM (SELECT {', '.join(chosen)} FROM a FULL JOIN b ON a.{key} = b.{key} "
    f"WHERE a.{key} IS NULL OR b.{key} IS NULL OR {different})"
).fetchone()
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
