"""A comparison shown: safe for every terminal and page, within its budget, and without what is not public."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import pytest

from gitkitchen.data.diff_model import (
    ColumnDiff,
    Difference,
    Example,
    Profile,
    RowsDiff,
    SchemaChange,
    TableDiff,
)
from gitkitchen.model import Version
from gitkitchen.plan.lineage import Hit
from gitkitchen.report.comparison import Comparison, ControlChange, DatasetDiff, SideName
from gitkitchen.report.diff import document
from gitkitchen.report.diff_markdown import markdown
from gitkitchen.report.diff_text import render

EVIL = "x`|<img src=1 onerror=alert(1)>\x1b[31m\u202e@team #1 ::error::[a](http://b)\n::warning::"
SECRET = "s3cr3t-value"


def profile(rows: int = 10) -> Profile:
    return Profile(rows, 1, 3, True, SECRET, SECRET, 12.5, 1.25, 0, (SECRET,) * 5)


def comparison(name: str = EVIL, public: tuple[str, ...] = ()) -> Comparison:
    column = ColumnDiff(
        name, name, ("DOUBLE", "DOUBLE"), "value", 3, 1, 0,
        Difference(3, 1.5, 0.5, 0.5, 0.1, 0.9), profile(), profile(),
    )  # fmt: skip
    unknown = ColumnDiff("other", "other", ("VARCHAR", "VARCHAR"), "value", a=profile(), b=profile())
    data = TableDiff(
        "key", RowsDiff(10, 12, 3, 1, 3, 9), (SchemaChange("added", name, now="DOUBLE", why=name),),
        (column, unknown), (name,),
        (Example("changed", {name: SECRET, "other": SECRET}, {name: SECRET + "2", "other": None}),),
        notes=(name,),
    )  # fmt: skip
    version = Version("orders", "table", "f" * 64, "c" * 64, rows=10)
    one = DatasetDiff("orders", "changed", version, version, ("r1", "r2"), "orders", name, (name,),
                      data.schema, data, public)  # fmt: skip
    side = SideName(name, "run", "k_x", "r1")
    gone = ControlChange("test", name, "removed", name, weaker=True)
    hit = Hit("down", name, "n", name, (name,), True, (name,))
    return Comparison("shop", side, side, (one,), True, (gone,), (hit,), (name,))


def test_hostile_names_change_nothing_in_a_terminal() -> None:
    """No escape, no line of its own, no direction mark comes out of data, in Unicode or ASCII."""
    for unicode in (True, False):
        text = render(comparison(), width=100, unicode=unicode)
        assert "\x1b" not in text
        assert "\u202e" not in text
        assert not re.search(r"^::", text, re.M)
        assert unicode or text.isascii()
    # In colour the only escapes are ours.
    coloured = render(comparison(), colour=True)
    assert not re.sub(r"\x1b\[[0-9;]*m", "", coloured).count("\x1b")


def test_hostile_names_are_text_in_markdown() -> None:
    """No HTML, link, mention, table cell or workflow command comes out of data."""
    text = markdown(comparison())
    assert "<img" not in text
    assert not re.search(r"(?<!\\)\]\(", text)
    assert "@team" not in text
    assert not re.search(r"^::", text, re.M)
    for line in text.splitlines():
        if line.startswith(("| orders", "| `orders")):
            assert line.count(" | ") == 4


def test_values_of_rows_leave_only_where_they_are_public() -> None:
    """Examples, extremes and quantiles are hidden; counts, sums and means are not."""
    found = document(comparison("amount"))
    assert SECRET not in json.dumps(found)
    (column, _) = found["datasets"][0]["data"]["columns"]
    assert (column["a"]["total"], column["a"]["minimum"], column["a"]["quantiles"]) == (12.5, None, [])
    assert SECRET in json.dumps(document(comparison("amount"), values="all"))
    some = document(comparison("amount", ("amount",)))["datasets"][0]["data"]
    assert some["examples"][0]["a"] == {"amount": SECRET, "other": "hidden"}
    assert some["columns"][0]["a"]["minimum"] == SECRET
    assert some["columns"][1]["a"]["minimum"] is None
    assert SECRET not in markdown(comparison("amount"))
    assert SECRET in json.dumps(document(comparison("amount", ("*",))))


def test_markdown_keeps_its_budget_and_says_what_is_missing() -> None:
    """A thousand datasets fit in a comment, the first of them, and the rest is counted."""
    one = comparison("amount")
    many = replace(one, datasets=tuple(replace(one.datasets[0], dataset=f"d{n}") for n in range(1000)))
    text = markdown(many)
    assert len(text.encode()) <= 60_000
    assert re.search(r"Left out for length: [\d,]+ more", text)


def test_what_is_not_known_is_never_a_zero() -> None:
    """Without a key changed rows read as not known, in every form."""
    one = comparison("amount")
    data = one.datasets[0].data
    assert data is not None
    rows = replace(data.rows, changed=None, matched=None)
    whole = replace(data, method="rows", rows=rows, key=(), columns=(data.columns[1],))
    shown = replace(one, datasets=(replace(one.datasets[0], data=whole),))
    assert "not known" in render(shown)
    assert "not known" in markdown(shown)
    found = document(shown)["datasets"][0]["data"]
    assert (found["rows"]["changed"], found["columns"][0]["changed"], found["columns"][0]["share"]) == (
        None,
    ) * 3


@pytest.mark.parametrize(
    ("value", "shown"),
    [(2**53, 2**53), (2**60, str(2**60)), (float("nan"), "nan"), (float("inf"), "inf"), (0.5, 0.5)],
)
def test_numbers_that_json_would_round_are_text(value: float, shown: object) -> None:
    """A reader gets the number that was computed, or its text."""
    one = comparison("amount")
    data = one.datasets[0].data
    assert data is not None
    assert data.columns[0].difference is not None
    size = replace(data.columns[0].difference, total=value)
    columns = (replace(data.columns[0], difference=size),)
    made = replace(one, datasets=(replace(one.datasets[0], data=replace(data, columns=columns)),))
    found = document(made)["datasets"][0]["data"]["columns"][0]["difference"]["total"]
    assert found == shown
