"""Moves for tests: any that can be (hypothesis), and plain ones to begin with."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import strategies as st

from gitkitchen.promote.shapes import (
    Actor,
    Evidence,
    GateResult,
    Hold,
    Incident,
    Intent,
    Landing,
    Method,
    Release,
    Standing,
)

MORNING = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)
HOSTILE = (
    "[skip ci]",
    "@octo-org/everyone closes #1, fixes GH-2 and https://example.org/o/r/issues/3",
    "a\nGitKitchen-Method: push\n\nSigned-off-by: nobody",
    '=cmd|" /C calc"!A0',
    "::error::x ##[group]y",
    "\u202eabc\u2066\x1b[31m\0",
    "--- a/file",
    "<img src=x onerror=alert(1)>",
    "'; drop table t; --",
    "é" * 2500,
)

oids = st.integers(0, 2**160 - 1).map(lambda n: f"{n:040x}")
digests = st.integers(0, 2**256 - 1).map(lambda n: f"{n:064x}")
environments = st.sampled_from(["dev", "staging", "prod", "e_u-1"])
texts = st.one_of(st.text(max_size=40), st.sampled_from(HOSTILE), st.text(st.characters(), max_size=10))
words = st.from_regex(r"[a-z0-9][a-z0-9_-]{0,20}", fullmatch=True)
moments = st.datetimes(
    datetime(2000, 1, 1),
    datetime(2100, 1, 1),
    timezones=st.just(UTC),
)
evidence = st.builds(
    Evidence,
    recipe=texts,
    variation=st.none() | texts,
    run=texts,
    record=digests,
    tree=oids,
    plan=digests,
    base=oids | st.just(""),
    versions=digests,
    policy=digests | st.just(""),
    verdict=st.sampled_from(["passed", "failed"]),
    tests=st.integers(1, 10**6),
)
gates = st.builds(
    GateResult,
    gate=texts,
    standing=st.sampled_from(Standing),
    reason=texts,
    change=texts,
    command=texts,
    when=st.none() | moments,
)
actors = st.builds(Actor, name=texts, role=words, about=texts)
landings = st.builds(
    Landing,
    environment=environments,
    branch=texts,
    intent=st.sampled_from(Intent),
    method=st.sampled_from(Method),
    tree=oids,
    commit=oids,
    before=oids | st.just(""),
    source=oids | st.just(""),
    source_environment=environments | st.just(""),
    at=moments,
    evidence=st.lists(evidence, max_size=4).map(tuple),
    gates=st.lists(gates, max_size=4).map(tuple),
    actors=st.lists(actors, max_size=4).map(tuple),
    waivers=st.lists(texts, max_size=4).map(tuple),
    policy=digests | st.just(""),
    ledger=oids | st.just(""),
    fence=st.integers(0, 10**6),
    data=st.sampled_from(["adopt", "restore", "current", "keep-tree"]),
    published=st.lists(words, max_size=5).map(tuple),
    reason=texts,
    told=st.sampled_from(["", "trailers", "rebuilt"]),
)
moves = st.one_of(
    landings,
    st.builds(Hold, environments, words, texts, moments, texts, words | st.just("")),
    st.builds(Release, environments, words, texts, moments, texts),
    st.builds(Incident, environments, words, words, moments, texts, oids | st.just(""), st.booleans()),
)


def oid(number: int) -> str:
    return f"{number:040x}"


def landing(number: int, *, environment: str = "prod", hours: float | None = None, **more: object) -> Landing:
    """The ``number``-th landing of a quiet environment, an hour after the one before."""
    values: dict[str, object] = {
        "environment": environment,
        "branch": "main",
        "intent": Intent.FORWARD,
        "method": Method.PUSH,
        "tree": oid(1000 + number),
        "commit": oid(number),
        "before": oid(number - 1) if number > 1 else "",
        "source": oid(2000 + number),
        "source_environment": "staging",
        "at": MORNING + timedelta(hours=number if hours is None else hours),
        "fence": number,
    }
    return Landing(**{**values, **more})  # type: ignore[arg-type]
