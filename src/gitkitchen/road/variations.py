"""The variations that an environment runs: what a tree must show of them before it lands there."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta

from gitkitchen.frozen import dataclass
from gitkitchen.model import Schedule, Variation
from gitkitchen.recipe.load import RawRecipe
from gitkitchen.schedule.cron import before
from gitkitchen.schedule.shapes import Interval


@dataclass(frozen=True, slots=True)
class Variant:
    """A variation of a recipe. ``interval``: the one that a run of it would be for now; None without a
    schedule."""

    recipe: str
    variation: str
    interval: Interval | None = None

    @property
    def label(self) -> str:
        """As gates and the policy write it: ``recipe:variation``."""
        return f"{self.recipe}:{self.variation}"


def runs_in(environment: str, variation: Variation) -> bool:
    """Whether an environment runs a variation: it names the environment, or has a schedule everywhere."""
    if variation.environments:
        return environment in variation.environments
    return variation.schedule is not None


def names(environment: str, recipes: Mapping[str, RawRecipe]) -> Iterator[tuple[str, str]]:
    """Recipe and variation of all that an environment runs, by name."""
    for recipe in sorted(recipes):
        for name, variation in sorted(recipes[recipe].variations.items()):
            if runs_in(environment, variation):
                yield recipe, name


def variants(
    environment: str, recipes: Mapping[str, RawRecipe], order: Iterable[str], now: datetime
) -> Iterator[Variant]:
    """The same, in the order of the recipes that is given, each with the interval that ended last."""
    rank = {recipe: number for number, recipe in enumerate(order)}
    for recipe, name in sorted(names(environment, recipes), key=lambda n: (rank.get(n[0], len(rank)), n)):
        yield Variant(recipe, name, _interval(recipes[recipe].variations[name].schedule, now))


def _interval(schedule: Schedule | None, now: datetime) -> Interval | None:
    if schedule is None:
        return None
    end = before(schedule.cron, schedule.timezone, now)
    return Interval(before(schedule.cron, schedule.timezone, end - timedelta(microseconds=1)), end)
