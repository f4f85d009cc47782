"""A real PostgreSQL for the whole session, and a project in Git whose warehouse it is."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

import warehouse
from shop import KITCHEN_YML, Shop

CONNECTION = 'connections:\n  warehouse: {type: postgres, dsn: "${{ secrets.WAREHOUSE_DSN }}"}\n'


@pytest.fixture(scope="session")
def server() -> Iterator[warehouse.Server]:
    """One server for the session; skipped where PostgreSQL is not installed."""
    with warehouse.serving() as made:
        yield made


@pytest.fixture
def database(server: warehouse.Server) -> Iterator[str]:
    """An empty database, named by the environment as a job would name it."""
    with warehouse.database(server) as name:
        os.environ["WAREHOUSE_DSN"] = server.dsn(name)
        try:
            yield name
        finally:
            os.environ.pop("WAREHOUSE_DSN", None)


@pytest.fixture
def pg_shop(shop: Shop, database: str) -> Shop:
    """A project on PostgreSQL, without a recipe, committed on ``main``."""
    shop.commit({"kitchen.yml": KITCHEN_YML + CONNECTION})
    return shop


@pytest.fixture
def consumer(server: warehouse.Server, database: str) -> Iterator[psycopg.Connection[Any]]:
    """A plain client as the role ``reader``, which was granted what consumers are granted."""
    with psycopg.connect(server.dsn(database, "reader"), autocommit=True) as made:
        yield made


@pytest.fixture
def boss(server: warehouse.Server, database: str) -> Iterator[psycopg.Connection[Any]]:
    """The database's administrator."""
    with server.admin(database) as made:
        yield made


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path
