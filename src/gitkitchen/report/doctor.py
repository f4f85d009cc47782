"""What ``doctor`` found as text for a terminal: what is to be mended first, each with why and how."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from gitkitchen.report.text import count, for_runners, one_line

_FEW = 3
_MARKS = {"ok": "✓", "gap": "✗", "unknown": "?"}
_ORDER = ("advice", "guarded", "enforced")
_LEVELS = {
    "advice": "verdicts are shown and bind nobody",
    "guarded": "nobody passes tests and gates by accident",
    "enforced": "what settings of a forge can enforce is enforced",
}


def as_text(document: Mapping[str, Any]) -> str:
    """The document of ``road.doctor.document`` for people."""
    return for_runners("\n".join(_lines(document)))


def _lines(document: Mapping[str, Any]) -> Iterator[str]:
    yield f"repository {one_line(document['repository'] or '(none on a forge)')}"
    groups = _grouped(document["findings"])
    wanted = _ORDER.index(document["wanted"])
    open_ = [group for group in groups if group[0]["state"] != "ok"]
    for group in open_:
        if _ORDER.index(group[0]["level"]) <= wanted:
            yield ""
            yield from _finding(group)
    further = [group for group in open_ if _ORDER.index(group[0]["level"]) > wanted]
    if further:
        yield ""
        yield "for enforced there is more (--level enforced says why and how)"
        yield from (f"  {_title(group)}" for group in further)
    yield ""
    yield from (_title(group) for group in groups if group[0]["state"] == "ok")
    for landing in document["landing"]:
        yield ""
        yield f"landing on {one_line(landing['branch'])} ({one_line(landing['environment'])})"
        for way in landing["ways"]:
            words = [*way["because"], *([f"takes {way['right']}"] if way["right"] else [])]
            because = f": {one_line(', '.join(words))}" if words else ""
            yield f"  by {way['method']:6}  {way['possible']}{because}"
    if document["landing"]:
        yield "  a tree that changes .github/workflows takes the right `workflows`, which no job's token has"
    yield ""
    yield from _end(document)


def _grouped(findings: Sequence[Mapping[str, Any]]) -> list[list[Mapping[str, Any]]]:
    """Findings that say the same of several things, together."""
    groups: dict[tuple[Any, ...], list[Mapping[str, Any]]] = {}
    for one in findings:
        groups.setdefault((one["code"], one["state"], one["said"], one["right"]), []).append(one)
    return list(groups.values())


def _title(group: Sequence[Mapping[str, Any]]) -> str:
    first = group[0]
    names = list(dict.fromkeys(one["about"] for one in group))
    few = first["state"] != "ok" or len(names) <= _FEW
    about = ", ".join(names) if few else f"{names[0]} and {len(names) - 1} more"
    code = f" [{first['code']}]" if first["state"] != "ok" else ""
    return f"{_MARKS[first['state']]} {one_line(about)}: {one_line(first['said'])}{code}"


def _finding(group: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    first = group[0]
    yield _title(group)
    yield f"  why    {one_line(first['why'])}"
    if first["state"] == "unknown":
        yield f"  takes  {one_line(first['right'])}"
        return
    yield f"  fix    {one_line(first['fix'])}"
    yield f"  level  {first['reached']} until then"


def _end(document: Mapping[str, Any]) -> Iterator[str]:
    level, wanted = document["level"], document["wanted"]
    states = [finding["state"] for finding in document["findings"]]
    gaps, unknown = states.count("gap"), states.count("unknown")
    yield f"level {level}: {_LEVELS[level]} ({count(gaps, 'gap')}, {unknown} unknown)"
    if document["at_most"] != level:
        yield f"  it may be {document['at_most']}: what could not be read does not count"
    ends = {
        "held": f"{wanted} holds",
        "gaps": f"{wanted} is not reached",
        "unknown": f"{wanted} could not be checked",
    }
    yield f"{ends[document['conclusion']]} (wanted: --level {wanted})"
