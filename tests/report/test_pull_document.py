"""The pull-request document: what leaves in it, and what is refused of a stranger's."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitkitchen.document import schema
from gitkitchen.errors import Mistake
from gitkitchen.model import Failure, Outcome, State, TestState, Verdict
from gitkitchen.report import diff_reading
from gitkitchen.report.diff import document as diff_document
from gitkitchen.report.outcome import to_document as outcome_document
from gitkitchen.report.redaction import public
from gitkitchen.report.surfaces.checks import concluded
from gitkitchen.report.surfaces.comment import comment
from gitkitchen.report.surfaces.document import (
    MAX_BYTES,
    MAX_DEPTH,
    from_document,
    read,
    to_document,
    to_json,
)
from gitkitchen.report.surfaces.pull import Pull
from gitkitchen.report.surfaces.summary import summary
from pulls import GREEN, SOURCES, cases, difference, hostile, judged, node, outcome

PLAIN = jsonschema.Draft202012Validator(schema("pull"))
SECRET = "Jane-Doe-4711"


@pytest.mark.parametrize("name", list(cases()))
def test_a_document_says_all_that_is_shown(name: str) -> None:
    """Written and read again, a document renders to the same comment, checks and summary."""
    pull = cases()[name]
    again = read(to_json(pull).encode())
    assert PLAIN.is_valid(to_document(pull))
    assert comment(again) == comment(pull)
    assert concluded(again) == concluded(pull)
    assert summary(again) == summary(pull)


def test_every_hostile_text_survives_the_way_through_json() -> None:
    """What strangers write is carried as it is, and only made harmless where it is shown."""
    pull = hostile()
    again = read(to_json(pull).encode())
    assert (again.changes, again.policy, again.waivers) == (pull.changes, pull.policy, pull.waivers)
    assert comment(again) == comment(pull)


def test_text_that_utf8_cannot_hold_is_replaced_on_both_sides_of_the_way() -> None:
    """Half a surrogate, of a file's name or sent as an escape, is shown as unknown and stops nothing."""
    torn = "late\ud83d"
    pull = replace(cases()["failed"], touched={torn: ((1, 2),), "late\udcff": ((3, 4),)})
    text = to_json(pull)
    assert read(text.encode()).touched == {"late\ufffd": ((3, 4),)}
    raw = json.dumps(to_document(cases()["failed"]) | {"touched": {torn: [[1, 2]], "\U0001f373": []}})
    assert "\\ud83d" in raw
    assert list(read(raw.encode()).touched) == ["late\ufffd", "\U0001f373"]


def secretive() -> Pull:
    """A failing test whose rows, message, log, links and statistics hold a value that is not public."""
    test = judged(
        "late", "pattern(name)", TestState.FAILED, failing=1, tested=2, dataset="late", kind="no_rows",
        observed=f"the value '{SECRET}'", message=f"Could not convert string '{SECRET}' to INT32\n{SECRET}",
        sample=({"name": SECRET, "id": SECRET},),
    )  # fmt: skip
    bad = node("late", State.FAILED, test, rows=2, why=Failure("test", f"value '{SECRET}'\n{SECRET}"))
    bad = replace(bad, log="late.log", log_tail=(SECRET,), links={"x": f"https://e.example/{SECRET}"})
    return replace(
        cases()["failed"],
        recipes=(outcome((*SOURCES, bad), Verdict.FAILED),),
        differences=(with_values(),),
    )


def with_values() -> Any:
    one = difference(breaking=True)
    changed = one.datasets[3]
    assert changed.data is not None
    profiles = [
        replace(p, minimum=SECRET, quantiles=(SECRET,) * 5) for p in (changed.data.columns[0].a,) if p
    ]
    column = replace(changed.data.columns[0], a=profiles[0], b=profiles[0])
    data = replace(changed.data, columns=(column,))
    return replace(one, datasets=(replace(changed, data=data),))


def test_values_that_are_not_public_are_in_no_surface_and_not_in_the_document() -> None:
    """Rows, messages, logs, links, quantiles: what is not declared public leaves nowhere."""
    pull = secretive()
    assert SECRET not in to_json(pull)
    assert SECRET not in comment(pull).whole + summary(pull)
    for check in concluded(pull):
        told = [check.title, check.summary, check.text, *(a.message + a.title for a in check.annotations)]
        assert SECRET not in "".join(told)


