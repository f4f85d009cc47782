"""Sixty tests on ten million rows of twelve columns: the planner beside other ways to ask.

``measure`` returns figures, ``main`` prints them. Ways are timed in one process, interleaved, so that
ratios hold on a noisy machine; all figures are medians of wall and CPU seconds.
"""

from __future__ import annotations

import argparse
import functools
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb

from gitkitchen.controls import queries
from gitkitchen.controls.asks import Failing, Rows
from gitkitchen.controls.check import Context, Tables
from gitkitchen.controls.judge import judge, judge_singly
from gitkitchen.controls.kinds import prepare
from gitkitchen.controls.reader import Reader
from gitkitchen.model import Column, ColumnStats, TestSpec, TestState, Tolerance, Version

NOW = datetime(2025, 1, 1, tzinfo=UTC)
STATUSES = ["new", "paid", "packed", "sent", "returned", "lost"]

ORDERS = """
SELECT i AS id,
  CAST(hash(i) % 200000 AS INTEGER) AS customer_id,
  CAST(hash(i * 7) % 1000 AS INTEGER) AS product_id,
  ['new', 'paid', 'packed', 'sent', 'returned', 'lost'][1 + CAST(hash(i * 3) % 6 AS INTEGER)] AS status,
  chr(65 + CAST(hash(i * 5) % 26 AS INTEGER)) || chr(65 + CAST(hash(i * 11) % 20 AS INTEGER)) AS country,
  CASE WHEN hash(i * 13) % 100 <> 0 THEN CAST((hash(i * 17) % 1000000) / 100 AS DOUBLE) END AS amount,
  CAST(1 + hash(i * 19) % 50 AS INTEGER) AS quantity,
  CAST((hash(i * 23) % 100000) / 100 AS DECIMAL(10, 2)) AS price,
  TIMESTAMP '2024-01-01' + to_seconds(i * 3) AS created,
  DATE '2024-01-01' + CAST(hash(i * 29) % 365 AS INTEGER) AS day,
  'user' || (hash(i * 31) % 3000000) || '@example.com' AS email,
  hash(i * 37) % 10 = 0 AS gift
FROM range({rows}) AS numbers(i)
"""
OTHERS = {
    "customers": "SELECT CAST(i AS INTEGER) AS id FROM range(200000) AS n(i)",
    "products": "SELECT CAST(i AS INTEGER) AS id FROM range(1000) AS n(i)",
    "countries": "SELECT chr(65 + CAST(i AS INTEGER)) || chr(65 + CAST(j AS INTEGER)) AS code "
    "FROM range(26) AS a(i), range(20) AS b(j)",
}


class Data:
    """The tables as Parquet files in a folder, views over them on one connection, and their manifests."""

    def __init__(self, folder: Path, rows: int) -> None:
        self.rows = rows
        self.folder = folder
        self.connection = duckdb.connect()
        self.connection.execute("SET TimeZone = 'UTC'")
        self.versions = {"orders": self._write("orders", ORDERS.format(rows=rows))}
        for name, sql in OTHERS.items():
            self.versions[name] = self._write(name, sql)

    def path(self, name: str) -> Path:
        """The Parquet file of a table."""
        return self.folder / f"{name}_{self.rows}.parquet"

    def _write(self, name: str, sql: str) -> Version:
        path = self.path(name)
        copied = self.connection.execute(
            f"COPY ({sql}) TO '{path}' (FORMAT parquet, COMPRESSION zstd, RETURN_STATS)"
        ).fetchone()
        assert copied is not None
        self.connection.execute(f"CREATE OR REPLACE VIEW {name} AS FROM '{path}'")
        described = self.connection.execute(f"DESCRIBE {name}").fetchall()
        figures: Mapping[str, Mapping[str, str]] = copied[4]
        stats = {
            column.strip('"'): ColumnStats(int(f["null_count"]), f.get("min"), f.get("max"))
            for column, f in figures.items()
        }
        columns = tuple(Column(row[0], row[1]) for row in described)
        return Version(name, "table", name, name, columns, rows=copied[1], stats=stats)

    def expected(self, sql: str) -> Any:
        """One value, for tests that compare with it."""
        row = self.connection.execute(sql).fetchone()
        assert row is not None
        return row[0]


