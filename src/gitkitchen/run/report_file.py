"""What a node's process may report by itself, in the JSON file GITKITCHEN_RESULT. Read as hostile input.

{"metrics": {"accuracy": 0.97},
 "links": {"notebook": "https://…"},
 "tests": [{"name": "no drift", "passed": true, "message": "", "severity": "stop",
                "file": "x.py", "line": 3}]}
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import field
from pathlib import Path
from typing import Any

from gitkitchen.errors import Place
from gitkitchen.frozen import dataclass
from gitkitchen.model import Failure, NodeSpec, Severity, TestResult, TestState
from gitkitchen.printed import mask, masks, text_safe
from gitkitchen.run.context import NodeFailed

MOST_BYTES = 4_000_000
MOST_TESTS = 10_000
_LONGEST = 2000


@dataclass(frozen=True, slots=True)
class Report:
    """What a node reported of itself."""

    tests: tuple[TestResult, ...] = ()
    metrics: Mapping[str, float] = field(default_factory=dict)
    links: Mapping[str, str] = field(default_factory=dict)


def read_report(path: Path, node: NodeSpec, secrets: Mapping[str, str]) -> Report:
    """Read the file, if there is one. Raises NodeFailed, with what is wrong, for any other shape."""
    try:
        with open(path, "rb", opener=_at_once) as file:
            data = file.read(MOST_BYTES + 1)
    except (FileNotFoundError, NotADirectoryError):
        return Report()
    except OSError as error:
        raise _wrong(node, f"cannot be read: {error.strerror}") from error
    if len(data) > MOST_BYTES:
        raise _wrong(node, f"is larger than {MOST_BYTES:,} bytes")
    try:
        value = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise _wrong(node, "is not JSON") from error
    if not isinstance(value, dict):
        raise _wrong(node, "is not a JSON object")
    return Report(
        tuple(read_tests(value.get("tests") or [], node, secrets)),
        _metrics(value.get("metrics") or {}, node),
        _links(value.get("links") or {}, node, secrets),
    )


def _at_once(path: str, flags: int) -> int:
    """A pipe that a node left in place of the file must not hang."""
    return os.open(path, flags | os.O_NONBLOCK)


def read_tests(value: Any, node: NodeSpec, secrets: Mapping[str, str]) -> list[TestResult]:
    """The tests that a node ran itself, as results."""
    if not isinstance(value, list) or len(value) > MOST_TESTS:
        raise _wrong(node, f"has `tests` that are no list of at most {MOST_TESTS:,}")
    hidden = masks(tuple(secrets.values()))
    return [_test(entry, number, node, hidden) for number, entry in enumerate(value)]


def _test(entry: Any, number: int, node: NodeSpec, hidden: Sequence[str]) -> TestResult:
    if not isinstance(entry, dict) or not isinstance(entry.get("name"), str):
        raise _wrong(node, f"has a test (number {number + 1}) without a `name`")
    state = _state(entry, node)
    severity = entry.get("severity", "stop")
    if severity not in tuple(Severity):
        raise _wrong(node, f"has the severity {severity!r}; it is stop, warn or log")
    name = _text(entry["name"], hidden, 300)
    message = _text(entry.get("message") or "", hidden, _LONGEST)
    file, line = entry.get("file"), entry.get("line")
    place = node.place
    if isinstance(file, str) and file:
        place = Place(_text(file, hidden, 500), line if isinstance(line, int) and 0 < line < 10**7 else 0)
    return TestResult(
        id=f"{node.name}/logic/{node.kind}({name})",
        node=node.name,
        dataset=next(iter(node.datasets), ""),
        phase="logic",
        kind=node.kind,
        severity=Severity(severity),
        state=state,
        observed={TestState.SKIPPED: "skipped"}.get(state, message or state.value),
        expected=name,
        message=message,
        seconds=_number(entry.get("seconds")) or 0.0,
        place=place,
    )


def _state(entry: Mapping[str, Any], node: NodeSpec) -> TestState:
    said = entry.get("state")
    if said is None and isinstance(entry.get("passed"), bool):
        said = "passed" if entry["passed"] else "failed"
    if said not in tuple(TestState):
        raise _wrong(node, "has a test without `passed: true` or `false`")
    return TestState(said)


def _metrics(value: Any, node: NodeSpec) -> dict[str, float]:
    if not isinstance(value, dict):
        raise _wrong(node, "has `metrics` that are no mapping of names to numbers")
    found: dict[str, float] = {}
    for name, figure in value.items():
        number = _number(figure)
        if number is None:
            raise _wrong(node, f"has the metric '{text_safe(name)[:80]}', which is no finite number")
        found[text_safe(name)[:200]] = number
    return found


def _links(value: Any, node: NodeSpec, secrets: Mapping[str, str]) -> dict[str, str]:
    hidden = masks(tuple(secrets.values()))
    if not isinstance(value, dict):
        raise _wrong(node, "has `links` that are no mapping of names to addresses")
    for name, address in value.items():
        if not isinstance(address, str) or not address.startswith(("https://", "http://")):
            raise _wrong(node, f"has the link '{text_safe(name)[:80]}', which does not start with https://")
    return {_text(k, hidden, 200): _text(v, hidden, _LONGEST) for k, v in value.items()}


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    try:
        return float(value) if math.isfinite(value) else None
    except OverflowError:
        return None


def _text(value: Any, hidden: Sequence[str], longest: int) -> str:
    text = mask(str(value), hidden)
    return "\n".join(text_safe(line) for line in text.splitlines())[:longest]


def _wrong(node: NodeSpec, what: str) -> NodeFailed:
    hint = "see the node contract for the shape of GITKITCHEN_RESULT"
    return NodeFailed(Failure("error", f"the file that it reports in {what}", node.place, hint))
