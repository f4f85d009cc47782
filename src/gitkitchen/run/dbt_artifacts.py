"""What dbt wrote of a build (run_results.json, manifest.json), read as a claim: whole, of this very
process, in a version that is known; else it is no evidence.

The shapes are those of dbt's published schemas, run-results v6 and manifest v12 (dbt-core 1.8 to 1.11).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from gitkitchen.frozen import dataclass

MOST_BYTES = 128_000_000
MOST_RESULTS = 50_000
_KNOWN = {"run-results": 6, "manifest": 12}
_SCHEMA = re.compile(r"https://schemas\.getdbt\.com/dbt/(?P<name>[a-z-]+)/v(?P<number>\d+)\.json")
TESTS = frozenset({"test", "unit_test"})


class NoEvidence(ValueError):
    """dbt left nothing that can be believed; the message is a sentence about its file."""


@dataclass(frozen=True, slots=True)
class Item:
    """One thing that dbt did. ``kind``: model, seed, snapshot, test, unit_test, …; ``column`` and
    ``about`` say what a generic test is about; ``relation`` is the quoted name of what a model became."""

    id: str
    kind: str
    name: str
    status: str
    message: str
    seconds: float
    failures: int | None
    file: str
    patch: str
    severity: str
    relation: str
    column: str
    about: str


def read_artifacts(folder: Path, token: str) -> tuple[Item, ...]:
    """All that the process with this ``token`` did. Raises NoEvidence."""
    results = _document(folder / "run_results.json", "run-results", token)
    manifest = _document(folder / "manifest.json", "manifest", token)
    if results["metadata"].get("invocation_id") != manifest["metadata"].get("invocation_id"):
        raise NoEvidence("run_results.json and manifest.json are of different runs of dbt")
    entries = results.get("results")
    if not isinstance(entries, list) or len(entries) > MOST_RESULTS:
        raise NoEvidence(f"run_results.json has no list of at most {MOST_RESULTS:,} results")
    return tuple(_items(entries, manifest))


def model_names(folder: Path, token: str) -> dict[str, str]:
    """Every model and seed of the project by name, with how it is materialised."""
    manifest = _document(folder / "manifest.json", "manifest", token)
    nodes = _mapping(manifest, "nodes").values()
    return {
        str(n.get("name")): str((n.get("config") or {}).get("materialized"))
        for n in nodes
        if n.get("resource_type") in ("model", "seed")
    }


def _document(path: Path, name: str, token: str) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            data = file.read(MOST_BYTES + 1)
    except OSError as error:
        raise NoEvidence(f"it left no {path.name}") from error
    if len(data) > MOST_BYTES:
        raise NoEvidence(f"its {path.name} is larger than {MOST_BYTES:,} bytes")
    try:
        value = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise NoEvidence(f"its {path.name} is not JSON: it may have been killed while writing") from error
    metadata = value.get("metadata") if isinstance(value, dict) else None
    if not isinstance(metadata, dict):
        raise NoEvidence(f"its {path.name} is no artifact of dbt")
    said = _SCHEMA.fullmatch(str(metadata.get("dbt_schema_version")))
    if said is None or said["name"] != name or int(said["number"]) != _KNOWN[name]:
        found = f"v{said['number']}" if said else "no known version"
        message = f"its {path.name} is of {found} (dbt {metadata.get('dbt_version')})"
        raise NoEvidence(f"{message}; v{_KNOWN[name]} is read, which dbt-core 1.8 to 1.11 write")
    if (metadata.get("env") or {}).get("GITKITCHEN") != token:
        raise NoEvidence(f"its {path.name} is of another run of dbt")
    return dict(value)


def _items(entries: list[Any], manifest: Mapping[str, Any]) -> Iterator[Item]:
    nodes = {**_mapping(manifest, "nodes"), **_mapping(manifest, "unit_tests")}
    others = {**_mapping(manifest, "exposures"), **_mapping(manifest, "saved_queries")}
    for entry in entries:
        if not isinstance(entry, dict) or not isinstance(entry.get("unique_id"), str):
            raise NoEvidence("run_results.json has a result without a name")
        key = entry["unique_id"]
        node = nodes.get(key) or others.get(key)
        if not isinstance(node, dict):
            raise NoEvidence(f"run_results.json has a result of '{key[:200]}', which manifest.json has not")
        config = node.get("config") if isinstance(node.get("config"), dict) else {}
        about = str(node.get("attached_node") or "").split(".")
        yield Item(
            id=key,
            kind=str(node.get("resource_type")),
            name=str(node.get("name")),
            status=str(entry.get("status")),
            message=str(entry.get("message") or ""),
            seconds=_number(entry.get("execution_time")),
            failures=entry.get("failures") if isinstance(entry.get("failures"), int) else None,
            file=str(node.get("original_file_path") or ""),
            patch=str(node.get("patch_path") or "").partition("://")[2],
            severity=str((config or {}).get("severity") or "error").lower(),
            relation=str(node.get("relation_name") or ""),
            column=str(node.get("column_name") or ""),
            about=about[2] if len(about) > 2 else str(node.get("model") or ""),
        )


def _mapping(value: Mapping[str, Any], key: str) -> dict[str, Any]:
    found = value.get(key)
    return found if isinstance(found, dict) else {}


def _number(value: Any) -> float:
    good = isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value < 1e9
    return float(value) if good else 0.0


# --- what it printed -----------------------------------------------------------------------------

_STAMP = re.compile(r"^\d{2}:\d{2}:\d{2}(\.\d+)?\s*")


def complaint(lines: tuple[str, ...]) -> str:
    """What dbt said went wrong, from the end of what it printed; "" where it said nothing."""
    said = [_STAMP.sub("", line).rstrip() for line in lines]
    for number, line in enumerate(said):
        if line.strip().startswith("Encountered an error"):
            found = [text.strip() for text in said[number + 1 :] if text.strip()]
            return "\n".join(found[:12])[:1500]
    marked = [line.strip() for line in said if "rror" in line]
    return (marked[-1] if marked else next((t.strip() for t in reversed(said) if t.strip()), ""))[:600]
