"""Which recipes a command that asks for one dataset needs, and what is said where no recipe makes it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitkitchen.ci.comparing import leading_to, maker
from gitkitchen.errors import Mistake
from gitkitchen.road.order import Reader


def reader(name: str, *reads: str) -> Reader:
    return Reader(name, frozenset({f"{name}_made"}), frozenset(f"{r}_made" for r in reads))


SHOP = (reader("raw"), reader("orders", "raw"), reader("board", "orders"), reader("other", "raw"))


def test_only_what_leads_to_it_runs() -> None:
    """The recipe that makes it, and those that it reads, however far away; no other."""
    assert leading_to(SHOP, maker(SHOP, "board_made")) == {"raw", "orders", "board"}
    assert leading_to(SHOP, maker(SHOP, "raw_made")) == {"raw"}


@given(st.dictionaries(st.sampled_from("abcdef"), st.sets(st.sampled_from("abcdef")), min_size=1))
def test_circles_end(reads: dict[str, set[str]]) -> None:
    """Whatever reads whatever: the result is closed, and holds nothing that leads nowhere."""
    every = [reader(name, *others) for name, others in reads.items()]
    found = leading_to(every, every[0])
    assert every[0].name in found
    for one in every:
        if one.name in found:
            assert {o for o in reads[one.name] if o in reads} <= found
    for name in found - {every[0].name}:
        assert any(name in reads[other] for other in found)


def test_a_name_that_is_none_is_refused_with_others() -> None:
    """Near names where there are; otherwise some of those that there are, and how many more."""
    with pytest.raises(Mistake) as caught:
        maker(SHOP, "order_made")
    assert caught.value.problems[0].hint.startswith("did you mean orders_made")
    many = [reader(f"r{n:03}") for n in range(40)]
    with pytest.raises(Mistake) as caught:
        maker(many, "zzzzzzzz")
    assert caught.value.problems[0].hint.endswith("r011_made and 28 more")
