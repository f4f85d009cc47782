"""Expressions: ``${{ vars.late_minutes > 15 }}``, read and evaluated by a small language of our own.

It has names, literals, comparison, logic, arithmetic on numbers and a fixed list of functions; nothing
in it reaches a Python attribute, calls what a value brings along, loops, or makes a value larger than
``MAX_RESULT``. What an expression costs is therefore bounded by its length, which is bounded too.

Words are those of GitHub's expressions. Differences, for the better: equality does not convert types,
text is compared with its case, an unknown name is a mistake and not an empty text.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from typing import Any

from gitkitchen.document.words import near
from gitkitchen.errors import Mistake, Place, Problem
from gitkitchen.model import Template
from gitkitchen.recipe.expression import Expression, parse

MAX_RESULT = 100_000
"""Characters of a text, or of a value's JSON, that an expression may make."""

_TOO_LARGE = f"the result has more than {MAX_RESULT:,} characters"
_MARK = "${{"
_NUMBER = (int, float)


def has_expression(text: str) -> bool:
    return _MARK in text


def evaluate(template: Template | str, context: Mapping[str, Any]) -> Any:
    """The value of a text with expressions in it: a lone ``${{ x }}`` keeps its type, text around
    it makes a text. Raises Mistake (with the template's place) for what cannot be evaluated."""
    text = template.text if isinstance(template, Template) else template
    place = template.place if isinstance(template, Template) else None
    try:
        parts = _parts(text)
        if len(parts) == 1:
            part = parts[0]
            return part if isinstance(part, str) else _value(part, context)
        made = "".join(p if isinstance(p, str) else as_text(_value(p, context)) for p in parts)
        return _bounded(made)
    except ValueError as error:
        raise Mistake(_problem(text, error, place)) from None


def condition(text: str, context: Mapping[str, Any]) -> bool:
    """Whether a condition holds; ``${{ }}`` around it may be left out. Raises Mistake.

    ``success()``, ``failure()`` and ``cancelled()`` read ``context["status"]``, a mapping of these words
    to booleans; ``always()`` is true.
    """
    try:
        return truth(_value(_parsed(_bare(text)), context))
    except ValueError as error:
        raise Mistake(_problem(text, error, None)) from None


def check(text: str, *, bare: bool = False) -> Iterator[str]:
    """What is wrong with a text's expressions as written, before any value is known.

    ``bare``: the whole text is an expression, as in ``if:``.
    """
    try:
        found = [_parsed(_bare(text))] if bare else [p for p in _parts(text) if not isinstance(p, str)]
    except ValueError as error:
        yield str(error)
        return
    for expression in found:
        for name in sorted(expression.functions - FUNCTIONS.keys() - STATUS):
            yield f"there is no function {name}(){_near(name, [*FUNCTIONS, *STATUS])}"


def roots(text: str, *, bare: bool = False) -> set[str]:
    """The first names that a text's expressions use (``vars``, ``matrix``, …). Raises ValueError."""
    return {path.split(".", 1)[0] for path in variables(text, bare=bare)}


def variables(text: str, *, bare: bool = False) -> set[str]:
    """The dotted names that a text's expressions read (``vars.region``). Raises ValueError."""
    if bare:
        return set(_parsed(_bare(text)).names)
    return {name for part in _parts(text) if not isinstance(part, str) for name in part.names}


def functions(text: str, *, bare: bool = False) -> set[str]:
    """The functions that a text's expressions call (``{"failure"}``). Raises ValueError."""
    if bare:
        return set(_parsed(_bare(text)).functions)
    return {name for part in _parts(text) if not isinstance(part, str) for name in part.functions}


def as_text(value: Any) -> str:
    """A value as it stands inside a text: ``true``, ``3``, nothing for null, JSON for collections."""
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    return json.dumps(value, ensure_ascii=False, default=str)


def truth(value: Any) -> bool:
    """False, 0, nothing, empty text and empty collections are false."""
    return bool(value)


# --- texts ---


def _bare(text: str) -> str:
    stripped = text.strip()
    if stripped.startswith(_MARK) and stripped.endswith("}}") and stripped.count(_MARK) == 1:
        return stripped[len(_MARK) : -2]
    if _MARK in stripped:
        raise ValueError("a condition is one expression; write it without ${{ }}")
    return stripped


