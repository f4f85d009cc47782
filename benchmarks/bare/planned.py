"""Print the figures of ``benchmarks.controls`` as JSON.

Arguments: the folder for the data, rows, pairs, smaller numbers of rows.
"""

import json
import sys
from pathlib import Path

from benchmarks import controls

smaller = [int(word) for word in sys.argv[4:]]
folder, rows, pairs = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
json.dump(controls.measure(folder, rows=rows, pairs=pairs, growth=smaller), sys.stdout)
