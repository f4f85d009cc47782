"""What a job that moves an environment tells of the runs that proved it."""

from __future__ import annotations

from pathlib import Path

import pytest

from gitkitchen.ci.results import summary
from road import KITCHEN_YML, SQL, TWO
from town import towned


@pytest.mark.long
def test_what_was_merged_is_shown_with_its_runs_and_what_became_of_them(tmp_path: Path) -> None:
    """Landed: each recipe with its table and the one publication that it is part of. Not landed: the failing
    test in full, and that consumers read what they read before. Never that it is kept as a candidate."""
    with towned(tmp_path, {**TWO, "kitchen.yml": _kitchen(tmp_path)}, only=True) as town:
        before = town.repo.head("staging")
        town.repo.commit("staging", {"recipes/delays/late.sql": SQL + "-- mended\n"}, author="petra")
        assert town.pushed("staging", before).code == 0
        assert town.report is not None
        text = summary(town.report)
        assert "### ✅ delays passed" in text
        assert "Published 2 datasets to staging (publication 1): flights, late." in text
        assert "Published 1 dataset to staging (publication 1): worst." in text
        assert "| <code>late</code> | passed | 2 |" in text
        assert "landed as" in text
        assert [o.candidate for o in town.report.outcomes] == [False, False]
        before = town.repo.head("staging")
        town.repo.commit("staging", {"recipes/delays/late.sql": SQL + "limit 0\n"}, author="petra")
        assert town.pushed("staging", before).code == 1
        text = summary(town.report)
        assert "### ❌ delays failed" in text
        assert "rows(min=1)" in text
        assert "Not published to staging: broken, nothing was published." in text
        assert "Consumers still read what they read before." in text
        for each in text.splitlines():
            assert "landed as" not in each
            assert "kept as a candidate" not in each


def _kitchen(folder: Path) -> str:
    return KITCHEN_YML + f"ledger: branch\nstore: file://{folder}/store\n"