def mixed_tests(rows: int) -> list[TestSpec]:
    """Sixty tests of all kinds, mixed so that the first 15 or 30 are a fair part of them."""
    kinds = [_nulls(), _categories(), _ranges(), _texts(), _keys(), _scoped(rows), _totals(rows)]
    mixed: list[TestSpec] = []
    while any(kinds):
        mixed += [group.pop(0) for group in kinds if group]
    assert len(mixed) == 60
    return mixed


def _test(kind: str, where: str | None = None, tolerate: float | None = None, **args: Any) -> TestSpec:
    name = f"orders/outputs/{kind}({args}, {where})"
    return TestSpec(
        name,
        "orders",
        "outputs",
        kind,
        "orders",
        args,
        ("orders",),
        where=where,
        tolerate=Tolerance(share=tolerate),
    )


def _nulls() -> list[TestSpec]:
    columns = [
        "id",
        "customer_id",
        "product_id",
        "status",
        "country",
        "quantity",
        "price",
        "created",
        "email",
    ]
    return [
        *(_test("not_null", column=c) for c in columns),
        _test("not_null", column="amount", tolerate=0.05),
    ]


def _categories() -> list[TestSpec]:
    countries = [chr(65 + i) + chr(65 + j) for i in range(26) for j in range(20)]
    return [
        _test("accepted_values", column="status", values=STATUSES),
        _test("accepted_values", column="country", values=countries),
        _test("accepted_values", column="gift", values=[True, False]),
        _test("accepted_values", column="quantity", values=list(range(1, 51))),
        _test("accepted_values", column="status", values=["unknown", ""], reject=True),
        _test("accepted_values", column="country", values=["XX", "ZZ"], reject=True),
        _test("length", column="status", min=3, max=8),
        _test("length", column="country", min=2, max=2),
        _test("pattern", column="status", matches="^[a-z]+$"),
        _test("pattern", column="country", matches="^[A-Z]{2}$"),
    ]


def _ranges() -> list[TestSpec]:
    return [
        _test("range", column="quantity", min=1, max=50),
        _test("range", column="amount", min=0, max=10_000),
        _test("range", column="price", min=0, max=1000),
        _test("range", column="created", min="2024-01-01", max="2025-01-01"),
        _test("range", column="day", min="2024-01-01", max="2024-12-31"),
        _test("range", column="id", min=0),
        _test("range", column="customer_id", min=0, max=199_999),
        _test("range", column="product_id", min=0, max=999),
        _test("range", column="amount", min=-1e9, max=1e9),
        _test("range", column="price", max=999.99),
    ]


def _texts() -> list[TestSpec]:
    return [
        _test("pattern", column="email", matches=r"^[a-z0-9]+@[a-z]+\.com$"),
        _test("length", column="email", min=5, max=60),
        _test("pattern", column="email", matches=r"\s", negate=True),
        _test("accepted_values", column="email", values=["none", "test@example.com"], reject=True),
        _test("pattern", column="status", matches=r"\s", negate=True),
    ]


def _keys() -> list[TestSpec]:
    return [
        _test("unique", columns=["id"]),
        _test("relationships", columns=["customer_id"], to_dataset="customers", to_columns=["id"]),
        _test("relationships", columns=["product_id"], to_dataset="products", to_columns=["id"]),
        _test("unique", columns=["customer_id", "created"]),
        _test("relationships", columns=["country"], to_dataset="countries", to_columns=["code"]),
    ]


