"""Our quick frozen dataclasses behave as the standard library's do."""

from __future__ import annotations

import copy
import dataclasses
import inspect
import math
import pickle
import sys
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any, ClassVar, get_type_hints

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitkitchen.frozen import dataclass as quick

plain: Callable[..., Any] = dataclasses.dataclass
NAMES = ["self", "name", "value", "cls", "other", "fields", "state", "_hidden", "__mangled"]
VALUES = st.one_of(
    st.integers(0, 3), st.just(math.nan), st.text("ab", max_size=2), st.tuples(st.integers(0, 1)), st.none()
)


@pytest.fixture(autouse=True, scope="module")
def module() -> Iterator[ModuleType]:
    """A module for the classes that are made here, as pickle looks for them by name."""
    made = sys.modules["made_here"] = ModuleType("made_here")
    yield made
    del sys.modules["made_here"]


@st.composite
def described(draw: st.DrawFn) -> tuple[dict[str, Any], dict[str, Any]]:
    """The annotations and the class attributes of a frozen dataclass, those with defaults last."""
    names = draw(st.lists(st.sampled_from(NAMES), unique=True, max_size=5))
    without = draw(st.integers(0, len(names)))
    given_values: dict[str, Any] = {}
    for number, name in enumerate(names):
        options: dict[str, Any] = {
            "repr": draw(st.booleans()),
            "compare": draw(st.booleans()),
            "hash": draw(st.sampled_from([None, True, False])),
        }
        how = draw(st.sampled_from(["value", "field", "factory"])) if number >= without else "none"
        if how == "value":
            given_values[name] = draw(VALUES)
        elif how == "field":
            given_values[name] = ("field", {**options, "default": draw(VALUES)})
        elif how == "factory":
            given_values[name] = (
                "field",
                {**options, "default_factory": draw(st.sampled_from([list, dict]))},
            )
        elif draw(st.booleans()):
            given_values[name] = ("field", options)
    if draw(st.booleans()):
        given_values["__post_init__"] = lambda self: object.__setattr__(self, names[-1], 7) if names else None
    if draw(st.booleans()):
        given_values["__eq__"] = lambda _self, _other: True
    if draw(st.booleans()):
        given_values["__repr__"] = lambda _self: "its own"
    return dict.fromkeys(names, "Any"), given_values


def made(
    decorator: Callable[..., Any],
    annotations: dict[str, Any],
    attributes: dict[str, Any],
    documented: bool = True,
) -> Any:
    body = {
        name: dataclasses.field(**value[1]) if isinstance(value, tuple) and value[:1] == ("field",) else value
        for name, value in attributes.items()
    }
    body |= {"__annotations__": dict(annotations), "__module__": "made_here"}
    body |= {"__doc__": "A value."} if documented else {}
    cls = decorator(frozen=True, slots=True)(type("Made", (), body))
    sys.modules["made_here"].Made = cls  # type: ignore[attr-defined]
    return cls


def answer(call: Callable[[], Any]) -> Any:
    """What a call gives, or the error that it raises, as two classes of one name can be compared."""
    try:
        return call()
    except Exception as error:  # noqa: BLE001 - whatever it is, the other one raises the same
        return type(error), str(error)


def behaviour(cls: Any, one: list[Any], two: list[Any]) -> list[Any]:
    """Everything that a program can see of a class and of two of its values."""
    seen: list[Any] = [
        str(inspect.signature(cls)),
        [(f.name, f.default, f.default_factory, f.repr, f.compare, f.hash) for f in dataclasses.fields(cls)],
        cls.__doc__,
        cls.__match_args__,
        cls.__slots__,
        cls.__dataclass_params__.frozen,
        cls.__init__.__qualname__,
        answer(lambda: get_type_hints(cls.__init__, {"Any": Any})),
    ]
    a, b = answer(lambda: cls(*one)), answer(lambda: cls(*two))
    if not isinstance(a, cls) or not isinstance(b, cls):
        return [*seen, isinstance(a, cls) or a[0], isinstance(b, cls) or b[0]]
    names = [f.name for f in dataclasses.fields(cls)]
    seen += [repr(a), a == b, a == cls(*one), a == 1, dataclasses.asdict(a)]
    seen += [answer(lambda: hash(a) == hash(cls(*one))), answer(lambda: isinstance(hash(a), int))]
    seen += [answer(lambda: dataclasses.asdict(pickle.loads(pickle.dumps(a)))), copy.copy(a) == a]
    seen.append(dataclasses.asdict(copy.deepcopy(a)))
    for name in names:
        seen += [answer(lambda n=name: setattr(a, n, 1)), answer(lambda n=name: delattr(a, n))]  # type: ignore[misc]
        seen.append(answer(lambda n=name: dataclasses.asdict(dataclasses.replace(a, **{n: 5}))))  # type: ignore[misc]
    return seen


@given(described(), st.lists(VALUES, max_size=6), st.lists(VALUES, max_size=6), st.booleans())
def test_behaves_as_the_standard_one(
    shape: tuple[dict[str, Any], dict[str, Any]], one: list[Any], two: list[Any], documented: bool
) -> None:
    """Whatever its fields, a class is seen to do what the standard library's would."""
    ours, theirs = (behaviour(made(decorator, *shape, documented), one, two) for decorator in (quick, plain))
    assert [repr(seen) for seen in ours] == [repr(seen) for seen in theirs]  # as text: NaN is never equal


def test_is_quick_only_where_it_is_plain() -> None:
    """What asks for more than frozen and slots is the standard library's own."""

    @quick(frozen=True, slots=True)
    class Plain:
        """A value."""

        name: str
        size: int = 0

    @quick(frozen=True, slots=True)
    class Counted:
        name: str
        count: ClassVar[int] = 0

    @quick(frozen=True)
    class Child(Plain):
        more: int = 1

    @quick(frozen=True, slots=True)
    class Named:
        name: str = dataclasses.field(kw_only=True)

    @quick
    class Loose:
        name: str

    ours = [c for c in (Plain, Counted, Child, Named, Loose) if c.__eq__.__module__ == "gitkitchen.frozen"]
    assert ours == [Plain]
    assert (Child("a").more, Named(name="a").name, Loose("a").name, Counted.count) == (1, "a", "a", 0)


def test_annotations_that_are_put_off_are_left_to_the_standard_one() -> None:
    """A class of Python 3.14 has code in their place, which only the standard library knows how to ask."""
    lazy = type("Lazy", (), {"__doc__": "A value.", "__annotate_func__": lambda _format: {}})
    assert quick(frozen=True, slots=True)(lazy).__eq__.__module__ != "gitkitchen.frozen"


def test_an_attribute_that_is_no_field_cannot_be_set() -> None:
    """Neither its fields nor anything beside them: Python's own before 3.12 trips over the second."""
    value = made(quick, {"a": "int"}, {})(1)
    with pytest.raises(dataclasses.FrozenInstanceError):
        value.b = 2
    with pytest.raises(dataclasses.FrozenInstanceError):
        del value.b


def test_a_field_without_default_after_one_with_it_is_refused() -> None:
    """As the standard library refuses it, when the class is made."""
    with pytest.raises(TypeError, match="non-default argument 'b' follows default argument"):
        made(quick, {"a": "int", "b": "int"}, {"a": 1})


def test_methods_of_its_own_that_would_thaw_it_are_refused() -> None:
    """A frozen class that sets its attributes itself would not be frozen."""
    with pytest.raises(TypeError, match="Cannot overwrite attribute __setattr__"):
        made(quick, {"a": "int"}, {"__setattr__": lambda *_: None})
