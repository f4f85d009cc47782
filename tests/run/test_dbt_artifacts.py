"""What dbt leaves is a claim: of another run, version or shape it is no evidence."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from gitkitchen.run.dbt_artifacts import NoEvidence, complaint, model_names, read_artifacts

TOKEN = "t0ken"
SCHEMAS = "https://schemas.getdbt.com/dbt"


def write(folder: Path, name: str, version: int, **more: Any) -> None:
    metadata = {
        "dbt_schema_version": f"{SCHEMAS}/{name}/v{version}.json",
        "dbt_version": "1.11.16",
        "invocation_id": "i",
        "env": {"GITKITCHEN": TOKEN},
    }
    metadata |= more.pop("metadata", {})
    path = folder / f"{name.replace('-', '_')}.json"
    path.write_text(json.dumps({"metadata": metadata, **more}), encoding="utf-8")


@pytest.fixture
def target(tmp_path: Path) -> Path:
    """The artifacts of a build of one model with one test that warns."""
    nodes = {
        "model.p.a": {
            "resource_type": "model",
            "name": "a",
            "original_file_path": "models/a.sql",
            "relation_name": '"b"."main"."a"',
            "config": {"materialized": "table"},
        },
        "test.p.u": {
            "resource_type": "test",
            "name": "u",
            "original_file_path": "models/s.yml",
            "config": {"severity": "WARN"},
            "attached_node": "model.p.a",
            "column_name": "id",
        },
    }
    results = [
        {"unique_id": "model.p.a", "status": "success", "execution_time": 0.5},
        {"unique_id": "test.p.u", "status": "warn", "failures": 2, "message": "Got 2 results"},
    ]
    write(tmp_path, "manifest", 12, nodes=nodes)
    write(tmp_path, "run-results", 6, results=results)
    return tmp_path


def test_what_dbt_did_is_read(target: Path) -> None:
    """Models and tests with status, time, file, severity, and what a test is about."""
    model, test = read_artifacts(target, TOKEN)
    assert (model.kind, model.name, model.status, model.seconds) == ("model", "a", "success", 0.5)
    assert model.relation == '"b"."main"."a"'
    assert (test.status, test.failures, test.severity, test.about, test.column) == (
        "warn",
        2,
        "warn",
        "a",
        "id",
    )
    assert model_names(target, TOKEN) == {"a": "table"}


CHANGES: dict[str, tuple[str, dict[str, Any], str]] = {
    "stale": ("run-results", {"metadata": {"env": {"GITKITCHEN": "of before"}}}, "is of another run of dbt"),
    "no-token": ("manifest", {"metadata": {"env": {}}}, "manifest.json is of another run of dbt"),
    "mixed": ("manifest", {"metadata": {"invocation_id": "j"}}, "are of different runs of dbt"),
    "older": ("run-results", {"version": 4}, "is of v4 (dbt 1.11.16); v6 is read"),
    "newer": ("manifest", {"version": 13}, "is of v13 (dbt 1.11.16); v12 is read"),
    "no-version": ("run-results", {"metadata": {"dbt_schema_version": "x"}}, "is of no known version"),
    "no-results": ("run-results", {"results": None}, "has no list of at most"),
    "nameless": ("run-results", {"results": [{}]}, "has a result without a name"),
    "unknown": ("run-results", {"results": [{"unique_id": "x"}]}, "which manifest.json has not"),
}


@pytest.mark.parametrize("what", sorted(CHANGES))
def test_other_artifacts_are_no_evidence(what: str, target: Path) -> None:
    """Artifacts of another run, version or shape are refused with what is wrong about them."""
    name, change, message = CHANGES[what]
    old = json.loads((target / f"{name.replace('-', '_')}.json").read_text())
    old.pop("metadata")
    version = {"run-results": 6, "manifest": 12}[name]
    write(
        target,
        name,
        change.get("version", version),
        **(old | {k: v for k, v in change.items() if k != "version"}),
    )
    with pytest.raises(NoEvidence) as raised:
        read_artifacts(target, TOKEN)
    assert message in str(raised.value)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"metadata": 1}', "[" * 100_000])
def test_broken_artifacts_are_no_evidence(text: str, target: Path) -> None:
    """A file that was cut off, or is none of dbt's, gives a sentence and no traceback."""
    (target / "run_results.json").write_text(text)
    with pytest.raises(NoEvidence, match=r"its run_results\.json is "):
        read_artifacts(target, TOKEN)
    (target / "run_results.json").unlink()
    with pytest.raises(NoEvidence, match=r"it left no run_results\.json"):
        read_artifacts(target, TOKEN)


def test_dbts_own_words_are_found() -> None:
    """What dbt printed of an error is told without its clock."""
    said = (
        "10:00:00  Running with dbt=1.11",
        "10:00:01  Encountered an error:",
        "Compilation Error",
        "  in model a",
    )
    assert complaint(said) == "Compilation Error\nin model a"
    assert complaint(("10:00:00  Database Error here", "10:00:01  bye")) == "Database Error here"
    assert complaint(()) == ""
