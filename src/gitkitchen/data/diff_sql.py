"""The queries of a data diff as text. Pure: names and types in, one SELECT out, for any ``Dialect``.

By key: one pass over the key columns of each side (NULLs, repeated keys), then one full outer join of the
rest, of which only rows that differ come out of the WHERE; figures are taken of those. Without a key: one
grouping of both sides together. Columns that differ are profiled, each side once.
"""

from __future__ import annotations

from collections.abc import Sequence

from gitkitchen.data.diff_dialect import Dialect, Pick
from gitkitchen.data.diff_types import Pairing, is_wide, kind_of, pairing, parts
from gitkitchen.frozen import dataclass

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
SAMPLE = 100_000
"""About so many rows give the quantiles of a larger table, the same keys on both sides."""
WHOLE = 200_000
"""Up to so many rows, distinct values are counted and quantiles taken exactly."""


@dataclass(frozen=True, slots=True)
class Pair:
    """A column that both sides have, under its name and type on each."""

    a: str
    b: str
    type_a: str
    type_b: str

    @property
    def how(self) -> Pairing:
        return pairing(self.type_a, self.type_b)


@dataclass(frozen=True, slots=True)
class Asked:
    """What is compared: two relations (as SQL), the key's pairs and the other columns' pairs."""

    a: str
    b: str
    key: tuple[Pair, ...]
    rest: tuple[Pair, ...]
    sql: Dialect

    def raw(self, pair: Pair, side: str) -> str:
        return self.sql.quote(pair.a if side == "a" else pair.b)

    def parts(self, pair: Pair, side: str) -> list[str]:
        own, other = (pair.type_a, pair.type_b) if side == "a" else (pair.type_b, pair.type_a)
        return parts(self.raw(pair, side), own, other, self.sql)

    def relation(self, side: str) -> str:
        return self.a if side == "a" else self.b

    def key_parts(self, side: str) -> list[str]:
        return [part for pair in self.key for part in self.parts(pair, side)]

    def has_key(self, side: str) -> str:
        return " AND ".join(f"{self.raw(p, side)} IS NOT NULL" for p in self.key)


# --- keys ------------------------------------------------------------------------------------------


def key_facts(asked: Asked, side: str) -> str:
    """One row: rows, rows with NULL in the key, keys that repeat, rows that share one."""
    listed = _named(asked.key_parts(side), "k")
    names = ", ".join(_names("k", len(asked.key_parts(side))))
    grouped = (
        f"SELECT count(*) AS n FROM (SELECT {listed} FROM {asked.relation(side)} "
        f"WHERE {asked.has_key(side)}) AS s GROUP BY {names}"
    )
    return (
        "SELECT coalesce(sum(n), 0), (SELECT count(*) FROM "
        f"{asked.relation(side)} WHERE NOT ({asked.has_key(side)})), "
        "count(*) FILTER (WHERE n > 1), coalesce(sum(n) FILTER (WHERE n > 1), 0) "
        f"FROM ({grouped}) AS g"
    )


def _repeated(asked: Asked) -> str:
    """A named query, for a WITH clause: the keys that repeat on either side."""
    each = []
    for side in "ab":
        names = ", ".join(_names("k", len(asked.key_parts(side))))
        each.append(
            f"SELECT {names} FROM (SELECT {_named(asked.key_parts(side), 'k')} FROM {asked.relation(side)} "
            f"WHERE {asked.has_key(side)}) AS s GROUP BY {names} HAVING count(*) > 1"
        )
    return f"repeated AS MATERIALIZED ({' UNION '.join(each)})"


def _same_key(asked: Asked, left: str, right: str) -> str:
    """Keys compared; a part beside the first of its column may be NULL in both."""
    conditions, number = [], 0
    for pair in asked.key:
        for place in range(len(asked.parts(pair, "a"))):
            how = "=" if place == 0 else "IS NOT DISTINCT FROM"
            conditions.append(f"{left}.k{number} {how} {right}.k{number}")
            number += 1
    return " AND ".join(conditions)


def _side(asked: Asked, side: str, *, clean: bool, with_keys: bool = False) -> str:
    """One side's rows that have a key of their own: ``k0…`` (the key's parts), ``r0…`` (the values)."""
    columns = [_named(asked.key_parts(side), "k")]
    columns += [f"{asked.raw(pair, side)} AS r{number}" for number, pair in enumerate(asked.rest)]
    if with_keys:
        columns += [f"{asked.raw(pair, side)} AS q{number}" for number, pair in enumerate(asked.key)]
    text = f"SELECT {', '.join(columns)} FROM {asked.relation(side)} WHERE {asked.has_key(side)}"
    if clean:
        return text
    again = f"SELECT * FROM ({text}) AS s WHERE NOT EXISTS (SELECT 1 FROM repeated"
    return f"{again} WHERE {_same_key(asked, 'repeated', 's')})"


