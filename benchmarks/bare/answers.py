"""Open a new environment with one command, then read a row of every table of it.

Arguments: the DuckDB file ("-": the last line that the command prints), the schema, how many tables there
must be, and the command. ``{name}`` in schema and command becomes a name that no run before had. Run with the
tool's own interpreter, since each has a DuckDB of its own.
"""

import os
import subprocess
import sys
import time


def main() -> None:
    name = f"s{os.getpid()}_{time.time_ns()}"
    database, schema, wanted, *command = (word.replace("{name}", name) for word in sys.argv[1:])
    environ = {**os.environ, "BENCH_SCHEMA": name}
    done = subprocess.run(command, env=environ, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        print(done.stdout)
        sys.exit(f"the command ended with {done.returncode}")

    import duckdb

    path = done.stdout.strip().splitlines()[-1] if database == "-" else database
    connection = duckdb.connect(path, read_only=True)
    found = connection.execute(
        "SELECT table_name FROM information_schema.tables WHERE table_schema = ? "
        "AND regexp_matches(table_name, '^m[0-9]{4}$')",
        [schema],
    ).fetchall()
    answered = [
        connection.execute(f'SELECT * FROM "{schema}"."{table}" LIMIT 1').fetchone() for (table,) in found
    ]
    if len([row for row in answered if row is not None]) != int(wanted):
        sys.exit(f"{len(answered)} tables answered, not {wanted}")


main()
