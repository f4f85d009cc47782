"""Ledgers for the tests of this folder."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.ledger.host import Host, make_host


@pytest.fixture
def host(tmp_path: Path) -> Host:
    """A remote with one commit on ``main``."""
    return make_host(tmp_path)
