"""Column lineage: which columns, datasets and owners a change reaches downstream, across recipes.

What a query makes of its inputs is read by sqlglot with the schemas that are known (``*`` is written out
by them). Where that cannot be told (SQL that it cannot read, Python, commands) all columns are said to be
hit, and that it is not known.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import field
from typing import TYPE_CHECKING, Any

from gitkitchen.frozen import dataclass

if TYPE_CHECKING:
    from sqlglot import exp

Source = tuple[str, str]
"""A dataset and one of its columns, both in small letters as SQL compares them."""
MAX_TEXT = 200_000
MAX_HITS = 10_000


@dataclass(frozen=True, slots=True)
class Maker:
    """A node that makes datasets: what it reads, and its query where it is one."""

    recipe: str
    node: str
    owner: str
    kind: str
    datasets: tuple[str, ...]
    reads: tuple[str, ...]
    sql: str | None = None


@dataclass(frozen=True, slots=True)
class Change:
    """What changed of a dataset: columns (None: which is not known), and whether rows came or went."""

    columns: frozenset[str] | None
    rows: bool = False


@dataclass(frozen=True, slots=True)
class Hit:
    """A dataset that a change reaches. ``columns`` None: all of them, for it is not known which.

    ``rows``: which rows there are may change, and so every column. ``through``: the inputs that bring it.
    """

    dataset: str
    recipe: str
    node: str
    owner: str
    columns: tuple[str, ...] | None
    rows: bool
    through: tuple[str, ...]
    why: str = ""


@dataclass(frozen=True, slots=True)
class Origins:
    """Where the columns of a query come from, and the columns that decide which rows it has."""

    columns: Mapping[str, frozenset[Source]] = field(default_factory=dict)
    rows: frozenset[Source] = frozenset()


def downstream(
    makers: Sequence[Maker], schemas: Mapping[str, Sequence[str]], changed: Mapping[str, Change]
) -> list[Hit]:
    """Every dataset that the changes reach, nearest first. ``schemas``: the columns that are known."""
    moved: dict[str, Change] = {
        d: Change(None if c.columns is None else frozenset(n.lower() for n in c.columns), c.rows)
        for d, c in changed.items()
    }
    hits: list[Hit] = []
    schemas = dict(schemas)
    for maker in _in_order(makers):
        _learn(maker, schemas)
        through = tuple(d for d in maker.reads if d in moved)
        if not through or len(hits) >= MAX_HITS:
            continue
        columns, rows, why = _reached(maker, schemas, {d: moved[d] for d in through})
        if columns == () and not rows:
            continue
        for dataset in maker.datasets:
            shown = _as_written(columns, schemas.get(dataset, ()))
            hits.append(Hit(dataset, maker.recipe, maker.node, maker.owner, shown, rows, through, why))
            # What changed itself goes on as it changed; else what was reached.
            own = None if columns is None else frozenset(columns)
            moved.setdefault(dataset, Change(own, rows))
    return hits


def _learn(maker: Maker, schemas: dict[str, Sequence[str]]) -> None:
    """The columns of a dataset that was never built, where its query tells them."""
    if maker.sql is not None and len(maker.datasets) == 1 and not schemas.get(maker.datasets[0]):
        found = origins(maker.sql, schemas)
        if isinstance(found, Origins):
            schemas[maker.datasets[0]] = tuple(found.columns)


def _in_order(makers: Sequence[Maker]) -> Iterator[Maker]:
    """Makers after those that make what they read; those in a circle are left out."""
    by_dataset = {d: m for m in makers for d in m.datasets}
    waits = {
        (m.recipe, m.node): {d for d in m.reads if d in by_dataset and d not in m.datasets} for m in makers
    }
    made: set[str] = set()
    left = list(makers)
    while left:
        ready = [m for m in left if waits[m.recipe, m.node] <= made]
        if not ready:
            return
        yield from ready
        for maker in ready:
            made |= set(maker.datasets)
        taken = {(m.recipe, m.node) for m in ready}
        left = [m for m in left if (m.recipe, m.node) not in taken]


def _as_written(columns: tuple[str, ...] | None, schema: Sequence[str]) -> tuple[str, ...] | None:
    if columns is None:
        return None
    known = {c.lower(): c for c in schema}
    return tuple(known.get(c, c) for c in columns)


def _reached(
    maker: Maker, schemas: Mapping[str, Sequence[str]], moved: Mapping[str, Change]
) -> tuple[tuple[str, ...] | None, bool, str]:
    """The columns that are hit (None: unknown), whether rows are, and why it is not known."""
    if maker.kind != "sql" or maker.sql is None:
        return None, True, f"all columns, unknown: a {maker.kind} node does what it likes with its inputs"
    found = origins(maker.sql, schemas)
    if isinstance(found, str):
        return None, True, f"all columns, unknown: {found}"
    vague = [d for d, c in moved.items() if c.columns is None]

    def is_hit(sources: Iterable[Source]) -> bool:
        return any(t in moved and (t in vague or c in (moved[t].columns or ())) for t, c in sources)

    columns = tuple(name for name, sources in found.columns.items() if is_hit(sources))
    rows = any(c.rows for c in moved.values()) or is_hit(found.rows)
    return columns, rows, ""


# --- what a query makes of its inputs ------------------------------------------------------------------


def origins(text: str, schemas: Mapping[str, Sequence[str]]) -> Origins | str:
    """Where each column of a query comes from; a reason where that cannot be told."""
    from sqlglot.optimizer.scope import build_scope

    if len(text) > MAX_TEXT:
        return "its SQL is too long"
    try:
        scope = build_scope(_qualified(text, schemas))
        return _Reader().read(scope) if scope is not None else "its SQL is no SELECT"
    except _Unknown as unknown:
        return str(unknown)
    except RecursionError:
        return "its SQL is nested too deep"


def _qualified(text: str, schemas: Mapping[str, Sequence[str]]) -> exp.Expr:
    """A query with each column under its table and each ``*`` written out, as far as schemas are known."""
    from sqlglot import parse_one
    from sqlglot.optimizer.qualify import qualify

    columns: dict[str, object] = {
        table.lower(): dict.fromkeys((c.lower() for c in names), "VARCHAR")
        for table, names in schemas.items()
        if names
    }
    try:
        return qualify(
            parse_one(text, dialect="duckdb"),
            schema=columns,
            dialect="duckdb",
            validate_qualify_columns=False,
            quote_identifiers=False,
            identify=False,
        )
    except RecursionError:
        raise
    except Exception as error:
        # Its optimizer trips over SQL that it half understands with errors of every class.
        raise _Unknown(f"its SQL cannot be read ({type(error).__name__})") from error


class _Unknown(Exception):
    """The lineage of a query cannot be told, for the reason given."""


class _Reader:
    """One query's scopes, each read once."""

    def __init__(self) -> None:
        self._columns: dict[int, dict[str, frozenset[Source]]] = {}
        self._rows: dict[int, frozenset[Source]] = {}
        self._busy: set[int] = set()

    def read(self, scope: Any) -> Origins:
        return Origins(self.columns(scope), self.rows(scope))

    def columns(self, scope: Any) -> dict[str, frozenset[Source]]:
        """Each column that a scope gives, with what it comes from."""
        if id(scope) in self._columns:
            return self._columns[id(scope)]
        if id(scope) in self._busy:
            raise _Unknown("a query that reads itself")
        self._busy.add(id(scope))
        found = self._union(scope) if scope.set_operation_scopes else self._select(scope)
        self._columns[id(scope)] = found
        return found

    def _union(self, scope: Any) -> dict[str, frozenset[Source]]:
        """By position, under the names of the first."""
        each = [self.columns(s) for s in scope.set_operation_scopes]
        if len({len(e) for e in each}) != 1 or scope.expression.args.get("by_name"):
            raise _Unknown("a union whose columns cannot be told")
        names = list(each[0])
        return {n: frozenset().union(*(list(e.values())[i] for e in each)) for i, n in enumerate(names)}

    def _select(self, scope: Any) -> dict[str, frozenset[Source]]:
        from sqlglot import exp

        select = scope.expression
        if not isinstance(select, exp.Select):
            if isinstance(select, exp.Subquery) and scope.subquery_scopes:
                return self.columns(scope.subquery_scopes[0])
            raise _Unknown(f"a {type(select).__name__.lower()} in it")
        if any(select.args.get(k) for k in ("pivots", "laterals")) or select.find(exp.Pivot, exp.Columns):
            raise _Unknown("its columns depend on the data or on patterns")
        found: dict[str, frozenset[Source]] = {}
        for expression in select.expressions:
            name = expression.alias_or_name.lower()
            if expression.is_star or not name:
                raise _Unknown("a `*` over columns that are not known")
            found[name] = self._sources(scope, expression)
        return found

    def _sources(self, scope: Any, expression: exp.Expr) -> frozenset[Source]:
        """What an expression is made of: columns, also those of queries within it."""
        from sqlglot import exp

        found: set[Source] = set()
        # What stands in a query within is that query's, which finds it among its own tables first.
        for node in expression.walk(prune=lambda n: isinstance(n, exp.Query) and n is not expression):
            if isinstance(node, exp.Column):
                found |= self._source(scope, node)
        for inner in scope.subquery_scopes:
            if _within(inner.expression, expression):
                found |= self.rows(inner) | frozenset().union(*self.columns(inner).values())
        return frozenset(found)

    def _source(self, scope: Any, column: exp.Column) -> frozenset[Source]:
        table, name = column.table.lower(), column.name.lower()
        at: Any = scope
        while at is not None:
            source = at.sources.get(column.table) or at.sources.get(table)
            if source is not None:
                return self._of(source, name)
            at = at.parent
        if not table and not scope.sources:
            return frozenset()
        raise _Unknown(f"it is not clear which table `{name}` is of")

    def _of(self, source: Any, name: str) -> frozenset[Source]:
        from sqlglot import exp

        if isinstance(source, exp.Table):
            if not isinstance(source.this, exp.Identifier):
                return frozenset()  # range() and its like read no dataset
            return frozenset({(source.name.lower(), name)})
        if not hasattr(source, "sources") or isinstance(source.expression, (exp.Unnest, exp.UDTF)):
            expression = getattr(source, "expression", None)
            return self._sources(source, expression) if expression is not None else frozenset()
        columns = self.columns(source)
        if name not in columns:
            raise _Unknown(f"`{name}` is not found in a query within")
        return columns[name]

    def rows(self, scope: Any) -> frozenset[Source]:
        """The columns that decide which rows a scope has: joins, filters, groups, limits, unions."""
        if id(scope) in self._rows:
            return self._rows[id(scope)]
        self._rows[id(scope)] = frozenset()
        found: set[Source] = set()
        for inner in (
            (*scope.set_operation_scopes, *scope.cte_scopes, *scope.derived_table_scopes)
            if scope.set_operation_scopes
            else (s for s in scope.sources.values() if hasattr(s, "sources"))
        ):
            found |= self.rows(inner)
        select = scope.expression
        for part in _deciding(select):
            found |= self._sources(scope, part)
        distinct = select.args.get("distinct")
        if distinct or _distinct_union(select):
            found |= frozenset().union(*self.columns(scope).values())
        self._rows[id(scope)] = frozenset(found)
        return self._rows[id(scope)]


def _deciding(select: exp.Expr) -> Iterator[exp.Expr]:
    """The clauses of a SELECT that decide which rows there are."""
    names = ["where", "group", "having", "qualify"]
    if select.args.get("limit") or select.args.get("offset") or select.args.get("fetch"):
        names.append("order")
    yield from (part for name in names if (part := select.args.get(name)) is not None)
    for join in select.args.get("joins") or ():
        if join.args.get("on") is not None:
            yield join.args["on"]


def _distinct_union(select: exp.Expr) -> bool:
    from sqlglot import exp

    return isinstance(select, exp.SetOperation) and (
        bool(select.args.get("distinct")) or isinstance(select, (exp.Except, exp.Intersect))
    )


def _within(inner: exp.Expr, outer: exp.Expr) -> bool:
    node: Any = inner
    while node is not None:
        if node is outer:
            return True
        node = node.parent
    return False
