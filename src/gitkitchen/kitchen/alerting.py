"""``alerts:`` of ``kitchen.yml``: channels and rules, and what the schema cannot say of them. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from gitkitchen.document import Document
from gitkitchen.document.words import near
from gitkitchen.errors import Problem
from gitkitchen.kitchen.gates import window
from gitkitchen.kitchen.settings import duration, texts
from gitkitchen.model import AlertRule, Alerts, Channel, Window

KEYS: Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "github_issue": ((), ("labels",)),
    "slack": (("url",), ()),
    "teams": (("url",), ()),
    "smtp": (("host", "from", "to"), ("port", "security", "user", "password")),
    "webhook": (("url",), ("headers", "template", "updates")),
}
"""Kind -> the keys that it needs, and those that it may have."""
FIELDS = (
    "id",
    "incident",
    "kind",
    "title",
    "severity",
    "event",
    "environment",
    "recipe",
    "node",
    "test",
    "owner",
    "said",
    "observed",
    "expected",
    "since",
    "until",
    "count",
    "changed",
    "command",
    "runbook",
    "job",
    "run",
    "commit",
    "things",
    "total",
)
"""What a template may say as ``alert.<field>``."""
FLAPPING = "6h"
SECRET = re.compile(r"\$\{\{\s*secrets\.([A-Za-z_][A-Za-z0-9_]*)\s*\}\}")
HERE = frozenset({"localhost", "127.0.0.1", "::1", "[::1]"})
_OWN = frozenset({"content-type", "content-length", "host", "idempotency-key", "user-agent"})


def secret_name(text: Any) -> str:
    """The name of the secret that a value is, or "" where it is none."""
    found = SECRET.fullmatch(text.strip()) if isinstance(text, str) else None
    return found[1] if found else ""


def secret_names(alerts: Alerts) -> tuple[str, ...]:
    """Every secret that the channels name."""
    found = {
        name
        for channel in alerts.channels.values()
        for _, text in texts(dict(channel.config))
        for name in SECRET.findall(text)
    }
    return tuple(sorted(found))


def read_alerts(value: Mapping[str, Any]) -> Alerts:
    """The alerts of a ``kitchen.yml`` whose shape is right; hours that mean nothing are left out."""
    said = value.get("alerts") or {}
    return Alerts(
        channels={
            name: Channel(name, own["type"], {k: v for k, v in own.items() if k != "type"})
            for name, own in (said.get("channels") or {}).items()
        },
        rules=tuple(_rule(rule) for rule in said.get("rules") or ()),
        flapping=duration(said.get("flapping") or FLAPPING),
    )


def _rule(said: Mapping[str, Any]) -> AlertRule:
    quiet = said.get("quiet") or {}
    return AlertRule(
        channels=tuple(said["channels"]),
        events=tuple(said.get("events") or ()),
        severity=said.get("severity", "warn"),
        consecutive=int(said.get("consecutive", 1)),
        environments=tuple(said.get("environments") or ()),
        recipes=tuple(said.get("recipes") or ()),
        owner=said.get("owner", ""),
        quiet=tuple(w for text in quiet.get("hours") or () if (w := _sound(text)) is not None),
        but=quiet.get("but", ""),
        group=said.get("group", "node"),
        most=int(said.get("most", 5)),
    )


def _sound(text: str) -> Window | None:
    try:
        return window(text)
    except ValueError:  # the problems say so
        return None


def alert_problems(
    document: Document, value: Mapping[str, Any], environments: Sequence[str]
) -> Iterator[Problem]:
    """Channels and environments that do not exist, keys of another kind, hours that are none."""
    said = value.get("alerts") or {}
    channels = said.get("channels") or {}
    for name, channel in channels.items():
        if isinstance(channel, Mapping) and channel.get("type") in KEYS:
            yield from _of_channel(document, name, channel)
    for index, rule in enumerate(said.get("rules") or ()):
        if isinstance(rule, Mapping):
            yield from _of_rule(document, index, rule, list(channels), environments)


def _of_channel(document: Document, name: str, channel: Mapping[str, Any]) -> Iterator[Problem]:
    kind, about = channel["type"], f"alerts.channels.{name}"
    needed, more = KEYS[kind]
    place = document.place("alerts", "channels", name)
    for key in needed:
        if key not in channel:
            hint = f'write {key}: "${{{{ secrets.{name.upper().replace("-", "_")}_URL }}}}"'
            yield Problem(
                f"{about}: a channel of type {kind} needs `{key}`",
                place,
                hint if key == "url" else "",
                "missing-key",
            )
    for key in channel:
        if key not in (*needed, *more, "type"):
            known = ", ".join((*needed, *more)) or "no other keys"
            yield Problem(
                f"{about}: `{key}` means nothing to {kind}",
                document.place("alerts", "channels", name, key),
                near(key, (*needed, *more)) or f"it knows {known}",
                "unknown-key",
            )
    url = channel.get("url")
    if isinstance(url, str) and kind in ("slack", "teams") and not secret_name(url):
        # Whoever knows such an address may write there.
        yield Problem(
            f"{about}: the address of {kind} is a secret",
            document.place("alerts", "channels", name, "url"),
            f'write url: "${{{{ secrets.{kind.upper()}_URL }}}}"',
            "secret",
        )
    if kind == "smtp":
        yield from _of_mail(document, name, channel)
    if kind == "webhook":
        yield from _of_webhook(document, name, channel)


def _of_mail(document: Document, name: str, channel: Mapping[str, Any]) -> Iterator[Problem]:
    about = f"alerts.channels.{name}"
    if ("user" in channel) != ("password" in channel):
        place = document.place("alerts", "channels", name)
        yield Problem(f"{about}: `user` and `password` go together", place, "", "missing-key")
    if channel.get("security") == "none" and "password" in channel and channel.get("host") not in HERE:
        place = document.place("alerts", "channels", name, "security")
        message = f"{about}: a password is not sent without encryption"
        yield Problem(message, place, "write security: starttls, or tls", "wrong-value")


def _of_webhook(document: Document, name: str, channel: Mapping[str, Any]) -> Iterator[Problem]:
    about = f"alerts.channels.{name}"
    for header in channel.get("headers") or ():
        if str(header).lower() in _OWN:
            place = document.place("alerts", "channels", name, "headers", header)
            yield Problem(f"{about}: the header {header} is set already", place, "remove it", "wrong-value")


def _of_rule(
    document: Document,
    index: int,
    rule: Mapping[str, Any],
    channels: Sequence[str],
    environments: Sequence[str],
) -> Iterator[Problem]:
    about = f"alerts.rules[{index + 1}]"
    for key, known, what in (
        ("channels", channels, "channel"),
        ("environments", environments, "environment"),
    ):
        for at, name in enumerate(rule.get(key) or ()):
            if isinstance(name, str) and name not in known:
                hint = near(name, known) or (f"there are {', '.join(known)}" if known else "")
                place = document.place("alerts", "rules", index, key, at)
                yield Problem(f"{about}: there is no {what} '{name[:80]}'", place, hint, "unknown-name")
    quiet = rule.get("quiet")
    for at, text in enumerate((quiet.get("hours") or ()) if isinstance(quiet, Mapping) else ()):
        try:
            window(text)
        except ValueError as error:
            place = document.place("alerts", "rules", index, "quiet", "hours", at)
            yield Problem(f"{about}.quiet: {error}", place, getattr(error, "hint", ""), "bad-window")
        except (TypeError, AttributeError):  # the schema has said so
            continue
