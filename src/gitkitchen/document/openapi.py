"""Requests and answers against an OpenAPI description, trimmed to schemas of JSON Schema 2020-12.

The file holds ``operations`` ("GET /repos/{owner}/{repo}" -> id, parameters, body, responses) and ``$defs``.
A description that forgets ``additionalProperties: false`` accepts every key; here a request may say only what
the description knows, since a key that the server ignores is a mistake of the client that nobody would see.
"""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import jsonschema
from referencing import Registry

from gitkitchen.frozen import dataclass

MAX_PROBLEMS = 5
SEVERAL_PARTS = frozenset({"path", "ref", "basehead", "branch", "name", "environment_name"})
"""Parameters whose value may hold a slash: names of files, refs and labels."""

FORMATS = jsonschema.FormatChecker(formats=())


@FORMATS.checks("date-time")
def _is_moment(value: object) -> bool:
    return not isinstance(value, str) or bool(
        re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)", value)
    )


@FORMATS.checks("uri")
def _is_uri(value: object) -> bool:
    return not isinstance(value, str) or bool(re.fullmatch(r"[A-Za-z][A-Za-z0-9+.-]*:[^\s<>\"\\^`]+", value))


@dataclass(frozen=True, slots=True)
class Operation:
    """One verb of one path: ``key`` is "GET /repos/{owner}/{repo}"; ``told`` what the description says."""

    key: str
    told: Mapping[str, Any]

    @property
    def id(self) -> str:
        """The operation's own name (``checks/create``)."""
        return str(self.told["id"])


class Description:
    """A trimmed description. It is read once; all methods are safe in several threads."""

    def __init__(self, path: Path) -> None:
        """Read it. Raises OSError and ValueError where it cannot be."""
        document = json.loads(path.read_text(encoding="utf-8"))
        self.about: Mapping[str, str] = document["about"]
        self.definitions: Mapping[str, Any] = document["$defs"]
        self.operations = [Operation(key, told) for key, told in document["operations"].items()]
        # Literal parts first: `issues/comments/{id}` before `issues/{number}`.
        self._routes = sorted(
            ((_pattern(operation.key.partition(" ")[2]), operation) for operation in self.operations),
            key=lambda route: (route[1].key.count("{"), -len(route[1].key)),
        )
        self._validators = lru_cache(maxsize=None)(self._validator)

    def find(self, verb: str, path: str) -> tuple[Operation, dict[str, str]] | None:
        """The operation of a request's raw path, and its path parameters, decoded; None: not described."""
        for pattern, operation in self._routes:
            if operation.key.startswith(f"{verb} ") and (match := pattern.fullmatch(path)):
                return operation, {name: unquote(value) for name, value in match.groupdict().items()}
        return None

    def query(self, operation: Operation, given: Mapping[str, list[str]]) -> tuple[dict[str, Any], list[str]]:
        """The query's values as the types that the description gives them, and what is wrong with them."""
        values: dict[str, Any] = {}
        problems: list[str] = []
        known = {
            name: about
            for name, about in operation.told.get("parameters", {}).items()
            if about["in"] == "query"
        }
        for name, texts in given.items():
            if name not in known:
                problems.append(f"query: the description of {operation.key} does not know '{name}'")
                continue
            schema = known[name]["schema"]
            values[name] = _typed(texts[-1], schema)
            problems += self._problems(schema, values[name], f"query {name}")
        missing = [n for n, about in known.items() if about.get("required") and n not in values]
        return values, [*problems, *(f"query: '{name}' is required" for name in missing)]

    def request(self, operation: Operation, body: Any) -> list[str]:
        """What is wrong with the body of a request (None: it has none)."""
        about = operation.told.get("body")
        if about is None:
            return [] if body is None else [f"{operation.key} takes no body"]
        if body is None:
            return ["a body is required"] if about["required"] else []
        unknown = (
            f"body: the description does not know '{name}'" for name in self._unknown(about["schema"], body)
        )
        return [*self._problems(about["schema"], body, "body"), *itertools.islice(unknown, MAX_PROBLEMS)]

    def answer(self, operation: Operation, status: int, body: Any) -> list[str]:
        """What is wrong with an answer. Statuses that the description leaves out are errors of every
        operation (401, 403, 404, 429, 5xx): their body says a message."""
        responses = operation.told["responses"]
        if str(status) not in responses:
            if status < 400 and status != 304:
                return [f"{operation.key} never answers {status}"]
            ok = status == 304 or (isinstance(body, dict) and isinstance(body.get("message"), str))
            return [] if ok else [f"an answer {status} of {operation.key} without a message"]
        schema = responses[str(status)]
        if schema is None:
            if body is None or status >= 300:
                return []
            return [f"an answer {status} of {operation.key} has no body"]
        return self._problems(schema, body, f"answer {status}")

    def value(self, name: str, value: Any) -> list[str]:
        """What is wrong with a value of the schema ``name``."""
        return self._problems({"$ref": f"#/$defs/{name}"}, value, name)

    def _problems(self, schema: Any, value: Any, where: str) -> list[str]:
        validator = self._validators(json.dumps(schema))
        return [
            f"{where}{''.join(f'/{part}' for part in error.absolute_path)}: {error.message[:300]}"
            for error in itertools.islice(validator.iter_errors(value), MAX_PROBLEMS)
        ]

    def _validator(self, text: str) -> Any:
        schema = {**json.loads(text), "$defs": self.definitions}
        return jsonschema.Draft202012Validator(schema, registry=Registry(), format_checker=FORMATS)

    def _unknown(self, schema: Mapping[str, Any], value: Any, path: str = "") -> Iterator[str]:
        """The keys of a request that no part of its schema names."""
        if "$ref" in schema:
            schema = self.definitions[schema["$ref"].removeprefix("#/$defs/")]
        if isinstance(value, list) and isinstance(schema.get("items"), dict):
            for item in value:
                yield from self._unknown(schema["items"], item, f"{path}[]")
        properties = schema.get("properties")
        if (
            not isinstance(value, dict)
            or properties is None
            or schema.get("additionalProperties") is not None
        ):
            return
        for name, inner in value.items():
            if name in properties:
                yield from self._unknown(properties[name], inner, f"{path}.{name}" if path else name)
            else:
                yield f"{path}.{name}" if path else name


def _pattern(path: str) -> re.Pattern[str]:
    parts = re.split(r"\{(\w+)\}", path)
    made = "".join(
        re.escape(part)
        if number % 2 == 0
        else f"(?P<{part}>{'.*' if part == 'path' else '.+' if part in SEVERAL_PARTS else '[^/]+'})"
        for number, part in enumerate(parts)
    )
    return re.compile(made)


def _typed(text: str, schema: Mapping[str, Any]) -> Any:
    """A query's text as the type it stands for; the text itself where it does not."""
    for inner in schema.get("oneOf", schema.get("anyOf", ())):
        value = _typed(text, inner)
        if value != text:
            return value
    kind = schema.get("type")
    if kind == "integer" and re.fullmatch(r"-?\d{1,18}", text):
        return int(text)
    if kind == "boolean" and text in ("true", "false"):
        return text == "true"
    return text
