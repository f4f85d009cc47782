"""A comparison as the documented JSON of ``diff --json`` (``gitkitchen schema diff``), and what may leave.

Values of rows (examples, least and greatest values, quantiles) are shown of public columns only, unless
``values`` is ``all``, which is for local terminals. Figures over many rows are always shown.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal
from typing import Any, Literal

from gitkitchen.data.diff_model import ColumnDiff, Difference, Example, Profile, SchemaChange, TableDiff
from gitkitchen.model import Version
from gitkitchen.plan.lineage import Hit
from gitkitchen.report.comparison import Comparison, ControlChange, DatasetDiff, SideName
from gitkitchen.report.facts import HIDDEN

Values = Literal["public", "all"]


def redacted(comparison: Comparison) -> Comparison:
    """The same without values of rows in columns that are not public."""
    return replace(comparison, datasets=tuple(_redacted(d) for d in comparison.datasets))


def _redacted(one: DatasetDiff) -> DatasetDiff:
    if one.data is None or "*" in one.public:
        return one
    public = {p.lower() for p in one.public}
    columns = tuple(c if _is_public(c, public) else _without_values(c) for c in one.data.columns)
    names = {c.was: c.column for c in one.data.columns}
    examples = tuple(
        replace(e, a=_hidden(e.a, public, names), b=_hidden(e.b, public, {})) for e in one.data.examples
    )
    told = tuple(e for e in examples if any(v != HIDDEN for v in (*e.a.values(), *e.b.values())))
    return replace(one, data=replace(one.data, columns=columns, examples=told))


def _is_public(column: ColumnDiff, public: set[str]) -> bool:
    return column.column.lower() in public


def _hidden(
    row: Mapping[str, str | None], public: set[str], names: Mapping[str, str]
) -> dict[str, str | None]:
    return {k: v if names.get(k, k).lower() in public else HIDDEN for k, v in row.items()}


def _without_values(column: ColumnDiff) -> ColumnDiff:
    def bare(profile: Profile | None) -> Profile | None:
        return None if profile is None else replace(profile, minimum=None, maximum=None, quantiles=())

    return replace(column, a=bare(column.a), b=bare(column.b))


# --- the document ------------------------------------------------------------------------------------


def document(comparison: Comparison, *, values: Values = "public") -> dict[str, Any]:
    """The comparison as plain values. Numbers that JSON cannot hold exactly are text."""
    shown = comparison if values == "all" else redacted(comparison)
    return {
        "version": 1,
        "project": shown.project,
        "a": _side(shown.a),
        "b": _side(shown.b),
        "data": shown.with_data,
        "values": values,
        "datasets": [_dataset(d) for d in shown.datasets],
        "controls": [_control(c) for c in shown.controls],
        "downstream": [_hit(h) for h in shown.reaches],
        "notes": list(shown.notes),
    }


def _side(side: SideName) -> dict[str, Any]:
    return {
        "label": side.label,
        "kind": side.kind,
        "namespace": side.namespace,
        "run": side.run,
        "tree": side.tree,
    }


def _dataset(one: DatasetDiff) -> dict[str, Any]:
    return {
        "dataset": one.dataset,
        "state": one.state,
        "node": one.node,
        "owner": one.owner,
        "a": _version(one.a, one.runs[0]),
        "b": _version(one.b, one.runs[1]),
        "reasons": list(one.reasons),
        "breaking": one.breaking,
        "key_change": None if one.key_change is None else [list(k) for k in one.key_change],
        "schema": [_change(c) for c in one.schema],
        "data": None if one.data is None else _table(one.data),
        "note": one.note,
    }


def _version(version: Version | None, run: str) -> dict[str, Any] | None:
    if version is None:
        return None
    return {
        "fingerprint": version.fingerprint,
        "content": version.content,
        "format": version.format,
        "rows": version.rows,
        "bytes": version.bytes,
        "run": run,
    }


def _change(change: SchemaChange) -> dict[str, Any]:
    return {
        "kind": change.kind,
        "column": change.column,
        "was": change.was,
        "now": change.now,
        "breaking": change.breaking,
        "likely": change.likely,
        "why": change.why,
    }


def _table(data: TableDiff) -> dict[str, Any]:
    rows, loose = data.rows, data.rows.unkeyed
    return {
        "method": data.method,
        "key": list(data.key),
        "exact": data.exact,
        "rows": {
            "a": rows.a,
            "b": rows.b,
            "added": rows.added,
            "removed": rows.removed,
            "changed": rows.changed,
            "matched": rows.matched,
        },
        "without_key": {
            "null_rows": list(loose.null_rows),
            "repeated_keys": list(loose.repeated_keys),
            "repeated_rows": list(loose.repeated_rows),
            "rows": list(loose.rows),
        },
        "columns": [_column(c, rows.matched) for c in data.columns],
        "examples": [_example(e) for e in data.examples],
        "notes": list(data.notes),
    }


def _column(column: ColumnDiff, matched: int | None) -> dict[str, Any]:
    share = column.changed / matched if column.changed is not None and matched else None
    return {
        "column": column.column,
        "was": column.was,
        "types": list(column.types),
        "compared_as": column.compared_as,
        "exact": column.exact,
        "changed": column.changed,
        "share": share,
        "nulls_gained": column.nulls_gained,
        "nulls_lost": column.nulls_lost,
        "difference": _difference(column.difference),
        "a": _profile(column.a),
        "b": _profile(column.b),
    }


def _difference(size: Difference | None) -> dict[str, Any] | None:
    if size is None:
        return None
    return {
        "measured": size.measured,
        "total": _number(size.total),
        "mean": _number(size.mean),
        "mean_absolute": _number(size.mean_absolute),
        "minimum": _number(size.minimum),
        "maximum": _number(size.maximum),
        "unit": size.unit,
    }


def _profile(profile: Profile | None) -> dict[str, Any] | None:
    if profile is None:
        return None
    return {
        "rows": profile.rows,
        "nulls": profile.nulls,
        "distinct": profile.distinct,
        "distinct_exact": profile.distinct_exact,
        "minimum": profile.minimum,
        "maximum": profile.maximum,
        "total": _number(profile.total),
        "mean": _number(profile.mean),
        "unusual": profile.unusual,
        "quantiles": list(profile.quantiles),
        "sampled": profile.sampled,
    }


def _number(value: Any) -> Any:
    """A number as JSON has it; what it would round (large integers, decimals) and what it lacks as text."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, Decimal):
        return str(value)
    if isinstance(value, int):
        return value if -(2**53) <= value <= 2**53 else str(value)
    number = float(value)
    return number if number == number and abs(number) != float("inf") else str(number)


def _example(example: Example) -> dict[str, Any]:
    return {"kind": example.kind, "times": example.times, "a": dict(example.a), "b": dict(example.b)}


def _control(change: ControlChange) -> dict[str, Any]:
    return {
        "what": change.what,
        "where": change.where,
        "change": change.change,
        "was": change.was,
        "now": change.now,
        "weaker": change.weaker,
    }


def _hit(hit: Hit) -> dict[str, Any]:
    return {
        "dataset": hit.dataset,
        "recipe": hit.recipe,
        "node": hit.node,
        "owner": hit.owner,
        "columns": None if hit.columns is None else list(hit.columns),
        "rows": hit.rows,
        "through": list(hit.through),
        "why": hit.why,
    }
