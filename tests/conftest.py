"""Settings shared by all tests: bounded, reproducible property tests and a clean environment."""

from __future__ import annotations

import gc
import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from models import copied
from shop import KITCHEN_YML, Shop

settings.register_profile(
    "default", deadline=None, derandomize=True, max_examples=30, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile(
    "long", deadline=None, derandomize=False, max_examples=1000, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))

# As in the console script: most objects live to the end, and looking through them for cycles finds nothing.
gc.set_threshold(100_000, 20, 20)

# What a developer's shell or a CI job may set and no test may depend on.
for name in [n for n in os.environ if n.startswith(("GIT_", "GITKITCHEN_", "GITHUB_"))]:
    if name not in ("GITKITCHEN_REQUIRE", "GITKITCHEN_RACES", "GITKITCHEN_YEAR", "GITKITCHEN_POSTGRES_BIN"):
        del os.environ[name]
os.environ["GIT_CONFIG_GLOBAL"] = os.devnull
os.environ["GIT_CONFIG_SYSTEM"] = os.devnull
for role in ("AUTHOR", "COMMITTER"):
    os.environ[f"GIT_{role}_NAME"] = "Test"
    os.environ[f"GIT_{role}_EMAIL"] = "test@example.org"


def pytest_configure(config: pytest.Config) -> None:
    """The long tests run their property tests longer."""
    if config.getoption("markexpr", "") == "long":
        settings.load_profile("long")


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    """A project without a recipe, committed on ``main``."""
    copied("shop", _make_shop, tmp_path / "shop")
    return Shop(tmp_path / "shop")


def _make_shop(folder: Path) -> None:
    made = Shop(folder)
    made.git("init", "-q", "-b", "main")
    made.commit({"kitchen.yml": KITCHEN_YML, ".gitignore": ".gitkitchen/\n"})