@lru_cache(maxsize=4096)
def _parts(text: str) -> tuple[str | Expression, ...]:
    """A text cut into plain text and expressions."""
    parts: list[str | Expression] = []
    at = 0
    while True:
        start = text.find(_MARK, at)
        if start < 0:
            break
        end = _end(text, start + len(_MARK))
        if start > at:
            parts.append(text[at:start])
        parts.append(_parsed(text[start + len(_MARK) : end]))
        at = end + 2
        if len(parts) > 200:
            raise ValueError("more than 100 expressions in one text")
    if at < len(text) or not parts:
        parts.append(text[at:])
    return tuple(parts)


_TO_END = re.compile(r"""'[^']*'|"[^"]*"|\}\}|[^'"}]+|\}|['"]""")


def _end(text: str, start: int) -> int:
    """Where the ``}}`` of an expression stands, not minding those inside quotes."""
    for match in _TO_END.finditer(text, start):
        if match.group() == "}}":
            return match.start()
    raise ValueError("an expression ${{ … }} is not closed with }}")


@lru_cache(maxsize=4096)
def _parsed(text: str) -> Expression:
    return parse(text)


def _problem(text: str, error: ValueError, place: Place | None) -> Problem:
    short = text.strip() if len(text) <= 60 else text.strip()[:60] + "…"
    return Problem(f"the expression '{short}' cannot be evaluated: {error}", place, "", "bad-expression")


# --- values ---


def _value(expression: Expression, context: Mapping[str, Any]) -> Any:
    return _of(expression.tree, context)


def _of(tree: Any, context: Mapping[str, Any]) -> Any:
    """Evaluate one node of a tree (``expression.py`` lists its forms)."""
    kind = tree[0]
    if kind == "literal":
        return tree[1]
    if kind == "name":
        return _name(tree[1], context)
    if kind == "item":
        return _item(_of(tree[1], context), _of(tree[2], context))
    if kind == "list":
        return [_of(item, context) for item in tree[1]]
    if kind == "and":
        left = _of(tree[1], context)
        return _of(tree[2], context) if truth(left) else left
    if kind == "or":
        left = _of(tree[1], context)
        return left if truth(left) else _of(tree[2], context)
    if kind == "not":
        return not truth(_of(tree[1], context))
    if kind == "call":
        return _call(tree[1], [_of(item, context) for item in tree[2]], context)
    return _BINARY[kind](_of(tree[1], context), _of(tree[2], context))


def _name(name: str, context: Mapping[str, Any]) -> Any:
    if name == "status" or name not in context:
        offered = [k for k in context if k != "status"]
        raise ValueError(f"'{name}' is not known here{_near(name, offered) or _list(offered)}")
    return context[name]


def _item(value: Any, key: Any) -> Any:
    if isinstance(value, Mapping):
        if key in value:
            return value[key]
        raise ValueError(f"'{key}' is not set{_near(str(key), [str(k) for k in value])}")
    if isinstance(value, (list, tuple)) and isinstance(key, int) and not isinstance(key, bool):
        if 0 <= key < len(value):
            return value[key]
        raise ValueError(f"the list has {len(value)} entries, there is no [{key}]")
    raise ValueError(f"{_word(value)} has no '{key}'")


def _equal(left: Any, right: Any) -> bool:
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    return bool(left == right)


def _compare(sign: str) -> Callable[[Any, Any], bool]:
    def compare(left: Any, right: Any) -> bool:
        numbers = _is_number(left) and _is_number(right)
        if not numbers and not (isinstance(left, str) and isinstance(right, str)):
            raise ValueError(f"{_word(left)} {sign} {_word(right)}: only two numbers or two texts compare")
        order = (left > right) - (left < right)
        return bool({"<": order < 0, "<=": order <= 0, ">": order > 0, ">=": order >= 0}[sign])

    return compare


def _arithmetic(sign: str) -> Callable[[Any, Any], Any]:
    def calculate(left: Any, right: Any) -> Any:
        if sign == "+" and isinstance(left, str) and isinstance(right, str):
            return _bounded(left + right)
        if not (_is_number(left) and _is_number(right)):
            raise ValueError(f"{_word(left)} {sign} {_word(right)}: arithmetic is for numbers")
        if sign in "/%" and right == 0:
            raise ValueError("division by zero")
        made = _ARITHMETIC[sign](left, right)
        if abs(made) > 2**63:
            raise ValueError("the number is too large")
        return made

    return calculate


