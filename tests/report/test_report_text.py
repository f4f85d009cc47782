"""Words and numbers as people read them."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitkitchen.report import text


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0, "0 ms"),
        (0.0123, "12 ms"),
        (0.9994, "999 ms"),
        (0.9996, "1.0 s"),
        (3.21, "3.2 s"),
        (59.94, "59.9 s"),
        (59.96, "1 min 00 s"),
        (125, "2 min 05 s"),
        (3599.6, "1 h 00 min"),
        (3720, "1 h 02 min"),
        (86399, "23 h 59 min"),
        (100_000, "1 d 3 h"),
        (-5, "0 ms"),
    ],
)
def test_durations_are_human(seconds: float, said: str) -> None:
    """A duration has the unit that fits it, and never 60 of a smaller one."""
    assert text.duration(seconds) == said


@pytest.mark.parametrize(
    ("part", "whole", "said"),
    [
        (50094, 336776, "50,094 of 336,776 rows (14.9%)"),
        (1, 10**6, "1 of 1,000,000 rows (under 0.1%)"),
        (999_999, 10**6, "999,999 of 1,000,000 rows (over 99.9%)"),
        (0, 10, "0 of 10 rows (0%)"),
        (3, 0, "3 of 0 rows"),
    ],
)
def test_a_share_never_rounds_to_nothing_or_all(part: int, whole: int, said: str) -> None:
    """One bad row of a million is not 0%, and one good one not 100%."""
    assert text.share(part, whole) == said


def test_numbers_and_sizes_have_separators_and_units() -> None:
    """Thousands are separated; bytes have the unit that fits."""
    assert [text.number(v) for v in (336776, 8035799.0, 0.25, 0.00001234)] == [
        "336,776",
        "8,035,799",
        "0.25",
        "1.23e-05",
    ]
    assert [text.size(n) for n in (999, 1234, 61_000_000, 10**18)] == [
        "999 B",
        "1.2 kB",
        "61.0 MB",
        "1,000.0 PB",
    ]
    assert text.count(1, "node") + text.count(1000, "node") == "1 node1,000 nodes"


def test_moments_are_in_utc() -> None:
    """A time of any zone reads in UTC, and says so."""
    east = timezone(timedelta(hours=9))
    assert text.moment(datetime(2026, 1, 1, 5, tzinfo=east)) == "2025-12-31 20:00:00 UTC"


@given(st.text() | st.text(st.characters(categories=["Cc", "Cf", "Cs", "Zs", "Zl"])))
def test_safe_text_is_printable(value: str) -> None:
    """Whatever data holds, what is shown is one printable line, and a second pass changes nothing."""
    shown = text.safe(value)
    assert shown.isprintable()
    assert text.safe(shown) == shown
    assert all(line.isprintable() for line in text.safe_lines(value))
    text.encodable(value).encode()


def test_what_a_terminal_acts_on_is_shown_instead() -> None:
    """Escape sequences, bells, direction marks and lone surrogates become visible."""
    assert (
        text.safe("a\x1b[31m\x07\u202e\ud800\n\t\xa0b\U000e0041")
        == "a\\x1b[31m\\x07\\u202e\\ud800\\n\\t b\\U000e0041"
    )


@given(st.text(st.characters(exclude_categories=["Cc", "Cf", "Cs"])), st.integers(0, 30))
def test_clipped_and_wrapped_text_fits(value: str, width: int) -> None:
    """Cut text fits its columns even where a character fills two; wrapped text loses no word."""
    assert text.cells(text.clip(text.safe(value), width)) <= width
    lines = text.wrap(text.safe(value), width + 2)
    assert all(text.cells(line) <= width + 2 for line in lines)
    assert "".join(lines).replace(" ", "") == "".join(text.safe(value).split())


@given(st.text(), st.integers(0, 40))
def test_text_cut_in_bytes_fits(value: str, limit: int) -> None:
    """A limit in bytes holds whatever the characters weigh."""
    assert len(text.clip_bytes(text.safe(value), limit).encode()) <= limit


def test_tables_set_numbers_flush_right() -> None:
    """Columns line up, wide characters included."""
    lines = text.table([["日本", "1,000"], ["a", "-5.2"]], head=["name", "n"])
    assert lines == ["name      n", "日本  1,000", "a      -5.2"]
