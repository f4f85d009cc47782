"""Values out of a JSON document that somebody else wrote: each has the type that was asked for, or a Mistake.

A path such as ``pull_request.head.sha`` leads to a value; messages name it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from gitkitchen.errors import Mistake, Problem
from gitkitchen.frozen import dataclass

LONGEST = 1024
"""Characters of a name (branch, login, path) that are read; GitHub's are far shorter."""

SHA = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
REPOSITORY = re.compile(r"[A-Za-z0-9_.-]{1,100}/[A-Za-z0-9_.-]{1,100}")


def wrong(message: str) -> Mistake:
    """The refusal of a document, with the way on."""
    hint = "run the job again; GITHUB_EVENT_PATH is to be the file that GitHub wrote"
    return Mistake(Problem(message, hint=hint, code="event-shape"))


def parse(raw: bytes, what: str = "the event file") -> Mapping[str, Any]:
    """The JSON object that ``raw`` holds. Mistake for anything else."""
    try:
        value = json.loads(raw)
    except (ValueError, RecursionError, MemoryError) as error:
        said = "it is nested too deeply" if isinstance(error, RecursionError) else _where(error)
        raise wrong(f"{what} is no JSON: {said}") from None
    if not isinstance(value, dict):
        raise wrong(f"{what} holds {_kind(value)} and no JSON object")
    return value


def _where(error: BaseException) -> str:
    if isinstance(error, json.JSONDecodeError):
        return f"{error.msg} in line {error.lineno}, column {error.colno}"
    if isinstance(error, UnicodeDecodeError):
        return f"byte {error.start} is not UTF-8"
    return "it holds a number of too many digits"


def _kind(value: Any) -> str:
    kinds: dict[type, str] = {
        dict: "an object", list: "a list", str: "a text", bool: "true or false", int: "a number",
        float: "a number",
    }  # fmt: skip
    return kinds.get(type(value), "nothing")


@dataclass(frozen=True, slots=True)
class Part:
    """An object within a document, with the path that led to it."""

    value: Mapping[str, Any]
    path: str = ""

    def _named(self, key: str) -> str:
        return f"{self.path}.{key}" if self.path else key

    def has(self, key: str) -> bool:
        return self.value.get(key) is not None

    def part(self, key: str) -> Part:
        """The object at a key. Mistake where there is none."""
        found: Part = self._asked(key, self.maybe(key), "an object")
        return found

    def maybe(self, key: str) -> Part | None:
        """The object at a key; None where it is absent or null. Mistake for another type."""
        found = self._typed(key, dict, "an object")
        return None if found is None else Part(found, self._named(key))

    def text(self, key: str, longest: int = LONGEST) -> str:
        """The text at a key, not empty. Mistake otherwise."""
        return str(self._asked(key, self.text_or(key, "", longest) or None, "a text"))

    def text_or(self, key: str, default: str = "", longest: int = LONGEST) -> str:
        found = self._typed(key, str, "a text")
        if found is None:
            return default
        if len(found) > longest:
            raise wrong(f"`{self._named(key)}` of the event has more than {longest:,} characters")
        return str(found)

    def number(self, key: str) -> int:
        """The positive whole number at a key (ids need 64 bits). Mistake otherwise."""
        found = self._asked(key, self._typed(key, int, "a whole number"), "a whole number")
        if not 0 < found < 2**63:
            raise wrong(f"`{self._named(key)}` of the event is no positive whole number")
        return int(found)

    def flag(self, key: str) -> bool:
        """Whether true stands at a key; absent and null count as false. Mistake for another type."""
        return bool(self._typed(key, bool, "true or false"))

    def sha(self, key: str) -> str:
        """The object id at a key. Mistake otherwise."""
        found = self.text(key)
        if not SHA.fullmatch(found):
            raise wrong(f"`{self._named(key)}` of the event is no commit")
        return found

    def repository(self, key: str = "full_name") -> str:
        """``owner/name`` at a key. Mistake otherwise."""
        found = self.text(key)
        if not REPOSITORY.fullmatch(found):
            raise wrong(f"`{self._named(key)}` of the event is no OWNER/NAME")
        return found

    def moment(self, key: str) -> datetime:
        """The time at a key, with its zone. Mistake otherwise."""
        found = self.text(key)
        try:
            time = datetime.fromisoformat(found)
        except ValueError:
            time = datetime.min
        if time.tzinfo is None:
            raise wrong(f"`{self._named(key)}` of the event is no time with a zone")
        return time

    def items(self, key: str, most: int = 1000) -> list[Any]:
        """The list at a key, cut after ``most``; empty where it is absent or null."""
        found = self._typed(key, list, "a list")
        return list(found or ())[:most]

    def _typed(self, key: str, kind: type, name: str) -> Any:
        found = self.value.get(key)
        if found is None:
            return None
        if not isinstance(found, kind) or (isinstance(found, bool) and kind is not bool):
            raise wrong(f"`{self._named(key)}` of the event is {_kind(found)}, not {name}")
        return found

    def _asked(self, key: str, found: Any, name: str) -> Any:
        if found is None:
            raise wrong(f"`{self._named(key)}` of the event is missing; it should be {name}")
        return found
