"""Stores, engines and a real HTTP server for the tests of versions and of what they are made from."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.data.site import Site, serving

from gitkitchen.data.store import FolderStore
from gitkitchen.model import Project


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """A project in an empty folder."""
    root = tmp_path / "work"
    root.mkdir()
    return Project(root, "shop", "0123456789abcdef")


@pytest.fixture
def store(tmp_path: Path) -> FolderStore:
    """The trusted zone of an empty store."""
    return FolderStore(tmp_path / "store", namespace="k_main_0", zone="trusted")


@pytest.fixture
def site() -> Iterator[Site]:
    """A real HTTP server on a free port."""
    with serving() as made:
        yield made
