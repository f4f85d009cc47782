"""Open a new environment with one command, then read a row of every table of it, in PostgreSQL.

Arguments: how many tables there must be, and the command, whose last line is how to enter with ``psql``; the
address is in WAREHOUSE_DSN.
"""

import os
import re
import subprocess
import sys


def main() -> None:
    wanted, *command = sys.argv[1:]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        print(done.stdout)
        sys.exit(f"the command ended with {done.returncode}")

    import psycopg

    found = re.search(r"search_path=(\w+)", done.stdout.strip().splitlines()[-1])
    if not found:
        sys.exit(f"no schema in {done.stdout!r}")
    with psycopg.connect(os.environ["WAREHOUSE_DSN"], autocommit=True) as client:
        names = client.execute(
            "SELECT viewname FROM pg_views WHERE schemaname = %s AND viewname ~ '^m[0-9]{4}$'", [found[1]]
        ).fetchall()
        answered = [
            client.execute(f'SELECT * FROM "{found[1]}"."{name}" LIMIT 1').fetchone() for (name,) in names
        ]
    if len([row for row in answered if row is not None]) != int(wanted):
        sys.exit(f"{len(answered)} tables answered, not {wanted}")


main()
