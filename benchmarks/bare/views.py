"""A DuckDB file with a view onto every Parquet file of a folder. Arguments: the file, the folder.

Run with the peer's own interpreter, since each has a DuckDB of its own that must open the file.
"""

import sys
from pathlib import Path

import duckdb

connection = duckdb.connect(sys.argv[1])
for file in sorted(Path(sys.argv[2]).glob("*.parquet")):
    connection.execute(f"CREATE VIEW {file.stem} AS SELECT * FROM read_parquet('{file}')")
connection.close()
