"""Clearing up never takes what a promotion needs: SURVIVE S5."""

from __future__ import annotations

from pathlib import Path

import pytest

from gitkitchen.promote.protocol import Purpose, Way, route
from gitkitchen.road import effects
from lengths import some
from road import SQL, TWO, made, promoted, rows, tree
from shop import Shop

LOCAL = [step.name for step in route(Purpose.FORWARD, Way.LOCAL).steps if step.name != "report-landed"]


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    """A road whose three environments stand on different trees, each with data of its own."""
    found = made(tmp_path, TWO)
    promoted(found, "staging")
    promoted(found, "prod")
    found.commit({"recipes/delays/late.sql": SQL.replace("count(*)", "count(*) + 10")})
    promoted(found, "staging")
    found.commit({"recipes/delays/late.sql": SQL.replace("count(*)", "count(*) + 20")})
    return found


def collected(shop: Shop) -> None:
    """As hard as it can be asked for: no grace, nothing kept for looking back."""
    said = shop.cli("gc", "--apply", "--grace", "0s", "--keep", "0s")
    assert said.code in (0, 3), said.out + said.err


@pytest.mark.long
@pytest.mark.parametrize("step", some(LOCAL, "move-branch"))
def test_s5_clearing_up_at_any_moment_of_a_promotion_takes_nothing_alive(shop: Shop, step: str) -> None:
    """S5 (Nessie #12363: collection deleted live files): `gc` without any grace, before any effect of a
    promotion: every environment still reads all it shows, and the promotion lands, or does when repeated."""
    done: list[str] = []

    def collect(name: str, when: str) -> None:
        if (name, when) == (step, "before") and not done:
            done.append(name)
            collected(shop)

    effects.watchers.append(collect)
    try:
        said = shop.cli("promote", "staging", "--quiet")
    finally:
        effects.watchers.remove(collect)
    assert done == [step]
    if said.code:
        promoted(shop, "staging")
    collected(shop)
    assert tree(shop, "staging") == tree(shop, "develop")
    assert rows(shop, "prod") == [("AA", 2), ("UA", 1)]
    assert rows(shop, "staging") == [("AA", 22), ("UA", 21)]
    assert rows(shop, "staging", "select n from worst") == [(22,)]
    promoted(shop, "prod")
    assert rows(shop, "prod") == [("AA", 22), ("UA", 21)]
