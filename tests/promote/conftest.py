"""The fixture of judging pull requests."""

from __future__ import annotations

import pytest
from tests.promote.requests import Requests

from shop import Shop


@pytest.fixture
def requests(shop: Shop) -> Requests:
    """A project that has not begun."""
    return Requests(shop)
