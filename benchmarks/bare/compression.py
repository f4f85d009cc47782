"""Print the compression of the first Parquet file under a folder. Argument: the folder."""

import sys
from pathlib import Path

import duckdb

first = next(iter(sorted(Path(sys.argv[1]).rglob("*.parquet"))), None)
if first is None:
    sys.exit("no Parquet file there")
question = "SELECT compression FROM parquet_metadata($file) LIMIT 1"
found = duckdb.execute(question, {"file": str(first)}).fetchall()
print(found[0][0].lower() if found else "snappy")
