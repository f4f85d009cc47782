"""The sixty tests of ``benchmarks.controls`` as plain values, and as a recipe asks for them.

All sixty pass: finding that nothing is wrong is the common and the dearest case, since no
contestant may stop early.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.harness import Failed

TABLE = "orders"
SCRIPT = Path(__file__).parent / "bare" / "sixty.py"


@dataclass(frozen=True, slots=True)
class Check:
    """One test of the table: kind and normalised arguments as in ``gitkitchen.model.TestSpec``.

    ``where`` restricts the rows; up to ``share`` of the rows tested may fail.
    """

    kind: str
    args: Mapping[str, Any]
    where: str | None = None
    share: float | None = None

    @property
    def column(self) -> str:
        """The one column that it is about."""
        (only,) = [self.args["column"]] if "column" in self.args else self.args["columns"]
        return str(only)

    @property
    def bounds(self) -> tuple[Any, Any]:
        """(min, max), None where there is none."""
        return self.args.get("min"), self.args.get("max")


@dataclass(frozen=True, slots=True)
class Sixty:
    """``tables`` holds the SELECT that makes each table; ``rows`` is how many orders there are."""

    rows: int
    tables: Mapping[str, str]
    checks: Sequence[Check]


def load(python: str, rows: int) -> Sixty:
    """The tables and tests for so many rows, asked from a process of its own."""
    top = SCRIPT.parents[2]
    done = subprocess.run([python, str(SCRIPT), str(rows)], env={"PYTHONPATH": str(top)}, capture_output=True,
                          text=True, check=False)  # fmt: skip
    if done.returncode:
        raise Failed(f"the sixty tests cannot be had: {done.stderr.strip()[-300:]}")
    found = json.loads(done.stdout)
    return Sixty(rows, found["tables"], [Check(**test) for test in found["tests"]])


def yaml_test(check: Check) -> dict[str, object]:
    """The test as it stands in recipe.yml."""
    beside: dict[str, object] = {"where": check.where} if check.where else {}
    if check.share is not None:
        beside["tolerate"] = f"{check.share:.0%}"
    return {check.kind: _arguments(check), **beside}


def _arguments(check: Check) -> object:
    args = {k: v for k, v in check.args.items() if v is not None and v is not False}
    if check.kind == "not_null":
        return [check.column]
    if check.kind == "unique":
        return args["columns"]
    if check.kind == "relationships":
        return {"column": check.column, "to": f"{args['to_dataset']}.{args['to_columns'][0]}"}
    if check.kind == "freshness":
        return {"column": check.column, "max_age": f"{args['max_age'] / 86400:.0f}d"}
    if check.kind == "close":
        return {"value": args["value"], "to": args["to"], "within": {"absolute": args["absolute"]}}
    if check.kind == "schema":
        return {**args, "columns": dict(args["columns"])}
    return args
