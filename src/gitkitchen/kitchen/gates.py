"""``gate:`` of an environment: read into values, and what the schema cannot say of it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from typing import Any

from gitkitchen.document import Document
from gitkitchen.document.words import near
from gitkitchen.errors import Problem
from gitkitchen.model import Approvals, Contract, Freeze, Gate, GateCommand, Soak, Window

DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_WINDOW = re.compile(r"(\S+)\s+(\d{1,2}):(\d{2})\s*-\s*(\d{1,2}):(\d{2})\s+(\S+)", re.ASCII)
_WINDOW_HINT = (
    "write days, hours and a time zone: Mon-Thu 08:00-16:00 Europe/London, or daily 22:00-04:00 UTC"
)
_DAY = 1440
_REFERENCE = "UTC"
Keys = tuple[str | int, ...]


class _Wrong(ValueError):
    """What is wrong with a text, and what to do."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


def zone(name: str) -> tzinfo:
    """A time zone of the IANA database. Raises ValueError with the name of a near one."""
    from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):  # a folder of the database is an OSError
        known = available_timezones()
        same = [z for z in known if z.rpartition("/")[2].lower() == name.rpartition("/")[2].lower()]
        hint = f"did you mean '{min(same)}'?" if same else near(name, known)
        raise _Wrong(
            f"there is no time zone '{name[:80]}'", hint or "names are as in Europe/London"
        ) from None


def window(text: str, expires: date | None = None) -> Window:
    """``Mon-Thu 08:00-16:00 Europe/London`` as a Window. Raises ValueError.

    Days are ``Mon``, ``Mon-Thu``, ``Mon,Wed`` or ``daily``. An end at or before the start is on the next day;
    ``24:00`` is the end of the day.
    """
    match = _WINDOW.fullmatch(text.strip())
    if match is None:
        raise _Wrong(f"'{text[:80]}' is no window", _WINDOW_HINT)
    days, name = match[1], match[6]
    start, end = (int(match[n]) * 60 + int(match[n + 1]) for n in (2, 4))
    if start >= _DAY or end > _DAY or int(match[3]) > 59 or int(match[5]) > 59:
        raise _Wrong(f"'{text[:80]}' has an hour that no day has", "hours are 00:00 to 24:00")
    if start == end:
        raise _Wrong(f"'{text[:80]}' is empty", "for a whole day write 00:00-24:00")
    zone(name)
    return Window(
        " ".join(text.split()), _days(days), start, end if end > start else end + _DAY, name, expires
    )


def _days(text: str) -> tuple[int, ...]:
    if text.lower() == "daily":
        return tuple(range(7))
    found: set[int] = set()
    for part in text.split(","):
        first, dash, last = part.partition("-")
        a, b = _day(first), _day(last if dash else first)
        found |= {(a + n) % 7 for n in range((b - a) % 7 + 1)}
    return tuple(sorted(found))


def _day(word: str) -> int:
    for number, name in enumerate(DAYS):
        if word.lower() == name.lower():
            return number
    raise _Wrong(
        f"'{word[:20]}' is no day of the week", near(word.title(), DAYS) or f"days are {', '.join(DAYS)}"
    )


def moment(text: str, name: str, *, last: bool) -> datetime:
    """A local day or minute as UTC. Raises ValueError.

    ``last``: a day is meant with its whole length, and of two moments that a clock shows twice the later one
    counts: a freeze is never shorter than what is written.
    """
    here = zone(name)
    try:
        if len(text) == len("2026-12-18"):
            day = date.fromisoformat(text)
            local = datetime.combine(day + timedelta(days=1) if last else day, time())
        else:
            local = datetime.fromisoformat(text.replace("T", " "))
    except (ValueError, OverflowError):
        raise _Wrong(f"'{text[:40]}' is no day of the calendar") from None
    return local.replace(tzinfo=here, fold=1 if last else 0).astimezone(UTC)


# --- reading ----------------------------------------------------------------------------------


def read_gate(said: Any) -> Gate:
    """A gate whose shape is right; parts that mean nothing (``problems`` tells) are left out."""
    if not isinstance(said, Mapping):
        return Gate()
    soak = said.get("soak")
    return Gate(
        approvals=_approvals(said["approvals"]) if "approvals" in said else None,
        soak=Soak(float(soak.get("hours", 0)), int(soak.get("green_runs", 0))) if soak else None,
        allow=tuple(w for item in said.get("allow") or () if (w := _sound_window(item)) is not None),
        freeze=tuple(f for item in said.get("freeze") or () if (f := _sound_freeze(item)) is not None),
        previous=said.get("previous", "landed"),
        contract=_contract(said["contract"]) if "contract" in said else None,
        commands=tuple(
            GateCommand(c["name"], tuple(c["run"]), float(c.get("timeout-minutes", 5)) * 60)
            for c in said.get("command") or ()
        ),
        hotfix=read_gate(said["hotfix"]) if "hotfix" in said else None,
    )


def _approvals(said: Any) -> Approvals:
    if not isinstance(said, Mapping):
        return Approvals(int(said))
    return Approvals(
        count=int(said.get("count", 1)),
        users=tuple(name.removeprefix("@") for name in said.get("users") or ()),
        teams=tuple(name.removeprefix("@") for name in said.get("teams") or ()),
        codeowners=bool(said.get("codeowners", False)),
    )


