"""Which cases of many every run of the tests tries, and which are left to the long ones."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest


def some(values: Iterable[Any], *short: Any) -> list[Any]:
    """All ``values`` as parameters, those that are not among ``short`` marked as long."""
    found = list(values)
    assert set(short) <= set(found), "a case that is always tried is none of the cases"
    return [v if v in short else pytest.param(v, marks=pytest.mark.long) for v in found]