_ARITHMETIC: dict[str, Callable[[Any, Any], Any]] = {
    "+": lambda a, b: a + b,
    "-": lambda a, b: a - b,
    "*": lambda a, b: a * b,
    "/": lambda a, b: a / b,
    "%": lambda a, b: a % b,
}
_BINARY: dict[str, Callable[[Any, Any], Any]] = {
    "==": _equal,
    "!=": lambda a, b: not _equal(a, b),
    "in": lambda a, b: _contains(b, a),
    "not in": lambda a, b: not _contains(b, a),
    **{sign: _compare(sign) for sign in ("<", "<=", ">", ">=")},
    **{sign: _arithmetic(sign) for sign in _ARITHMETIC},
}


def _is_number(value: Any) -> bool:
    return isinstance(value, _NUMBER) and not isinstance(value, bool)


def _bounded(text: str) -> str:
    if len(text) > MAX_RESULT:
        raise ValueError(_TOO_LARGE)
    return text


def _word(value: Any) -> str:
    words = {
        bool: "a boolean",
        int: "a number",
        float: "a number",
        str: "a text",
        list: "a list",
        dict: "a mapping",
    }
    return "nothing" if value is None else words.get(type(value), "a value")


# --- functions ---


def _contains(whole: Any, part: Any) -> bool:
    if isinstance(whole, str):
        return as_text(part) in whole
    if isinstance(whole, Mapping):
        return part in whole if isinstance(part, str) else False
    if isinstance(whole, (list, tuple)):
        return any(_equal(item, part) for item in whole)
    raise ValueError(f"{_word(whole)} contains nothing; give a text, a list or a mapping")


def _format(pattern: Any, *values: Any) -> str:
    """``format('{0} of {1}', a, b)``; ``{{`` and ``}}`` stand for braces."""
    if not isinstance(pattern, str):
        raise ValueError("format() takes a text first")  # noqa: TRY004 - a mistake in a file, not in code
    size = 0

    def replace(match: re.Match[str]) -> str:
        nonlocal size
        found = match.group()
        if found in ("{{", "}}"):
            return found[0]
        number = match.group(1)
        if number is None or int(number) >= len(values):
            raise ValueError(f"format() has no value for '{found}'")
        text = as_text(values[int(number)])
        size += len(text)
        if size > MAX_RESULT:
            raise ValueError(_TOO_LARGE)
        return text

    return _bounded(re.sub(r"\{\{|\}\}|\{([0-9]{1,2})\}|[{}]", replace, pattern))


def _join(items: Any, separator: Any = ",") -> str:
    if not isinstance(items, (list, tuple)):
        raise ValueError("join() takes a list first")  # noqa: TRY004 - as above
    texts = [as_text(item) for item in items]
    if sum(map(len, texts)) + len(texts) * len(as_text(separator)) > MAX_RESULT:
        raise ValueError(_TOO_LARGE)
    return as_text(separator).join(texts)


FUNCTIONS: dict[str, tuple[Callable[..., Any], int, int]] = {
    "contains": (_contains, 2, 2),
    "startsWith": (lambda a, b: as_text(a).startswith(as_text(b)), 2, 2),
    "endsWith": (lambda a, b: as_text(a).endswith(as_text(b)), 2, 2),
    "format": (_format, 1, 21),
    "join": (_join, 1, 2),
    "toJSON": (lambda a: _bounded(json.dumps(a, ensure_ascii=False, sort_keys=True, default=str)), 1, 1),
}
"""Name -> function, least and most arguments."""

STATUS = frozenset({"success", "failure", "always", "cancelled"})


def _call(name: str, arguments: list[Any], context: Mapping[str, Any]) -> Any:
    if name in STATUS:
        if arguments:
            raise ValueError(f"{name}() takes nothing")
        status = context.get("status")
        if name == "always":
            return True
        if not isinstance(status, Mapping):
            raise ValueError(f"{name}() is known only in `if:`")
        return bool(status.get(name, False))
    if name not in FUNCTIONS:
        raise ValueError(f"there is no function {name}(){_near(name, [*FUNCTIONS, *STATUS])}")
    function, least, most = FUNCTIONS[name]
    if not least <= len(arguments) <= most:
        raise ValueError(f"{name}() takes {least if least == most else f'{least} to {most}'} values")
    return function(*arguments)


def _near(word: str, words: list[str]) -> str:

    hint = near(word, words)
    return f"; {hint}" if hint else ""


def _list(words: list[str]) -> str:
    return f"; known are {', '.join(sorted(words)[:20])}" if words else ""
