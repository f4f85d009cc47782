"""Write tables as Parquet with DuckDB. Arguments: a JSON object of name -> SELECT, the folder."""

import json
import sys
from pathlib import Path

import duckdb

target = Path(sys.argv[2])
target.mkdir(parents=True, exist_ok=True)
for name, sql in json.loads(Path(sys.argv[1]).read_text("utf-8")).items():
    duckdb.sql(f"COPY ({sql}) TO '{target}/{name}.parquet' (FORMAT parquet, COMPRESSION zstd)")
