"""Two kitchens, environments or runs side by side: which datasets differ, why, in what, and whom it hits.

Reads only. ``compare`` takes two sides and returns one ``Comparison``; every way to show it is in ``report``.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import field, replace
from typing import TYPE_CHECKING, Any

from gitkitchen.data.diff_model import RowsDiff
from gitkitchen.data.diff_schema import schema_changes
from gitkitchen.data.stores import Store
from gitkitchen.declared import Declared, changes_of_controls, declared_at, declared_here
from gitkitchen.errors import GitKitchenError, Mistake, Problem
from gitkitchen.frozen import dataclass
from gitkitchen.model import Build, Definition, NodeSpec, Published, Version
from gitkitchen.past import find_run, history, load_outcome, runs
from gitkitchen.reading import values_anywhere
from gitkitchen.report.comparison import Comparison, DatasetDiff, SideKind, SideName
from gitkitchen.workplace import Request, Workplace, enter

if TYPE_CHECKING:
    from gitkitchen.data.engines.contract import Engine
    from gitkitchen.plan.lineage import Hit


@dataclass(frozen=True, slots=True)
class Side:
    """One side: what its readers see (of a run: with what the run built before that)."""

    label: str
    kind: SideKind
    place: Workplace
    entries: Mapping[str, Published]
    built: Mapping[str, Build] = field(default_factory=dict)
    """Of a run: each dataset that it built or reused, with its build."""
    run: str | None = None
    tree: str | None = None
    checked_out: bool = False
    """The kitchen of the branch that is checked out: its files are those of the work tree."""

    def build(self, dataset: str) -> Build | None:
        if dataset in self.built:
            return self.built[dataset]
        entry = self.entries.get(dataset)
        return self.place.store.find(entry.fingerprint) if entry else None

    @property
    def name(self) -> SideName:
        return SideName(self.label, self.kind, self.place.kitchen.namespace, self.run, self.tree)

    @property
    def datasets(self) -> set[str]:
        return {*self.entries, *self.built}


MOST_RUNS = 1000
"""So many runs back is looked for the one that published last."""

# --- sides -------------------------------------------------------------------------------------------


def sides(request: Request, a: str | None, b: str | None) -> tuple[Side, Side]:
    """What two names mean. None and None: the kitchen against its base; one name: that against the kitchen,
    or, where it is a run, what the run is compared with against the run. Raises Mistake."""
    here = enter(request, looks=True)
    if a is None:
        return _side(request, here, _base_of(here)), _side(request, here, here.kitchen.label)
    if b is None:
        first = _side(request, here, a)
        if first.kind == "run":
            kitchen = first.place.kitchen
            base = kitchen.base if kitchen.is_sandbox else kitchen.environment or a
            return _side(request, here, base), first
        return first, _side(request, here, here.kitchen.label)
    return _side(request, here, a), _side(request, here, b)


def _base_of(here: Workplace) -> str:
    if here.kitchen.base is None:
        message = f"'{here.kitchen.label}' is an environment and has no base to compare it with"
        hint = "name what to compare it with: an environment, a branch, a run, or `last`"
        raise Mistake(Problem(message, hint=hint, code="no-base"))
    return here.kitchen.base


def _side(request: Request, here: Workplace, name: str | None) -> Side:
    """An environment or branch that was worked in, or a run. Mistake with the names that there are."""
    if name is None or name in (here.kitchen.label, here.kitchen.branch):
        return replace(_kitchen_side(here), checked_out=request.kitchen is None)
    try:
        return _kitchen_side(enter(replace(request, kitchen=name), looks=True, beside=here))
    except Mistake as no_kitchen:
        try:
            return _run_side(request, here, find_run(here, name))
        except Mistake as no_run:
            if name == "last" or "not unique" in str(no_run) or "interrupted" in str(no_run):
                raise
            raise _nobody(here, name) from no_kitchen


def _nobody(here: Workplace, name: str) -> Mistake:
    known = [e.name for e in here.project.environments]
    near = difflib.get_close_matches(name, [*known, *(p.name for p in runs(here))], n=1)
    hint = (
        f"did you mean '{near[0]}'?"
        if near
        else (
            f"name an environment ({', '.join(known) or 'none'}), a branch that was run, "
            "or a run of `gitkitchen log`"
        )
    )
    return Mistake(Problem(f"'{name[:80]}' is no environment, no branch that was run, and no run", hint=hint))


def _kitchen_side(place: Workplace) -> Side:
    catalog = place.catalog()
    kitchen = place.kitchen
    kind: SideKind = "sandbox" if kitchen.is_sandbox else "environment"
    label = kitchen.label if not kitchen.is_sandbox else f"sandbox {kitchen.label}"
    return Side(label, kind, place, catalog.entries, tree=_published_tree(place))


def _published_tree(place: Workplace) -> str | None:
    """The tree that the data stands for: that of the newest run that published it, or found it unchanged."""
    for row in history(place, limit=MOST_RUNS):
        publication, subject = row.get("publication"), row.get("subject")
        if not isinstance(publication, Mapping) or not isinstance(subject, Mapping):
            continue
        if publication.get("state") in ("published", "unchanged"):
            return str(subject.get("tree"))
    return None


def _run_side(request: Request, here: Workplace, run: str) -> Side:
    outcome = load_outcome(here, run)
    kitchen = outcome.kitchen
    name = kitchen.environment or kitchen.branch
    place = here
    if kitchen.namespace != here.kitchen.namespace:
        place = enter(replace(request, kitchen=name), beside=here)
    built = {d: n.build for n in outcome.nodes if n.build is not None for d in n.build.versions}
    return Side(
        f"run {run} of {kitchen.label}",
        "run",
        place,
        place.catalog().entries,
        built,
        run,
        outcome.subject.tree,
    )


# --- the comparison ----------------------------------------------------------------------------------


def compare(
    a: Side,
    b: Side,
    *,
    data: bool,
    only: Sequence[str] = (),
    examples: int = 5,
) -> Comparison:
    """Every dataset of both sides (or ``only`` these). ``data``: rows and columns too."""
    names = _chosen(sorted(a.datasets | b.datasets), only)
    was = _declared(a)
    is_now = _declared(b) or declared_here(b.place.project)
    found: list[DatasetDiff] = []
    notes: list[str] = []
    engine: Engine | None = None
    try:
        for name in names:
            one = _dataset(name, a, b, was, is_now)
            if data and one.state == "changed":
                if engine is None:
                    engine = b.place.engine()
                one = _with_data(one, a, b, engine, is_now, examples)
            found.append(one)
    finally:
        if engine is not None:
            engine.close()
    if was is None:
        notes.append(f"the files that {a.label} came from are not in this repository: tests are not compared")
    controls = changes_of_controls(was, is_now) if was is not None else ()
    return Comparison(
        b.place.project.name,
        a.name,
        b.name,
        tuple(found),
        data,
        tuple(controls),
        tuple(_reaches(b, found, notes)),
        tuple(notes),
    )


def _declared(one: Side) -> Declared | None:
    """What the files of a side say; None where they are not in this repository."""
    if one.checked_out or one.tree == one.place.subject.tree:
        return declared_here(one.place.project)
    return declared_at(one.place.project, one.place.repository, one.tree)


def _chosen(names: Sequence[str], only: Sequence[str]) -> list[str]:
    for name in only:
        if name not in names:
            near = difflib.get_close_matches(name, names, n=1)
            hint = f"did you mean '{near[0]}'?" if near else f"there are: {', '.join(names[:20]) or 'none'}"
            raise Mistake(
                Problem(f"neither side has a dataset '{name[:80]}'", hint=hint, code="unknown-name")
            )
    return [n for n in names if n in only] if only else list(names)


def _dataset(name: str, a: Side, b: Side, was: Declared | None, now: Declared) -> DatasetDiff:
    one, two = a.build(name), b.build(name)
    old, new = (x.versions.get(name) if x else None for x in (one, two))
    about = now.datasets.get(name) or (was.datasets.get(name) if was else None)
    common = {
        "dataset": name,
        "a": old,
        "b": new,
        "runs": (one.run if one else "", two.run if two else ""),
        "node": about.node if about else (two or one).node if (two or one) else "",  # type: ignore[union-attr]
        "owner": about.owner if about else "",
        "public": about.public if about else (),
    }
    lost = [s.label for s, v in ((a, old), (b, new)) if name in s.datasets and v is None]
    if lost:
        note = f"the version that {' and '.join(lost)} has is not in the store: it could not be compared"
        return DatasetDiff(state="unreadable", note=note, **common)  # type: ignore[arg-type]
    if old is None or new is None:
        return DatasetDiff(state="added" if old is None else "removed", **common)  # type: ignore[arg-type]
    reasons = _reasons(one, two) if one and two and one.fingerprint != two.fingerprint else ()
    same = old.content == new.content and old.format == new.format
    keys = _keys(name, was, now)
    schema = () if same else schema_changes(old.columns, new.columns, {})
    return DatasetDiff(
        state="identical" if same else "changed",
        reasons=reasons,
        schema=schema,
        key_change=keys,
        **common,  # type: ignore[arg-type]
    )


def _reasons(old: Build, new: Build) -> tuple[str, ...]:
    """What differs in what the two builds were made of, in the words of a plan."""
    from gitkitchen.errors import Place
    from gitkitchen.plan.reasons import changes

    node = NodeSpec(new.node, "", {}, Place(""))
    return changes(node, old, Definition(new.definition, new.parts), dict(new.inputs))


def _keys(name: str, was: Declared | None, now: Declared) -> tuple[tuple[str, ...], tuple[str, ...]] | None:
    before = was.datasets.get(name) if was else None
    after = now.datasets.get(name)
    if before is None or after is None or before.key == after.key:
        return None
    return before.key, after.key


# --- data --------------------------------------------------------------------------------------------


def _with_data(
    one: DatasetDiff, a: Side, b: Side, engine: Engine, now: Declared, examples: int
) -> DatasetDiff:
    """The dataset with its rows compared; what cannot be read is said, and is no difference of 0."""
    from gitkitchen.data.diff_rows import Table, compare_tables

    assert one.a is not None
    assert one.b is not None
    if "file" in (one.a.format, one.b.format):
        return replace(one, note=f"a file: {one.b.bytes:,} bytes, {one.a.bytes:,} before")
    about = now.datasets.get(one.dataset)

    def table(version: Version, mark: str, store: Store) -> Table:
        relation = engine.relation(f"{one.dataset} ({mark})", version, store)
        columns = version.columns or engine.describe(f"select * from {relation}")
        return Table(relation, tuple(columns), {n: s.nulls for n, s in version.stats.items()})

    try:
        data = compare_tables(
            table(one.a, "a", a.place.store),
            table(one.b, "b", b.place.store),
            key=about.key if about else (),
            fetch=engine.answers,
            examples=examples,
            sql=engine.diff,
        )
    except GitKitchenError as error:
        said = "; ".join(p.message for p in error.problems)
        return replace(one, state="unreadable", note=f"it could not be compared: {said}")
    return replace(one, data=data, schema=data.schema)


# --- downstream --------------------------------------------------------------------------------------


def _reaches(b: Side, found: Sequence[DatasetDiff], notes: list[str]) -> list[Hit]:
    """What the differing datasets reach, by the recipes that are checked out."""
    from gitkitchen.plan.lineage import downstream

    changed = {d.dataset: change for d in found if (change := _change(d)) is not None}
    if not changed:
        return []
    makers, problems = _makers(b)
    notes += problems
    schemas = _schemas(b, {d for m in makers for d in (*m.reads, *m.datasets)}, found)
    return downstream(makers, schemas, changed)


def _change(one: DatasetDiff) -> Any:
    """What of a dataset changed, as far as it was looked at; None where nothing did."""
    from gitkitchen.plan.lineage import Change

    if one.state == "identical":
        return None
    touched = {
        n
        for c in one.schema
        if c.kind != "moved"
        for n in (c.column, c.was if c.kind == "renamed" else c.column)
    }
    if one.data is None or one.data.rows.changed is None:
        return Change(None if one.state != "added" else frozenset(), rows=True)
    rows: RowsDiff = one.data.rows
    touched |= {c.column for c in one.data.columns if c.changed}
    return Change(frozenset(touched), rows=bool(rows.added or rows.removed))


def _schemas(b: Side, names: set[str], found: Sequence[DatasetDiff]) -> dict[str, tuple[str, ...]]:
    """The columns of datasets, old ones too: a query that still reads a removed column is hit by it."""
    known: dict[str, list[str]] = {}
    for name in names:
        build = b.build(name)
        version = build.versions.get(name) if build else None
        known[name] = [c.name for c in version.columns] if version else []
    for one in found:
        gone = [c for c in (one.a.columns if one.a else ()) if c.name not in known.get(one.dataset, [])]
        known.setdefault(one.dataset, []).extend(c.name for c in gone)
    return {name: tuple(columns) for name, columns in known.items()}


def _makers(b: Side) -> tuple[list[Any], list[str]]:
    """Every node of every recipe that is checked out; recipes that cannot be read are named."""
    from gitkitchen.plan.build import study
    from gitkitchen.plan.lineage import Maker
    from gitkitchen.recipe.load import load_recipes
    from gitkitchen.recipe.resolve import resolve

    project = b.place.project
    recipes = load_recipes(project).recipes
    known = {d for raw in recipes.values() for d in raw.datasets}
    makers: list[Any] = []
    notes: list[str] = []
    for raw in recipes.values():
        try:
            recipe = resolve(raw, values_anywhere(project, raw, None), kitchen=None)
            _, graph, _ = study(project, recipe, known)
        except Mistake as error:
            notes.append(f"recipe '{raw.name}' cannot be read, so nothing is said of it: {error.problems[0]}")
            continue
        for node in recipe.nodes.values():
            sql = str(node.config["text"]) if node.kind == "sql" else None
            reads = tuple(graph.reads[node.name])
            makers.append(
                Maker(recipe.name, node.name, node.owner, node.kind, tuple(node.datasets), reads, sql)
            )
    return makers, notes
