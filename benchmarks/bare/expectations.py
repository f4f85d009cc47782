"""Great Expectations: one suite over one table of a DuckDB file, in an ephemeral context.

Arguments: the DuckDB file, the table, the JSON list of expectations. Exit code 1 if one fails.
"""

import datetime
import json
import sys
from pathlib import Path

import great_expectations as gx
from great_expectations.execution_engine import sqlalchemy_execution_engine as engine


class Dialect(str):
    """A dialect's name as GX compares it: equal to the text, with the text as its ``value``."""

    __slots__ = ()

    @property
    def value(self) -> str:
        return str(self)


# GX gives a connection back before it reads the result, and with that duckdb-engine loses the rows.
# For some engines it keeps one connection; here DuckDB, which it has no name for, is made one of them.
engine._PERSISTED_CONNECTION_DIALECTS += (Dialect("duckdb"),)


def date_or_same(value: object) -> object:
    """A text that is a date as a date: GX compares a DATE column with nothing else."""
    if isinstance(value, str) and len(value) == 10 and value[4] == value[7] == "-":
        return datetime.date.fromisoformat(value)
    return value


def main() -> None:
    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = {"globally": False}
    source = context.data_sources.add_sql("bench", connection_string=f"duckdb:///{sys.argv[1]}")
    batch = source.add_table_asset("orders", table_name=sys.argv[2]).add_batch_definition_whole_table("all")
    suite = context.suites.add(gx.ExpectationSuite("sixty"))
    for number, wanted in enumerate(json.loads(Path(sys.argv[3]).read_text("utf-8"))):
        kind = getattr(gx.expectations, wanted.pop("type"))
        suite.add_expectation(
            kind(**{k: date_or_same(v) for k, v in wanted.items()}, meta={"number": number})
        )
    definition = context.validation_definitions.add(
        gx.ValidationDefinition(name="sixty", data=batch, suite=suite)
    )
    done = definition.run(result_format="BOOLEAN_ONLY")
    wrong = [
        (r.expectation_config.type, r.expectation_config.kwargs, r.exception_info)
        for r in done.results
        if not r.success
    ]
    print(len(done.results), "expectations,", len(wrong), "failed")
    for one in wrong:
        print(one)
    sys.exit(1 if wrong else 0)


main()
