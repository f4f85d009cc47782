"""``dataclass`` as the standard library has it, made in a third of the time where it is frozen with slots.

The standard one writes the source of six methods for each class and has Python compile it: two thirds of a
millisecond a class, and a run imports more than a hundred of them before it does anything. Here the six
become one: only ``__init__`` is compiled. The others are the same for every class but for the names of its
fields. All else, and every class that asks for more than a plain frozen one, is the standard library's.
"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import MISSING, Field, FrozenInstanceError, fields
from operator import attrgetter
from reprlib import recursive_repr
from typing import TYPE_CHECKING, Any

__all__ = ["dataclass"]

_PLAIN = {"frozen": True, "slots": True}
_MADE = {"__init__", "__eq__", "__hash__", "__setattr__", "__delattr__"}
"""Methods that no plain class has of its own."""
_LAZY = {"__annotate__", "__annotate_func__"}
"""What a class of Python 3.14 has in place of annotations, unless its module puts them off itself."""
_BEYOND = ("ClassVar", "InitVar", "KW_ONLY")
_SET, _ANEW, _FACTORIES = "__frozen_set", "__frozen_anew", "__frozen_factories"
_anew = object()
"""In place of a value that its field's factory makes."""

if TYPE_CHECKING:
    from dataclasses import dataclass
else:

    def dataclass(cls: type | None = None, /, **options: Any) -> Any:
        """The decorator ``dataclasses.dataclass``, with its options."""
        if cls is None:
            return lambda decorated: dataclass(decorated, **options)
        if options != _PLAIN or not _is_plain(cls):
            return dataclasses.dataclass(**options)(cls)
        return _made(cls)


def _is_plain(cls: type) -> bool:
    """Whether a class has nothing but fields that its ``__init__`` takes by position, and is none's child.

    One without a docstring is told by its signature, which takes the standard library to find out.
    """
    own = vars(cls)
    if cls.__doc__ is None or any(hasattr(base, "__dataclass_fields__") for base in cls.__bases__):
        return False
    if not own.keys().isdisjoint(_LAZY) and "__annotations__" not in own:
        return False  # its annotations are code that may name what is not there yet
    kinds = own.get("__annotations__", {})
    if "self" in kinds or any(word in str(kind) for kind in kinds.values() for word in _BEYOND):
        return False
    declared = (value for value in own.values() if isinstance(value, Field))
    return all(f.init and f.kw_only is not True for f in declared) and not _MADE & own.keys()


def _made(cls: type) -> Any:
    own = set(vars(cls))
    made: Any = dataclasses.dataclass(init=False, repr=False, eq=False, slots=True)(cls)
    for name, method in _methods(made).items():
        if name not in own:
            setattr(made, name, method)
    params = made.__dataclass_params__
    params.init = params.repr = params.eq = params.frozen = True
    return made


def _methods(cls: Any) -> dict[str, Callable[..., Any]]:
    """The methods that a frozen dataclass has, for a class that has its fields and slots already."""
    named: tuple[Field[Any], ...] = fields(cls)
    names = frozenset(f.name for f in named)
    compared = _values(f.name for f in named if f.compare)
    hashed = _values(f.name for f in named if (f.compare if f.hash is None else f.hash))

    def equal(self: Any, other: Any) -> Any:
        return compared(self) == compared(other) if other.__class__ is self.__class__ else NotImplemented

    def hash_of(self: Any) -> int:
        return hash(hashed(self))

    def refuse_set(self: Any, name: str, value: Any) -> None:
        if type(self) is cls or name in names:
            raise FrozenInstanceError(f"cannot assign to field {name!r}")
        super(cls, self).__setattr__(name, value)

    def refuse_delete(self: Any, name: str) -> None:
        if type(self) is cls or name in names:
            raise FrozenInstanceError(f"cannot delete field {name!r}")
        super(cls, self).__delattr__(name)

    return {
        "__init__": _init(cls, named),
        "__repr__": _repr,
        "__eq__": equal,
        "__hash__": hash_of,
        "__setattr__": refuse_set,
        "__delattr__": refuse_delete,
        "__getstate__": _state,
        "__setstate__": _set_state,
    }


def _values(names: Iterable[str]) -> Callable[[Any], Any]:
    """What gives the values of some fields as a tuple, in which a value equals itself whatever it says."""
    wanted = tuple(names)
    if len(wanted) > 1:
        return attrgetter(*wanted)
    return lambda value: tuple(getattr(value, name) for name in wanted)


def _init(cls: Any, named: Sequence[Field[Any]]) -> Callable[..., None]:
    """The one method that is worth compiling: it runs for each of many thousand values."""
    lines = [f"def make({_SET}, {_ANEW}, {_FACTORIES}):"]
    lines += [f" def __init__({', '.join(['self', *(f.name for f in named)])}):"]
    defaults: list[Any] = []
    factories = {}
    for f in named:
        given = f.name
        if f.default_factory is not MISSING:
            factories[f.name] = f.default_factory
            given = f"{_FACTORIES}[{f.name!r}]() if {f.name} is {_ANEW} else {f.name}"
            defaults.append(_anew)
        elif f.default is not MISSING:
            defaults.append(f.default)
        elif defaults:
            raise TypeError(f"non-default argument {f.name!r} follows default argument")
        lines.append(f"  {_SET}(self, {f.name!r}, {given})")
    lines.append("  self.__post_init__()" if hasattr(cls, "__post_init__") else "  pass")
    lines.append(" return __init__")
    scope: dict[str, Any] = {}
    exec("\n".join(lines), vars(sys.modules[cls.__module__]), scope)  # noqa: S102 - names of fields alone
    init: Any = scope["make"](object.__setattr__, _anew, factories)
    init.__defaults__ = tuple(defaults)
    init.__annotations__ = {f.name: f.type for f in named} | {"return": None}
    init.__qualname__ = f"{cls.__qualname__}.__init__"
    return init  # type: ignore[no-any-return]


@recursive_repr()
def _repr(self: Any) -> str:
    shown = (f"{f.name}={getattr(self, f.name)!r}" for f in fields(self) if f.repr)
    return f"{self.__class__.__qualname__}({', '.join(shown)})"


def _state(self: Any) -> list[Any]:
    return [getattr(self, f.name) for f in fields(self)]


def _set_state(self: Any, state: list[Any]) -> None:
    for f, value in zip(fields(self), state, strict=True):
        object.__setattr__(self, f.name, value)
