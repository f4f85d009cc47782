"""The tests of a node as written become TestSpecs: normalised, with a dataset and an id of their own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from hashlib import sha256
from typing import Any

from gitkitchen.errors import Place
from gitkitchen.frozen import dataclass
from gitkitchen.model import Phase, Severity, TestSpec, Tolerance
from gitkitchen.plugins import TESTS
from gitkitchen.recipe import kinds
from gitkitchen.recipe.arguments import SHORT, SQL_ARGUMENTS, TEST_KINDS, TOLERANT, percent
from gitkitchen.recipe.desk import MARK, Desk, Keys, Unusable

__all__ = ["TEST_KINDS", "read_tests"]

PHASES: tuple[Phase, ...] = ("inputs", "outputs", "logic")
_BESIDE = frozenset({"severity", "where", "tolerate", "description"})
_LONGEST = 80
_IN_SQL = "a value never becomes SQL"


@dataclass(frozen=True, slots=True)
class Owner:
    """The node that tests belong to: its name, its datasets with their files, what it says it needs."""

    name: str
    datasets: Mapping[str, str | None]
    needs: Sequence[str]

    @property
    def tables(self) -> list[str]:
        return [d for d, file in self.datasets.items() if file is None or file.endswith(".parquet")]


def read_tests(desk: Desk, owner: Owner, value: Any, key: Sequence[str]) -> tuple[TestSpec, ...]:
    """All tests of a node: those that its ``key:`` implies, then those written. Mistakes go to the desk."""
    path: Keys = ("nodes", owner.name, "tests")
    return _distinct([*_key_tests(desk, owner, key), *_written(desk, owner, value, path)])


def _written(desk: Desk, owner: Owner, value: Any, path: Keys) -> Iterator[TestSpec]:
    if isinstance(value, dict):
        for phase in PHASES:
            for index, test in enumerate(value.get(phase) or ()):
                yield from _test(desk, owner, phase, test, (*path, phase, index))
    else:
        for index, test in enumerate(value or ()):
            yield from _test(desk, owner, "outputs", test, (*path, index))


def _distinct(found: Sequence[TestSpec]) -> tuple[TestSpec, ...]:
    """The same test said twice counts once; one that differs beside its arguments gets a number in its id."""
    kept: dict[tuple[Any, ...], TestSpec] = {}
    times: dict[str, int] = {}
    for spec in found:
        whole = (spec.id, spec.severity, spec.where, spec.tolerate)
        if whole not in kept:
            count = times[spec.id] = times.get(spec.id, 0) + 1
            kept[whole] = replace(spec, id=f"{spec.id}#{count}") if count > 1 else spec
    return tuple(kept.values())


def _key_tests(desk: Desk, owner: Owner, key: Sequence[str]) -> Iterator[TestSpec]:
    if not key:
        return
    path: Keys = ("nodes", owner.name, "key")
    if len(owner.tables) != 1:
        what = "none" if not owner.tables else ", ".join(owner.tables)
        hint = "test each table with `unique: {columns: […], of: …}`"
        desk.wrong(path, f"a key belongs to one table, and the node makes {what}", hint, "no-dataset")
        return
    (dataset,) = owner.tables
    place = desk.place(*path)
    for column in key:
        yield _spec(owner, "outputs", "not_null", dataset, {"column": column}, place)
    yield _spec(owner, "outputs", "unique", dataset, {"columns": list(key)}, place)


def _test(desk: Desk, owner: Owner, phase: Phase, test: Mapping[str, Any], path: Keys) -> Iterator[TestSpec]:
    """One entry of a list of tests: one test, or one for each column of ``not_null``."""
    kind = next((k for k in test if k in TEST_KINDS), None)
    added = kinds.kind_of(TESTS, test) if kind is None else None
    if added is not None:
        yield from _added(desk, owner, phase, added, test, path)
    if kind is None:
        return  # its schema has said so
    try:
        given, place = _arguments(desk, kind, test, path), desk.place(*path)
        where, tolerate = _conditions(desk, kind, given, test, path)
        dataset = _dataset(desk, owner, phase, given.pop("of", None), (*path, kind))
        description = str(desk.value(test.get("description", ""), (*path, "description")))
        severity = Severity(test.get("severity", "stop"))
        made = list(TEST_KINDS[kind](given))
    except Unusable:
        return
    except ValueError as error:
        desk.wrong((*path, kind), str(error), "", "bad-test")
        return
    for args in made:
        yield _spec(
            owner,
            phase,
            kind,
            dataset,
            args,
            place,
            severity=severity,
            where=where,
            tolerate=tolerate,
            description=description,
        )


def _added(
    desk: Desk, owner: Owner, phase: Phase, kind: str, test: Mapping[str, Any], path: Keys
) -> Iterator[TestSpec]:
    """A test of a kind that an installed package adds: a ``no_rows`` test under that kind's name."""
    here = (*path, kind)
    try:
        given = dict(desk.value(test[kind], here))
        _, tolerate = _conditions(desk, "no_rows", {}, test, path)
        dataset = _dataset(desk, owner, phase, given.pop("of", None), here)
        description = str(desk.value(test.get("description", ""), (*path, "description")))
        sql = kinds.failing(desk, kind, dataset, given, here)
    except Unusable:
        return
    except ValueError as error:
        desk.wrong(here, str(error), "", "bad-test")
        return
    severity = Severity(test.get("severity", "stop"))
    spec = _spec(
        owner,
        phase,
        "no_rows",
        dataset,
        {"sql": sql},
        desk.place(*path),
        severity=severity,
        tolerate=tolerate,
        description=description,
    )
    yield replace(spec, id=f"{owner.name}/{phase}/{kind}({_shown(owner, dataset, given)})")


