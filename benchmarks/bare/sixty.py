"""Print the tables and tests of ``benchmarks.controls`` as JSON. Argument: the number of rows.

A process of its own, so that the bench itself stays small: what it holds in memory would be
counted as the least peak of every command that it starts.
"""

import json
import sys

from benchmarks import controls

rows = int(sys.argv[1])
tests = [
    {"kind": t.kind, "args": dict(t.args), "where": t.where, "share": t.tolerate.share}
    for t in controls.mixed_tests(rows)
]
json.dump(
    {"tables": {**controls.OTHERS, "orders": controls.ORDERS.format(rows=rows)}, "tests": tests}, sys.stdout
)
