"""``expect:`` of a node becomes tests of kind ``expect``: one for each statement, judged against the base.

Arguments: ``{"of": "rows", "count" | "added" | "removed" | "changed": limit}``, ``{"of": "columns",
"columns": {name: word or limit}}``, ``{"of": "values", "value": sql, "limit": limit}``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from gitkitchen.model import Severity, TestSpec
from gitkitchen.recipe.desk import Desk, Keys, Unusable
from gitkitchen.recipe.limits import Limit, limit

WORDS = ("added", "removed", "retyped", "changed")
ROWS = ("count", "added", "removed", "changed")
# Possessive: a row of comments can be read in one way only, so that none takes for ever.
_QUERY = re.compile(
    r"(?:\s|--[^\n]*\n|/\*(?:[^*]|\*(?!/))*+\*/)*+\(?\s*(?:select|with|from|values)\b", re.IGNORECASE
)
_IN_SQL = "a value never becomes SQL"


def read_expectations(desk: Desk, node: str, tables: list[str], value: Any) -> tuple[TestSpec, ...]:
    """The expectations of a node that makes ``tables``. Mistakes go to the desk."""
    if value is None:
        return ()
    path: Keys = ("nodes", node, "expect")
    found: list[TestSpec] = []
    seen: set[tuple[str, str]] = set()
    for each, here in (
        ((v, (*path, n)) for n, v in enumerate(value)) if isinstance(value, list) else [(value, path)]
    ):
        for spec in _one(desk, node, tables, each, here):
            name = (spec.dataset, spec.id)
            if name in seen:
                desk.wrong(here, f"'{spec.id}' is said twice", "keep one of them", "said-twice")
            else:
                seen.add(name)
                found.append(spec)
    return tuple(found)


def _one(
    desk: Desk, node: str, tables: list[str], value: Mapping[str, Any], path: Keys
) -> Iterator[TestSpec]:
    dataset = _dataset(desk, tables, value.get("of"), path)
    if dataset is None:
        return
    if not value.keys() & {"rows", "columns", "values"}:
        hint = "say rows, columns or values"
        desk.wrong(path, "it expects nothing", hint, "missing-key")
        return
    head = "" if len(tables) == 1 else f"of={dataset}, "
    for words, args, at in _statements(desk, value, path):
        yield TestSpec(
            id=f"{node}/outputs/expect({head}{words})",
            node=node,
            phase="outputs",
            kind="expect",
            dataset=dataset,
            args=args,
            reads=(dataset,),
            severity=Severity(value.get("severity", "stop")),
            description=str(value.get("description", "")),
            place=desk.place(*at),
        )


def _dataset(desk: Desk, tables: list[str], of: Any, path: Keys) -> str | None:
    if of is not None:
        if of in tables:
            return str(of)
        desk.unknown((*path, "of"), f"'{of:.80}' is no table of this node", of, tables)
        return None
    if len(tables) == 1:
        return tables[0]
    hint = f"name it with `of:`, one of {', '.join(tables[:20])}" if tables else "a file has no rows"
    desk.wrong(path, "it is not clear which dataset is expected to stay", hint, "no-dataset")
    return None


def _statements(
    desk: Desk, value: Mapping[str, Any], path: Keys
) -> Iterator[tuple[str, dict[str, Any], Keys]]:
    """Each statement: its words, the arguments of its test, where it stands."""
    yield from _rows(desk, value.get("rows"), (*path, "rows"))
    if "columns" in value:
        made = columns(desk, value["columns"], (*path, "columns"))
        said = ", ".join(f"{n} {v if isinstance(v, str) else v.text}" for n, v in made.items())
        plain = {n: v if isinstance(v, str) else v.plain() for n, v in made.items()}
        yield f"columns {said or 'unchanged'}", {"of": "columns", "columns": plain}, (*path, "columns")
    for sql, written in (value.get("values") or {}).items():
        at = (*path, "values", sql)
        found = value_limit(desk, sql, written, at)
        if found is not None:
            words = f"{' '.join(sql.split())} {found.text}"
            yield words, {"of": "values", "value": sql, "limit": found.plain()}, at


def _rows(desk: Desk, value: Any, path: Keys) -> Iterator[tuple[str, dict[str, Any], Keys]]:
    for name, found in rows(desk, value, path).items():
        at = (*path, name) if isinstance(value, dict) else path
        words = f"rows {found.text}" if name == "count" else f"{name} rows {found.text}"
        yield words, {"of": "rows", "what": name, "limit": found.plain()}, at


def rows(desk: Desk, value: Any, path: Keys) -> dict[str, Limit]:
    """The limits of rows by what they are of; a limit alone is of their count."""
    if value is None:
        return {}
    written = value if isinstance(value, dict) else {"count": value}
    found = {
        name: _limit(desk, v, (*path, name) if isinstance(value, dict) else path)
        for name, v in written.items()
    }
    return {name: v for name, v in found.items() if v is not None}


def columns(desk: Desk, value: Mapping[str, Any], path: Keys) -> dict[str, str | Limit]:
    """Each column with a word of ``WORDS`` or the limit of its changed rows."""
    found: dict[str, str | Limit] = {}
    for name, written in value.items():
        if written in WORDS:
            found[name] = str(written)
            continue
        made = _limit(desk, written, (*path, name))
        if made is not None:
            found[name] = made
    return found


def value_limit(desk: Desk, sql: str, written: Any, path: Keys) -> Limit | None:
    """The limit of an aggregate, where its text is an expression at all."""
    try:
        desk.plain(sql, path, _IN_SQL, "write the value out")
    except Unusable:
        return None
    if _QUERY.match(sql):
        hint = "write an aggregate over the dataset, such as sum(revenue): it is taken before and after"
        desk.wrong(path, "a whole query cannot be compared with the base", hint, "not-for-kind")
        return None
    return _limit(desk, written, path)


def _limit(desk: Desk, value: Any, path: Keys) -> Limit | None:
    try:
        return limit(desk.value(value, path))
    except ValueError as error:
        desk.wrong(path, str(error), "", "wrong-value")
    except Unusable:
        pass
    return None