def _arguments(desk: Desk, kind: str, test: Mapping[str, Any], path: Keys) -> dict[str, Any]:
    """The mapping under the kind's key, written out and with its expressions evaluated. Raises Unusable."""
    value, here = test[kind], (*path, kind)
    if not isinstance(value, dict):
        value = {SHORT[kind]: [value] if isinstance(value, str) and SHORT[kind] == "columns" else value}
    given: dict[str, Any] = {}
    broken = False
    for name, part in value.items():
        try:
            given[name] = _argument(desk, kind, name, part, (*here, name))
        except Unusable:
            broken = True
    if broken:
        raise Unusable
    return given


def _argument(desk: Desk, kind: str, name: str, part: Any, path: Keys) -> Any:
    if name in SQL_ARGUMENTS or name == "where":
        return desk.plain(
            part, path, _IN_SQL, "write the value out, or compare it in a `range` or `rows` test"
        )
    rendered = desk.value(part, path)
    computed = name == "to" and kind in ("equal", "close") and isinstance(part, str) and MARK in part
    if computed and (isinstance(rendered, bool) or not isinstance(rendered, (int, float))):
        desk.wrong(path, "an expression here must give a number", _IN_SQL, "misplaced-expression")
        raise Unusable
    return rendered


def _conditions(
    desk: Desk, kind: str, given: dict[str, Any], test: Mapping[str, Any], path: Keys
) -> tuple[str | None, Tolerance]:
    """``where`` and ``tolerate``, which may stand beside the kind's key or below it. Raises Unusable."""
    found: dict[str, Any] = {}
    broken = False
    for name in ("where", "tolerate"):
        inner = given.pop(name, None)
        if inner is not None and name in test:
            desk.wrong(
                (*path, name), f"{name} stands here and below '{kind}'", "keep one of them", "said-twice"
            )
            broken = True
        found[name] = test.get(name) if inner is None else inner
    where, tolerate = found["where"], found["tolerate"]
    if where is not None:
        desk.plain(where, (*path, "where"), _IN_SQL, "write the condition out")
        refusal = _no_where(kind)
        if refusal:
            desk.wrong((*path, "where"), refusal, "put the condition into the SQL", "not-for-kind")
            broken = True
    if tolerate is not None and kind not in TOLERANT:
        hint = f"it is for {', '.join(sorted(TOLERANT))}"
        desk.wrong(
            (*path, "tolerate"), f"a '{kind}' test has no failing rows to tolerate", hint, "not-for-kind"
        )
        broken = True
    if broken:
        raise Unusable
    allowed = _tolerance(tolerate)
    if kind == "no_rows" and allowed.share is not None:
        hint = "say how many: `tolerate: 5`"
        desk.wrong((*path, "tolerate"), "a 'no_rows' test has no rows to share", hint, "not-for-kind")
        raise Unusable
    return where, allowed


