"""A comparison back from its document (``gitkitchen schema diff``), for what is shown of it elsewhere.

What the document left out because it is not public stays out: values are shown only where the document
says that it holds public ones.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gitkitchen.data.diff_model import (
    ColumnDiff,
    Difference,
    Example,
    Profile,
    RowsDiff,
    SchemaChange,
    TableDiff,
    Unkeyed,
)
from gitkitchen.model import FileEntry, Version
from gitkitchen.plan.lineage import Hit
from gitkitchen.report.comparison import Comparison, ControlChange, DatasetDiff, SideName

VERSION = 1


def from_document(document: Mapping[str, Any]) -> Comparison:
    """The comparison that a document holds. ``ValueError`` for a document of another shape.

    A document from strangers is to be checked against the schema first.
    """
    if not isinstance(document, Mapping) or document.get("version") != VERSION:
        raise ValueError("this is no diff document of version 1")
    try:
        public = ("*",) if document["values"] == "public" else ()
        return Comparison(
            project=document["project"],
            a=SideName(**document["a"]),
            b=SideName(**document["b"]),
            datasets=tuple(_dataset(d, public) for d in document["datasets"]),
            with_data=document["data"],
            controls=tuple(ControlChange(**c) for c in document["controls"]),
            reaches=tuple(_hit(h) for h in document["downstream"]),
            notes=tuple(document["notes"]),
        )
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise ValueError(f"this is no diff document: {error}") from error


def _dataset(value: Mapping[str, Any], public: tuple[str, ...]) -> DatasetDiff:
    a, b, keys, data = value["a"], value["b"], value["key_change"], value["data"]
    schema = tuple(SchemaChange(**c) for c in value["schema"])
    return DatasetDiff(
        dataset=value["dataset"],
        state=value["state"],
        a=_version(value["dataset"], a),
        b=_version(value["dataset"], b),
        runs=(a["run"] if a else "", b["run"] if b else ""),
        node=value["node"],
        owner=value["owner"],
        reasons=tuple(value["reasons"]),
        schema=schema,
        data=None if data is None else _table(data, schema),
        public=public,
        key_change=None if keys is None else (tuple(keys[0]), tuple(keys[1])),
        note=value["note"],
    )


def _version(dataset: str, value: Mapping[str, Any] | None) -> Version | None:
    if value is None:
        return None
    return Version(
        dataset=dataset,
        format=value["format"],
        fingerprint=value["fingerprint"],
        content=value["content"],
        files=(FileEntry("", value["bytes"]),),
        rows=value["rows"],
    )


def _table(value: Mapping[str, Any], schema: tuple[SchemaChange, ...]) -> TableDiff:
    loose = {name: tuple(pair) for name, pair in value["without_key"].items()}
    return TableDiff(
        method=value["method"],
        rows=RowsDiff(**value["rows"], unkeyed=Unkeyed(**loose)),
        schema=schema,
        columns=tuple(_column(c) for c in value["columns"]),
        key=tuple(value["key"]),
        examples=tuple(Example(e["kind"], e["a"], e["b"], e["times"]) for e in value["examples"]),
        exact=value["exact"],
        notes=tuple(value["notes"]),
    )


def _column(value: Mapping[str, Any]) -> ColumnDiff:
    size = value["difference"]
    return ColumnDiff(
        column=value["column"],
        was=value["was"],
        types=(value["types"][0], value["types"][1]),
        compared_as=value["compared_as"],
        changed=value["changed"],
        nulls_gained=value["nulls_gained"],
        nulls_lost=value["nulls_lost"],
        difference=None if size is None else _difference(size),
        a=_profile(value["a"]),
        b=_profile(value["b"]),
        exact=value["exact"],
    )


def _difference(value: Mapping[str, Any]) -> Difference | None:
    figures = {
        name: _number(value[name]) for name in ("total", "mean", "mean_absolute", "minimum", "maximum")
    }
    if any(figure is None for figure in figures.values()):
        return None
    return Difference(measured=value["measured"], unit=value["unit"], **figures)  # type: ignore[arg-type]


def _profile(value: Mapping[str, Any] | None) -> Profile | None:
    if value is None:
        return None
    figures = {"total": _number(value["total"]), "mean": _number(value["mean"])}
    return Profile(**{**value, **figures, "quantiles": tuple(value["quantiles"])})


def _number(value: float | str | None) -> float | None:
    """A figure; the text of one that JSON has no exact form for is read to the nearest float."""
    return float(value) if isinstance(value, str) else value


def _hit(value: Mapping[str, Any]) -> Hit:
    columns = value["columns"]
    return Hit(
        dataset=value["dataset"],
        recipe=value["recipe"],
        node=value["node"],
        owner=value["owner"],
        columns=None if columns is None else tuple(columns),
        rows=value["rows"],
        through=tuple(value["through"]),
        why=value["why"],
    )
