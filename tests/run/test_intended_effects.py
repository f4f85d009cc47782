"""Declared effects judged within a run: what is cancelled, and what cannot be read."""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from gitkitchen.controls.base import Base
from gitkitchen.data.engines.duckdb import Engine
from gitkitchen.data.store import FolderStore
from gitkitchen.errors import Infrastructure, Problem
from gitkitchen.model import Build, Column, NodeResult, State, Version
from gitkitchen.process import Cancel
from gitkitchen.recipe.effects import Effects
from gitkitchen.run.intended import judge_effects


def view(sql: str) -> Version:
    return Version("big", "view", sql, sql, (Column("i", "BIGINT"),), sql=sql)


def judged(tmp_path: Path, new: str, base: Base, cancel: Cancel, factory: Any = None) -> NodeResult:
    store = FolderStore(tmp_path / "store", namespace="k_x", zone="sandbox")
    context: Any = SimpleNamespace(
        clock=lambda: datetime.now(UTC),
        engine_factory=factory or (lambda: Engine(store, threads=1, memory_limit="500MB")),
        store=store,
        base_of=lambda _dataset: base,
        masks=("hidden-word",),
    )
    build = Build("big", "f", "d", {}, {}, {"big": view(new)})
    recipe = SimpleNamespace(owner="@me", name="r", datasets={})
    plan: Any = SimpleNamespace(steps=(), complete=False, recipe=recipe, catalog=SimpleNamespace(pinned={}))
    result = NodeResult("big", "sql", State.PASSED, build=build)
    return judge_effects(Effects("effects/x.yml", "x", {}), plan, [result], context, cancel)


def test_a_cancel_interrupts_the_comparison(tmp_path: Path) -> None:
    """A comparison that would take hours ends with the cancel, and is cancelled, not failed."""
    cancel = Cancel()
    threading.Timer(0.3, cancel.set).start()
    started = time.monotonic()
    base = Base(view("select i from range(3000000000000) t(i)"), "prod", "")
    found = judged(tmp_path, "select i + 1 as i from range(3000000000000) t(i)", base, cancel)
    assert found.state is State.CANCELLED
    assert time.monotonic() - started < 20


def test_an_engine_that_cannot_start_is_infrastructure(tmp_path: Path) -> None:
    """What could not be judged is not a failed test, and never a pass."""

    def broken() -> Engine:
        raise Infrastructure(Problem("the disk is full", hint="free some space"))

    found = judged(tmp_path, "select 1 as i", Base(view("select 2 as i"), "prod", ""), Cancel(), broken)
    assert found.state is State.ERROR
    assert found.failure is not None
    assert (found.failure.kind, found.failure.hint) == ("infrastructure", "free some space")


def test_a_secret_in_the_data_is_masked(tmp_path: Path) -> None:
    """A sample of changed rows shows no secret of the run."""
    base = Base(view("select 'old' as i"), "prod", "")
    found = judged(tmp_path, "select 'hidden-word' as i", base, Cancel())
    assert found.state is State.FAILED
    assert found.tests[0].sample
    assert "hidden-word" not in repr(found.tests)
