"""Print how many rows each Parquet file of a folder holds, as JSON. Argument: the folder."""

import json
import sys
from pathlib import Path

import duckdb

found = {}
for file in sorted(Path(sys.argv[1]).glob("*.parquet")):
    counted = duckdb.execute(f"SELECT count(*) FROM read_parquet('{file}')").fetchall()
    found[file.stem] = counted[0][0]
print(json.dumps(found))
