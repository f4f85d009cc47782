"""Variables in layers: who wins, what merges, where a value comes from."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitkitchen.errors import Mistake, Place
from gitkitchen.kitchen.settings import duration, flatten, parse_set, resolve, values


def test_the_highest_layer_wins_and_says_where_it_stands() -> None:
    """Recipe, kitchen.yml, environment, variation, --set: the later wins, and each value has its origin."""
    settings = resolve(
        [
            ("recipe", {"late": 15, "region": "eu"}, {"late": Place("recipes/x/recipe.yml", 3)}),
            ("kitchen.yml", {"region": "us"}, {"region": Place("kitchen.yml", 9)}),
            ("--set", {"late": 0}, {}),
        ]
    )
    assert settings["late"].value == 0
    assert settings["late"].origin == "--set"
    assert settings["region"].origin == "kitchen.yml:9"
    assert values(settings) == {"late": 0, "region": "us"}


def test_dictionaries_merge_deeply() -> None:
    """A key of a mapping is overridden alone; its neighbours stay."""
    layers: list[Any] = [
        ("recipe", {"a": {"x": 1, "deep": {"p": 1, "q": 2}}, "l": [1, 2]}, {}),
        ("kitchen.yml", {"a": {"deep": {"q": 3}, "y": {}}, "l": [3]}, {}),
    ]
    assert values(resolve(layers)) == {"a": {"x": 1, "deep": {"p": 1, "q": 3}, "y": {}}, "l": [3]}


def _merged(lower: Any, upper: Any) -> Any:
    """The slow obvious reference: what a deep merge is."""
    if isinstance(lower, dict) and isinstance(upper, dict):
        merged = {**lower, **upper}
        return {k: _merged(lower[k], v) if k in lower and k in upper else v for k, v in merged.items()}
    return upper


TREES = st.recursive(
    st.integers(0, 3) | st.lists(st.integers(0, 1), max_size=2),
    lambda inner: st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=8,
)
LAYERS = st.lists(st.dictionaries(st.sampled_from("abc"), TREES, max_size=3), max_size=4)


@given(LAYERS)
def test_layers_merge_as_an_obvious_merge_does(layers: list[dict[str, Any]]) -> None:
    """Whatever stands over whatever (mapping over value, value over mapping, empty mappings)."""
    expected: Any = {}
    for layer in layers:
        expected = _merged(expected, layer)
    settings = resolve([(str(i), layer, {}) for i, layer in enumerate(layers)])
    assert values(settings) == expected
    assert flatten(values(settings)) == {k: s.value for k, s in settings.items()}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a.b=3", {"a": {"b": 3}}),
        ("region=no", {"region": "no"}),
        ("x='3'", {"x": "3"}),
        ("x=", {"x": None}),
        ("x=a=b", {"x": "a=b"}),
        ("x= true ", {"x": True}),
    ],
)
def test_a_value_on_the_command_line_is_typed_as_yaml(text: str, value: object) -> None:
    """`--set` reads a value as the files do."""
    assert parse_set(text) == value


@pytest.mark.parametrize("text", ["late", "=3", "a..b=1", "a b=1", "1=2", "${{ x }}=1"])
def test_a_set_that_names_nothing_is_a_mistake(text: str) -> None:
    """The message shows how to write it."""
    with pytest.raises(Mistake, match=r"names no variable; write --set name=value"):
        parse_set(text)


def test_an_endless_number_on_the_command_line_is_a_mistake() -> None:
    """Bounds hold here as in files."""
    with pytest.raises(Mistake, match="--set x: the number 1e999 is too large"):
        parse_set("x=1e999")


@pytest.mark.parametrize(
    ("text", "seconds"), [("90s", 90), ("1.5h", 5400), ("14d", 1209600), ("2 w", 1209600), ("3m", 180)]
)
def test_durations_are_seconds(text: str, seconds: float) -> None:
    """Units are s, m, h, d, w."""
    assert duration(text) == seconds


@pytest.mark.parametrize("text", ["14", "d", "-1d", "1y", "1e3s", "9" * 5000 + "s", ""])
def test_other_durations_are_refused(text: str) -> None:
    """A duration has a unit."""
    with pytest.raises(ValueError, match="is not a duration such as 36h or 14d"):
        duration(text)
