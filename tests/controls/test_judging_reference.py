"""Judging equals a slow and obvious reference in plain Python, however it is planned."""

from __future__ import annotations

import math
import re
import tempfile
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import duckdb
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gitkitchen.controls import planner
from gitkitchen.model import TestSpec, TestState
from lengths import some

Row = Mapping[str, Any]
COLUMNS = {
    "number": "INTEGER", "big": "BIGINT", "ratio": "DOUBLE",
    "name": "VARCHAR", "day": "DATE", "flag": "BOOLEAN",
}  # fmt: skip

rows_of_t = st.lists(
    st.fixed_dictionaries(
        {
            "number": st.none() | st.integers(-3, 4),
            "big": st.none() | st.sampled_from([-(2**63), -5, 0, 1, 2, 3, 2**63 - 1]),
            "ratio": st.none() | st.sampled_from([0.0, 0.5, 1.5, -2.0, math.nan, math.inf, -math.inf]),
            "name": st.none() | st.sampled_from(["a", "b", "ab", "", "É'\"", "x\ny", "😀"]),
            "day": st.none() | st.sampled_from([date(2024, 1, d) for d in range(1, 6)]),
            "flag": st.none() | st.booleans(),
        }
    ),
    max_size=12,
)
rows_of_u = st.lists(
    st.fixed_dictionaries(
        {"number": st.none() | st.integers(-3, 4), "name": st.none() | st.sampled_from(["a", "b", "😀"])}
    ),
    max_size=5,
)
bounds = st.none() | st.integers(-3, 4)


