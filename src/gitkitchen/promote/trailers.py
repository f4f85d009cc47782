"""What a landing's commit says of itself: Git trailers, from which its record can be made again.

One paragraph at the end of the message, one line a value (git-interpret-trailers(1)). Words, numbers and
object names stand bare; all text that came from people stands as a JSON string in which only letters,
digits and harmless punctuation are left as they are: so no value ends a line, mentions or closes
anything (``@``, ``#``, an address), or tells a forge to skip its jobs (``[skip ci]``). Lists are cut to a
bound, and the message says how many of their entries were left out. The last line is a digest of all others.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any

from gitkitchen.errors import Infrastructure, Problem
from gitkitchen.files import digest
from gitkitchen.frozen import dataclass
from gitkitchen.promote.bodies import EVIDENCE, LANDING, bounded, cut
from gitkitchen.promote.shapes import Actor, Evidence, GateResult, Intent, Landing, Standing

BEGIN = "GitKitchen-"
VERSION = "1"
REASON = 300
"""Characters of the reason; the record has more of it."""
BUDGETS = {"evidence": 24_000, "actors": 8_000, "gates": 6_000, "waivers": 4_000, "published": 12_000}
"""Bytes that the lines of a list may take: a forge bounds the message of a merge."""
MOST = 65_536
"""Bytes of a message in which trailers are looked for."""

Trailer = tuple[str, str]

_UNSAFE = re.compile(r"[^\w .,/+()=;!?'-]")
_REFERENCE = re.compile(r"(?i)(?<=gh)-(?=\d)")
_WORDS = ("environment", "intent", "method", "tree", "before", "source", "source_environment", "at")
_MORE_WORDS = ("policy", "ledger", "fence", "data")
_SHARED = (("tree", "tree"), ("base", "before"), ("policy", "policy"))
"""What evidence mostly has in common with its landing, and is then not said again."""
_SINGULAR = {"evidence": "Evidence", "actors": "Actor", "gates": "Gate", "waivers": "Waiver"}


@dataclass(frozen=True, slots=True)
class Told:
    """A landing as its commit tells of it. ``left_out``: how many entries of which list it does not tell."""

    landing: Landing
    left_out: tuple[tuple[str, int], ...] = ()


def message_of(landing: Landing) -> str:
    """The message of a landing's commit: a subject, and the trailers. ValueError as for ``body_of``."""
    lines = "".join(f"{key}: {value}\n" for key, value in trailers_of(landing))
    return f"{_subject(landing)}\n\n{lines}"


def trailers_of(landing: Landing) -> tuple[Trailer, ...]:
    """The trailers of a landing's commit, in order. The commit's own name is not among them."""
    landing = bounded(landing)  # type: ignore[assignment]
    found: list[Trailer] = [(f"{BEGIN}Landing", VERSION)]
    found += _words(landing, _WORDS)
    found.append((f"{BEGIN}Branch", _quoted(landing.branch)))
    left_out = []
    for name, write in _LISTS.items():
        lines, kept = _within([write(landing, value) for value in getattr(landing, name)], BUDGETS[name])
        found += [(f"{BEGIN}{_SINGULAR[name]}", line) for line in lines]
        left_out.append((name, len(getattr(landing, name)) - kept))
    names, kept = _within([_quoted(name) for name in landing.published], BUDGETS["published"])
    if names:
        found.append((f"{BEGIN}Published", " ".join(names)))
    left_out.append(("published", len(landing.published) - kept))
    found += _words(landing, _MORE_WORDS)
    if landing.reason:
        found.append((f"{BEGIN}Reason", _quoted(cut(landing.reason, REASON))))
    found += [(f"{BEGIN}Left-Out", f"{name} {count}") for name, count in left_out if count]
    return (*found, (f"{BEGIN}Sum", digest(found)))


def told(landing: Landing) -> Told:
    """What the trailers of a landing tell of it: no reasons of gates, no more than the bounds allow."""
    found = landing_in(trailers_of(landing), landing.commit)
    assert found is not None
    return found


def trailers_in(message: str) -> tuple[Trailer, ...]:
    """Our trailers in a commit's message: in its last paragraph, as git finds them."""
    if len(message) > MOST:
        return ()
    paragraph = re.split(r"\n[ \t]*\n", message.replace("\r\n", "\n").strip("\n"))[-1]
    found = []
    for line in paragraph.split("\n"):
        key, colon, value = line.partition(":")
        if colon and key.startswith(BEGIN):
            found.append((key, value.strip()))
    return tuple(found)


def landing_in(trailers: Sequence[Trailer], commit: str) -> Told | None:
    """The landing that commit ``commit`` tells of in its trailers; None where it tells of none.

    It is what whoever made the commit said: what it was, ``commit`` itself must be asked (its tree, its
    first parent) and the ledger (its evidence). Infrastructure (``trailers-damaged``) where the trailers
    were changed, or are not whole.
    """
    ours = [trailer for trailer in trailers if trailer[0].startswith(BEGIN)]
    if not any(key == f"{BEGIN}Landing" for key, _ in ours):
        return None
    try:
        return _parsed(ours, commit)
    except (ValueError, RecursionError) as error:
        reason = "they are not what was written" if isinstance(error, RecursionError) else str(error)
        raise Infrastructure(
            Problem(
                f"the trailers of commit {commit[:12]} do not tell of a landing: {reason}",
                hint="somebody edited the message of the commit, or wrote one like ours",
                code="trailers-damaged",
            )
        ) from None


# --- writing -----------------------------------------------------------------------------------------


def _subject(landing: Landing) -> str:
    source = landing.source_environment or landing.source[:12] or "nothing"
    if landing.intent is Intent.ROLLBACK:
        return f"Roll {landing.environment} back to {source}"
    verb = "Hotfix" if landing.intent is Intent.HOTFIX else "Promote"
    return f"{verb} {source} to {landing.environment}"


