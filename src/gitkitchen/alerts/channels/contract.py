"""What every channel can do, and how what it tried can end."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import field
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal, Protocol

from gitkitchen.alerts.message import Words
from gitkitchen.errors import Mistake, Problem
from gitkitchen.frozen import dataclass
from gitkitchen.kitchen.alerting import SECRET, secret_name
from gitkitchen.model import Channel

if TYPE_CHECKING:
    from gitkitchen.github.issues import Issue

TRIES = 4
"""How often one message is tried at once; the next command tries again."""
PAUSES = (0.3, 1.0, 3.0)
"""Seconds between the tries, where the other side does not say how long."""
LONGEST_PAUSE = 30.0
PATIENCE = 10.0
"""Seconds that one connection waits for a word of an answer."""

End = Literal["sent", "refused", "busy", "unanswered"]


@dataclass(frozen=True, slots=True)
class Answer:
    """How one try ended. ``sent``: the other side has it. ``refused``: it says no, and would again.
    ``busy``: it did nothing, and asks to come again (``after`` seconds). ``unanswered``: it may have it or
    not. ``said``: the other side's answer, or what failed; no part of an address. ``ref``: what it calls the
    message."""

    end: End
    said: str
    ref: str = ""
    after: float | None = None


class Forge(Protocol):
    """What a channel of issues needs of the forge: see ``github/issues.py``."""

    def put_issue(self, issue: Issue) -> int: ...

    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a channel may use: ``environ`` holds the secrets, ``sleep`` waits, ``left`` is how many seconds
    may still be spent, ``forge`` what speaks for us at the forge (None: there is none)."""

    environ: Mapping[str, str] = field(default_factory=dict)
    sleep: Callable[[float], None] = lambda _seconds: None
    left: Callable[[], float] = lambda: 60.0
    forge: Callable[[], Forge] | None = None
    ref: str = ""
    """What the channel called the message of this incident before."""
    since: datetime | None = None
    """When the incident began."""


class Sender(Protocol):
    """A module of a kind of channel."""

    def send(self, words: Words, channel: Channel, about: Surroundings) -> Answer:
        """Try to send one message, once. Mistake where a secret has no value or the channel no sense."""
        ...


def secret(channel: Channel, key: str, environ: Mapping[str, str]) -> str:
    """The value of a key that may be a secret's name. Mistake where that has no value; it is not shown."""
    text = str(channel.config.get(key, ""))
    name = secret_name(text)
    return _value(channel, name, environ) if name else text


def filled(channel: Channel, text: str, environ: Mapping[str, str]) -> str:
    """A text with the values of the secrets that it names."""
    return SECRET.sub(lambda found: _value(channel, found[1], environ), text)


def _value(channel: Channel, name: str, environ: Mapping[str, str]) -> str:
    value = environ.get(name, "").strip()
    if value:
        return value
    message = f"alerts.channels.{channel.name}: the secret {name} has no value"
    raise Mistake(Problem(message, hint=f"set the environment variable {name}", code="no-secret"))


def tried(send: Callable[[], Answer], about: Surroundings) -> Answer:
    """What comes of several tries, bounded in number and time. What ended without an answer is tried again:
    every message says its id, and who can tell a repetition by that does."""
    answer = send()
    for pause in PAUSES[: TRIES - 1]:
        if answer.end in ("sent", "refused"):
            return answer
        wait = answer.after if answer.after is not None else pause
        if wait > min(LONGEST_PAUSE, about.left()):
            return answer
        about.sleep(wait)
        answer = send()
    return answer


def as_json(value: Any) -> bytes:
    """JSON as it is sent: ASCII, so that no server guesses an encoding."""
    import json

    return json.dumps(value, ensure_ascii=True, separators=(",", ":")).encode("ascii")
