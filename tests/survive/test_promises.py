"""The table of promises names tests that exist."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "promises.md"
LATER = {"S27"}
NAMED = {"S1", "S2", "S3", "S4", "S5", "S6", "S10", "S11", "S12", "S14", "S15", "S19", "S20", "S21", "S22"}
NAMED |= {"S24", "S30", "S7", "S8", "S9", "S13", "S16", "S17", "S18", "S23", "S28"}
"""Failures whose tests carry their names."""
_TEST = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")


def table() -> dict[str, list[tuple[str, str]]]:
    """What each promise and each failure names."""
    found: dict[str, list[tuple[str, str]]] = {}
    for line in PAGE.read_text(encoding="utf-8").splitlines():
        start = re.match(r"\| (S?\d+)\b", line)
        if start:
            assert start[1] not in found, f"{start[1]} is there twice"
            found[start[1]] = _TEST.findall(line)
            assert found[start[1]] or "not in this version" in line, f"{start[1]} names no test"
    return found


def functions() -> set[tuple[str, str]]:
    """Every test, with its file."""
    return {
        (path.relative_to(ROOT).as_posix(), name)
        for path in (ROOT / "tests").rglob("test_*.py")
        for name in re.findall(r"^def (test_\w+)", path.read_text(encoding="utf-8"), re.M)
    }


def test_each_promise_and_each_failure_has_tests_that_exist() -> None:
    """Twelve promises and thirty failures, each with a test of that name in that file."""
    told = table()
    assert set(told) == {str(n) for n in range(1, 13)} | {f"S{n}" for n in range(1, 31)}
    assert {name for name, tests in told.items() if not tests} <= LATER
    missing = {one for tests in told.values() for one in tests} - functions()
    assert missing == set()


def test_failures_have_tests_of_their_name() -> None:
    """Each of these failures names at least one test whose own name says which failure it is about."""
    told = table()
    for failure in NAMED:
        names = [name for _, name in told[failure]]
        assert any(f"_{failure.lower()}_" in name for name in names), f"no test is named after {failure}"
