"""An incident becomes a message: the same facts for every channel, in plain text, bounded. Pure.

Each channel writes them in its own way and makes them safe for it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Literal
from urllib.parse import quote

from gitkitchen.alerts.incidents import RANK
from gitkitchen.alerts.shapes import Delivery, Happening, Incident, What
from gitkitchen.frozen import dataclass
from gitkitchen.model import Severity
from gitkitchen.printed import mask, text_safe
from gitkitchen.report.text import encodable, one_line

TITLE = 180
TEXT = 500
CHANGED = 8
LISTED = 10
"""Of several things, those that a message names; the rest is counted."""
THINGS = 50
"""The same where there is room."""
OWNERS = 5
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
    things: tuple[str, ...] = ()
    """Where it tells of several things, a line for each, the heaviest first; at most ``THINGS``."""
    total: int = 1
    """Of how many things it tells."""
    members: tuple[str, ...] = ()
    """The incidents that it tells of."""
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
    told = _told(delivery)
    last = told.last

    def clean(text: str, most: int = TEXT) -> str:
        flat = one_line(encodable(text_safe(mask(text, list(masks)) if masks else text)))
        return flat if len(flat) <= most else f"{flat[: most - 1]}…"

    title = clean(_title(delivery, told, project), TITLE)
    runbook = clean(_runbook(last, repository), 1900 if _WEB.match(last.runbook) or repository else TEXT)
    words = Words(
        id=delivery.id,
        incident=delivery.incident.id,
        kind=delivery.message,
        title=title,
        severity=told.severity.value,
        facts=tuple((label, clean(text)) for label, text in _facts(delivery, told) if text),
        changed=tuple(clean(text, 200) for text in _changed(delivery)[:CHANGED]),
        command=clean(last.reproduce, 1500),
        runbook=runbook,
        job=clean(last.job, 1900) if is_web(last.job) else "",
        things=tuple(clean(line, 300) for line in _things(delivery)[:THINGS]),
        total=len(delivery.incidents),
        members=tuple(incident.id for incident in delivery.incidents),
    )
    plain = {
        "event": last.event.value if told.is_open else What.RECOVERED.value,
        "environment": last.environment,
        "recipe": last.recipe,
        "node": last.node,
        "test": last.test,
        "owner": last.owner,
        "said": last.said,
        "observed": last.observed,
        "expected": last.expected,
        "since": told.first.at.astimezone(UTC).isoformat(),
        "until": told.closed.astimezone(UTC).isoformat() if told.closed else "",
        "run": last.run,
        "commit": last.commit,
    }
    return replace(words, fields=_fields(words, {k: clean(v) for k, v in plain.items()}, told.count))


def _told(delivery: Delivery) -> Incident:
    """What a message says as of one thing: of several, what they have in common, and how many they are."""
    if not delivery.more:
        return delivery.incident
    all_ = delivery.incidents
    open_ = [i for i in all_ if i.is_open]
    heavy = max(open_ or all_, key=lambda i: RANK[i.severity])  # the first of the heaviest

    def common(name: str) -> str:
        found = {getattr(i.last, name) for i in all_}
        return str(found.pop()) if len(found) == 1 else ""

    owners = tuple(dict.fromkeys(i.last.owner for i in all_ if i.last.owner))
    last = replace(
        heavy.last,
        said=_counted(all_),
        observed="",
        expected="",
        owner=", ".join((*owners[:OWNERS], *(["and others"] if len(owners) > OWNERS else []))),
        recipe=common("recipe"),
        node=common("node"),
        test=common("test"),
        runbook=common("runbook"),
    )
    closed = max((i.closed for i in all_ if i.closed is not None), default=None)
    return replace(
        heavy,
        first=min((i.first for i in all_), key=lambda f: f.at),
        last=last,
        count=max(i.count for i in all_),
        closed=None if open_ else closed,
        well="" if open_ else f"all {len(all_):,}",
        flaps=max(i.flaps for i in all_),
        severity=max((i.severity for i in all_), key=RANK.__getitem__),
    )


def _counted(all_: Sequence[Incident]) -> str:
    """``12 things failed: 10 with severity stop, 2 with warn; 3 of them recovered``."""
    stops = sum(i.severity is Severity.STOP for i in all_)
    well = sum(not i.is_open for i in all_)
    parts = [f"{stops:,} with severity stop"] if stops else []
    parts += [f"{len(all_) - stops:,} with warn"] if len(all_) > stops else []
    again = f"; {well:,} of them recovered" if well else ""
    return f"{len(all_):,} things failed: {', '.join(parts)}{again}"


def _things(delivery: Delivery) -> list[str]:
    """A line a thing, what fails first, of that the heaviest; none where there is but one."""
    if not delivery.more:
        return []
    order = sorted(delivery.incidents, key=lambda i: (not i.is_open, -RANK[i.severity]))
    return [_line(incident) for incident in order]


def _line(incident: Incident) -> str:
    last = incident.last
    how = _EVENTS[last.event] if incident.is_open else "recovered"
    if last.expected:
        why = f"{last.observed or 'nothing'}; expected {last.expected}"
    else:
        why = last.observed or last.said
    why = why if incident.is_open else ""
    return f"{subject_of(last)} {how}{': ' if why else ''}{why}"


def _changed(delivery: Delivery) -> tuple[str, ...]:
    found = [
        i.first.changed if delivery.message != "opened" else i.last.changed or i.first.changed
        for i in delivery.incidents
    ]
    return tuple(dict.fromkeys(text for texts in found for text in texts))


def listed(words: Words, most: int = LISTED) -> tuple[str, ...]:
    """The things that a message of several tells of, and how many more there are."""
    shown = words.things[:most]
    more = words.total - len(shown)
    return (*shown, f"and {more:,} more") if shown and more else shown


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
        "things": list(listed(words)),
        "total": words.total,
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


def _title(delivery: Delivery, told: Incident, project: str) -> str:
    last = told.last
    about = _group_of(delivery, told) if delivery.more else subject_of(last)
    if delivery.message == "closed":
        how = "a promotion landed again" if last.about == "promotion" else "recovered"
        about = "" if last.about == "promotion" else about
    elif last.about == "promotion":
        about, how = "", _EVENTS[last.event]
    elif delivery.more:
        how = "failed" if told.severity is Severity.STOP else "warn"
    else:
        how = _EVENTS[last.event]
    again = " again" if delivery.message != "closed" and told.flaps else ""
    where = f"{project} {last.environment}".strip()
    return f"[{where}] {about} {how}{again}".replace("  ", " ")


def _group_of(delivery: Delivery, told: Incident) -> str:
    """Several things by their number, and what they have in common."""
    all_, last = delivery.incidents, told.last
    failing = [i for i in all_ if i.is_open]
    number = f"{len(failing or all_):,}"
    what = "tests" if all(i.last.test for i in all_) else "things"
    if delivery.message == "updated" and len(failing) < len(all_):
        number = f"{number} of {len(all_):,}"
    if delivery.digest:
        return f"{last.recipe}: {number} more {what}" if last.recipe else f"{number} more {what}"
    if last.node:
        return f"{last.recipe}: {last.node}: {number} {what}"
    roots = {i.first.root or i.first.node for i in all_}
    if last.recipe and len(roots) == 1 and all(i.first.node for i in all_):
        return f"{last.recipe}: {roots.pop()} and what is below it: {number} {what}"
    return f"{last.recipe}: {number} {what}" if last.recipe else f"{number} {what}"


def _facts(delivery: Delivery, told: Incident) -> list[tuple[str, str]]:
    last = told.last
    until = _moment(told.closed) if told.closed else ""
    many = bool(delivery.more)
    found = [
        ("What", last.said),
        ("Observed", last.observed),
        ("Expected", last.expected),
        ("Since", _moment(told.first.at)),
        ("Failures in a row", f"{'up to ' if many and told.count > 1 else ''}{told.count:,}"),
        ("Flapping", "it was well in between: told again once it stays well" if told.flaps else ""),
        ("Recovered", f"{until} ({told.well})" if until and told.well else until),
        ("Owners" if many and ", " in last.owner else "Owner", last.owner),
        ("Severity", told.severity.value),
        ("Run", last.run if last.recipe else ""),
        ("Commit", last.commit[:12]),
        ("Data of", " to ".join(_moment(moment) for moment in last.interval) if last.interval else ""),
        ("All of them", f"gitkitchen alerts --all --environment {last.environment}" if many else ""),
    ]
    if not told.is_open:
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
