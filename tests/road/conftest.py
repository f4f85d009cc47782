"""Roads for the tests of this folder."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.road.made_road import Road, make_road


@pytest.fixture(params=["folder", "branch"])
def road(request: pytest.FixtureRequest, tmp_path: Path) -> Road:
    """A project on a ledger of either kind."""
    return make_road(tmp_path, request.param)


@pytest.fixture
def near(tmp_path: Path) -> Road:
    """A project on a ledger in a folder."""
    return make_road(tmp_path, "folder")
