"""Bare DuckDB: for each statement COPY to Parquet and CREATE VIEW for the reader, in one process.

Arguments: the JSON list of [name, SELECT], the folder to write to, the compression, and optionally
``audited``: then each statement is parsed first, COPY returns the statistics of what it wrote, and a
digest of the rows is read back, which are the statements that GitKitchen gives the engine for a node.
The database is in memory: nothing but the Parquet files is written.
"""

import json
import sys
from pathlib import Path

import duckdb


def main() -> None:
    source, target, compression = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
    target.mkdir(parents=True, exist_ok=True)
    audited = "audited" in sys.argv[4:]
    options = f"FORMAT parquet, COMPRESSION {compression}" + (", RETURN_STATS" if audited else "")
    connection = duckdb.connect()
    for name, sql in json.loads(source.read_text("utf-8")):
        path = f"{target}/{name}.parquet"
        if audited:
            duckdb.extract_statements(sql)
        connection.execute(f"COPY ({sql}) TO '{path}' ({options})").fetchall()
        if audited:
            connection.execute(
                "SELECT count(*), sum(h), bit_xor(h) FROM "
                f"(SELECT hash(hash(*COLUMNS(*))) AS h FROM read_parquet('{path}'))"
            ).fetchall()
        connection.execute(f"CREATE VIEW {name} AS SELECT * FROM read_parquet('{path}')")
    last = f"SELECT count(*), count(id), count(DISTINCT id) FROM {name}"  # the recipe's two tests
    rows, present, distinct = connection.execute(last).fetchall()[0]
    if not rows == present == distinct:
        sys.exit("the last model's id is not unique")


main()