# --- the join --------------------------------------------------------------------------------------


def keyed(asked: Asked, columns: range, *, clean: bool, examples: int) -> str:
    """One row: added, removed, changed; for each of the ``columns`` its figures; then lists of examples.

    ``clean``: no key is NULL or repeats, so that none need be set aside. A column's figures are changed
    rows, NULLs gained, NULLs lost and, where it has a measure, five of the difference. Rows differ where
    any column does, also one that is none of ``columns``.
    """
    differ = [_differs(asked, number) for number in range(len(asked.rest))]
    keys = len(asked.key_parts("a"))
    listed = ["a.k0 IS NULL AS is_new, b.k0 IS NULL AS is_gone"]
    listed += [f"{differ[number]} AS d{number}" for number in columns]
    listed += [f"a.r{n} AS a{n}, b.r{n} AS b{n}" for n in columns]
    if examples:
        listed += [f"coalesce(a.k{n}, b.k{n}) AS k{n}" for n in range(keys)]
        listed += [f"a.q{n} AS ka{n}, b.q{n} AS kb{n}" for n in range(len(asked.key))]
    sides = [_side(asked, side, clean=clean, with_keys=bool(examples)) for side in "ab"]
    joined = (
        f"SELECT {', '.join(listed)} FROM ({sides[0]}) AS a "
        f"FULL JOIN ({sides[1]}) AS b ON {_same_key(asked, 'a', 'b')} "
        f"WHERE {' OR '.join(['a.k0 IS NULL', 'b.k0 IS NULL', *differ])}"
    )
    both = "NOT is_new AND NOT is_gone"
    figures = ["count(*) FILTER (WHERE is_new)", "count(*) FILTER (WHERE is_gone)"]
    figures.append(f"count(*) FILTER (WHERE {both})")
    for number in columns:
        figures += _figures(asked, asked.rest[number], number, both)
    record = tuple(_record(asked, columns))
    by = tuple(_names("k", keys))
    wheres = ("is_new", "is_gone", both) if examples else ()
    picks = [Pick(record, by, where, examples) for where in wheres]
    return asked.sql.gathered(joined, figures, picks, "" if clean else _repeated(asked))


def _record(asked: Asked, columns: range) -> list[tuple[str, str]]:
    """What an example holds: ``a0…`` and ``b0…``, the key's columns first, under the names of the join."""
    first = len(asked.key)
    keys = [(f"{side}{n}", f"k{side}{n}") for side in "ab" for n in range(first)]
    return keys + [(f"{side}{n + first}", f"{side}{n}") for side in "ab" for n in columns]


def record_names(asked: Asked, columns: range) -> list[str]:
    """The names in an example of ``keyed``, in their order."""
    return [name for name, _ in _record(asked, columns)]


def _differs(asked: Asked, number: int) -> str:
    pair = asked.rest[number]
    mine = parts(f"a.r{number}", pair.type_a, pair.type_b, asked.sql)
    theirs = parts(f"b.r{number}", pair.type_b, pair.type_a, asked.sql)
    return f"({' OR '.join(f'{a} IS DISTINCT FROM {b}' for a, b in zip(mine, theirs, strict=True))})"


def _figures(asked: Asked, pair: Pair, number: int, both: str) -> list[str]:
    a, b, d = f"a{number}", f"b{number}", f"{both} AND d{number}"
    found = [
        f"count(*) FILTER (WHERE {d})",
        f"count(*) FILTER (WHERE {d} AND {a} IS NOT NULL AND {b} IS NULL)",
        f"count(*) FILTER (WHERE {d} AND {a} IS NULL AND {b} IS NOT NULL)",
    ]
    delta, finite = measured(pair, a, b, asked.sql)
    if not delta:
        return found
    where = f"FILTER (WHERE {d} AND {finite})"
    size = f"CASE WHEN {d} AND {finite} THEN {delta} END"
    return [
        *found,
        f"count(*) {where}",
        f"sum({size})",
        f"sum(abs({size}))",
        f"min({size})",
        f"max({size})",
    ]


