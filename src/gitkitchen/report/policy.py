"""Policy, waivers and findings as text for a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from gitkitchen.report.text import count, for_runners, one_line

_MARKS = {"failure": "✗", "action": "!", "notice": "·"}


def as_text(document: Mapping[str, Any]) -> str:
    """The document of ``policing.policy_document`` for people."""
    return for_runners("\n".join(_lines(document)))


def _lines(document: Mapping[str, Any]) -> Iterator[str]:
    policy = document["policy"]
    where = document["environment"] or "none"
    yield f"kitchen {one_line(document['kitchen'])} (what counts is that of environment {where})"
    if policy is None:
        yield "  kitchen.yml has no policy: nothing is required, and nothing can be waived"
    else:
        require, waivers = policy["require"], policy["waivers"]
        yield f"  required recipes  {_listed(require['recipes'])}"
        yield f"  required tests    {_listed(require['tests'])} (at least {require['severity']})"
        yield f"  may be waived     {_listed(waivers['tests']) if waivers else 'nothing'}"
        if waivers:
            days = f"{waivers['longest_days']:g} days"
            yield f"  waivers by        {_listed(waivers['by'])}, for at most {days}"
            yield f"  waivers count in  {_listed(waivers['environments'])}"
        yield f"  changes by        {_listed(policy['changes']['by'])}"
    for waiver in document["waivers"]:
        state = f"waives nothing: {waiver['void']}" if waiver["void"] else "counts"
        mark = "·" if waiver["void"] else "!"
        yield ""
        yield f"{mark} {one_line(waiver['test'])} until {waiver['expires']}: {one_line(state)}"
        place = f"{one_line(waiver['file'])}:{waiver['line']}"
        yield f"  {one_line(waiver['reason'])} ({waiver['approver']}, {place})"


def _listed(words: list[str]) -> str:
    return ", ".join(one_line(w) for w in words) or "none"


def changes_text(document: Mapping[str, Any], rev: str) -> str:
    """A judgement's document for people: what has to be allowed, and by whom."""
    findings = document["findings"]
    lines = [line for finding in findings for line in _finding(finding)]
    asked = sum(f["severity"] == "action" and not f["allowed_by"] for f in findings)
    failed = sum(f["severity"] == "failure" for f in findings)
    if failed:
        end = f"{count(failed, 'finding')} that nobody can allow"
    elif asked:
        end = f"{count(asked, 'change')} since {one_line(rev)} to be allowed by somebody who may"
    else:
        end = f"nothing since {one_line(rev)} has to be allowed"
    return for_runners("\n".join([*lines, end]))


def _finding(finding: Mapping[str, Any]) -> Iterator[str]:
    line = f":{finding['line']}" if finding["line"] else ""
    place = f"{one_line(finding['path'])}{line}: " if finding["path"] else ""
    yield f"{_MARKS[finding['severity']]} {place}{one_line(finding['message'])} [{finding['code']}]"
    if finding["severity"] == "action":
        names = finding["who_may_allow"]
        yield (
            f"  may be allowed by {_listed(names)}" if names else "  the policy names nobody who may allow it"
        )
