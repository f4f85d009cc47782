"""The template of a webhook: JSON whose texts say ``${{ alert.title }}``; a value never becomes syntax."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from gitkitchen.document.words import near
from gitkitchen.errors import Problem
from gitkitchen.kitchen.alerting import FIELDS
from gitkitchen.kitchen.settings import texts
from gitkitchen.model import Project
from gitkitchen.recipe.render import check, evaluate, has_expression, variables


def fill(template: Any, alert: Mapping[str, Any]) -> Any:
    """The template with every expression evaluated over ``alert``. Raises Mistake."""
    if isinstance(template, str):
        return evaluate(template, {"alert": alert}) if has_expression(template) else template
    if isinstance(template, Mapping):
        return {key: fill(value, alert) for key, value in template.items()}
    if isinstance(template, list):
        return [fill(value, alert) for value in template]
    return template


def mistakes(project: Project) -> Iterator[Problem]:
    """What templates ask for that no alert says, and what is no expression."""
    for name, channel in project.alerts.channels.items():
        where = f"alerts.channels.{name}.template"
        for path, text in texts(channel.config.get("template") or {}):
            place = project.places.get(".".join((where, *map(str, path)))) or project.places.get(where)
            for message, hint in _of(text):
                yield Problem(f"{where}: {message}", place, hint, "expression")


def _of(text: str) -> Iterator[tuple[str, str]]:
    wrong = list(check(text))
    yield from ((message, "") for message in wrong)
    if wrong:
        return
    for name in sorted(variables(text)):
        first, _, rest = name.partition(".")
        field = rest.partition(".")[0]
        if first != "alert" or field not in FIELDS:
            hint = near(field or first, FIELDS) or f"there are alert.{', alert.'.join(FIELDS)}"
            yield f"'{name[:80]}' is nothing that an alert says", hint
