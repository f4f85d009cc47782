"""An incident becomes a message: the same facts for every channel, in plain text, bounded. Pure.

Each channel writes them in its own way and makes them safe for it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Literal
from urllib.parse import quote

from gitkitchen.alerts.shapes import Delivery, Happening, Incident, What
from gitkitchen.printed import mask, text_safe
from gitkitchen.report.text import encodable, one_line

TITLE = 180
TEXT = 500
CHANGED = 8
_WEB = re.compile(r"https?://[^\s<>\"'`|]{1,1900}")
_EVENTS: Mapping[What, str] = {
    What.NODE_FAILED: "failed",
    What.TEST_FAILED: "failed",
    What.TEST_WARNED: "warns",
    What.COULD_NOT_CHECK: "could not be checked",
    What.RUN_CANCELLED: "was cancelled",
    What.SCHEDULE_LATE: "is late",
    What.SCHEDULE_MISSED: "was missed",
    What.INPUT_NOT_READY: "waits for an input that is not ready",
    What.PROMOTION_REFUSED: "a promotion was refused",
    What.ENVIRONMENT_BROKEN: "is broken",
    What.DRIFT: "was changed by hand",
    What.RECOVERED: "recovered",
}


@dataclass(frozen=True, slots=True)
class Words:
    """One message. ``facts``: label and text, in the order of weight; ``id`` the same however often it is
    sent. Texts hold no control characters and are bounded; nothing in them is markup."""

    id: str
    incident: str
    kind: Literal["opened", "updated", "closed", "test"]
    title: str
    severity: str
    facts: tuple[tuple[str, str], ...] = ()
    changed: tuple[str, ...] = ()
    command: str = ""
    runbook: str = ""
    """A text, or an address where ``is_web`` says so."""
    job: str = ""
    fields: Mapping[str, Any] | None = None
    """What a template may say: ``kitchen/alerting.py`` FIELDS."""

    @property
    def colour(self) -> str:
        """``good``, ``warning`` or ``attention``; never the only sign of it."""
        if self.kind in ("closed", "test"):
            return "good"
        return "attention" if self.severity == "stop" else "warning"


def is_web(text: str) -> bool:
    """Whether a text is an address of the web and nothing else."""
    return bool(_WEB.fullmatch(text))


def words_of(
    delivery: Delivery, *, project: str = "", repository: str = "", masks: Sequence[str] = ()
) -> Words:
    """The words of a delivery. ``repository``: its page's address, for files; ``masks``: secrets, which are
    in no text that leaves, whatever said it."""
    incident, last = delivery.incident, delivery.incident.last

    def clean(text: str, most: int = TEXT) -> str:
        flat = one_line(encodable(text_safe(mask(text, list(masks)) if masks else text)))
        return flat if len(flat) <= most else f"{flat[: most - 1]}…"

    changed = (
        incident.first.changed if delivery.message != "opened" else last.changed or incident.first.changed
    )
    until = _moment(incident.closed) if incident.closed else ""
    title = clean(_title(delivery, project), TITLE)
    runbook = clean(_runbook(last, repository), 1900 if _WEB.match(last.runbook) or repository else TEXT)
    words = Words(
        id=delivery.id,
        incident=incident.id,
        kind=delivery.message,
        title=title,
        severity=incident.severity.value,
        facts=tuple((label, clean(text)) for label, text in _facts(incident, until) if text),
        changed=tuple(clean(text, 200) for text in changed[:CHANGED]),
        command=clean(last.reproduce, 1500),
        runbook=runbook,
        job=clean(last.job, 1900) if is_web(last.job) else "",
    )
    plain = {
        "event": last.event.value if incident.is_open else What.RECOVERED.value,
        "environment": last.environment,
        "recipe": last.recipe,
        "node": last.node,
        "test": last.test,
        "owner": last.owner,
        "said": last.said,
        "observed": last.observed,
        "expected": last.expected,
        "since": incident.first.at.astimezone(UTC).isoformat(),
        "until": incident.closed.astimezone(UTC).isoformat() if incident.closed else "",
        "run": last.run,
        "commit": last.commit,
    }
    return replace(words, fields=_fields(words, {k: clean(v) for k, v in plain.items()}, incident.count))


def test_words(channel: str, now: datetime, *, project: str) -> Words:
    """A message that says that it is a test."""
    at = _moment(now)
    words = Words(
        id=f"test.{channel}.{now:%Y%m%dT%H%M%SZ}",
        incident="test",
        kind="test",
        title=one_line(f"[TEST] {project}: channel {channel} works")[:TITLE],
        severity="log",
        facts=(("What", "this is a test of an alert: nothing failed"), ("Sent", at)),
    )
    names = (
        "event",
        "environment",
        "recipe",
        "node",
        "test",
        "owner",
        "observed",
        "expected",
        "until",
        "run",
    )
    plain = {**dict.fromkeys((*names, "commit"), ""), "said": words.facts[0][1], "since": now.isoformat()}
    return replace(words, fields=_fields(words, plain, 0))


test_words.__test__ = False  # type: ignore[attr-defined]


def _fields(words: Words, plain: Mapping[str, str], failures: int) -> dict[str, Any]:
    return {
        **plain,
        "id": words.id,
        "incident": words.incident,
        "kind": words.kind,
        "title": words.title,
        "severity": words.severity,
        "count": failures,
        "changed": list(words.changed),
        "command": words.command,
        "runbook": words.runbook,
        "job": words.job,
    }


def subject_of(seen: Happening) -> str:
    """What failed, by name."""
    if seen.test:
        return f"{seen.recipe}: {seen.test}"
    if seen.node:
        return f"{seen.recipe}: {seen.node}"
    if seen.variation:
        return f"{seen.recipe}: schedule {seen.variation}"
    return seen.recipe or f"environment {seen.environment}"


def _title(delivery: Delivery, project: str) -> str:
    incident, last = delivery.incident, delivery.incident.last
    about = subject_of(last)
    if delivery.message == "closed":
        how = "a promotion landed again" if last.about == "promotion" else "recovered"
        about = "" if last.about == "promotion" else about
    elif last.about == "promotion":
        about, how = "", _EVENTS[last.event]
    else:
        how = _EVENTS[last.event]
    again = " again" if delivery.message != "closed" and incident.flaps else ""
    where = f"{project} {last.environment}".strip()
    return f"[{where}] {about} {how}{again}".replace("  ", " ")


def _facts(incident: Incident, until: str) -> list[tuple[str, str]]:
    last = incident.last
    found = [
        ("What", last.said),
        ("Observed", last.observed),
        ("Expected", last.expected),
        ("Since", _moment(incident.first.at)),
        ("Failures in a row", f"{incident.count:,}"),
        ("Flapping", "it was well in between: told again once it stays well" if incident.flaps else ""),
        ("Recovered", f"{until} ({incident.well})" if until and incident.well else until),
        ("Owner", last.owner),
        ("Severity", incident.severity.value),
        ("Run", last.run if last.recipe else ""),
        ("Commit", last.commit[:12]),
        ("Data of", " to ".join(_moment(moment) for moment in last.interval) if last.interval else ""),
    ]
    if not incident.is_open:
        found = [(label, text) for label, text in found if label != "Flapping"]
    return found


def _runbook(last: Happening, repository: str) -> str:
    """An address as it is; a file of the repository by its page there, where that is known."""
    text = last.runbook
    file = re.fullmatch(r"[^\s:]{1,200}\.(md|markdown|txt|html)", text)
    if file and is_web(repository) and last.commit:
        return f"{repository}/blob/{last.commit}/{quote(text)}"
    return text


def _moment(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