def _scoped(rows: int) -> list[TestSpec]:
    return [
        _test("range", "gift", column="amount", min=0, max=10_000),
        _test("not_null", "status = 'paid'", column="quantity"),
        _test("accepted_values", "gift", column="status", values=STATUSES),
        _test("range", "status = 'paid'", column="price", min=0, max=1000),
        _test("range", "gift", column="quantity", min=1, max=50),
        _test("not_null", "gift", column="email"),
        _test("rows", "gift", min=rows // 20),
        _test("pattern", "gift", column="country", matches="^[A-Z]+$"),
        _test("range", "status = 'paid'", column="amount", min=0, max=10_000),
        _test("accepted_values", "status = 'paid'", column="country", values=["XX"], reject=True),
    ]


def _totals(rows: int) -> list[TestSpec]:
    columns = [["id", "BIGINT"], ["status", "text"], ["price", "decimal(10,2)"]]
    return [
        _test("rows", min=rows, max=rows),
        _test("value", sql="avg(quantity)", min=20, max=30),
        _test("freshness", column="created", max_age=10 * 365 * 86400.0),
        _test("schema", columns=columns, ordered=True, extra=True),
        _test("close", value="avg(amount)", to=5000, absolute=100, share=None),
        _test("rows", min=1, max=100_000, relative_to="products"),
        _test("equal", value="count(DISTINCT day)", to=365),
        _test("value", sql="sum(price)", min=1),
        _test("no_rows", sql="SELECT * FROM orders WHERE quantity < 0"),
        _test("freshness", column="day", max_age=10 * 365 * 86400.0),
    ]


# All NULL counts, row counts and exact bounds come from the manifests; amount may hold NaN. One group-by
# for each column of few values answers its lists, patterns, lengths and keys. The wide column is read once.
BY_HAND = r"""
SELECT min(amount), max(amount), max(created), max(day) FROM orders;
SELECT status, count(*), length(status), regexp_matches(status, '^[a-z]+$'), regexp_matches(status, '\s')
  FROM orders GROUP BY status;
SELECT country, count(*), length(country), regexp_matches(country, '^[A-Z]{{2}}$'),
  country IN (SELECT code FROM countries) FROM orders GROUP BY country;
SELECT gift, count(*) FROM orders GROUP BY gift;
SELECT quantity, count(*) FROM orders GROUP BY quantity;
SELECT product_id, count(*) FROM orders GROUP BY product_id
  HAVING product_id NOT IN (SELECT id FROM products);
SELECT count_if(NOT regexp_matches(email, '^[a-z0-9]+@[a-z]+\.com$')), count_if(regexp_matches(email, '\s')),
  count_if(length(email) < 5 OR length(email) > 60) FROM orders;
SELECT count(*) FROM orders WHERE email IN ('none', 'test@example.com');
SELECT bit_count(bitstring_agg(id, 0, {last})) FROM orders;
SELECT count(*) FROM (SELECT DISTINCT customer_id, created FROM orders);
SELECT count(*) FROM orders WHERE customer_id NOT IN (SELECT id FROM customers);
SELECT count(*), count_if(amount < 0 OR amount > 10000 OR isnan(amount)), count_if(email IS NULL),
  count_if(quantity < 1 OR quantity > 50) FROM orders WHERE gift;
SELECT status, country, count(*) FROM orders WHERE gift GROUP BY status, country;
SELECT count(*), count_if(quantity IS NULL), count_if(price < 0 OR price > 1000), count_if(country = 'XX'),
  count_if(amount < 0 OR amount > 10000 OR isnan(amount)) FROM orders WHERE status = 'paid';
SELECT avg(quantity), avg(amount), count(DISTINCT day), sum(price) FROM orders;
SELECT count(*) FROM orders WHERE quantity < 0
"""


def by_hand(data: Data) -> None:
    """The best plan that we could write by hand for the sixty tests."""
    for statement in BY_HAND.format(last=data.rows - 1).split(";"):
        data.connection.execute(statement).fetchall()


def fused(data: Data, tests: Sequence[TestSpec]) -> None:
    """All predicates over rows in one select; all else by its plain query."""
    reader = Reader(data.connection)
    context = Context(Tables(data.versions, reader), NOW)
    asks = dict.fromkeys(ask for spec in tests for ask in prepare(spec, context).asks)
    parts = []
    for ask in asks:
        if isinstance(ask, Failing | Rows):
            conditions = [c for c in (ask.where, ask.predicate if isinstance(ask, Failing) else None) if c]
            parts.append(f"count_if({' AND '.join(f'({c})' for c in conditions) or 'TRUE'})")
        else:
            reader.fetch(queries.alone(ask).sql)
    reader.fetch(f"SELECT {', '.join(parts)} FROM orders")


def measure(
    folder: Path, *, rows: int = 10_000_000, pairs: int = 5, growth: Sequence[int] = (1_000_000, 3_000_000)
) -> dict[str, Any]:
    """Time all ways; ``folder`` takes the files (about 240 MB for ten million rows).

    Returns ``{"ways": {way: {"wall": s, "cpu": s}}, "ratios": {...}, "growth_rows": {rows: {...}},
    "growth_tests": {tests: {...}}, "rows", "columns", "tests", "pairs", "duckdb"}``.
    """
    data = Data(folder, rows)
    tests = mixed_tests(rows)
    ways: dict[str, Callable[[], object]] = {
        "planned": lambda: _checked(judge(tests, data.versions, data.connection, now=NOW)),
        "by hand": lambda: by_hand(data),
        "one by one": lambda: _checked(judge_singly(tests, data.versions, data.connection, now=NOW)),
        "fused": lambda: fused(data, tests),
    }
    timed = _interleaved(ways, pairs)
    by_rows = {rows: timed["planned"]}
    for fewer in growth:
        small = Data(folder, fewer)
        some = mixed_tests(fewer)
        by_rows[fewer] = _interleaved(
            {"planned": functools.partial(judge, some, small.versions, small.connection, now=NOW)}, pairs
        )["planned"]
        small.connection.close()
    by_tests = _interleaved(
        {
            str(n): functools.partial(judge, tests[:n], data.versions, data.connection, now=NOW)
            for n in (15, 30, 60)
        },
        pairs,
    )
    data.connection.close()
    return {
        "rows": rows,
        "columns": len(data.versions["orders"].columns),
        "tests": len(tests),
        "pairs": pairs,
        "duckdb": duckdb.__version__,
        "ways": timed,
        "ratios": {way: timed["planned"]["wall"] / t["wall"] for way, t in timed.items() if way != "planned"},
        "growth_rows": dict(sorted(by_rows.items())),
        "growth_tests": {int(n): t for n, t in by_tests.items()},
    }


def _checked(results: Sequence[Any]) -> None:
    wrong = [r for r in results if r.state is not TestState.PASSED]
    assert not wrong, wrong[0]


def _interleaved(ways: Mapping[str, Callable[[], object]], pairs: int) -> dict[str, dict[str, float]]:
    walls: dict[str, list[float]] = {way: [] for way in ways}
    cpus: dict[str, list[float]] = {way: [] for way in ways}
    for _ in range(pairs):
        for way, run in ways.items():
            before, started = os.times(), time.perf_counter()
            run()
            after = os.times()
            walls[way].append(time.perf_counter() - started)
            cpus[way].append(after.user + after.system - before.user - before.system)
    return {w: {"wall": statistics.median(walls[w]), "cpu": statistics.median(cpus[w])} for w in ways}


def table(figures: Mapping[str, Any]) -> str:
    """The figures as text."""
    size = f"{figures['tests']} tests, {figures['rows']:,} rows x {figures['columns']} columns"
    title = f"{size}, DuckDB {figures['duckdb']}, medians of {figures['pairs']}"
    lines = [title, f"{'':24}{'wall s':>9}{'CPU s':>9}{'planned/this':>15}"]
    for way, timed in figures["ways"].items():
        ratio = f"{figures['ratios'][way]:.2f}" if way in figures["ratios"] else ""
        lines.append(f"{way:24}{timed['wall']:>9.3f}{timed['cpu']:>9.3f}{ratio:>15}")
    for what, grown in (("rows", figures["growth_rows"]), ("tests", figures["growth_tests"])):
        for n, timed in grown.items():
            lines.append(f"{f'planned, {n:,} {what}':24}{timed['wall']:>9.3f}{timed['cpu']:>9.3f}")
    return "\n".join(lines)


def main() -> None:
    """Measure in a temporary folder and print the table."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--pairs", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        print(table(measure(Path(folder), rows=options.rows, pairs=options.pairs)))


if __name__ == "__main__":
    main()
