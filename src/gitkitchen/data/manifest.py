"""Versions, builds and verdicts as plain JSON values, and back.

Readers ignore fields that they do not know and raise KeyError, TypeError or ValueError for values
of another shape: the store treats such a file as not there.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from gitkitchen.errors import Place
from gitkitchen.model import (
    Build,
    Column,
    ColumnStats,
    FileEntry,
    Severity,
    TestResult,
    TestState,
    Version,
)

FORMATS = ("table", "view", "file")


def version_to_json(version: Version) -> dict[str, Any]:
    """A version as a plain value; a view carries the versions that its names stand for."""
    value: dict[str, Any] = {
        "dataset": version.dataset,
        "format": version.format,
        "fingerprint": version.fingerprint,
        "content": version.content,
        "rows": version.rows,
        "columns": [[c.name, c.type] for c in version.columns],
        "files": [_file_to_json(f) for f in version.files],
        "stats": {name: [s.nulls, s.minimum, s.maximum] for name, s in version.stats.items()},
    }
    if version.sql is not None:
        value["sql"] = version.sql
    if version.relation is not None:
        value["relation"] = version.relation
    if version.inputs:
        value["inputs"] = {name: version_to_json(v) for name, v in version.inputs.items()}
    return value


def version_from_json(value: Mapping[str, Any]) -> Version:
    """The version that ``version_to_json`` wrote."""
    if value["format"] not in FORMATS:
        raise ValueError(f"unknown format of a version: {value['format']!r}")
    return Version(
        dataset=_text(value["dataset"]),
        format=value["format"],
        fingerprint=_text(value["fingerprint"]),
        content=_text(value["content"]),
        columns=tuple(Column(_text(name), _text(kind)) for name, kind in value["columns"]),
        files=tuple(_file_from_json(f) for f in value["files"]),
        rows=value["rows"],
        stats={name: ColumnStats(*figures) for name, figures in value["stats"].items()},
        sql=value.get("sql"),
        inputs={name: version_from_json(v) for name, v in value.get("inputs", {}).items()},
        relation=None if value.get("relation") is None else _relation(value["relation"]),
    )


def _file_to_json(file: FileEntry) -> dict[str, Any]:
    value: dict[str, Any] = {
        "digest": file.digest,
        "bytes": file.bytes,
        "rows": file.rows,
        "suffix": file.suffix,
    }
    if file.partition:
        value["partition"] = dict(file.partition)
    return value


def _file_from_json(value: Mapping[str, Any]) -> FileEntry:
    digest = _text(value["digest"])
    if len(digest) != 64 or not set(digest) <= set("0123456789abcdef"):
        raise ValueError("a file's digest is not a sha256")
    suffix = _text(value["suffix"])
    if "/" in suffix or "\0" in suffix:
        raise ValueError("a file's suffix is not a suffix")
    return FileEntry(digest, int(value["bytes"]), value["rows"], value.get("partition", {}), suffix)


def _relation(value: Any) -> str:
    if re.fullmatch(r"v_[0-9a-f]{40}", _text(value)) is None:
        raise ValueError("a relation's name is not one of ours")
    return str(value)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"expected text, found {type(value).__name__}")
    return value


def build_to_json(build: Build) -> dict[str, Any]:
    """A build as a plain value."""
    return {
        "version": 1,
        "node": build.node,
        "fingerprint": build.fingerprint,
        "definition": build.definition,
        "parts": dict(build.parts),
        "inputs": dict(build.inputs),
        "versions": {name: version_to_json(v) for name, v in build.versions.items()},
        "run": build.run,
        "finished": build.finished,
        "seconds": build.seconds,
    }


def build_from_json(value: Mapping[str, Any]) -> Build:
    """The build that ``build_to_json`` wrote."""
    return Build(
        node=_text(value["node"]),
        fingerprint=_text(value["fingerprint"]),
        definition=_text(value["definition"]),
        parts=dict(value["parts"]),
        inputs=dict(value["inputs"]),
        versions={name: version_from_json(v) for name, v in value["versions"].items()},
        run=value.get("run", ""),
        finished=value.get("finished", ""),
        seconds=float(value.get("seconds", 0.0)),
    )


PLAIN = (
    *("id", "node", "dataset", "phase", "kind", "observed", "expected", "message", "cause"),
    *("failing", "tested", "reused", "seconds", "reproduce"),
)


def test_result_to_json(result: TestResult) -> dict[str, Any]:
    """One test's result as a plain value."""
    value: dict[str, Any] = {name: getattr(result, name) for name in PLAIN}
    place = result.place
    return value | {
        "severity": result.severity.value,
        "state": result.state.value,
        "sample": [dict(row) for row in result.sample],
        "metrics": dict(result.metrics),
        "place": None if place is None else [place.file, place.line, place.column],
    }


def test_result_from_json(value: Mapping[str, Any]) -> TestResult:
    """The result that ``test_result_to_json`` wrote."""
    plain = {name: value[name] for name in PLAIN if name in value}
    place = value.get("place")
    return TestResult(
        **plain,
        severity=Severity(value["severity"]),
        state=TestState(value["state"]),
        sample=tuple(dict(row) for row in value.get("sample", ())),
        metrics=dict(value.get("metrics", {})),
        place=None if place is None else Place(*place),
    )