def _words(landing: Landing, names: Iterable[str]) -> list[Trailer]:
    values = ((name, LANDING[name].write(getattr(landing, name))) for name in names)
    return [(_key(name), str(value)) for name, value in values if value != ""]


def _key(name: str) -> str:
    return BEGIN + "-".join(part.capitalize() for part in name.split("_"))


def _quoted(text: str) -> str:
    """A JSON string of letters, digits and harmless punctuation; all else stands in it by its number."""
    inner = _UNSAFE.sub(_escaped, text)
    return '"' + _REFERENCE.sub(r"\\u002d", inner) + '"'


def _escaped(found: re.Match[str]) -> str:
    return "".join(f"\\u{unit:04x}" for unit in _units(found.group()))


def _units(char: str) -> list[int]:
    """The UTF-16 units of a character: JSON's escapes count in them (RFC 8259, section 7)."""
    raw = char.encode("utf-16-be", "surrogatepass")
    return [int.from_bytes(raw[at : at + 2]) for at in range(0, len(raw), 2)]


def _within(lines: list[str], budget: int) -> tuple[list[str], int]:
    """As many of the first lines as fit in so many bytes."""
    used = 0
    for number, line in enumerate(lines):
        used += len(line.encode()) + 32
        if used > budget:
            return lines[:number], number
    return lines, len(lines)


def _evidence(landing: Landing, evidence: Evidence) -> str:
    same = {name for name, of in _SHARED if getattr(evidence, name) == getattr(landing, of)}
    words = [f'"{n}": {_json(f.write(getattr(evidence, n)))}' for n, f in EVIDENCE.items() if n not in same]
    return "{" + ", ".join(words) + "}"


def _json(value: Any) -> str:
    return _quoted(value) if isinstance(value, str) else json.dumps(value)


def _actor(_: Landing, actor: Actor) -> str:
    return " ".join([actor.role, _quoted(actor.name), *([_quoted(actor.about)] if actor.about else [])])


def _gate(_: Landing, gate: GateResult) -> str:
    return f"{gate.standing.value} {_quoted(gate.gate)}"


def _waiver(_: Landing, waiver: str) -> str:
    return _quoted(waiver)


_LISTS: dict[str, Callable[[Landing, Any], str]] = {
    "evidence": _evidence,
    "actors": _actor,
    "gates": _gate,
    "waivers": _waiver,
}


# --- reading -----------------------------------------------------------------------------------------


def _parsed(ours: list[Trailer], commit: str) -> Told:
    *said, (last, stated) = ours
    if last != f"{BEGIN}Sum" or digest(said) != stated:
        raise ValueError("they are not what was written")
    values: dict[str, list[str]] = {}
    for key, value in said:
        values.setdefault(key.removeprefix(BEGIN), []).append(value)
    if values.get("Landing") != [VERSION]:
        raise ValueError(f"their version is not {VERSION}, the one that is understood here")
    plain: dict[str, Any] = {}
    for name in (*_WORDS, *_MORE_WORDS):
        text = _single(values, _key(name).removeprefix(BEGIN))
        plain[name] = LANDING[name].read(int(text) if name == "fence" else text)
    landing = Landing(
        **plain,
        branch=_strings(_single(values, "Branch"))[0],
        commit=commit,
        actors=tuple(_read_actor(line) for line in values.get("Actor", ())),
        gates=tuple(_read_gate(line) for line in values.get("Gate", ())),
        waivers=tuple(_strings(line)[0] for line in values.get("Waiver", ())),
        published=tuple(_strings(_single(values, "Published"))),
        reason="".join(_strings(_single(values, "Reason"))),
    )
    evidence = tuple(_read_evidence(landing, line) for line in values.get("Evidence", ()))
    left_out = tuple(_read_count(line) for line in values.get("Left-Out", ()))
    whole = bounded(replace(landing, evidence=evidence))
    assert isinstance(whole, Landing)
    return Told(whole, left_out)


def _single(values: dict[str, list[str]], key: str) -> str:
    found = values.get(key, [""])
    if len(found) > 1:
        raise ValueError(f"'{key}' stands there more than once")
    return found[0]


def _strings(text: str) -> list[str]:
    """Strings of JSON with spaces between them. ValueError for anything else."""
    found: list[str] = []
    at = 0
    while at < len(text):
        value, at = json.JSONDecoder().raw_decode(text, at)
        if not isinstance(value, str) or text[at : at + 1] not in ("", " "):
            raise ValueError("they are not what was written")
        found.append(value)
        at += 1
    return found


def _read_actor(line: str) -> Actor:
    role, _, rest = line.partition(" ")
    return Actor(role=role, **dict(zip(("name", "about"), _strings(rest), strict=False)))


def _read_gate(line: str) -> GateResult:
    standing, _, rest = line.partition(" ")
    return GateResult(_strings(rest)[0], Standing(standing), "")


def _read_evidence(landing: Landing, line: str) -> Evidence:
    value = json.loads(line)
    if not isinstance(value, dict):
        raise ValueError("their evidence is none")  # noqa: TRY004 (of its kind: damage)
    whole = {name: getattr(landing, of) for name, of in _SHARED} | value
    if whole.keys() != EVIDENCE.keys():
        raise ValueError("their evidence is none")
    return Evidence(**{name: field.read(whole[name]) for name, field in EVIDENCE.items()})


def _read_count(line: str) -> tuple[str, int]:
    name, _, count = line.partition(" ")
    if name not in BUDGETS or not count.isdigit():
        raise ValueError("they are not what was written")
    return name, int(count)