def _range(column: str, ends: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    args = st.fixed_dictionaries(
        {"column": st.just(column), "min": st.none() | ends, "max": st.none() | ends, "strict": st.booleans()}
    )
    return args.filter(lambda a: a["min"] is not None or a["max"] is not None)


ranges = st.one_of(
    _range("number", st.sampled_from([-2, 0, 1, 1.5, -0.5, 3, 1e12])),
    _range("big", st.sampled_from([-(2**63), 0, 2, 2.5, 2**63 - 1, 1e30, -1e30])),
    _range("ratio", st.sampled_from([-1, 0, 0.5, 1.5, 100])),
    _range("day", st.sampled_from(["2024-01-02", "2024-01-04"])),
)
accepted = st.sampled_from(
    [
        ("name", ["a", "b"]), ("name", ["É'\"", "x\ny", ""]), ("name", []), ("number", [0, 1, 2.0]),
        ("big", [0, 2**63 - 1]), ("ratio", [0.5, math.inf]), ("day", ["2024-01-01"]), ("flag", [True]),
    ]
)  # fmt: skip
columns = st.lists(st.sampled_from(list(COLUMNS)), min_size=1, max_size=3, unique=True)
calls = st.one_of(
    st.tuples(st.just("not_null"), st.fixed_dictionaries({"column": st.sampled_from(list(COLUMNS))})),
    st.tuples(st.just("unique"), st.fixed_dictionaries({"columns": columns})),
    st.tuples(
        st.just("accepted_values"),
        st.builds(lambda a, r: {"column": a[0], "values": a[1], "reject": r}, accepted, st.booleans()),
    ),
    st.tuples(st.just("range"), ranges),
    st.tuples(
        st.just("pattern"),
        st.fixed_dictionaries(
            {
                "column": st.just("name"),
                "matches": st.sampled_from(["^a", "b$", "'", "^$", "^.$"]),
                "negate": st.booleans(),
            }
        ),
    ),
    st.tuples(
        st.just("length"),
        st.fixed_dictionaries({"column": st.just("name"), "min": st.integers(0, 2), "max": bounds}),
    ),
    st.tuples(
        st.just("relationships"),
        st.sampled_from(
            [
                {"columns": c, "to_dataset": "u", "to_columns": to}
                for c, to in (
                    (["name"], ["name"]), (["number"], ["number"]), (["big"], ["number"]),
                    (["number", "name"], ["number", "name"]), (["big", "name"], ["number", "name"]),
                )
            ]
        ),
    ),
    st.tuples(
        st.just("rows"),
        st.fixed_dictionaries({"min": st.integers(0, 6), "max": st.none() | st.integers(3, 12)}),
    ),
    st.tuples(
        st.just("rows"),
        st.fixed_dictionaries(
            {"min": st.none(), "max": st.sampled_from([1, 1.5, 2]), "relative_to": st.just("u")}
        ),
    ),
)  # fmt: skip
wheres: Mapping[str | None, Callable[[Row], bool]] = {
    None: lambda row: True,
    "number > 0": lambda row: row["number"] is not None and row["number"] > 0,
    "name = 'a' -- only these": lambda row: row["name"] == "a",
    "flag": lambda row: row["flag"] is True,
}
tests_of_t = st.lists(
    st.tuples(calls, st.sampled_from(list(wheres)), st.sampled_from([None, 1, 0.25])), min_size=1, max_size=8
)


def _fails(kind: str, args: Mapping[str, Any], row: Row) -> bool:
    value = row[args["column"]]
    if kind == "not_null" or value is None:
        return kind == "not_null" and value is None
    if kind == "accepted_values":
        listed = [date.fromisoformat(v) if isinstance(value, date) else v for v in args["values"]]
        return (value in listed) == args["reject"]
    if kind == "pattern":
        return (re.search(args["matches"].replace("$", r"\Z"), value) is not None) == args["negate"]
    if kind == "length":
        return len(value) < args["min"] or (args["max"] is not None and len(value) > args["max"])
    low, high = args["min"], args["max"]
    if isinstance(value, date):
        low, high = (None if end is None else date.fromisoformat(end) for end in (low, high))
    if value != value:
        return True
    under = low is not None and (value <= low if args["strict"] else value < low)
    return under or (high is not None and (value >= high if args["strict"] else value > high))


def _same(value: Any) -> Any:
    return "NaN" if isinstance(value, float) and math.isnan(value) else value


def reference(
    kind: str, args: Mapping[str, Any], rows: Sequence[Row], others: Sequence[Row]
) -> tuple[int | None, bool | None]:
    """How many rows fail, or (for ``rows``) whether the test passes."""
    if kind == "rows":
        base = len(others) if args.get("relative_to") else 1
        low, high = args["min"], args["max"]
        return None, (low is None or len(rows) >= low * base) and (high is None or len(rows) <= high * base)
    if kind == "unique":
        keys = [tuple(_same(row[c]) for c in args["columns"]) for row in rows]
        counts = Counter(key for key in keys if None not in key)
        return sum(n for n in counts.values() if n > 1), None
    if kind == "relationships":
        known = {tuple(row[c] for c in args["to_columns"]) for row in others}
        keys = [tuple(row[c] for c in args["columns"]) for row in rows]
        return sum(None not in key and key not in known for key in keys), None
    return sum(_fails(kind, args, row) for row in rows), None


def _literal_rows(columns: Mapping[str, str], count: int) -> str:
    cells = ", ".join(f"CAST(? AS {kind}) AS {name}" for name, kind in columns.items())
    empty = ", ".join(f"CAST(NULL AS {kind}) AS {name}" for name, kind in columns.items())
    return " UNION ALL ".join([f"SELECT {cells}"] * count) if count else f"SELECT {empty} LIMIT 0"


def _fill(tables: Any, name: str, columns: Mapping[str, str], rows: Sequence[Row]) -> None:
    values = [row[c] for row in rows for c in columns]
    tables.cursor.execute(
        f"CREATE OR REPLACE TABLE raw_{name} AS {_literal_rows(columns, len(rows))}", values
    )
    tables.table(name, f"SELECT * FROM raw_{name}")


@pytest.mark.parametrize("plan", some(["small", "large", "large, many values", "a view"], "small"))
def test_every_plan_gives_the_results_of_the_reference(
    plan: str,
    monkeypatch: pytest.MonkeyPatch,
    make_tables: Callable[..., Any],
    make_test: Callable[..., TestSpec],
) -> None:
    """Random tests of random tables give one result: in Python, planned in any way, and one by one."""
    if plan.startswith("large"):
        monkeypatch.setattr(planner, "SMALL", 0)
    if plan == "large, many values":
        monkeypatch.setattr(planner, "FEW_VALUES", 0)
        monkeypatch.setattr(planner, "FEW_IN_HEAD", 0)
    connection = duckdb.connect(config={"threads": 1})

    @settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
    @given(rows_of_t, rows_of_u, tests_of_t)
    def holds(rows: list[Row], others: list[Row], declared: list[Any]) -> None:
        with tempfile.TemporaryDirectory() as folder:
            tables = make_tables(Path(folder), connection)
            _fill(tables, "t", COLUMNS, rows)
            _fill(tables, "u", {"number": "INTEGER", "name": "VARCHAR"}, others)
            if plan == "a view":
                tables.view("v", "SELECT * FROM t")
            dataset = "v" if plan == "a view" else "t"
            specs, wanted = [], []
            for (kind, args), where, tolerate in declared:
                beside = {} if tolerate is None or kind == "rows" else {"tolerate": tolerate}
                specs.append(make_test(kind, dataset, **args, where=where, **beside))
                chosen = [row for row in rows if wheres[where](row)]
                wanted.append((*reference(kind, args, chosen, others), len(chosen)))
            for spec, result, (failing, passes, tested) in zip(
                specs, tables.judge(*specs), wanted, strict=True
            ):
                if passes is None:
                    assert (result.failing, result.tested) == (failing, tested), (spec, result)
                    passes = spec.tolerate.allows(failing, tested)
                assert result.state == (TestState.PASSED if passes else TestState.FAILED), (spec, result)
                assert len(result.sample) <= 10
                assert bool(result.sample) == (not passes and bool(failing))

    holds()
    connection.close()
