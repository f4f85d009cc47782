"""What we believe about delays. The fixture `kitchen` opens the datasets that the node needs."""

import pytest


@pytest.fixture
def late(kitchen):
    """The share of late flights by airport and weather."""
    rows = kitchen.sql("select origin, conditions, share_late from delays_by_weather").fetchall()
    return {(origin, conditions): share for origin, conditions, share in rows}


@pytest.mark.parametrize("origin", ["EWR", "JFK", "LGA"])
def test_bad_weather_makes_flights_late(late, origin):
    """At every airport more flights are late in snow than in rain, and more in rain than in fair weather."""
    assert late[origin, "snow"] > late[origin, "rain"] > late[origin, "fair"]


def test_every_airline_is_late_sometimes(kitchen):
    """No airline is always or never late: that would be a mistake in counting."""
    shares = kitchen.sql("select min(share_late), max(share_late) from late_by_carrier")
    ((lowest, highest),) = shares.fetchall()
    assert 0 < lowest < highest < 0.5
