"""The longest series of bad days at each airport: what takes a loop is easier in Python than in SQL."""

from itertools import groupby

import duckdb


def bad_streaks(late_by_day: duckdb.DuckDBPyRelation, bad_share: float):
    """One row for each airport: how many days in a row had a share of late flights of at least ``bad_share``.

    The parameter ``late_by_day`` is the dataset of that name, ``bad_share`` a value of ``with:``.
    """
    days = late_by_day.order("origin, day").select("origin, day, share_late").fetchall()
    longest = []
    for origin, of_airport in groupby(days, key=lambda row: row[0]):
        best = []
        for is_bad, streak in groupby(of_airport, key=lambda row: row[2] >= bad_share):
            streak = list(streak)
            if is_bad and len(streak) > len(best):
                best = streak
        if best:
            longest.append({"origin": origin, "first_day": best[0][1], "days": len(best)})
    return longest
