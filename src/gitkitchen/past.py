"""The runs of a kitchen: found, listed, read back."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gitkitchen.errors import Infrastructure, Mistake, Place, Problem
from gitkitchen.model import (
    Outcome,
    Verdict,
)
from gitkitchen.workplace import Workplace

if TYPE_CHECKING:
    pass

Layer = tuple[str, Mapping[str, Any], Mapping[str, Place]]


def runs(place: Workplace) -> list[Path]:
    """The folders of all runs kept here, newest first."""
    folder = place.project.state / "runs"
    return sorted((p for p in folder.iterdir() if p.is_dir()), reverse=True) if folder.is_dir() else []


def find_run(place: Workplace, name: str) -> str:
    """A run by its id, the unique beginning of one, or ``last``: this kitchen's newest."""
    folders = runs(place)
    if name == "last":
        own = next((p for p in folders if mark_of(p).get("namespace") == place.kitchen.namespace), None)
        if own is None:
            raise Mistake(
                Problem(
                    f"nothing was run in kitchen '{place.kitchen.label}' yet", hint="`gitkitchen run` first"
                )
            )
        return own.name
    names = [p.name for p in folders]
    matches = [n for n in names if n == name] or [n for n in names if n.startswith(name)]
    if len(matches) == 1:
        return matches[0]
    what = "is not unique" if matches else "does not exist here"
    raise Mistake(Problem(f"run '{name}' {what}", hint="`gitkitchen log` lists the runs"))


def was_interrupted(place: Workplace, run_id: str) -> bool:
    """Whether a run was killed or cancelled: it has no outcome, or one that says so."""
    try:
        document = json.loads((place.run_folder(run_id) / "outcome.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return True
    return bool(document.get("verdict") == Verdict.CANCELLED.value)


def last_interrupted(place: Workplace) -> str:
    """This kitchen's newest run that was interrupted."""
    for folder in runs(place):
        own = mark_of(folder).get("namespace") == place.kitchen.namespace
        if own and was_interrupted(place, folder.name):
            return folder.name
    raise Mistake(
        Problem(
            f"no run of kitchen '{place.kitchen.label}' was interrupted",
            hint="`gitkitchen run` begins a new one",
        )
    )


_MARK = {"run", "recipe", "variation", "sets", "select", "tree", "namespace", "started"}


def mark_of(folder: Path) -> dict[str, Any]:
    """The mark that a run left before its first node; empty where it left none.

    Raises Infrastructure for one that is damaged: nobody can say then which kitchen the run was of.
    """
    path = folder / "run.json"
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, RecursionError):
        found = None
    if isinstance(found, dict) and found.keys() >= _MARK:
        return found
    hint = f"restore it, or remove the folder {folder}; what was built and published stays"
    raise Infrastructure(
        Problem(f"the mark of run '{folder.name}' is damaged: {path}", hint=hint, code="mark")
    )


def history(place: Workplace, limit: int) -> list[dict[str, Any]]:
    """The newest runs of this kitchen, newest first: what the ledger remembers, and runs that never ended."""
    prefix = f"runs/{place.kitchen.namespace}/"
    records = (r for stream in place.ledger.streams(prefix) for r in place.ledger.read(stream))
    # A resumed run has a record for each time that it ended: the last one counts.
    known = {str(r.body["run"]): dict(r.body) for r in records if "run" in r.body}
    rows = list(known.values())
    for folder in runs(place):
        begun = mark_of(folder) if folder.name not in known else {}
        if begun.get("namespace") == place.kitchen.namespace:
            rows.append(begun | {"verdict": "interrupted"})
    rows.sort(key=lambda row: str(row.get("started")), reverse=True)
    return rows[:limit]


def load_outcome(place: Workplace, run_id: str) -> Outcome:
    """The outcome of a run, as its file holds it."""
    from gitkitchen.report.outcome import from_document

    path = place.run_folder(run_id) / "outcome.json"
    try:
        return from_document(json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        raise Mistake(
            Problem(
                f"run '{run_id}' has no outcome: it was interrupted",
                hint=f"`gitkitchen run --resume {run_id}` ends it",
            )
        ) from None
    except (ValueError, KeyError, TypeError) as error:
        raise Infrastructure(
            Problem(f"the outcome of run '{run_id}' cannot be read ({error})", hint="run it again")
        ) from error
