"""A page about delays: one HTML file that needs nothing else.

Any program in any language can be such a step. GitKitchen gives it, as environment variables, the
Parquet files that it reads, the values of `with:`, and the path of the file that it is to write.
"""

import json
import os
from html import escape
from pathlib import Path

import duckdb

PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>Delays of flights from New York, 2013</title>
<style>
  body {{ font: 15px/1.5 system-ui, sans-serif; max-width: 50rem; margin: 2rem auto; padding: 0 1rem; }}
  table {{ border-collapse: collapse; margin-bottom: 2rem; }}
  td {{ padding: .2rem .8rem; border-bottom: 1px solid #8884; }}
  tr:first-child {{ font-weight: bold; }}
</style>
<h1>Delays of flights from New York, 2013</h1>
<p>A flight is late when it arrives more than {late_minutes} minutes after its time.</p>
<h2>By airline</h2>
{carriers}
<h2>By weather</h2>
{weather}
<h2>The longest series of bad days</h2>
{streaks}
</html>
"""


def table(dataset: str, columns: str, order: str) -> str:
    """A dataset as an HTML table; every value is escaped."""
    path = os.environ[f"GITKITCHEN_INPUT_{dataset.upper()}"]
    found = duckdb.read_parquet(path).order(order).select(columns)
    lines = [found.columns, *found.fetchall()]
    rows = ["".join(f"<td>{escape(str(value))}</td>" for value in line) for line in lines]
    return "<table>\n" + "".join(f"<tr>{row}</tr>\n" for row in rows) + "</table>"


params = json.loads(os.environ["GITKITCHEN_PARAMS"])
page = PAGE.format(
    late_minutes=params["late_minutes"],
    carriers=table("late_by_carrier", "name, n_flights, mean_arr_delay, share_late", "share_late desc, name"),
    weather=table("delays_by_weather", "*", "origin, share_late desc"),
    streaks=table("bad_streaks", "*", "days desc, origin"),
)
Path(os.environ["GITKITCHEN_OUTPUT_DELAYS_HTML"]).write_text(page, encoding="utf-8")
