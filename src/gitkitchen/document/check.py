"""A document against its JSON Schema: jsonschema's findings, said so that a person can mend them.

Keywords of our own steer the messages: ``x-says`` describes what a pattern wants in words, ``x-later``
names what the design has and this version has not ("not available in this version"), ``x-secret`` keeps a
wrong value out of the message.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import jsonschema
from jsonschema.exceptions import ValidationError
from referencing import Registry

from gitkitchen.document.words import MAX_PROBLEMS, near, shown, subject
from gitkitchen.errors import Problem

if TYPE_CHECKING:
    from gitkitchen.document import Document

Path = tuple[str | int, ...]
_TYPES = {
    "object": "a mapping", "array": "a list", "string": "a text", "number": "a number",
    "integer": "a whole number", "boolean": "true or false", "null": "nothing",
}  # fmt: skip


def check(document: Document, schema: Mapping[str, Any]) -> list[tuple[Path, Problem]]:
    """All problems, at most ``MAX_PROBLEMS``, each with the path of the part that is at fault."""
    validator = _validator(json.dumps(schema))
    found = itertools.chain.from_iterable(
        _problems(error, document) for error in validator.iter_errors(document.value)
    )
    return list(itertools.islice(found, MAX_PROBLEMS))


def fault(schema: Mapping[str, Any]) -> str:
    """Why a value is no JSON Schema; empty where it is one."""
    try:
        jsonschema.Draft202012Validator.check_schema(schema)
    except jsonschema.SchemaError as error:
        return str(error.message)[:200]
    return ""


def departures(value: Any, schema: Mapping[str, Any]) -> list[str]:
    """In what a value of a machine's document departs from its schema, at most ``MAX_PROBLEMS`` sentences.

    The schema may refer to itself, and to nothing outside; what is wrong is named by its path alone.
    """
    found = itertools.islice(_plain(json.dumps(schema)).iter_errors(value), MAX_PROBLEMS)
    return [f"{subject(tuple(e.absolute_path)) or 'it'}: {_brief(e)}" for e in found]


def _brief(error: Any) -> str:
    if error.validator in ("maxLength", "maxItems", "maxProperties"):
        return f"larger than {error.validator_value:,}"
    return str(error.message)[:200]


@lru_cache(maxsize=8)
def _plain(text: str) -> Any:
    """A validator of a schema that may refer to itself: written out as far as that ends, for speed."""
    schema = json.loads(text)
    definitions = schema.get("$defs", {})
    written_out = {**_inlined(schema, definitions), "$defs": definitions}
    return jsonschema.Draft202012Validator(written_out, registry=Registry())


@lru_cache(maxsize=8)
def _validator(text: str) -> Any:
    """A validator whose local references are written out (faster) and that can fetch none (safer)."""
    schema = json.loads(text)
    extend: Any = jsonschema.validators.extend
    kind = extend(jsonschema.Draft202012Validator, {"oneOf": _one_of})
    return kind(_inlined(schema, schema.get("$defs", {})), registry=Registry())


def _one_of(
    _validator: Any, branches: list[dict[str, Any]], instance: Any, _schema: Any
) -> Iterator[ValidationError]:
    """Exactly one of these keys: all that our schemas use oneOf for, without trying each branch."""
    if isinstance(instance, dict) and sum(branch["required"][0] in instance for branch in branches) != 1:
        yield ValidationError("exactly one key of these is needed")


def _inlined(value: Any, definitions: Mapping[str, Any], within: frozenset[str] = frozenset()) -> Any:
    """``within`` names the definitions that are being written out: a reference to one of these stays."""
    if isinstance(value, dict):
        if "$ref" in value:
            name = value["$ref"].removeprefix("#/$defs/")
            if name in within:
                return dict(value)
            target = {**definitions[name], **{k: v for k, v in value.items() if k != "$ref"}}
            return _inlined(target, definitions, within | {name})
        return {
            k: _inlined(v, definitions, within)
            for k, v in value.items()
            if k != "$defs" and not (k == "description" and isinstance(v, str))
        }
    if isinstance(value, list):
        return [_inlined(v, definitions, within) for v in value]
    return value


def _problems(error: Any, document: Document) -> Iterator[tuple[Path, Problem]]:
    path = tuple(error.absolute_path)
    about = subject(path)
    schema = error.schema if isinstance(error.schema, dict) else {}
    place = document.place(*path)
    if "propertyNames" in error.absolute_schema_path:
        key = str(error.instance)
        message = f"{about}: the name '{key[:80]}' is not {schema.get('x-says', 'allowed')}".removeprefix(
            ": "
        )
        yield (*path, key), Problem(message, document.place(*path, key), "", "bad-name")
        return
    say = _SAY.get(str(error.validator))
    if str(error.validator) == "additionalProperties":
        yield from _unknown_keys(error, document, path)
        return
    message, hint, code = say(error, schema) if say else (error.message[:200], "", "invalid")
    yield path, Problem(f"{about}: {message}" if about else message, place, hint, code)


def _unknown_keys(error: Any, document: Document, path: Path) -> Iterator[tuple[Path, Problem]]:
    known = list(error.schema.get("properties", {}))
    about = subject(path)
    extras = [k for k in error.instance if k not in known]
    for key in extras[:MAX_PROBLEMS]:
        offered = ", ".join(k for k in known if not _refused(error.schema["properties"][k]))
        hint = near(key, known) or f"known here: {offered}"
        message = f"{about}: unknown key '{key[:80]}'".removeprefix(": ")
        yield (*path, key), Problem(message, document.place(*path, key), hint, "unknown-key")


def _refused(schema: Any) -> bool:
    return isinstance(schema, dict) and schema.get("not") == {}


def _say_type(error: Any, schema: Mapping[str, Any]) -> tuple[str, str, str]:
    wanted = [error.validator_value] if isinstance(error.validator_value, str) else error.validator_value
    words = " or ".join(_TYPES[w] for w in wanted)
    scalar = isinstance(error.instance, (bool, int, float))
    hint = "quote it" if "string" in wanted and scalar and "number" not in wanted else ""
    says = schema.get("x-says")
    return f"must be {says or words}, not {shown(error.instance)}", hint, "wrong-type"


def _say_enum(error: Any, schema: Mapping[str, Any]) -> tuple[str, str, str]:
    if error.instance in schema.get("x-later", []):
        return f"{shown(error.instance)} is not available in this version", "", "not-available"
    words = [str(v) for v in error.validator_value]
    hint = near(error.instance, words) if isinstance(error.instance, str) else ""
    return f"must be {' or '.join(words)}, not {shown(error.instance)}", hint, "wrong-value"


def _say_pattern(error: Any, schema: Mapping[str, Any]) -> tuple[str, str, str]:
    # What may hold a password is not repeated.
    got = "the value itself" if schema.get("x-secret") else shown(error.instance)
    return f"must be {schema.get('x-says', error.validator_value)}, not {got}", "", "wrong-value"


def _say_const(error: Any, _: Mapping[str, Any]) -> tuple[str, str, str]:
    return f"must be {error.validator_value}, not {shown(error.instance)}", "", "wrong-value"


def _say_not(error: Any, _: Mapping[str, Any]) -> tuple[str, str, str]:
    what = "" if error.validator_value == {} else f"{shown(error.instance)} "
    return f"{what}is not available in this version".strip(), "", "not-available"


def _say_one_of(error: Any, _: Mapping[str, Any]) -> tuple[str, str, str]:
    choices = [branch["required"][0] for branch in error.validator_value]
    found = [c for c in choices if c in error.instance]
    if found:
        return f"has {' and '.join(found)}", f"keep one of {', '.join(choices)}", "several-kinds"
    return f"says nothing to do: one of {', '.join(choices)} is needed", "", "no-kind"


def _say_required(error: Any, _: Mapping[str, Any]) -> tuple[str, str, str]:
    missing = next((k for k in error.validator_value if error.message.startswith(f"{k!r} ")), "")
    return f"the key '{missing}' is missing", "", "missing-key"


def _say_bound(error: Any, _: Mapping[str, Any]) -> tuple[str, str, str]:
    words = {
        "minimum": "at least {}", "exclusiveMinimum": "more than {}", "maximum": "at most {}",
        "minItems": "a list of at least {}", "maxItems": "a list of at most {}",
        "minLength": "a text, not empty",
        "maxLength": "a text of at most {} characters", "minProperties": "a mapping of at least {} keys",
        "maxProperties": "a mapping of at most {} keys",
    }  # fmt: skip
    want = words[str(error.validator)].format(error.validator_value)
    return f"must be {want}", "", "wrong-value"


_SAY = {
    "type": _say_type, "enum": _say_enum, "const": _say_const,
    "pattern": _say_pattern, "not": _say_not, "oneOf": _say_one_of, "required": _say_required,
    **dict.fromkeys(
        ("minimum", "exclusiveMinimum", "maximum", "minItems", "maxItems", "minLength", "maxLength",
         "minProperties", "maxProperties"), _say_bound),
}  # fmt: skip
