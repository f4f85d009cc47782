"""The words of messages about documents."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

MAX_PROBLEMS = 100
"""The most problems that are told of one file at once."""
MAX_COMPARED = 300

_SINGULAR = {
    "nodes": "node",
    "variations": "variation",
    "environments": "environment",
    "connections": "connection",
}


def near(word: str, words: Iterable[str]) -> str:
    """``did you mean 'x'?``, or nothing where no word is near."""
    import difflib  # late: a document without mistakes needs none

    known = [w for w in words if w]
    if len(known) > MAX_COMPARED:  # comparing is slow: among so many words the meant one begins alike
        known = [w for w in known if w[0] == word[:1] and abs(len(w) - len(word)) < 4][:MAX_COMPARED]
    found = difflib.get_close_matches(word[:80], known, n=1, cutoff=0.6)
    if not found and len(word) > 2:  # an abbreviation is near, whatever its length: production, prod
        found = [w for w in known if len(w) > 2 and (w.startswith(word) or word.startswith(w))]
    return f"did you mean '{found[0]}'?" if found else ""


def shown(value: Any) -> str:
    """A value as a message shows it: its type's word and the beginning of it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if value is None:
        return "nothing"
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list):
        return "a list"
    text = str(value)
    text = text if len(text) <= 40 else text[:40] + "…"
    return f"'{text}'" if isinstance(value, str) else f"the number {text}"


def short(text: str) -> str:
    """A text as a message shows it: on one line, cut."""
    flat = " ".join(text.split())
    return flat if len(flat) <= 80 else f"{flat[:80]}…"


def subject(path: Sequence[str | int]) -> str:
    """The words for a part: ``node 'load', retry.attempts``."""
    parts = list(path)
    words = []
    if len(parts) > 1 and parts[0] in _SINGULAR:
        words.append(f"{_SINGULAR[str(parts[0])]} '{parts[1]}'")
        parts = parts[2:]
    if parts:
        text = ""
        for part in parts:
            text += f"[{part + 1}]" if isinstance(part, int) else f".{part}" if text else str(part)
        words.append(text)
    return ", ".join(words)