def _contract(said: Any) -> Contract:
    if not isinstance(said, Mapping):
        return Contract(said)
    return Contract(
        said.get("changes", "additive"), tuple(said.get("datasets") or ("*",)), tuple(said.get("by") or ())
    )


def _sound_window(item: Any) -> Window | None:
    try:
        return _window(item)
    except ValueError:
        return None


def _sound_freeze(item: Any) -> Freeze | None:
    try:
        return _freeze(item)
    except ValueError:
        return None


def _window(item: Any) -> Window:
    if not isinstance(item, Mapping):
        return window(item)
    return window(item["window"], _expires(item))


def _expires(item: Mapping[str, Any]) -> date | None:
    if "expires" not in item:
        return None
    try:
        return date.fromisoformat(item["expires"])
    except ValueError:
        raise _Wrong(f"'{item['expires'][:40]}' is no day of the calendar") from None


def _freeze(item: Mapping[str, Any]) -> Freeze:
    reason = " ".join(item["reason"].split())
    if "window" in item:
        both = [key for key in ("from", "to", "timezone") if key in item]
        if both:
            hint = f"keep `window`, which has its own zone, or {' and '.join(both)}"
            raise _Wrong(f"has window and {' and '.join(both)}", hint)
        return Freeze(reason, window=_window(item))
    missing = [key for key in ("from", "to") if key not in item]
    if missing:
        hint = "write from and to, or window; without an end it is a hold: `gitkitchen hold`"
        raise _Wrong(f"lacks {' and '.join(missing)}", hint)
    if "expires" in item:
        raise _Wrong("has `expires`, which belongs to a window", "its end is `to`")
    name = item.get("timezone", _REFERENCE)
    start, end = moment(item["from"], name, last=False), moment(item["to"], name, last=True)
    if start >= end:
        raise _Wrong("ends before it begins", "write the later one into `to`")
    return Freeze(reason, start, end)


# --- mistakes ---------------------------------------------------------------------------------


def source_of(name: str, said: Mapping[str, Any], names: Sequence[str]) -> str | None:
    """The environment that promotes to ``name``: that of ``from``, else the one before it in ``names``."""
    if said.get("from") is not None:
        return str(said["from"])
    at = names.index(name)
    return names[at - 1] if at else None


def problems(
    document: Document, environments: Mapping[str, Mapping[str, Any]], names: Sequence[str]
) -> Iterator[Problem]:
    """What the schema cannot say of ``from`` and ``gate``: names, circles, windows, time zones, doubles."""
    sources: dict[str, str | None] = {}
    for name, said in environments.items():
        source = said.get("from")
        sources[name] = source_of(name, said, names)
        if source is not None and (source not in names or source == name):
            what = "itself" if source == name else f"'{source[:80]}', which is no environment"
            others = [n for n in names if n != name]
            hint = near(source, others) or (f"there are {', '.join(others[:20])}" if others else "")
            place = document.place("environments", name, "from")
            yield Problem(f"environment '{name}', from: is {what}", place, hint, "unknown-name")
            sources[name] = None
        yield from _of_gate(document, ("environments", name, "gate"), name, said.get("gate"))
        yield from _without_source(document, name, said.get("gate"), sources[name] or source)
    yield from _circles(document, sources)


def _without_source(document: Document, name: str, gate: Any, source: str | None) -> Iterator[Problem]:
    """What asks something of the source where there is none."""
    for key in ("soak", "previous"):
        if source is None and isinstance(gate, Mapping) and key in gate:
            message = f"environment '{name}', gate.{key}: no environment promotes to '{name}'"
            place = document.place("environments", name, "gate", key)
            yield Problem(message, place, "name one by `from:`, or remove the key", "no-source")


def _circles(document: Document, sources: Mapping[str, str | None]) -> Iterator[Problem]:
    told: set[str] = set()
    for name in sources:
        path, here = [name], sources[name]
        while here is not None and here not in path:
            path.append(here)
            here = sources.get(here)
        if here == name and not told & set(path):
            told |= set(path)
            shown = " -> ".join(reversed([*path, name]))
            place = document.place("environments", name, "from")
            yield Problem(f"environments promote in a circle: {shown}", place, "remove one `from:`", "circle")


def _of_gate(document: Document, keys: Keys, name: str, gate: Any) -> Iterator[Problem]:
    if not isinstance(gate, Mapping):
        return
    about = f"environment '{name}', {'.'.join(str(k) for k in keys[2:])}"
    for key, reader in (("allow", _window), ("freeze", _freeze)):
        for index, item in enumerate(gate.get(key) or ()):
            try:
                reader(item)
            except _Wrong as error:
                place = document.place(*keys, key, index)
                yield Problem(f"{about}.{key}[{index + 1}]: {error}", place, error.hint, "bad-window")
            except (KeyError, TypeError, AttributeError):  # the schema has said so
                continue
    seen: set[str] = set()
    for index, item in enumerate(gate.get("command") or ()):
        command = item.get("name") if isinstance(item, Mapping) else None
        if command in seen:
            place = document.place(*keys, "command", index)
            message = f"{about}.command[{index + 1}]: there is another '{command}'"
            yield Problem(message, place, "give each a name of its own", "duplicate-name")
        if command:
            seen.add(command)
    if "hotfix" in gate:
        yield from _of_gate(document, (*keys, "hotfix"), name, gate["hotfix"])
