"""The sixty tests written for dbt, Soda and Great Expectations, as their own documents say.

What a tool has no test of its own for is given to it as a query that must find no row, which each
of them offers for such cases.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.projects import DBT_PROJECT, dbt_profiles
from benchmarks.sixty import TABLE, Check, Sixty

DBT_TESTS = {
    "in_range": """\
{% test in_range(model, column_name, low=none, high=none) %}
select {{ column_name }} from {{ model }} where
{% if low is not none %}{{ column_name }} < {{ low }}{% else %}false{% endif %} or
{% if high is not none %}{{ column_name }} > {{ high }}{% else %}false{% endif %}
{% endtest %}
""",
    "matches": """\
{% test matches(model, column_name, pattern, negate=false) %}
select {{ column_name }} from {{ model }}
where {% if not negate %}not {% endif %}regexp_matches({{ column_name }}, '{{ pattern }}')
{% endtest %}
""",
    "length_between": """\
{% test length_between(model, column_name, low, high) %}
select {{ column_name }} from {{ model }}
where length({{ column_name }}) not between {{ low }} and {{ high }}
{% endtest %}
""",
    "not_accepted_values": """\
{% test not_accepted_values(model, column_name, values) %}
select {{ column_name }} from {{ model }}
where {{ column_name }} in ({% for v in values %}'{{ v }}'{{ ", " if not loop.last }}{% endfor %})
{% endtest %}
""",
}


def sql_value(value: object) -> str:
    """A number or a truth as it is, a text (or date) as an SQL literal."""
    return str(value) if isinstance(value, int | float) else "'" + str(value).replace("'", "''") + "'"


def query(check: Check, rows: Mapping[str, int], table: str) -> str:
    """A SELECT that finds a row exactly where the check fails, for tools without a test of that kind."""
    args, source = check.args, f"{table} where {check.where}" if check.where else table
    low, high = check.bounds
    if check.kind == "no_rows":
        return str(args["sql"]).replace(f"FROM {TABLE}", f"FROM {table}")
    if check.kind == "unique":
        columns = ", ".join(args["columns"])
        return f"select {columns} from {source} group by {columns} having count(*) > 1"
    if check.kind == "schema":
        held = " or ".join(
            f"column_name = '{n}' and column_type ilike '{_type(t)}'" for n, t in args["columns"]
        )
        described = f"select 1 from (describe select * from {table})"
        return f"{described} where {held} having count(*) <> {len(args['columns'])}"
    if check.kind == "freshness":
        oldest = f"now() - interval {args['max_age'] / 86400:.0f} days"
        return f"select 1 from {table} having max({check.column}) < {oldest}"
    if check.kind == "rows":
        value, unit = "count(*)", rows[args["relative_to"]] if args.get("relative_to") else 1
        low, high = (None if bound is None else bound * unit for bound in (low, high))
    elif check.kind == "value":
        value = args["sql"]
    elif check.kind == "equal":
        value, low, high = args["value"], args["to"], args["to"]
    elif check.kind == "close":
        value, low, high = args["value"], args["to"] - args["absolute"], args["to"] + args["absolute"]
    else:
        return f"select 1 from {table} where ({check.where or 'true'}) and ({wrong(check)})"
    sides = [f"{value} < {low}"] * (low is not None) + [f"{value} > {high}"] * (high is not None)
    return f"select {value} as found from {source} having {' or '.join(sides)}"


def wrong(check: Check) -> str:
    """The condition that a failing row fulfils, for kinds that judge each row by itself."""
    column, args = check.column, check.args
    if check.kind == "not_null":
        return f"{column} is null"
    if check.kind == "accepted_values":
        values = ", ".join(sql_value(v) for v in args["values"])
        return f"{column} {'in' if args.get('reject') else 'not in'} ({values})"
    if check.kind == "range":
        low, high = check.bounds
        sides = [f"{column} < {sql_value(low)}"] * (low is not None)
        return " or ".join([*sides, *([f"{column} > {sql_value(high)}"] * (high is not None))])
    if check.kind == "pattern":
        return f"{'' if args.get('negate') else 'not '}regexp_matches({column}, {sql_value(args['matches'])})"
    if check.kind == "length":
        return f"length({column}) not between {args['min']} and {args['max']}"
    if check.kind == "relationships":
        return f"{column} not in (select {args['to_columns'][0]} from {args['to_dataset']})"
    raise ValueError(f"no condition is written for {check.kind}")


def _type(declared: str) -> str:
    return {"text": "varchar"}.get(declared.lower(), declared)


# --- dbt -----------------------------------------------------------------------------------


def write_dbt(root: Path, sixty: Sixty, rows: Mapping[str, int], data: Path, threads: int) -> None:
    """A dbt project whose sources are the Parquet files in ``data``; ``dbt test`` runs the checks."""
    for folder in ("models", "tests/generic"):
        (root / folder).mkdir(parents=True)
    (root / "dbt_project.yml").write_text(DBT_PROJECT, "utf-8")
    (root / "profiles.yml").write_text(dbt_profiles("bench.duckdb", threads), "utf-8")
    for name, text in DBT_TESTS.items():
        (root / "tests" / "generic" / f"{name}.sql").write_text(text, "utf-8")
    of_column: dict[str, list[object]] = {}
    for number, check in enumerate(sixty.checks):
        test = _dbt_test(check)
        if test is None:
            text = query(check, rows, "{{ source('bench', '" + TABLE + "') }}")
            (root / "tests" / f"test_{number}.sql").write_text(text + "\n", "utf-8")
            continue
        config: dict[str, object] = {"where": check.where} if check.where else {}
        if check.share is not None:
            most = int(check.share * sixty.rows)
            config |= {"warn_if": f">{most}", "error_if": f">{most}"}
        kind, arguments = test
        named = {kind: {"name": f"test_{number}", "arguments": arguments, "config": config}}
        of_column.setdefault(check.column, []).append(named)
    columns = [{"name": column, "data_tests": tests} for column, tests in of_column.items()]
    others: list[dict[str, object]] = [{"name": name} for name in sixty.tables if name != TABLE]
    source = {
        "name": "bench",
        "config": {"meta": {"external_location": f"{data}/{{name}}.parquet"}},
        "tables": [{"name": TABLE, "columns": columns}, *others],
    }
    (root / "models" / "sources.yml").write_text(json.dumps({"version": 2, "sources": [source]}), "utf-8")


def _dbt_test(check: Check) -> tuple[str, dict[str, Any]] | None:
    """(test, arguments) as they stand in a properties file; None where it must be a query."""
    args = check.args
    low, high = check.bounds
    if check.kind == "not_null" or (check.kind == "unique" and len(args["columns"]) == 1):
        return check.kind, {}
    if check.kind == "accepted_values" and args.get("reject"):
        return "not_accepted_values", {"values": args["values"]}
    if check.kind == "accepted_values":
        return check.kind, {"values": args["values"], "quote": isinstance(args["values"][0], str)}
    if check.kind == "range":
        bounds = {"low": low, "high": high}
        return "in_range", {side: sql_value(value) for side, value in bounds.items() if value is not None}
    if check.kind == "pattern":
        return "matches", {"pattern": args["matches"], "negate": args.get("negate", False)}
    if check.kind == "length":
        return "length_between", {"low": low, "high": high}
    if check.kind == "relationships":
        return check.kind, {"to": f"source('bench', '{args['to_dataset']}')", "field": args["to_columns"][0]}
    return None


# --- Soda ----------------------------------------------------------------------------------


def write_soda(root: Path, sixty: Sixty, rows: Mapping[str, int]) -> None:
    """configuration.yml for ``bench.duckdb`` in the working folder, and checks.yml."""
    (root / ".soda").mkdir(parents=True)  # with this folder as HOME it reports to nobody
    (root / ".soda" / "config.yml").write_text("send_anonymous_usage_stats: false\n", "utf-8")
    (root / "configuration.yml").write_text(
        "data_source bench:\n  type: duckdb\n  path: bench.duckdb\n", "utf-8"
    )
    lines = [_soda_check(check, rows, number) for number, check in enumerate(sixty.checks)]
    (root / "checks.yml").write_text(json.dumps({f"checks for {TABLE}": lines}, indent=1), "utf-8")


def _soda_check(check: Check, rows: Mapping[str, int], number: int) -> object:
    line, settings = _soda_parts(check) or (
        "failed rows",
        {"name": f"test {number}", "fail query": query(check, rows, TABLE)},
    )
    if check.where and line != "failed rows":
        settings = {**settings, "filter": check.where}
    return {line: settings} if settings else line


def _soda_parts(check: Check) -> tuple[str, dict[str, Any]] | None:
    """(check, its settings) in SodaCL; None where it must be a query."""
    args, (low, high) = check.args, check.bounds
    if check.kind == "not_null":
        share = check.share
        return (
            f"missing_count({check.column}) = 0"
            if share is None
            else f"missing_percent({check.column}) <= {share * 100:g}"
        ), {}
    if check.kind == "unique":
        return f"duplicate_count({', '.join(args['columns'])}) = 0", {}
    if check.kind == "relationships":
        return f"values in ({check.column}) must exist in {args['to_dataset']} ({args['to_columns'][0]})", {}
    if check.kind == "rows" and not args.get("relative_to"):
        return (f"row_count >= {low}" if high is None else f"row_count between {low} and {high}"), {}
    if check.kind == "close":
        return (
            f"{args['value']} between {args['to'] - args['absolute']} and {args['to'] + args['absolute']}",
            {},
        )
    if check.kind == "value":
        return (f"{args['sql']} >= {low}" if high is None else f"{args['sql']} between {low} and {high}"), {}
    settings = _soda_validity(check)
    return None if settings is None else (f"invalid_count({check.column}) = 0", settings)


def _soda_validity(check: Check) -> dict[str, Any] | None:
    args, (low, high) = check.args, check.bounds
    if check.kind == "accepted_values" and not isinstance(args["values"][0], bool):
        return {"invalid values" if args.get("reject") else "valid values": args["values"]}
    if check.kind == "range" and not isinstance(low if low is not None else high, str):  # dates: a query
        return {k: v for k, v in (("valid min", low), ("valid max", high)) if v is not None}
    if check.kind == "pattern":
        return {"invalid regex" if args.get("negate") else "valid regex": args["matches"]}
    if check.kind == "length":
        return {"valid min length": low, "valid max length": high}
    return None


# --- Great Expectations --------------------------------------------------------------------


def gx_expectations(sixty: Sixty, rows: Mapping[str, int]) -> list[dict[str, object]]:
    """Each check as the name of an expectation's class and its arguments."""
    return [_gx(check, rows) for check in sixty.checks]


