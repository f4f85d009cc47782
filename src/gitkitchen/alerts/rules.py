"""Rules: which channels an incident is for, and what each is to be told now. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from fnmatch import fnmatchcase

from gitkitchen.alerts.incidents import RANK, Book
from gitkitchen.alerts.shapes import Delivery, Happening, Incident, Message
from gitkitchen.model import AlertRule, Alerts, Channel, Severity
from gitkitchen.promote.gates.clock import is_open


def matching(
    alerts: Alerts, seen: Happening, count: int, severity: Severity | None = None
) -> tuple[AlertRule, ...]:
    """The rules that an incident meets with its ``count``th failure in a row. ``severity``: its heaviest."""
    heaviest = RANK[severity or seen.severity]
    return tuple(
        rule
        for rule in alerts.rules
        if (not rule.events or seen.event in rule.events)
        and heaviest >= RANK[Severity(rule.severity)]
        and count >= rule.consecutive
        and (not rule.environments or seen.environment in rule.environments)
        and (not rule.recipes or any(fnmatchcase(seen.recipe, name) for name in rule.recipes))
        and (not rule.owner or seen.owner == rule.owner)
    )


def channels(rules: Iterable[AlertRule]) -> tuple[str, ...]:
    """The channels of some rules, each once."""
    return tuple(dict.fromkeys(name for rule in rules for name in rule.channels))


def is_quiet(rule: AlertRule, severity: Severity, now: datetime) -> bool:
    """Whether a rule holds a message of this severity back at ``now``."""
    if rule.but and RANK[severity] >= RANK[Severity(rule.but)]:
        return False
    return any(is_open(window, now) for window in rule.quiet)


def owed(book: Book, alerts: Alerts, now: datetime, *, quiet: bool = True) -> tuple[Delivery, ...]:
    """What is to be sent at ``now``, in the order of the incidents. ``quiet``: not what quiet hours hold
    back.

    A channel is told that an incident opened, then, where it can take that in place, of its newest state, and
    once that it closed. What opened and closed before anything was sent is one message.
    """
    found = []
    for incident in book.incidents.values():
        for name in sorted(incident.due & alerts.channels.keys()):
            message = _next(incident, alerts.channels[name])
            if message is not None and not (quiet and _held(incident, alerts, name, now)):
                found.append(Delivery(incident, name, message))
    return tuple(found)


def _next(incident: Incident, channel: Channel) -> Message | None:
    told = incident.told.get(channel.name)
    if told is not None and told.message == "closed":
        return None
    if not incident.is_open:
        return "closed"
    if told is None:
        return "opened"
    in_place = channel.kind == "github_issue" or bool(channel.config.get("updates"))
    return "updated" if in_place and told.state < incident.state else None


def _held(incident: Incident, alerts: Alerts, channel: str, now: datetime) -> bool:
    """Whether every rule by which the channel is told has quiet hours now."""
    rules = matching(alerts, incident.last, incident.count, incident.severity)
    own = [rule for rule in rules if channel in rule.channels]
    return bool(own) and all(is_quiet(rule, incident.severity, now) for rule in own)
