"""Whether a document fits its schema, yes or no, for the keywords that our schemas use.

Most files are right, and jsonschema takes longer to import than they take to check: it is asked only what
is wrong with the others, and to judge whatever has a keyword that is not known here.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

Test = Callable[[Any], bool]

_TYPES: dict[str, Test] = {
    "object": lambda v: isinstance(v, dict),
    "array": lambda v: isinstance(v, list),
    "string": lambda v: isinstance(v, str),
    "boolean": lambda v: isinstance(v, bool),
    "null": lambda v: v is None,
    "number": lambda v: _is_number(v),
    "integer": lambda v: _is_number(v) and (isinstance(v, int) or v.is_integer()),
}
_SILENT = frozenset({"$schema", "$defs", "title", "description", "format", "x-says", "x-later", "x-secret"})
"""Keywords that judge nothing; ``format`` is a note, as it is for jsonschema."""


class Unknown(Exception):
    """A schema has a keyword, or a form of one, that is not known here."""


def accepting(schema: Mapping[str, Any]) -> Test | None:
    """A function that says whether a value fits; None where only jsonschema can tell.

    What it says is what ``check.check`` says, which reads ``oneOf`` as "exactly one of these keys", and of a
    schema without ``oneOf`` what ``check.departures`` says.
    """
    try:
        return _Reader(schema.get("$defs", {})).test(schema)
    except Unknown:
        return None


class _Reader:
    def __init__(self, definitions: Mapping[str, Any]) -> None:
        self.definitions = definitions
        self.known: dict[str, Test] = {}

    def test(self, schema: Any) -> Test:
        if isinstance(schema, bool):
            return lambda _: schema
        if "$ref" in schema:
            return self._reference(schema)
        tests = [_KEYWORDS[key](self, value, schema) for key, value in schema.items() if key not in _SILENT]
        if len(tests) == 1:
            return tests[0]
        return lambda value: all(test(value) for test in tests)

    def _reference(self, schema: Mapping[str, Any]) -> Test:
        name = schema["$ref"]
        beside = {key: value for key, value in schema.items() if key != "$ref"}
        target = self.definitions.get(name.removeprefix("#/$defs/"))
        if target is None:
            raise Unknown
        if beside.keys() - _SILENT:
            return self.test({**target, **beside})
        if name not in self.known:
            self.known[name] = lambda value: self.known[name](value)  # a definition may name itself
            self.known[name] = self.test(target)
        return self.known[name]


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _same(value: Any, wanted: Any) -> bool:
    return bool(value == wanted) and isinstance(value, bool) == isinstance(wanted, bool)


def _type(_: _Reader, names: Any, _schema: Any) -> Test:
    if isinstance(names, str):
        return _TYPES[names]
    tests = [_TYPES[name] for name in names]
    return lambda value: any(test(value) for test in tests)


def _const(_: _Reader, wanted: Any, _schema: Any) -> Test:
    return _enum(_, [wanted], _schema)


def _enum(_: _Reader, wanted: Any, _schema: Any) -> Test:
    if any(isinstance(w, (dict, list)) for w in wanted):
        raise Unknown
    return lambda value: any(_same(value, w) for w in wanted)


def _pattern(_: _Reader, pattern: str, _schema: Any) -> Test:
    search = re.compile(pattern).search
    return lambda value: not isinstance(value, str) or search(value) is not None


def _properties(reader: _Reader, properties: Mapping[str, Any], _schema: Any) -> Test:
    tests = {name: reader.test(schema) for name, schema in properties.items()}

    def test(value: Any) -> bool:
        if not isinstance(value, dict):
            return True
        return all(tests[name](part) for name, part in value.items() if name in tests)

    return test


def _additional(reader: _Reader, schema: Any, whole: Mapping[str, Any]) -> Test:
    if "patternProperties" in whole:
        raise Unknown
    known = whole.get("properties", {})
    rest = reader.test(schema)
    return lambda value: (
        not isinstance(value, dict) or all(rest(part) for name, part in value.items() if name not in known)
    )


def _names(reader: _Reader, schema: Any, _schema: Any) -> Test:
    test = reader.test(schema)
    return lambda value: not isinstance(value, dict) or all(test(name) for name in value)


def _items(reader: _Reader, schema: Any, whole: Mapping[str, Any]) -> Test:
    test, first = reader.test(schema), len(whole.get("prefixItems", ()))
    if first:
        return lambda value: not isinstance(value, list) or all(test(part) for part in value[first:])
    return lambda value: not isinstance(value, list) or all(test(part) for part in value)


def _prefix(reader: _Reader, schemas: Any, _schema: Any) -> Test:
    tests = [reader.test(schema) for schema in schemas]
    return lambda value: (
        not isinstance(value, list) or all(test(part) for test, part in zip(tests, value, strict=False))
    )


def _any_of(reader: _Reader, schemas: Any, _schema: Any) -> Test:
    tests = [reader.test(schema) for schema in schemas]
    return lambda value: any(test(value) for test in tests)


def _required(_: _Reader, names: Any, _schema: Any) -> Test:
    return lambda value: not isinstance(value, dict) or all(name in value for name in names)


def _one_of(_: _Reader, branches: Any, _schema: Any) -> Test:
    keys = [b["required"][0] for b in branches if b.keys() == {"required"} and len(b["required"]) == 1]
    if len(keys) != len(branches):
        raise Unknown
    return lambda value: not isinstance(value, dict) or sum(key in value for key in keys) == 1


def _not(reader: _Reader, schema: Any, _schema: Any) -> Test:
    test = reader.test(schema)
    return lambda value: not test(value)


def _size(kind: type, fits: Callable[[int, int], bool]) -> Callable[..., Test]:
    def keyword(_reader: _Reader, bound: int, _schema: Any) -> Test:
        return lambda value: not isinstance(value, kind) or fits(_length(value), bound)

    return keyword


def _length(value: Any) -> int:
    return len(value)


def _bound(fits: Callable[[Any, Any], bool]) -> Callable[..., Test]:
    return lambda _reader, bound, _schema: lambda value: not _is_number(value) or fits(value, bound)


class _Keywords(dict[str, Callable[[_Reader, Any, Any], Test]]):
    def __missing__(self, _key: str) -> Callable[[_Reader, Any, Any], Test]:
        raise Unknown


_KEYWORDS = _Keywords(
    {
        "type": _type,
        "const": _const,
        "enum": _enum,
        "pattern": _pattern,
        "properties": _properties,
        "additionalProperties": _additional,
        "propertyNames": _names,
        "items": _items,
        "prefixItems": _prefix,
        "anyOf": _any_of,
        "required": _required,
        "oneOf": _one_of,
        "not": _not,
        # As jsonschema does, the bound is what a value must not be beyond: no number is beyond NaN.
        "minimum": _bound(lambda value, bound: not value < bound),
        "maximum": _bound(lambda value, bound: not value > bound),
        "exclusiveMinimum": _bound(lambda value, bound: not value <= bound),
        "minItems": _size(list, lambda size, bound: size >= bound),
        "maxItems": _size(list, lambda size, bound: size <= bound),
        "minLength": _size(str, lambda size, bound: size >= bound),
        "maxLength": _size(str, lambda size, bound: size <= bound),
        "minProperties": _size(dict, lambda size, bound: size >= bound),
        "maxProperties": _size(dict, lambda size, bound: size <= bound),
    }
)
