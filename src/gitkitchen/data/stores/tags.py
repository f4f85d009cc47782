"""How a registry's tags name what a store holds, and back. Pure.

in <repository>/trusted      <fingerprint>[.<part>]              verdicts.<namespace>  note.<name>
in <repository>/sandbox      <namespace>.<fingerprint>[.<part>]  verdicts.<namespace>  <namespace>.note.<name>
"""

from __future__ import annotations

import re

from gitkitchen.data.stores.contract import TRUSTED, Thing

_TAG = re.compile(
    r"(?:(?P<space>k_[a-z0-9_]{1,46})\.)?"
    r"(?:(?P<build>[0-9a-f]{64})(?:\.(?P<part>\d{1,4}))?|note\.(?P<note>[a-z]+(?:\.[0-9a-f]{1,64})?))"
)
_VERDICTS = re.compile(r"verdicts\.(k_[a-z0-9_]{1,46})")


def build_tag(zone: str, fingerprint: str) -> str:
    """At most 48 + 1 + 64 + 4 characters, all of the tags' grammar, which allows 128."""
    return f"{_before(zone)}{fingerprint}"


def verdicts_tag(name: str) -> str:
    return f"verdicts.{name}"


def note_tag(zone: str, name: str) -> str:
    return f"{_before(zone)}note.{name}"


def thing_of(trusted: bool, tag: str) -> tuple[str, Thing] | None:
    """The zone and the thing that a tag names; None for a tag that is none of ours."""
    verdicts = _VERDICTS.fullmatch(tag)
    if verdicts:
        return TRUSTED if trusted else f"sandbox/{verdicts[1]}", Thing("verdict", verdicts[1], tag)
    found = _TAG.fullmatch(tag)
    if found is None or trusted == bool(found["space"]):
        return None
    zone = TRUSTED if trusted else f"sandbox/{found['space']}"
    if found["note"]:
        return zone, Thing("note", found["note"], tag)
    return zone, Thing("build", found["build"], tag)


def _before(zone: str) -> str:
    return "" if zone == TRUSTED else f"{zone.removeprefix('sandbox/')}."
