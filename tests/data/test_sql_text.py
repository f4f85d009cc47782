"""Names and values become SQL text that reads back as the same names and values."""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime, time, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitkitchen.data.sql import file_literal, inline_parameters, literal, quote_identifier, read_parquet

CONNECTION = duckdb.connect()
CONNECTION.execute("SET TimeZone = 'UTC'")

text = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=20)
plain = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**127) + 1, 2**127 - 1), st.floats(), text,
    st.binary(max_size=20), st.dates(), st.datetimes(), st.times(),
    st.decimals(-(10**20), 10**20, allow_nan=False, allow_infinity=False, places=3),
    st.timedeltas(timedelta(days=-10_000), timedelta(days=10_000)),
)  # fmt: skip


def read_back(sql: str) -> Any:
    row = CONNECTION.execute(f"SELECT {sql}").fetchone()
    assert row is not None
    return row[0]


@given(plain)
def test_a_literal_reads_back_as_its_value(value: Any) -> None:
    """Every kind of value is the same after a way through SQL."""
    found = read_back(literal(value))
    if isinstance(value, float) and math.isnan(value):
        assert math.isnan(found)
    else:
        assert found == value


@given(
    st.lists(st.integers(-5, 5), max_size=3), st.dictionaries(text.filter(bool), text, min_size=1, max_size=3)
)
def test_lists_and_mappings_read_back(items: list[int], mapping: dict[str, str]) -> None:
    """Lists and mappings (as structs) are the same after a way through SQL."""
    assert read_back(literal(items)) == items
    folded = {k.lower() for k in mapping}
    if len(folded) == len(mapping):
        assert read_back(literal(mapping)) == mapping


def test_a_time_with_a_zone_keeps_its_instant() -> None:
    """A moment in another zone is the same moment in UTC."""
    moment = datetime(2013, 3, 10, 2, 30, tzinfo=timezone(timedelta(hours=-5)))
    assert read_back(f"epoch({literal(moment)})") == moment.timestamp()
    assert literal(moment.astimezone(UTC)) == "'2013-03-10 07:30:00+00:00'::TIMESTAMPTZ"


@pytest.mark.parametrize(
    "value",
    ["a\0b", 2**127, object(), {}, {1: 2}, Decimal("NaN"), time(1, 2, tzinfo=UTC), {3}, Decimal("inf")],
)
def test_what_sql_cannot_hold_is_refused(value: Any) -> None:
    """NUL characters, too great numbers and foreign things never become SQL."""
    with pytest.raises(ValueError, match=r"SQL"):
        literal(value)


@given(text.filter(bool))
def test_a_quoted_name_is_that_name(name: str) -> None:
    """Whatever a name holds, quoting keeps it one name."""
    assert CONNECTION.execute(f"SELECT 1 AS {quote_identifier(name)}").description[0][0] == name


@pytest.mark.parametrize("name", ["", "a\0b"])
def test_what_is_no_name_is_refused(name: str) -> None:
    """The empty name and NUL are no names."""
    with pytest.raises(ValueError, match="not a name"):
        quote_identifier(name)


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("select $a", "select (1)"),
        ("select $a+$b::INT", "select (1)+('x''y')::INT"),
        ("select '$a', \"$a\", $a", "select '$a', \"$a\", (1)"),
        ("select 'it''s $a', $a", "select 'it''s $a', (1)"),
        ("select E'\\'$a', $a", "select E'\\'$a', (1)"),
        ("select $$ $a $$, $t$ $$ $a $t$, $a", "select $$ $a $$, $t$ $$ $a $t$, (1)"),
        ("select 1 -- $a\n, $a", "select 1 -- $a\n, (1)"),
        ("select /* $a /* ' $a */ $a */ $a", "select /* $a /* ' $a */ $a */ (1)"),
        ("select x$a, $aa, $1, $c", "select x$a, $aa, $1, $c"),
        ("select /* never closed $a", "select /* never closed $a"),
        ("", ""),
    ],
)
def test_parameters_are_put_in_place_outside_of_text(sql: str, expected: str) -> None:
    """Strings, quoted names, comments and dollar quotes stay as they are; unknown names too."""
    assert inline_parameters(sql, {"a": 1, "b": "x'y"}) == expected


@given(st.lists(st.sampled_from(["'", '"', "$a", "$$", "--", "/*", "*/", "\n", " ", "E'", "\\", "x", "$t$"])))
def test_a_value_never_leaves_its_place(pieces: list[str]) -> None:
    """Where DuckDB accepts the text with a parameter, the text with its value gives the same answer."""
    sql = f"select {''.join(pieces)} as c"
    value = "it's -- /* $$ \""
    try:
        statements = duckdb.extract_statements(sql)
        named = statements[0].named_parameters if len(statements) == 1 else set()
        if named - {"a"} or len(statements) != 1:
            return
        expected = CONNECTION.execute(sql, {"a": value} if named else None).fetchall()
    except duckdb.Error:
        return
    assert CONNECTION.execute(inline_parameters(sql, {"a": value})).fetchall() == expected


def test_long_sql_is_rewritten_quickly_enough_to_finish() -> None:
    """Fifty thousand strings and comments are no matter of minutes: the text is passed once."""
    sql = "select " + ", ".join(["'x' -- 'y\n", "$a /* e' */"] * 50_000)
    assert inline_parameters(sql, {"a": 1}).count("(1)") == 50_000


@pytest.mark.parametrize(
    "folder", ["plain", "k=v", "it's", "a[b]", "a*b", "a?b", "sp ace", 'q"q', "new\nline", "~"]
)
def test_a_path_is_that_file_and_no_pattern(tmp_path: Path, folder: str) -> None:
    """A folder's name gives no column and matches no neighbour."""
    for number, name in enumerate((folder, "ab", "axb", "a*b")):
        path = tmp_path / name / "x.parquet"
        path.parent.mkdir(exist_ok=True)
        if not path.exists():
            quoted = str(path).replace("'", "''")
            CONNECTION.execute(f"COPY (SELECT {number} AS n) TO '{quoted}' (FORMAT parquet)")
    found = CONNECTION.execute(f"SELECT * FROM {read_parquet([tmp_path / folder / 'x.parquet'])}").fetchall()
    assert found == [(0,)]


def test_only_patterns_are_escaped() -> None:
    """An ordinary path is left as it is, so that DuckDB need not look into folders."""
    assert file_literal(Path("/a/b.parquet")) == "'/a/b.parquet'"
    assert re.search(r"\[\*\]", file_literal(Path("/a*/b")))
