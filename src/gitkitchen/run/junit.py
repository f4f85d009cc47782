"""JUnit XML, read: the dialects of many tools become cases, and what is not in order becomes a sentence.

There is no standard; what is common is ``testsuite`` and ``testcase`` with ``failure``, ``error`` and
``skipped`` inside. Files really written by each tool that docs/nodes.md names lie in
tests/run/junit_files/. What differs between tools:

* figures in the header count direct or all nested cases; ``failures`` with or without errors; skipped
  cases may be counted and not written (libtest, mocha); Catch2 and doctest count assertions instead;
* pytest's ``line`` counts from 0; googletest and ctest say ``status`` instead of ``skipped``;
* surefire tells of attempts before the last in ``flakyFailure`` and ``rerunFailure``, and then counts in its
  header the tests of the last attempt alone.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import field
from pathlib import Path

from gitkitchen.frozen import dataclass
from gitkitchen.run.xml_events import MOST_BYTES, Unreadable, read_xml

MOST_CASES = 50_000
_SHORT, _LONG, _TAIL = 500, 4_000, 1_000
_FOREIGN = {
    "test-run": "a report of NUnit 3",
    "test-results": "a report of NUnit 2",
    "assemblies": "a report of xUnit.net",
    "TestRun": "a report of Visual Studio (TRX)",
    "testExecutions": "a report for SonarQube",
    "robot": "Robot Framework's own output; give the file of its option --xunit",
    "coverage": "a report of coverage",
    "checkstyle": "a report of Checkstyle",
    "html": "a page of HTML",
}
_BAD = {"fail": "failed", "failed": "failed", "failure": "failed", "error": "error", "broken": "error"}
_LEFT_OUT = frozenset({"skipped", "notrun", "disabled", "ignored", "pending", "suppressed", "not_run"})
_FLAKY = frozenset({"flakyFailure", "flakyError"})
_RETRIED = _FLAKY | {"rerunFailure", "rerunError"}
_COMMIT = re.compile(r"(git[._-]?)?(commit|sha|revision)([._-]?(id|sha|hash))?|(github|ci_commit)_sha", re.I)
_OBJECT = re.compile(r"[0-9a-f]{40}([0-9a-f]{24})?\Z")


@dataclass(frozen=True, slots=True)
class Case:
    """One test of a report. ``state`` is a TestState's value; texts are cut, and not yet safe to show.

    ``output`` is the beginning and the end of what it printed, kept where it did not pass. ``flaky``: it
    passed in a later attempt.
    """

    name: str
    classname: str
    suite: str
    state: str
    seconds: float = 0.0
    file: str = ""
    line: int = 0
    type: str = ""
    message: str = ""
    text: str = ""
    output: str = ""
    flaky: bool = False


@dataclass(frozen=True, slots=True)
class Report:
    """A file's cases in their order; ``troubles`` are reasons why they are no evidence; ``commits`` those
    that the file says it is about."""

    cases: tuple[Case, ...]
    troubles: tuple[str, ...] = ()
    commits: frozenset[str] = frozenset()
    bytes: int = 0


def read_junit(path: Path, most: int = MOST_BYTES) -> Report:
    """The report in a file. Raises Unreadable, with what is wrong, where it is none or not whole."""
    reader = _Reader()
    size = read_xml(path, reader, most)
    if not reader.cases:
        reader.troubles.append("has no test")
    return Report(tuple(reader.cases), tuple(reader.troubles), frozenset(reader.commits), size)


@dataclass(slots=True)
class _Suite:
    """A suite that is open: its header, and what was found in it and below it."""

    attributes: dict[str, str]
    name: str
    file: str
    pytest: bool = False
    retried: bool = False
    direct: Counter[str] = field(default_factory=Counter)
    below: Counter[str] = field(default_factory=Counter)
    errors: int = 0


@dataclass(slots=True)
class _Open:
    """A case that is open."""

    attributes: dict[str, str]
    found: dict[str, tuple[str, str, list[str]]] = field(default_factory=dict)
    flaky: bool = False
    head: str = ""
    tail: str = ""


class _Reader:
    """Takes elements one by one and keeps cases."""

    def __init__(self) -> None:
        self.cases: list[Case] = []
        self.troubles: list[str] = []
        self.commits: set[str] = set()
        self.suites: list[_Suite] = []
        self.case: _Open | None = None
        self.sink: list[str] | None = None
        self.room = 0
        self.printing = False
        self.pending = ""
        """A failure of the suite itself, whose text is being read."""

    def start(self, name: str, attributes: dict[str, str], line: int) -> None:
        if not self.suites and name not in ("testsuites", "testsuite"):
            said = _FOREIGN.get(name, f"XML of another kind (its first element is <{name[:40]}>)")
            raise Unreadable(f"is no JUnit report: it is {said}")
        if name in ("testsuites", "testsuite"):
            if self.case is not None:
                raise Unreadable(f"has a suite inside a test (line {line})")
            self._open_suite(name, attributes)
        elif name == "testcase":
            if self.case is not None:
                raise Unreadable(f"has a test inside a test (line {line})")
            if len(self.cases) >= MOST_CASES:
                raise Unreadable(f"has more than {MOST_CASES:,} tests")
            self.case = _Open(attributes)
        elif name == "property":
            value = attributes.get("value", "").strip().lower()
            if _COMMIT.fullmatch(attributes.get("name", "")) and _OBJECT.match(value):
                self.commits.add(value)
        elif name in ("failure", "error", "skipped"):
            self._open_result(name, attributes)
        elif name in ("system-out", "system-err"):
            self.printing = self.case is not None
        elif self.case is not None and name in _RETRIED:
            self.case.flaky = self.case.flaky or name in _FLAKY
            self.suites[-1].retried = True

    def text(self, data: str) -> None:
        if self.sink is not None and self.room > 0:
            self.sink.append(data[: self.room])
            self.room -= len(data)
        elif self.printing and self.case is not None:
            room = _TAIL - len(self.case.head)
            self.case.head += data[:room]
            self.case.tail = (self.case.tail + data[room:][-_TAIL:])[-_TAIL:]

    def end(self, name: str) -> None:
        if name in ("testsuites", "testsuite"):
            self._close_suite()
        elif name == "testcase" and self.case is not None:
            self._close_case(self.case)
            self.case = None
        elif name in ("failure", "error", "skipped"):
            if self.pending:
                said = self.pending + _first(" ".join(self.sink or ()))
                self.troubles.append(said.removesuffix(": "))
                self.pending = ""
            self.sink = None
        elif name in ("system-out", "system-err"):
            self.printing = False

    # --- suites ----------------------------------------------------------------------------------

    def _open_suite(self, name: str, attributes: dict[str, str]) -> None:
        above = self.suites[-1] if self.suites else None
        own = attributes.get("name", "")
        file = attributes.get("file") or attributes.get("filepath") or (above.file if above else "")
        pytest = own in ("pytest", "pytest tests") or (above is not None and above.pytest)
        if name == "testsuites" and above is not None:
            own = own or above.name
        self.suites.append(_Suite(attributes, own[:_SHORT], file[:_SHORT], pytest))

    def _close_suite(self) -> None:
        suite = self.suites.pop()
        self._compare(suite)
        if self.suites:
            self.suites[-1].below.update(suite.below)
            self.suites[-1].errors += suite.errors

    def _compare(self, suite: _Suite) -> None:
        """Note where the header counts a test, or a failing one, that is not there."""
        head = suite.attributes
        if "doctest_version" in head or head.get("hostname") == "tbd":
            return  # doctest, Catch2: assertions, not tests
        of = f"the suite '{suite.name}'" if suite.name else "it"
        told, below = _figure(head, "tests"), sum(suite.below.values())
        unwritten = max(self._skips(suite) - suite.below["skipped"], 0)
        direct = sum(suite.direct.values())
        if told is not None and told not in (below, direct):
            missing = told - below
            if not 0 < missing <= unwritten and not (missing < 0 and suite.retried):
                self.troubles.append(f"disagrees with itself: {of} counts {told:,} tests and has {below:,}")
        bad = suite.below["failed"] + suite.below["error"] + suite.errors
        failures, errors = _figure(head, "failures") or 0, _figure(head, "errors") or 0
        if max(failures, errors) > bad:
            more = max(failures, errors)
            self.troubles.append(f"disagrees with itself: {of} counts {more:,} failing tests and has {bad:,}")

    def _skips(self, suite: _Suite) -> int:
        """How many skipped tests the header of a suite, or of one around it, tells of."""
        heads = [suite.attributes, *(s.attributes for s in self.suites)]
        keys = ("skipped", "skips", "skip", "disabled", "ignored")
        return max((_figure(head, key) or 0 for head in heads for key in keys), default=0)

    # --- cases -----------------------------------------------------------------------------------

    def _open_result(self, name: str, attributes: dict[str, str]) -> None:
        kind, message = attributes.get("type", "")[:_SHORT], attributes.get("message", "")[:_LONG]
        self.sink, self.room = [], _LONG
        if self.case is None:
            if name != "skipped" and self.suites:
                self.suites[-1].errors += 1
                suite = self.suites[-1].name
                of = f"the suite '{suite}'" if suite else "the whole run"
                self.pending = f"tells of an error outside of any test, in {of}: {_first(message)}"
                if message:
                    self.troubles.append(self.pending)
                    self.pending = ""
            return
        if name not in self.case.found:  # of several failures of one test the first is shown
            self.case.found[name] = (kind, message, self.sink)

    def _close_case(self, case: _Open) -> None:
        attributes, suite = case.attributes, self.suites[-1]
        name = attributes.get("name", "").strip() or attributes.get("classname", "").strip()
        if not name:
            raise Unreadable("has a test without a name")
        state = self._state(case)
        kind, message, parts = case.found.get(_ELEMENT.get(state, ""), ("", "", []))
        bad = state in ("failed", "error")
        line = _figure(attributes, "line") or 0
        if suite.pytest and "line" in attributes:
            line += 1  # pytest counts lines from 0
        entry = Case(
            name=name[:_SHORT],
            classname=(attributes.get("classname") or attributes.get("class") or "")[:_SHORT],
            suite=suite.name,
            state=state,
            seconds=_seconds(attributes.get("time", "")),
            file=(attributes.get("file") or suite.file)[:_SHORT],
            line=line,
            type=kind,
            message=message or attributes.get("failure", "")[:_LONG],
            text="".join(parts),
            output=f"{case.head}{case.tail}" if bad else "",
            flaky=case.flaky and state == "passed",
        )
        self.cases.append(entry)
        suite.direct[state] += 1
        suite.below[state] += 1

    def _state(self, case: _Open) -> str:
        if "error" in case.found:
            return "error"
        if "failure" in case.found or "failure" in case.attributes:
            return "failed"
        if "skipped" in case.found:
            return "skipped"
        said = {case.attributes.get(key, "").lower() for key in ("status", "result")}
        for word in said & _BAD.keys():
            return _BAD[word]
        return "skipped" if said & _LEFT_OUT else "passed"


_ELEMENT = {"error": "error", "failed": "failure", "skipped": "skipped"}


def _figure(attributes: dict[str, str], key: str) -> int | None:
    text = attributes.get(key, "").strip()
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else None


def _seconds(text: str) -> float:
    """A time as written: surefire once wrote thousands with a comma."""
    text = text.strip().replace(",", "")
    good = re.fullmatch(r"\d{1,9}(\.\d{1,30})?([eE]-?\d{1,2})?", text, re.ASCII)
    return min(float(text), 1e9) if good else 0.0


def _first(text: str) -> str:
    return next((line.strip() for line in text.splitlines() if line.strip()), "")[:300]
