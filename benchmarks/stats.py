"""The few statistics that the report uses: medians, and ratios of paired measurements.

Contestants of one section are measured in turn, round by round, so that sample ``i`` of one and
sample ``i`` of another saw the same state of the machine; ratios are therefore taken pair by pair
and the median of those is shown, never a ratio of two medians.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median as _median


def median(values: Sequence[float]) -> float:
    """The middle value, or the mean of the two middle ones. Raises ValueError without values."""
    if not values:
        raise ValueError("no value to take the median of")
    return float(_median(values))


def paired_ratio(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """Median of ``ours[i] / theirs[i]`` over the rounds that both took part in."""
    pairs = _pairs(ours, theirs)
    if any(b <= 0 for _, b in pairs):
        raise ValueError("a duration must be above zero to divide by it")
    return median([a / b for a, b in pairs])


def paired_excess(ours: Sequence[float], theirs: Sequence[float], units: int) -> float:
    """Median of ``(ours[i] - theirs[i]) / units``: what one unit costs more than it does there."""
    if units < 1:
        raise ValueError("at least one unit is needed to share the difference")
    return median([(a - b) / units for a, b in _pairs(ours, theirs)])


def spread(values: Sequence[float]) -> tuple[float, float]:
    """The least and the greatest value."""
    if not values:
        raise ValueError("no value to take the spread of")
    return min(values), max(values)


def _pairs(ours: Sequence[float], theirs: Sequence[float]) -> list[tuple[float, float]]:
    pairs = list(zip(ours, theirs, strict=False))  # a dear peer may sit out the later rounds
    if not pairs:
        raise ValueError("no round was measured for both")
    return pairs
