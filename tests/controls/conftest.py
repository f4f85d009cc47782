"""Small real tables: Parquet files with views over them, and the versions that describe them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import pytest

from gitkitchen.controls.judge import judge, judge_singly
from gitkitchen.model import Column, ColumnStats, TestResult, TestSpec, Tolerance, Version

NOW = datetime(2024, 3, 10, 12, tzinfo=UTC)


@dataclass
class Tables:
    """Makes datasets from SQL and judges tests of them."""

    folder: Path
    cursor: duckdb.DuckDBPyConnection
    versions: dict[str, Version] = field(default_factory=dict)

    def table(self, name: str, sql: str) -> Version:
        """A dataset as Parquet, with its manifest."""
        path = self.folder / f"{len(self.versions)}.parquet"
        copied = self.cursor.execute(f"COPY ({sql}) TO '{path}' (FORMAT parquet, RETURN_STATS)").fetchone()
        assert copied is not None
        described = self.cursor.execute(f"DESCRIBE {sql}").fetchall()
        columns = tuple(Column(row[0], row[1]) for row in described)
        figures: Mapping[str, Mapping[str, str]] = copied[4]
        stats = {}
        for column in columns:
            figure = figures.get('"' + column.name.replace('"', '""') + '"')
            if figure is not None and "null_count" in figure:
                least, greatest = figure.get("min"), figure.get("max")
                stats[column.name] = ColumnStats(int(figure["null_count"]), least, greatest)
        quoted = '"' + name.replace('"', '""') + '"'
        self.cursor.execute(f"CREATE OR REPLACE VIEW {quoted} AS FROM '{path}'")
        self.versions[name] = Version(name, "table", "f", "c", columns, rows=copied[1], stats=stats)
        return self.versions[name]

    def view(self, name: str, sql: str) -> Version:
        """A dataset that is a view: nobody counted its rows."""
        self.cursor.execute(f"CREATE OR REPLACE VIEW {name} AS {sql}")
        described = self.cursor.execute(f"DESCRIBE {name}").fetchall()
        columns = tuple(Column(row[0], row[1]) for row in described)
        self.versions[name] = Version(name, "view", "f", "c", columns, sql=sql)
        return self.versions[name]

    def judge(self, *tests: TestSpec, **options: Any) -> list[TestResult]:
        """The planner's results, which must equal those of judging one by one."""
        together = judge(tests, self.versions, self.cursor, now=NOW, **options)
        singly = judge_singly(tests, self.versions, self.cursor, now=NOW, **options)
        assert [told(r) for r in together] == [told(r) for r in singly]
        return together

    def one(self, spec: TestSpec, **options: Any) -> TestResult:
        """The result of a single test."""
        return self.judge(spec, **options)[0]


def told(result: TestResult) -> tuple[Any, ...]:
    """What a result says, without how long it took."""
    return (
        result.id, result.state, result.observed, result.expected, result.message, result.cause,
        result.failing, result.tested, result.sample, dict(result.metrics), result.reproduce,
    )  # fmt: skip


@pytest.fixture(name="make_test")
def _make_test() -> Callable[..., TestSpec]:
    return make_test


@pytest.fixture
def make_tables() -> Callable[..., Tables]:
    """``Tables(folder, cursor)``, for tests that make their own many times."""
    return Tables


def make_test(kind: str, dataset: str = "t", /, **args: Any) -> TestSpec:
    """A declared test; ``where``, ``tolerate`` and ``severity`` stand beside the kind's arguments."""
    beside = {k: args.pop(k) for k in ("where", "tolerate", "severity", "description") if k in args}
    if "tolerate" in beside:
        allowed = beside["tolerate"]
        beside["tolerate"] = (
            Tolerance(share=allowed) if isinstance(allowed, float) else Tolerance(rows=allowed)
        )
    return TestSpec(
        f"{dataset}/{kind}({args})", dataset, "outputs", kind, dataset, args, (dataset,), **beside
    )


@pytest.fixture(scope="session")
def instance() -> Iterator[duckdb.DuckDBPyConnection]:
    """One DuckDB for many tests: to start it costs more than most of them."""
    with duckdb.connect(config={"threads": 2}) as connection:
        connection.execute("SET GLOBAL TimeZone = 'UTC'")
        yield connection


@pytest.fixture
def tables(tmp_path: Path, instance: duckdb.DuckDBPyConnection) -> Iterator[Tables]:
    """An empty database with a folder for its files."""
    cursor = instance.cursor()
    cursor.execute("ATTACH ':memory:' AS own")
    cursor.execute("USE own")
    yield Tables(tmp_path, cursor)
    cursor.close()
    instance.execute("DETACH own")
