"""Rules: which channels an incident is for, and when they may be told. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from fnmatch import fnmatchcase

from gitkitchen.alerts.incidents import RANK
from gitkitchen.alerts.shapes import Happening
from gitkitchen.model import AlertRule, Alerts, Severity
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
