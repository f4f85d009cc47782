"""Roads for the tests of this folder."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.auditing.made_road import Road, make_road


@pytest.fixture(params=["folder", pytest.param("branch", marks=pytest.mark.long)])
def road(request: pytest.FixtureRequest, tmp_path: Path) -> Road:
    """A project on a ledger of either kind; on a branch in the long tests."""
    return make_road(tmp_path, request.param)


@pytest.fixture(params=["folder", "branch"])
def either(request: pytest.FixtureRequest, tmp_path: Path) -> Road:
    """A project on a ledger of either kind, always both."""
    return make_road(tmp_path, request.param)


@pytest.fixture
def near(tmp_path: Path) -> Road:
    """A project on a ledger in a folder."""
    return make_road(tmp_path, "folder")