def measured(pair: Pair, a: str, b: str, sql: Dialect) -> tuple[str, str]:
    """B less A, and when it is known: both are values and finite. Empty where a column has no measure."""
    there = [f"{a} IS NOT NULL AND {b} IS NOT NULL"]
    match pair.how.measure:
        case "whole":
            size = f"{_whole(b, pair.type_b, 'BIGINT', sql)} - {_whole(a, pair.type_a, 'BIGINT', sql)}"
        case "large":
            size = f"{_whole(b, pair.type_b, 'HUGEINT', sql)} - {_whole(a, pair.type_a, 'HUGEINT', sql)}"
        case "decimal":
            wide = f"DECIMAL(38, {pair.how.scale})"
            left, right = _whole(b, pair.type_b, wide, sql), _whole(a, pair.type_a, wide, sql)
            size = f"({left} - {right})"
            there += [sql.finite(left, "decimal"), sql.finite(right, "decimal")]
        case "float":
            left, right = _whole(b, pair.type_b, "DOUBLE", sql), _whole(a, pair.type_a, "DOUBLE", sql)
            size = f"({left} - {right})"
            there += [sql.finite(left, "float"), sql.finite(right, "float")]
        case "date":
            size = sql.days(b, a)
            there += [sql.finite(a, "moment"), sql.finite(b, "moment")]
        case "timestamp":
            size = f"({sql.microseconds(b)} - {sql.microseconds(a)})"
            there += [sql.finite(a, "moment"), sql.finite(b, "moment")]
        case _:
            return "", ""
    return size, " AND ".join(filter(None, there))


def _whole(value: str, own: str, wide: str, sql: Dialect) -> str:
    inner = sql.cast(value, "TINYINT") if kind_of(own) == "boolean" else value
    return sql.cast(inner, wide)


# --- whole rows ------------------------------------------------------------------------------------


def whole_rows(asked: Asked, *, unkeyed: bool, examples: int) -> str:
    """One row: rows compared of A and B, added, removed, and a list of examples of each.

    Equal rows are counted on both sides; of what one side has more of, the surplus counts. ``unkeyed``:
    only rows whose key is NULL or repeats.
    """
    everything = (*asked.key, *asked.rest)
    sizes = [len(asked.parts(pair, "a")) for pair in everything]
    names = _names("p", sum(sizes))
    each = []
    for side in "ab":
        listed = _named([p for pair in everything for p in asked.parts(pair, side)], "p")
        mark = f"{1 if side == 'a' else 0} AS in_a"
        if unkeyed:
            listed += f", {_named(asked.key_parts(side), 'k')}, {asked.has_key(side)} AS has_key"
        text = f"SELECT {listed}, {mark} FROM {asked.relation(side)}"
        if unkeyed:
            # A join, since no key is twice among the repeated: EXISTS beside OR would be asked row by row.
            joined = f"({text}) AS s LEFT JOIN repeated ON {_same_key(asked, 'repeated', 's')}"
            chosen = "NOT has_key OR repeated.k0 IS NOT NULL"
            text = f"SELECT {', '.join(names)}, in_a FROM {joined} WHERE {chosen}"
        each.append(text)
    firsts = [f"p{sum(sizes[:n])}" for n in range(len(sizes))]
    grouped = (
        f"SELECT sum(in_a) AS na, count(*) - sum(in_a) AS nb, {', '.join(names)} "
        f"FROM ({' UNION ALL '.join(each)}) AS u GROUP BY {', '.join(names)}"
    )
    figures = ["coalesce(sum(na), 0)", "coalesce(sum(nb), 0)"]
    figures.append("coalesce(sum(nb - na) FILTER (WHERE nb > na), 0)")
    figures.append("coalesce(sum(na - nb) FILTER (WHERE na > nb), 0)")
    shown = [(f"t{n}", first) for n, first in enumerate(firsts)]
    surpluses = (("nb - na", "nb > na"), ("na - nb", "na > nb")) if examples else ()
    picks = [Pick((*shown, ("n", more)), tuple(names), where, examples) for more, where in surpluses]
    return asked.sql.gathered(grouped, figures, picks, _repeated(asked) if unkeyed else "")


# --- one column ------------------------------------------------------------------------------------


def _sample(asked: Asked, side: str, rows: int) -> tuple[int, str]:
    """Of a large table: one row in so many, and which ones (by the key where there is one, so that they are
    the same on both sides). (0, "") for a small one; no rows where the engine looks at all of them."""
    if rows <= WHOLE:
        return 0, ""
    step = rows // SAMPLE
    by = asked.key_parts(side)
    if not by and not asked.sql.sketches:
        by = [part for pair in asked.rest for part in asked.parts(pair, side)]
    return step, f"{asked.sql.row_hash(by)} % {step} = 0" if by else ""


