"""What a branch declared that it changes, judged: a change beyond it fails, even when all tests pass.

A declaration is closed: of a dataset that it names only what it names may change; every other dataset
must be as its base has it. Columns that it lets change are left out of the comparison of rows.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from gitkitchen.controls.asks import Misfit
from gitkitchen.controls.base import Base
from gitkitchen.controls.expect import Move, Said, result, schema_words, told, value_said
from gitkitchen.controls.words import count, percent
from gitkitchen.data.diff_model import RowsDiff, SchemaChange, TableDiff
from gitkitchen.errors import Place
from gitkitchen.model import TestResult, TestSpec, TestState, Version
from gitkitchen.recipe.effects import Effects, Intended
from gitkitchen.recipe.limits import ANY, NOTHING, Limit

KIND = "effect"


def judge_dataset(effects: Effects, dataset: str, move: Move | None, base: Base) -> Iterator[TestResult]:
    """The results for one dataset that was built: one, and one more for each aggregate that is declared."""
    intended = effects.datasets.get(dataset)
    if move is None:
        yield _without_base(effects, dataset, intended, base)
        return
    if intended is None or not (intended.word or _says(intended)):
        yield _undeclared(effects, dataset, move, intended)
        return
    if intended.word == "any":
        yield _made(effects, dataset, "any change", True, "may change in any way", intended.place)
        return
    if intended.word == "removed":
        yield _made(effects, dataset, "removed", False, "it is still made", intended.place)
        return
    if intended.word == "added":
        # Published since: what was new is now what must stay.
        said = _judged(lambda: (move.same, told(move.whole) if not move.same else "it is as the base has it"))
        yield _from(effects, dataset, "added", said, intended.place)
        return
    yield _from(
        effects, dataset, "rows and columns", _judged(lambda: _beyond(intended, move)), intended.place
    )
    for expression, limit in intended.values.items():
        yield _value(effects, dataset, expression, limit, move, intended.place)


def judge_file(effects: Effects, dataset: str, new: Version, base: Base) -> TestResult:
    """A file that was made: it is as the base has it, or declared."""
    intended = effects.datasets.get(dataset)
    place = intended.place if intended else effects.place
    if base.version is None:
        return _without_base(effects, dataset, intended, base)
    if intended is not None and intended.word == "any":
        return _made(effects, dataset, "any change", True, "may change in any way", place)
    same = new.content == base.version.content
    return _made(
        effects,
        dataset,
        "unchanged",
        same,
        "the file is that of the base"
        if same
        else f"the file is another one: {new.bytes:,} bytes, {base.version.bytes:,} before",
        place,
    )


def judge_removed(effects: Effects, dataset: str) -> TestResult:
    """A dataset that the base has and the recipe no longer makes."""
    intended = effects.datasets.get(dataset)
    fine = intended is not None and intended.word in ("removed", "any")
    place = intended.place if intended else effects.place
    return _made(effects, dataset, "removed", fine, "it is no longer made", place)


def _says(intended: Intended) -> bool:
    return bool(intended.rows or intended.columns or intended.values)


def _spec(effects: Effects, dataset: str, words: str, place: Place | None) -> TestSpec:
    return TestSpec(
        id=f"{effects.file}/outputs/effect({dataset}: {words})",
        node=effects.file,
        phase="outputs",
        kind=KIND,
        dataset=dataset,
        args={},
        reads=(dataset,),
        description=f"{effects.file} says: {effects.why}" if effects.why else "",
        place=place,
    )


def _made(
    effects: Effects, dataset: str, words: str, passed: bool, observed: str, place: Place | None
) -> TestResult:
    return _from(effects, dataset, words, (passed, observed), place)


def _judged(look: object) -> tuple[bool, str] | Misfit:
    try:
        found: tuple[bool, str] = look()  # type: ignore[operator]
    except Misfit as misfit:
        return misfit
    return found


def _from(
    effects: Effects, dataset: str, words: str, said: tuple[bool, str] | Misfit, place: Place | None
) -> TestResult:
    spec = _spec(effects, dataset, words, place)
    expected = f"{effects.file}: {words}"
    if isinstance(said, Misfit):
        return result(spec, TestState.ERROR, "could not be evaluated", expected, message=f"{dataset}: {said}")
    passed, observed = said
    state = TestState.PASSED if passed else TestState.FAILED
    message = "" if passed else f"{dataset}: {observed}; expected {expected}"
    return result(spec, state, observed, expected, message=message)


def _without_base(effects: Effects, dataset: str, intended: Intended | None, base: Base) -> TestResult:
    if base.lost:
        spec = _spec(effects, dataset, "unchanged", effects.place)
        return result(
            spec, TestState.ERROR, base.why, "a base to compare with", message=f"{dataset}: {base.why}"
        )
    if intended is not None and intended.word in ("added", "any"):
        return _made(
            effects, dataset, intended.word, True, f"it is new: {base.label} has none", intended.place
        )
    place = intended.place if intended else effects.place
    return _made(effects, dataset, "not added", False, f"it is new: {base.label} has none", place)


def _undeclared(effects: Effects, dataset: str, move: Move, intended: Intended | None) -> TestResult:
    place = intended.place if intended else effects.place
    if move.same:
        return _made(effects, dataset, "unchanged", True, "its content is that of the base", place)

    def look() -> tuple[bool, str]:
        # Another content digest may hold equal rows: a view written otherwise.
        return move.whole.changes_data is False, told(move.whole)

    made = _from(effects, dataset, "unchanged", _judged(look), place)
    if made.state is not TestState.FAILED:
        return made
    return replace(made, sample=sample_of(move.whole))


def sample_of(diff: TableDiff) -> tuple[Mapping[str, str], ...]:
    """A few changed rows: the key, then each column that changed as ``before → after``."""
    rows = []
    for example in diff.examples:
        if example.kind == "changed":
            names = {c.column: c.was for c in diff.columns}
            row = {k: _shown(example.b.get(k)) for k in diff.key}
            for name, was in names.items():
                if example.a.get(was) != example.b.get(name):
                    row[name] = f"{_shown(example.a.get(was))} → {_shown(example.b.get(name))}"
            rows.append(row)
        else:
            values = example.b or example.a
            rows.append({k: _shown(v) for k, v in values.items()})
    return tuple(rows[:10])


def _shown(value: str | None) -> str:
    return "NULL" if value is None else value[:80]


# --- a dataset that may change in part ------------------------------------------------------------------


def _beyond(intended: Intended, move: Move) -> tuple[bool, str]:
    """Whether rows and columns changed as declared and no further; what is beyond, or all that changed."""
    if move.same:
        return True, "its content is that of the base"
    declared = {name.lower(): change for name, change in intended.columns.items()}
    free = [name for name, change in declared.items() if change in ("changed", "retyped") or change == ANY]
    limited = {n: c for n, c in declared.items() if isinstance(c, Limit) and c != ANY}
    diff = move.diff([*free, *limited], examples=0)
    wrong = [*_columns(declared, diff, move), *_rows(intended.rows, diff.rows)]
    if diff.rows.changed or diff.rows.changed is None:
        wrong += _changed(intended, declared, diff)
    wrong += _limited(limited, move)
    said = wrong or [told(diff)]
    return not wrong, "; ".join(said)


def _columns(declared: Mapping[str, object], diff: TableDiff, move: Move) -> Iterator[str]:
    for change in move.schema():
        if change.kind != "moved" and not _covers(declared, change):
            yield schema_words(change)
    for change in diff.schema:
        if change.kind == "nulls" and change.column.lower() not in declared:
            yield schema_words(change)
    now = {c.name.lower() for c in move.columns(before=False)}
    for name, change_word in declared.items():
        if change_word == "added" and name not in now:
            yield f"column {name} is not there"
        elif change_word == "removed" and name in now:
            yield f"column {name} is still there"


def _covers(declared: Mapping[str, object], change: SchemaChange) -> bool:
    if change.kind == "renamed":  # by case alone: no guess is made here
        return change.column.lower() in declared
    said = declared.get(change.column.lower())
    return said == change.kind


def _rows(limits: Mapping[str, Limit], rows: RowsDiff) -> Iterator[str]:
    """Rows that came or went beyond their limits; what is not named may not."""
    number = limits.get("count")
    for name in ("added", "removed"):
        part = getattr(rows, name)
        if part is None:
            yield "its rows could not be compared"
            return
        limit = limits.get(name) or _direction(number, name) or NOTHING
        if not limit.allows_part(part, rows.a):
            share = f" ({percent(part / rows.a)} of {rows.a:,})" if rows.a else ""
            yield f"{count(part)} {name}{share}"
    if number is not None and not number.allows(rows.a, rows.b):
        yield f"rows: {rows.b:,}, {rows.a:,} before"


def _direction(number: Limit | None, name: str) -> Limit | None:
    """What a limit of the count says of rows that come, and of rows that go."""
    if number is None:
        return None
    end = number.high if name == "added" else number.low
    return replace(number, low=None, high=None if end is None else abs(end))


def _changed(intended: Intended, declared: Mapping[str, object], diff: TableDiff) -> Iterator[str]:
    limit = intended.rows.get("changed")
    if diff.rows.changed is None:
        return  # whole rows: what changed came as added and removed
    for column in diff.columns:
        if column.changed and column.column.lower() not in declared and limit is None:
            share = f" ({percent(column.changed / diff.rows.matched)})" if diff.rows.matched else ""
            yield f"column {column.column} changed in {count(column.changed)}{share}"
    if limit is not None and not limit.allows_part(diff.rows.changed, diff.rows.matched or 0):
        yield f"{count(diff.rows.changed)} changed of {diff.rows.matched:,}"


def _limited(limited: Mapping[str, Limit], move: Move) -> Iterator[str]:
    if not limited:
        return
    if not move.key:
        raise Misfit("changed rows of a column cannot be counted without a key; give the node its `key:`")
    whole = move.whole
    found = {c.column.lower(): c for c in whole.columns}
    for name, limit in limited.items():
        column = found.get(name)
        if column is None or column.changed is None:
            yield f"column {name} is not there on both sides"
        elif not limit.allows_part(column.changed, whole.rows.matched or 0):
            yield f"column {column.column} changed in {count(column.changed)} of {whole.rows.matched:,}"


def _value(
    effects: Effects, dataset: str, expression: str, limit: Limit, move: Move, place: Place
) -> TestResult:
    words = f"{' '.join(expression.split())} within {limit.text}"
    spec = _spec(effects, dataset, words, place)
    expected = f"{effects.file}: {words}"
    try:
        same = Said(True, "its content is that of the base", {})
        said = same if move.same else value_said(expression, *move.value(expression), limit)
    except Misfit as misfit:
        return result(
            spec, TestState.ERROR, "could not be evaluated", expected, message=f"{dataset}: {misfit}"
        )
    state = TestState.PASSED if said.passed else TestState.FAILED
    message = "" if said.passed else f"{dataset}: {said.observed}; expected {expected}"
    return result(spec, state, said.observed, expected, message=message, said=said)
