"""The pytest plugin of a pytest node: the fixture ``kitchen``, and what each test said.

Loaded by ``child.py`` inside the node's process; it imports nothing of GitKitchen.
"""

from __future__ import annotations

import os
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

_STATES = {"passed": "passed", "failed": "failed", "skipped": "skipped"}


def fixtures(opened: Any) -> ModuleType:
    """A plugin with the fixture ``kitchen``, for tests and fixtures of every scope."""

    @pytest.fixture(scope="session")
    def kitchen() -> Any:
        """The datasets that the node needs: ``table``, ``path``, ``sql``, ``params``."""
        return opened

    plugin = ModuleType("gitkitchen_fixtures")  # pytest looks for fixtures in modules and classes
    plugin.__dict__["kitchen"] = kitchen
    return plugin


class Recorder:
    """Keeps one entry for each test, and the errors of modules that could not be read."""

    def __init__(self, top: str) -> None:
        self._top = top + os.sep
        self._root = Path.cwd()
        self._found: dict[str, dict[str, Any]] = {}
        self.errors: list[dict[str, Any]] = []

    @property
    def tests(self) -> list[dict[str, Any]]:
        return list(self._found.values())

    def pytest_sessionstart(self, session: pytest.Session) -> None:
        """Places of tests are told relative to pytest's own root."""
        self._root = session.config.rootpath

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Three reports a test (setup, call, teardown): the worst one counts."""
        entry = self._found.setdefault(report.nodeid, self._entry(report))
        entry["seconds"] += report.duration
        state = _STATES[report.outcome]
        if state == "passed" and entry["state"] is None and report.when == "call":
            entry["state"] = "passed"
        elif state == "skipped" and entry["state"] is None:
            entry.update(state="skipped", message=_reason(report))
        elif state == "failed" and entry["state"] != "failed":
            crash = getattr(report.longrepr, "reprcrash", None)
            error = report.when != "call"
            entry.update(state="error" if error else "failed", message=self._message(report, crash))
            if crash is not None and str(crash.path).startswith(self._top):
                entry.update(file=self._relative(str(crash.path)), line=crash.lineno)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """A module that cannot be imported is an error, never silence."""
        if report.failed:
            text = str(report.longrepr).replace(self._top, "")
            self.errors.append({"file": report.nodeid, "message": _last_lines(text)})

    def pytest_internalerror(self, excrepr: Any) -> None:
        self.errors.append({"file": "", "message": _last_lines(str(excrepr))})

    def _entry(self, report: pytest.TestReport) -> dict[str, Any]:
        file, line, name = report.location
        return {
            "name": report.nodeid.partition("::")[2] or name,
            "state": None,
            "message": "",
            "file": self._relative(str(self._root / file)),
            "line": (line or 0) + 1,
            "seconds": 0.0,
        }

    def _message(self, report: pytest.TestReport, crash: Any) -> str:
        text = str(crash.message) if crash is not None else _last_lines(report.longreprtext)
        return text.replace(self._top, "")

    def _relative(self, path: str) -> str:
        return path.removeprefix(self._top)


def _reason(report: pytest.TestReport) -> str:
    if isinstance(report.longrepr, tuple):
        return str(report.longrepr[2])
    return str(getattr(report, "wasxfail", "") or "skipped")


def _last_lines(text: str) -> str:
    return "\n".join(line for line in text.splitlines() if line.strip())[-1500:]
