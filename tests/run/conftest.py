"""The fixture of the engine's tests."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.run.desk import Desk


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    """A workshop for nodes in an empty folder."""
    return Desk(tmp_path)
