"""The outcome as a JSON document (version 1, ``gitkitchen schema outcome``) and back.

Counts are not in it: whoever reads it derives them. Times are ISO 8601 in UTC, durations seconds; a place
is ``[file, line, column]``; a figure that JSON has no number for is one of the texts ``nan``, ``inf``,
``-inf``. Text is always encodable as UTF-8.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from math import isfinite
from typing import Any

from gitkitchen.data.manifest import (
    build_from_json,
    build_to_json,
    test_result_from_json,
    test_result_to_json,
)
from gitkitchen.errors import Place
from gitkitchen.model import (
    Build,
    Failure,
    Kitchen,
    NodeResult,
    Outcome,
    Publication,
    State,
    Subject,
    TestResult,
    Verdict,
    Waived,
)
from gitkitchen.report.text import encodable_values

VERSION = 1


def to_document(outcome: Outcome, *, clean: bool = True) -> dict[str, Any]:
    """The outcome as plain JSON values; without ``clean`` its texts may be such that UTF-8 cannot hold."""
    cleaned = _clean if clean else _as_it_is
    document = {
        "version": VERSION,
        "run": outcome.run,
        "project": {"name": outcome.project, "id": outcome.project_id},
        "recipe": outcome.recipe,
        "variation": outcome.variation,
        "kitchen": _kitchen(outcome.kitchen),
        "subject": {
            "commit": outcome.subject.commit,
            "tree": outcome.subject.tree,
            "dirty": outcome.subject.dirty,
        },
        "started": _time(outcome.started),
        "finished": _time(outcome.finished),
        "verdict": outcome.verdict.value,
        "complete": outcome.complete,
        "candidate": outcome.candidate,
        "signal": outcome.signal,
        "publication": {
            "state": outcome.publication.state,
            "reason": outcome.publication.reason,
            "sequence": outcome.publication.sequence,
            "datasets": list(outcome.publication.datasets),
        },
        "tools": dict(outcome.tools),
        "public_columns": {d: list(c) for d, c in outcome.public_columns.items()},
    }
    return {**cleaned(document), "nodes": [_node(n, cleaned) for n in outcome.nodes]}


def to_json(outcome: Outcome) -> str:
    """The document as text, a line a node: quick to write, and to read with line tools."""
    text = _lines(to_document(outcome, clean=False))
    try:
        text.encode()
    except UnicodeEncodeError:  # seldom: to look at the texts of each node takes as long as to write them
        text = _lines(to_document(outcome))
    return text


def _lines(document: dict[str, Any]) -> str:
    nodes = ",\n".join(json.dumps(n, ensure_ascii=False) for n in document.pop("nodes"))
    return f'{json.dumps(document, ensure_ascii=False)[:-1]}, "nodes": [\n{nodes}\n]}}\n'


def from_document(document: Mapping[str, Any]) -> Outcome:
    """The outcome that a document holds; fields that are not known are ignored.

    ``ValueError`` says what is wrong with a document of another shape. A document from strangers is to be
    checked against the schema first: this reads, and does not distrust.
    """
    if not isinstance(document, Mapping) or "version" not in document:
        raise ValueError("this is not an outcome document: it has no `version`")
    if document["version"] != VERSION:
        raise ValueError(f"version {document['version']} of the outcome document is not version {VERSION}")
    try:
        return _outcome(document)
    except KeyError as error:
        raise ValueError(f"this is not an outcome document: {error.args[0]!r} is missing") from error
    except (TypeError, AttributeError, ValueError) as error:
        raise ValueError(f"this is not an outcome document: {error}") from error


def _kitchen(kitchen: Kitchen) -> dict[str, Any]:
    return {
        "repository": kitchen.repository,
        "branch": kitchen.branch,
        "namespace": kitchen.namespace,
        "environment": kitchen.environment,
        "base": kitchen.base,
        **({"birth": kitchen.birth} if kitchen.birth > 1 else {}),
        **({"fork": True} if kitchen.fork else {}),
    }


def _node(node: NodeResult, clean: Callable[[dict[str, Any]], dict[str, Any]]) -> dict[str, Any]:
    failure = node.failure
    said = {
        "node": node.node,
        "kind": node.kind,
        "state": node.state.value,
        "started": _time(node.started) if node.started else None,
        "seconds": node.seconds,
        "attempts": node.attempts,
        "continued": node.continued,
        "failure": failure
        and {
            "kind": failure.kind,
            "message": failure.message,
            "place": _place(failure.place),
            "hint": failure.hint,
        },
        "reasons": list(node.reasons),
        "log": node.log,
        "log_tail": list(node.log_tail),
        "metrics": _figures(node.metrics),
        "links": dict(node.links),
        "place": _place(node.place),
        "owner": node.owner,
    }
    value = clean({**said, "tests": [_test(t) for t in node.tests]})
    value["build"] = _build(node.build) if node.build else None
    return value


def _build(build: Build) -> dict[str, Any]:
    """A build without its statistics: the least and the greatest value of a column are values of rows."""
    value = build_to_json(build)
    open_versions = list(value["versions"].values())
    while open_versions:
        version = open_versions.pop()
        version["stats"] = {}
        open_versions += version.get("inputs", {}).values()
    return value


def _test(test: TestResult) -> dict[str, Any]:
    value = test_result_to_json(test)
    if test.metrics:
        value["metrics"] = _figures(test.metrics)
    if test.waived is not None:  # here and not with the verdicts that the store keeps: those know no waiver
        said = {"reason": test.waived.reason, "approver": test.waived.approver}
        value["waived"] = {**said, "expires": test.waived.expires, "place": _place(test.waived.place)}
    return value


def _place(place: Place | None) -> list[str | int] | None:
    return None if place is None else [place.file, place.line, place.column]


def _time(time: datetime) -> str:
    return time.astimezone(UTC).isoformat()


def _figures(figures: Mapping[str, float]) -> dict[str, float | str]:
    return {name: value if isfinite(value) else str(float(value)) for name, value in figures.items()}


def _as_it_is(value: dict[str, Any]) -> dict[str, Any]:
    return value


def _clean(value: dict[str, Any]) -> dict[str, Any]:
    """The same value with text that UTF-8 can hold; nearly all is ASCII, which is found out quickly."""
    if json.dumps(value, ensure_ascii=False).isascii():
        return value
    cleaned: dict[str, Any] = encodable_values(value)
    return cleaned


# --- back --------------------------------------------------------------------------------------


def _outcome(document: Mapping[str, Any]) -> Outcome:
    project, kitchen, subject = document["project"], document["kitchen"], document["subject"]
    publication = document["publication"]
    return Outcome(
        run=document["run"],
        project=project["name"],
        project_id=project["id"],
        recipe=document["recipe"],
        variation=document["variation"],
        kitchen=Kitchen(
            project_id=project["id"],
            repository=kitchen["repository"],
            branch=kitchen["branch"],
            namespace=kitchen["namespace"],
            environment=kitchen["environment"],
            base=kitchen["base"],
            birth=kitchen.get("birth", 1),
            fork=kitchen.get("fork", False),
        ),
        subject=Subject(subject["commit"], subject["tree"], subject["dirty"]),
        started=datetime.fromisoformat(document["started"]),
        finished=datetime.fromisoformat(document["finished"]),
        verdict=Verdict(document["verdict"]),
        nodes=tuple(_node_from(n) for n in document["nodes"]),
        publication=Publication(
            publication["state"],
            publication["reason"],
            publication["sequence"],
            tuple(publication["datasets"]),
        ),
        candidate=document["candidate"],
        signal=document["signal"],
        tools=dict(document["tools"]),
        public_columns={d: tuple(c) for d, c in document["public_columns"].items()},
        complete=document["complete"],
    )


def _node_from(value: Mapping[str, Any]) -> NodeResult:
    failure, build = value["failure"], value["build"]
    return NodeResult(
        node=value["node"],
        kind=value["kind"],
        state=State(value["state"]),
        started=datetime.fromisoformat(value["started"]) if value["started"] else None,
        seconds=value["seconds"],
        attempts=value["attempts"],
        build=build_from_json(build) if build is not None else None,
        tests=tuple(_test_from(t) for t in value["tests"]),
        failure=failure
        and Failure(failure["kind"], failure["message"], _place_from(failure["place"]), failure["hint"]),
        reasons=tuple(value["reasons"]),
        log=value["log"],
        log_tail=tuple(value["log_tail"]),
        metrics=_figures_from(value["metrics"]),
        links=dict(value["links"]),
        continued=value["continued"],
        place=_place_from(value["place"]),
        owner=value["owner"],
    )


def _test_from(value: Mapping[str, Any]) -> TestResult:
    result = test_result_from_json({**value, "metrics": _figures_from(value["metrics"])})
    waived = value.get("waived")
    return result if waived is None else replace(result, waived=_waived_from(waived))


def _waived_from(value: Mapping[str, Any]) -> Waived:
    return Waived(value["reason"], value["approver"], value["expires"], _place_from(value["place"]))


def _place_from(value: Any) -> Place | None:
    return None if value is None else Place(*value)


def _figures_from(figures: Mapping[str, float | str]) -> dict[str, float]:
    return {name: float(value) for name, value in figures.items()}