def _gx(check: Check, rows: Mapping[str, int]) -> dict[str, object]:
    own = None if check.where else _gx_own(check, rows)
    if own is not None:
        return own if check.share is None else {**own, "mostly": 1 - check.share}
    text = query(check, rows, TABLE).replace("{", "{{").replace("}", "}}")  # its queries are templates
    return {
        "type": "UnexpectedRowsExpectation",
        "unexpected_rows_query": text.replace(f" {TABLE}", " {batch}", 1),
    }


def _gx_own(check: Check, rows: Mapping[str, int]) -> dict[str, object] | None:
    """The expectation that GX has for it; None where it must be a query."""
    args, (low, high) = check.args, check.bounds
    between = {"min_value": low, "max_value": high}
    if check.kind == "not_null":
        return {"type": "ExpectColumnValuesToNotBeNull", "column": check.column}
    if check.kind == "unique" and len(args["columns"]) == 1:
        return {"type": "ExpectColumnValuesToBeUnique", "column": check.column}
    if check.kind == "accepted_values":
        word = "NotBeInSet" if args.get("reject") else "BeInSet"
        return {"type": f"ExpectColumnValuesTo{word}", "column": check.column, "value_set": args["values"]}
    if check.kind == "range":
        return {"type": "ExpectColumnValuesToBeBetween", "column": check.column, **between}
    if check.kind == "length":
        return {"type": "ExpectColumnValueLengthsToBeBetween", "column": check.column, **between}
    if check.kind == "rows":
        unit = rows[args["relative_to"]] if args.get("relative_to") else 1
        times = {k: v if v is None else v * unit for k, v in between.items()}
        return {"type": "ExpectTableRowCountToBeBetween", **times}
    return None
