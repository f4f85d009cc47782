"""Names that installed packages add through entry points, and never instead of a built-in one.

Looking through all installed packages takes tens of milliseconds, so it is done only where a file
names a kind that GitKitchen itself does not have. What a package gives is checked here and called
through here, so that every fault of it names the package.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from functools import cache
from typing import TYPE_CHECKING, Any

from gitkitchen.errors import Mistake, Problem
from gitkitchen.frozen import dataclass

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

NODES = "gitkitchen.nodes"
TESTS = "gitkitchen.tests"
REPORTS = "gitkitchen.reports"
_FUNCTION = {NODES: "command", TESTS: "failing", REPORTS: "render"}
_NAME = re.compile(r"[a-z][a-z0-9_-]{0,62}\Z")
_REFUSED = ("$ref", "$dynamicRef", "oneOf", "$defs")


@dataclass(frozen=True, slots=True)
class Offer:
    """One name that one installed package adds to a group; nothing of the package is imported yet."""

    group: str
    name: str
    package: str
    version: str
    entry: EntryPoint

    @property
    def origin(self) -> str:
        """The package with its version, as people and fingerprints name it."""
        return f"{self.package} {self.version}"


@dataclass(frozen=True, slots=True)
class Plugin:
    """What an offer names, loaded: the JSON Schema of its key, and the function that says what it stands for.

    For a node ``lower(value)`` gives the words of a command, for a test ``lower(dataset, arguments)``
    the SELECT of the rows that fail, for a report ``lower(outcome document)`` its text.
    """

    offer: Offer
    schema: Mapping[str, Any]
    lower: Callable[..., Any]


def offers(group: str, reserved: Collection[str]) -> dict[str, Offer]:
    """What installed packages add to a group, by name.

    Raises Mistake where one takes a ``reserved`` name, a name of another package, or none that is allowed.
    """
    found: dict[str, Offer] = {}
    problems: list[Problem] = []
    for offer in _installed(group):
        said = f"the installed package {offer.origin} adds '{offer.name}' to {group}"
        other = found.get(offer.name)
        if not _NAME.match(offer.name):
            hint = "uninstall it, or ask its authors for a name of small letters, digits, _ and -"
            problems.append(Problem(f"{said}, which is no name", None, hint, "plugin"))
        elif offer.name in reserved:
            hint = "a plugin never replaces what is built in: uninstall it, or ask its authors to rename it"
            problems.append(Problem(f"{said}, which is GitKitchen's own", None, hint, "plugin"))
        elif other is not None:
            hint = "uninstall one of the two"
            problems.append(Problem(f"{said}, and so does {other.origin}", None, hint, "plugin"))
        else:
            found[offer.name] = offer
    if problems:
        raise Mistake(*problems)
    return found


@cache
def _installed(group: str) -> tuple[Offer, ...]:
    """Every entry point of a group; a package counts once, as the one that an import would find."""
    from importlib import metadata  # late: it imports a mail parser

    found = []
    for entry in metadata.entry_points(group=group):
        package = entry.dist.name if entry.dist else "?"
        version = entry.dist.version if entry.dist else "?"
        found.append(Offer(group, entry.name, package, version, entry))
    return tuple(sorted(found, key=lambda o: (o.name, o.package)))


def load(offer: Offer) -> Plugin:
    """Import what an offer names. Raises Mistake, with the package, where it is not what it must be."""
    function = _FUNCTION[offer.group]
    try:
        given = offer.entry.load()
    except Exception as error:
        raise broken(offer, f"cannot be imported: {type(error).__name__}: {error}") from error
    schema, lower = getattr(given, "schema", None), getattr(given, function, None)
    if offer.group == REPORTS:
        schema = {}
    if not isinstance(schema, dict) or not callable(lower):
        needed = "" if offer.group == REPORTS else "`schema`, a JSON Schema, and "
        raise broken(offer, f"must have {needed}`{function}`, a function")
    if offer.group == TESTS and schema.get("type") != "object":
        raise broken(offer, "must take a mapping: its schema says `type: object`")
    refused = next((word for word in _REFUSED if _holds(schema, word)), None)
    if refused:
        raise broken(offer, f"has `{refused}` in its schema, which is not allowed there")
    return Plugin(offer, schema, lower)


def call(plugin: Plugin, *given: Any) -> Any:
    """What a plugin makes of what a file says.

    Raises ValueError as the plugin does, for what its user can mend; Mistake for all else that it raises.
    """
    try:
        return plugin.lower(*given)
    except ValueError:
        raise
    except Exception as error:
        raise broken(plugin.offer, f"failed: {type(error).__name__}: {error}") from error


def broken(offer: Offer, what: str) -> Mistake:
    """The mistake that a package's fault is, named with the package."""
    message = f"'{offer.name}' of the installed package {offer.origin} {what[:300]}"
    return Mistake(Problem(message, None, "update or uninstall the package, or tell its authors", "plugin"))


def _holds(value: Any, key: str) -> bool:
    if isinstance(value, dict):
        return key in value or any(_holds(v, key) for v in value.values())
    return isinstance(value, list) and any(_holds(v, key) for v in value)
