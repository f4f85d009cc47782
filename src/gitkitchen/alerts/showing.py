"""Incidents as people and machines read them. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gitkitchen.alerts.incidents import written
from gitkitchen.alerts.message import subject_of
from gitkitchen.alerts.shapes import Incident
from gitkitchen.model import Alerts
from gitkitchen.report.text import count, safe


def document(incidents: Sequence[Incident]) -> dict[str, Any]:
    """``alerts --json``."""
    return {"version": 1, "incidents": [_one(incident) for incident in incidents]}


def _one(incident: Incident) -> dict[str, Any]:
    return {
        "incident": incident.id,
        "key": incident.key,
        "state": "open" if incident.is_open else "closed",
        "severity": incident.severity.value,
        "since": incident.first.at.isoformat(),
        "until": incident.closed.isoformat() if incident.closed else None,
        "recovered_by": incident.well or None,
        "failures": incident.count,
        "flaps": incident.flaps,
        "first": written(incident.first),
        "last": written(incident.last),
        "due": sorted(incident.due),
        "told": {
            name: {
                "message": told.message,
                "state": told.state,
                **({"ref": told.ref} if told.ref else {}),
                **({"with": told.group} if told.group else {}),
            }
            for name, told in sorted(incident.told.items())
        },
    }


def as_text(incidents: Sequence[Incident], alerts: Alerts) -> str:
    """A paragraph an incident."""
    if not incidents:
        return "nothing is open"
    return "\n".join(line for incident in incidents for line in _lines(incident, alerts))


def _lines(incident: Incident, alerts: Alerts) -> list[str]:
    last = incident.last
    until = f", recovered {incident.closed:%Y-%m-%d %H:%M}" if incident.closed else ""
    since = (
        f"since {incident.first.at:%Y-%m-%d %H:%M} UTC, {count(incident.count, 'failure')} in a row{until}"
    )
    lines = [
        f"{incident.id}  {last.environment}  {incident.severity.value}  {subject_of(last)}",
        f"  {since}",
    ]
    lines += [f"  {last.said}"] if last.said else []
    if last.observed or last.expected:
        lines.append(f"  observed {last.observed or 'nothing'}; expected {last.expected or 'nothing'}")
    lines += [f"  owner {last.owner}"] if last.owner else []
    lines += [f"  runbook {last.runbook}"] if last.runbook else []
    lines += [f"  {last.reproduce}"] if last.reproduce else []
    told = [
        f"{name} ({told.message}{f' with {told.group}' if told.group else ''})"
        for name, told in sorted(incident.told.items())
    ]
    waits = [
        f"{name} (waits)" for name in sorted(incident.due & alerts.channels.keys() - incident.told.keys())
    ]
    lines.append(f"  told: {', '.join([*told, *waits]) or 'nobody: no rule is for it'}")
    return [safe(line) for line in lines]