def test_public_columns_keep_their_values() -> None:
    """A column declared public shows its failing rows in the summary, and the others read hidden."""
    test = judged(
        "late", "range(id)", TestState.FAILED, failing=1, tested=2, sample=({"id": "7", "name": SECRET},)
    )
    bad = outcome(
        (node("late", State.FAILED, test, rows=2),), Verdict.FAILED, public_columns={"late": ("id",)}
    )
    shown = summary(replace(cases()["failed"], recipes=(bad,)))
    assert "| 7 | *hidden* |" in shown
    assert SECRET not in shown


@given(data=st.data())
def test_to_redact_twice_changes_nothing(data: st.DataObject, outcomes: st.SearchStrategy[Outcome]) -> None:
    """What has left once may be written again: the poster's document equals the job's."""
    once = public(data.draw(outcomes))
    assert outcome_document(public(once)) == outcome_document(once)


def test_a_comparison_survives_its_document() -> None:
    """The diff document, read and written again, is the same document."""
    for breaking in (False, True):
        first = diff_document(difference(breaking))
        assert diff_document(diff_reading.from_document(first)) == first


def broken(change: Callable[[dict[str, Any]], Any]) -> bytes:
    value = to_document(cases()["failed"])
    change(value)
    return json.dumps(value).encode()


def test_what_is_too_large_or_too_deep_or_no_json_is_refused_unread() -> None:
    """Bombs of bytes and of brackets, bad encodings, NaN and repeated keys end in one sentence each."""
    deep = b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}"
    level = json.dumps({"x": json.loads("[" * MAX_DEPTH + "]" * MAX_DEPTH)}).encode()
    for raw, said in (
        (b" " * (MAX_BYTES + 1), "bytes"),
        (deep, "no JSON"),
        (level, "nested deeper"),
        (b"\xff\xfe{}", "no JSON"),
        (b'{"version": NaN}', "NaN is no number"),
        (b'{"version": 1, "version": 1}', "twice"),
        (b'{"run": ' + b"9" * 5000 + b"}", "no JSON"),
        (b"", "no JSON"),
    ):
        with pytest.raises(Mistake, match=said) as caught:
            read(raw)
        assert caught.value.problems[0].code == "bad-document"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda d: d.update(version=2), "1 was expected"),
        (lambda d: d.update(head="HEAD; rm -rf /"), "does not match"),
        (lambda d: d.update(extra=1), "extra"),
        (lambda d: d.pop("tree"), "'tree' is a required property"),
        (lambda d: d["recipes"][0].pop("nodes"), r"recipes\[0\].*'nodes' is a required property"),
        (lambda d: d["recipes"][0].update(verdict="green"), "is not one of"),
        (lambda d: d["recipes"][0].update(started="yesterday"), "Invalid isoformat"),
        (lambda d: d["recipes"][0].update(started="2026-11-21T05:17:03"), "no time zone"),
        (lambda d: d["recipes"].append(d["recipes"][0]), "same recipe"),
        (lambda d: d["differences"][0]["datasets"][2].pop("data"), r"differences\[0\].*'data' is a required"),
        (lambda d: d["differences"][0].update(values="secret"), "is not one of"),
        (lambda d: d.update(changes=[{}] * 20_001), "larger than 20,000"),
        (lambda d: d["policy"].append({"code": "x" * 201}), "larger than 200|required"),
        (lambda d: d["run"].update(id=-1), "less than the minimum"),
        (lambda d: d.update(event="pull_request\n::error::"), "does not match"),
    ],
    ids=lambda value: "" if callable(value) else value[:16].strip().replace(" ", "-"),
)
def test_a_document_of_another_shape_is_refused(change: Callable[[dict[str, Any]], Any], said: str) -> None:
    """Whatever departs from the schema, or says what cannot be, is refused with where and why."""
    with pytest.raises(Mistake, match=said):
        read(broken(change))


def test_documents_are_data_only() -> None:
    """A document that is no mapping is refused like any other."""
    for value in (None, [], "x", 1):
        with pytest.raises(Mistake):
            from_document(value)


def test_a_document_of_a_large_recipe_is_small() -> None:
    """File lists, statistics and SQL of versions stay behind: 500 nodes are well below a megabyte."""
    nodes = tuple(replace(GREEN.nodes[2], node=f"model_{i}") for i in range(500))
    pull = replace(cases()["passed"], recipes=(replace(GREEN, nodes=nodes),))
    assert len(to_json(pull)) < 1_000_000
