"""Any webhook: JSON of our own, or of a template. The header ``Idempotency-Key`` names the message, the same
however often it is sent: a receiver that keeps it does a thing once.
https://datatracker.ietf.org/doc/draft-ietf-httpapi-idempotency-key-header/
"""

from __future__ import annotations

from typing import Any

from gitkitchen.alerts.channels.contract import Answer, Surroundings, as_json, filled, secret
from gitkitchen.alerts.channels.wire import post
from gitkitchen.alerts.message import Words
from gitkitchen.errors import Mistake, Problem
from gitkitchen.model import Channel
from gitkitchen.recipe.alert_template import fill

MOST = 100_000
"""Bytes of a body."""


def payload(words: Words, channel: Channel) -> Any:
    """The JSON of the request. Mistake where the template cannot be filled."""
    fields = dict(words.fields or {})
    template = channel.config.get("template")
    return {"version": 1, **fields} if template is None else fill(template, fields)


def send(words: Words, channel: Channel, about: Surroundings) -> Answer:
    """Anything from 200 to 299 is an answer."""
    address = secret(channel, "url", about.environ)
    headers = {
        name: filled(channel, str(value), about.environ)
        for name, value in (channel.config.get("headers") or {}).items()
    }
    if any("\n" in value or "\r" in value for value in headers.values()):
        message = f"alerts.channels.{channel.name}: a header has more than one line"
        raise Mistake(Problem(message, code="bad-header"))
    body = as_json(payload(words, channel))
    if len(body) > MOST:
        raise Mistake(Problem(f"alerts.channels.{channel.name}: its template makes more than {MOST:,} bytes"))
    # A structured string (RFC 9651): the id has no quotes.
    headers["Idempotency-Key"] = f'"{words.id}"'
    return post(address, body, headers, channel.name, about.left())