def _no_where(kind: str) -> str:
    if kind == "no_rows":
        return "`where` selects rows of a dataset, and a 'no_rows' test is a whole query"
    if kind == "schema":
        return "`where` selects rows, and a 'schema' test looks at columns"
    return ""


def _tolerance(value: Any) -> Tolerance:
    if value is None:
        return Tolerance()
    if isinstance(value, str):
        return Tolerance(share=percent(value))
    if value != int(value) or value < 0:
        raise ValueError(f"tolerate: {value} is no number of rows; write a share as {value * 100:g}%")
    return Tolerance(rows=int(value))


def _dataset(desk: Desk, owner: Owner, phase: Phase, of: Any, path: Keys) -> str:
    """What a test is about: ``of``, or the only dataset that it can be about. Raises Unusable."""
    tables = owner.tables
    if of is not None:
        if phase == "outputs" and of not in tables:
            reason = (
                "is a file, whose rows cannot be tested"
                if of in owner.datasets
                else "is not made by this node"
            )
            desk.unknown((*path, "of"), f"'{of:.80}' {reason}", of, tables)
            raise Unusable
        if phase == "inputs" and of in owner.datasets:
            desk.wrong(
                (*path, "of"), f"'{of:.80}' is made by this node", "test it in `outputs:`", "no-dataset"
            )
            raise Unusable
        return str(of)
    known = list(owner.needs) if phase == "inputs" else tables
    if len(known) == 1:
        return known[0]
    if phase == "inputs" or known:
        offered = f", one of {', '.join(known[:20])}" if known else ""
        hint = f"name it with `of:`{offered}"
        desk.wrong(path, "it is not clear which dataset is tested", hint, "no-dataset")
    else:
        hint = "name a dataset with `of:` in `logic:`, or test what the node before makes"
        desk.wrong(path, "the node makes no table that could be tested", hint, "no-dataset")
    raise Unusable


# --- specs ---


def _spec(
    owner: Owner,
    phase: Phase,
    kind: str,
    dataset: str,
    args: dict[str, Any],
    place: Place,
    *,
    severity: Severity = Severity.STOP,
    where: str | None = None,
    tolerate: Tolerance = Tolerance(),  # noqa: B008 - frozen
    description: str = "",
) -> TestSpec:
    others = (args.get("relative_to"), args.get("to_dataset"))
    return TestSpec(
        id=f"{owner.name}/{phase}/{kind}({_shown(owner, dataset, args)})",
        node=owner.name,
        phase=phase,
        kind=kind,
        dataset=dataset,
        args=args,
        reads=tuple(dict.fromkeys(d for d in (dataset, *others) if d)),
        severity=severity,
        where=where,
        tolerate=tolerate,
        description=description,
        place=place,
    )


def _shown(owner: Owner, dataset: str, args: Mapping[str, Any]) -> str:
    """A test's arguments in an id: short ones as they are, long ones cut, with a digest of the whole."""
    words = [] if list(owner.datasets) == [dataset] else [f"of={dataset}"]
    for name, value in _as_written(args).items():
        if value is None or value is False:
            continue
        text = _word(value)
        words.append(text if name in ("column", "columns", "sql", "value") else f"{name}={text}")
    text = " ".join(", ".join(words).split())
    if len(text) <= _LONGEST:
        return text
    mark = sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    return f"{text[: _LONGEST - 10]}… {mark}"


def _as_written(args: Mapping[str, Any]) -> dict[str, Any]:
    """Normalised arguments in the words in which people write them."""
    words = dict(args)
    if "to_dataset" in words:
        columns = ", ".join(words.pop("to_columns"))
        words["to"] = f"{words.pop('to_dataset')}.{columns}"
    other = words.get("relative_to")
    if other and words["min"] == words["max"] == 1:
        return {"same_as": other}
    if "relative_to" in words and words["min"] is not None and words["min"] == words["max"]:
        words = {"equals": words["min"], "relative_to": other}
    return words


def _word(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(_word(v) for v in value)
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)