def profile(asked: Asked, side: str, columns: Sequence[Pair], rows: int) -> str:
    """One row: for each column its NULLs, distinct values, least, greatest, sum, unusual values, quantiles.

    NULL stands for what its type has not. Large tables are sampled by the key for quantiles.
    """
    step, sample = _sample(asked, side, rows)
    figures = ["count(*)", "count(*) FILTER (WHERE is_sample)" if sample else "count(*)"]
    for number, pair in enumerate(columns):
        own = pair.type_a if side == "a" else pair.type_b
        figures += _profile(asked, f"r{number}", own, step, "is_sample" if sample else "")
    listed = [f"{asked.raw(pair, side)} AS r{n}" for n, pair in enumerate(columns)]
    if sample:
        listed.append(f"{sample} AS is_sample")
    values = asked.sql.once(f"SELECT {', '.join(listed)} FROM {asked.relation(side)}")
    return f"SELECT {', '.join(figures)} FROM {values} AS p"


def _profile(asked: Asked, name: str, own: str, step: int, sample: str) -> list[str]:
    sql, kind = asked.sql, kind_of(own)
    distinct = sql.about_distinct(name, step, sample) if step else sql.distinct(name, kind)
    figures = [f"count({name})"]
    if kind in ("nested", "other"):
        figures.append("NULL" if kind == "nested" else distinct)
        return [*figures, "NULL", "NULL", "NULL", "NULL", "NULL"]
    figures += [distinct, *sql.extremes(name, kind)]
    number = kind in ("integer", "decimal", "float")
    finite = (
        sql.finite(name, "float" if kind == "float" else "decimal") if kind in ("float", "decimal") else ""
    )
    usual = f" FILTER (WHERE {finite})" if finite else ""
    if kind == "boolean":
        figures.append(f"count(*) FILTER (WHERE {name})")
    else:
        figures.append(f"sum({sql.summand(name, kind, wide=is_wide(own))}){usual}" if number else "NULL")
    unusual = f"count(*) FILTER (WHERE NOT {finite})" if usual else "NULL"
    figures.append(f"nullif({unusual}, 0)" if usual and kind == "decimal" else unusual)
    if not (number or kind in ("date", "timestamp")):
        return [*figures, "NULL"]
    if step and not sample:
        return [*figures, sql.about_quantiles(name, QUANTILES)]
    return [*figures, sql.quantiles(name, QUANTILES, sample)]


def signature(asked: Asked, side: str, columns: Sequence[tuple[str, str]], rows: int) -> str:
    """One row, for columns that the other side lacks: values, a hash of them all, distinct values, extremes.

    The hash says that two columns may hold equal values, in whatever order; nothing more stands on it.
    ``rows`` may be 0 where the engine estimates over all of them.
    """
    step, sample = _sample(asked, side, rows)
    figures = []
    for name, type_name in columns:
        quoted, kind = asked.sql.quote(name), kind_of(type_name)
        hashed = asked.sql.row_hash(parts(quoted, type_name, type_name, asked.sql))
        extremes = asked.sql.extremes(quoted, kind) if kind != "nested" else ["NULL", "NULL"]
        figures += [
            f"count({quoted})",
            f"sum({asked.sql.cast(hashed, 'HUGEINT')}) FILTER (WHERE {quoted} IS NOT NULL)",
            asked.sql.about_distinct(quoted, step if sample else 0, sample),
            *extremes,
        ]
    return f"SELECT {', '.join(figures)} FROM {asked.relation(side)}"


def agreement(asked: Asked, candidates: Sequence[Pair]) -> str:
    """One row: rows whose key both sides have, and for each pair of columns how many of them agree."""
    only = Asked(asked.a, asked.b, asked.key, tuple(candidates), asked.sql)
    same = [f"count(*) FILTER (WHERE NOT {_differs(only, n)})" for n in range(len(candidates))]
    sides = [_side(only, side, clean=False) for side in "ab"]
    return (
        f"WITH {_repeated(asked)} SELECT count(*), {', '.join(same)} "
        f"FROM ({sides[0]}) AS a JOIN ({sides[1]}) AS b ON {_same_key(asked, 'a', 'b')}"
    )


def _named(expressions: Sequence[str], prefix: str) -> str:
    return ", ".join(f"{expression} AS {prefix}{number}" for number, expression in enumerate(expressions))


def _names(prefix: str, amount: int) -> list[str]:
    return [f"{prefix}{number}" for number in range(amount)]
