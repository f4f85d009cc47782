"""A page for each run, and the grid of a recipe's nodes by its last runs."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import groupby
from typing import Any

from markupsafe import Markup

from gitkitchen.history import Commit
from gitkitchen.page.cells import plain
from gitkitchen.page.health import Standing, of_run
from gitkitchen.page.rendering import Page, part
from gitkitchen.page.shapes import Run, Tone
from gitkitchen.page.views import older
from gitkitchen.page.views.parts import Studio, dot, grid_href, recipe_href, run_href, when
from gitkitchen.report.text import WORDS, duration, names, number, share

GRID = 100
COMMITS = 40
DATASETS = 8
NODES: Mapping[str, tuple[Tone, str]] = {
    "passed": ("good", "✓"),
    "reused": ("good", "="),
    "failed": ("bad", "✗"),
    "error": ("bad", "✗"),
    "timed_out": ("bad", "✗"),
    "cancelled": ("warn", "■"),
    "blocked": ("unknown", "▪"),
    "skipped": ("unknown", "-"),
}
_ORDER = {"failed": 0, "error": 0, "timed_out": 0, "cancelled": 1, "blocked": 2}
_CLASS = {
    "passed": "p",
    "reused": "r",
    "failed": "f",
    "error": "f",
    "timed_out": "f",
    "cancelled": "c",
    "blocked": "b",
    "skipped": "b",
}
_CELLS = {state: Markup('<td class="{}">{}</td>').format(c, NODES[state][1]) for state, c in _CLASS.items()}
NONE = Markup("<td></td>")


def pages(studio: Studio) -> Iterator[Page]:
    for standing in studio.standings.values():
        if standing.runs:
            yield grid(studio, standing)
    green: dict[tuple[str, str, str], Run] = {}
    logs = {e: {c.oid: i for i, c in enumerate(commits)} for e, commits in studio.site.log.items()}
    for run in studio.site.runs:
        key = (run.namespace, run.recipe, run.variation)
        yield run_page(studio, run, green.get(key), logs)
        if run.green and run.whole:
            green[key] = run


# --- the grid ----------------------------------------


def grid(studio: Studio, standing: Standing, most: int = GRID) -> Page:
    """Nodes, in the order of the recipe, by runs, the newest first: what fails is seen without scrolling."""
    runs = standing.runs[-most:][::-1]
    fact = studio.facts.get(standing.recipe)
    declared = [n.name for n in fact.nodes] if fact else []
    last = runs[0]
    said = f"From {when(runs[-1].started)} to {when(last.started)}. {older.of_runs(studio, standing)}"
    return studio.page(
        grid_href(standing),
        "grid.html.j2",
        "recipes.html",
        headline=f"{standing.label} in {standing.environment}",
        tone=standing.health.tone,
        over="grid of runs",
        lead=": ".join(filter(None, [f"The last run {standing.health.word}", standing.health.why])) + ".",
        said=said.rstrip(),
        table=studio.drawn.html(
            "grid", [*(r.record for r in runs), "", *declared], lambda: _table(runs, declared)
        ),
    )


def _table(runs: Sequence[Run], declared: Sequence[str]) -> str:
    """The grid itself, as HTML. ``runs``: the newest first; ``declared``: nodes, in their order."""
    seen = {n: None for r in runs for n in r.states}
    order = [n for n in declared if n in seen]
    order += [n for n in seen if n not in set(order)]
    rows = [
        # The cells are our own constants: no name of anybody's is in them.
        {
            "name": name,
            "cells": Markup("").join([_CELLS.get(r.states.get(name, ""), NONE) for r in runs]),
        }
        for name in order
    ]
    days = [
        {"day": day, "said": day[5:] if len(group) > 2 else "", "span": len(group)}
        for day, found in groupby(runs, key=lambda r: f"{r.started:%Y-%m-%d}")
        if (group := list(found))
    ]
    return part("table.html.j2", days=days, runs=[dot(r) for r in runs], rows=rows, root="../")


# --- a run ----------------------------------------


def run_page(studio: Studio, run: Run, green: Run | None, logs: Mapping[str, Mapping[str, int]]) -> Page:
    """Everything that the ledger remembers of a run; ``green``: the last one before it that passed. It is
    made only where it has to be: of ten thousand runs one is new."""
    environment = studio.spaces.get(run.namespace, "")
    before = green.record if green is not None and not run.green else ""
    known = run.recipe in studio.facts
    lost = older.may_hide_a_green_run(studio, run, green)
    kept = (environment, run.recipe, run.variation) in studio.standings
    between: Sequence[Commit] | None = ()
    if before and green is not None:
        log, index = studio.site.log.get(environment, ()), logs.get(environment, {})
        between = commits_between(log, index, green, run)
    commits = "?" if between is None else ",".join(c.oid for c in between)
    key = f"{run.record} {before} {environment} {known} {kept} {commits} {lost} {studio.site.title}"
    return Page(
        run_href(run),
        "run.html.j2",
        lambda: _values(studio, run.apart(), green and green.apart(), environment, between, lost),
        key,
    )


def _values(
    studio: Studio,
    run: Run,
    green: Run | None,
    environment: str,
    between: Sequence[Commit] | None,
    lost: bool,
) -> dict[str, Any]:
    health = of_run(run)
    findings = list(_findings(run))
    standing = studio.standings.get((environment, run.recipe, run.variation))
    bad = not run.green
    return studio.given(
        "recipes.html",
        lasting=True,
        headline=_headline(run, health.word),
        title=f"{run.label} {health.word} {when(run.started)}",
        tone=health.tone,
        over=f"{run.label} · {environment or 'sandbox ' + run.branch}",
        lead=_published(run, environment or run.branch),
        facts=list(_facts(run)),
        url=run.url,
        recipe=run.label,
        recipe_href=recipe_href(run.recipe) if run.recipe in studio.facts else "recipes.html",
        findings=findings,
        findings_said="What failed" if bad else "What to look at",
        checkout=f"git switch --detach {run.commit}" if run.commit and bad else "",
        changed=_changed(run, green, between, lost) if bad else None,
        green={"href": run_href(green), "said": when(green.started)} if green else None,
        nodes=Markup("".join(_nodes(run))),  # noqa: S704 - made there, of what was escaped
        nodes_said=_counted(run),
        axis=f"0 to {duration(run.seconds)}" if run.times else "",
        tests_said=", ".join(f"{n:,} {w}" for w, n in sorted(run.tests.items())) or "none",
        figures=[(name, number(float(v))) for name, v in sorted(run.metrics.items())],
        history="tests.html" if standing is not None else "",
    )


def _headline(run: Run, word: str) -> str:
    bad = [n for n, s in run.states.items() if s in ("failed", "error", "timed_out")]
    return f"{run.label} {word}" + (f": {names(bad, 3)}" if bad and not run.green else "")


def _published(run: Run, where: str) -> str:
    said = {
        "published": f"What it built was published to {where}"
        + (f" (publication {run.sequence:,})." if run.sequence is not None else "."),
        "unchanged": f"Readers of {where} had these versions already.",
        "withheld": f"Nothing was published to {where}: readers still read what they read before.",
        "not_asked": "It was not to publish.",
    }.get(run.published, "")
    return f"{said} ({run.withheld})" if run.withheld and said else said


def _facts(run: Run) -> Iterator[tuple[str, str]]:
    yield "started", when(run.started)
    yield "took", duration(run.seconds)
    if run.commit:
        yield "commit", run.commit[:10] + (" with uncommitted changes" if run.dirty else "")
    if run.event:
        yield "event", run.event
    if run.interval:
        yield "interval", f"{when(run.interval[0])} to {when(run.interval[1])}"
        yield "began", f"{duration(run.late or 0)} after the interval's end"
    if not run.whole:
        yield "selection", "a part of the recipe"
    yield "run", run.id


def _findings(run: Run) -> Iterator[dict[str, Any]]:
    """Nodes that failed first, then tests: those that stop before those that warn."""
    told = {run.node_of(str(t.get("id") or "")) for t in run.failing if t.get("severity") == "stop"}
    for index, (node, state) in enumerate(run.states.items()):
        if state not in ("failed", "error", "timed_out"):
            continue
        why = run.failed.get(node, {})
        explained = state == "failed" and node in told and not why.get("said")
        if not explained:
            yield {
                "anchor": f"n{index}",
                "title": node,
                "tone": "bad",
                "word": WORDS.get(state, state),
                "fields": [
                    ("why", _text(why.get("said"))),
                    ("hint", _text(why.get("hint"))),
                    ("tried", f"{run.tries[node]} times" if node in run.tries else ""),
                ],
                "tail": [str(x) for x in why.get("tail") or ()],
                "command": _command(run, node),
            }
    rank = {"stop": 0, "warn": 1, "log": 2}
    for index, test in sorted(enumerate(run.failing), key=lambda p: rank.get(str(p[1].get("severity")), 0)):
        yield _finding(run, index, test)


def _finding(run: Run, index: int, test: Mapping[str, Any]) -> dict[str, Any]:
    """A test that did not pass."""
    name = str(test.get("id") or "")
    node = run.node_of(name)
    severity = str(test.get("severity") or "stop")
    waived = test.get("waived")
    tone = "bad" if severity == "stop" and not waived else "warn"
    word = {"warn": "warning", "log": "noted"}.get(severity, "failed")
    if test.get("state") == "error":
        word = "not evaluated"
    elif waived:
        word = "waived"
    failing, tested = test.get("failing"), test.get("tested")
    rows = share(failing, tested) if isinstance(failing, int) and isinstance(tested, int) and tested else ""
    until = f"until {waived[1]} by {waived[0]}" if isinstance(waived, list) and len(waived) == 2 else ""
    return {
        "anchor": f"t{index}",
        "title": f"{node}: {name.removeprefix(node + '/').removeprefix('outputs/')}",
        "tone": tone,
        "word": word,
        "fields": [
            ("observed", _text(test.get("observed"))),
            ("expected", _text(test.get("expected"))),
            ("failing", rows),
            ("why", _text(test.get("message"))),
            ("waived", until),
        ],
        "tail": [],
        "command": _command(run, node) if tone == "bad" else "",
    }


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _command(run: Run, node: str) -> str:
    words = ["gitkitchen", "run", run.recipe]
    words += ["--variation", run.variation] if run.variation else []
    return shlex.join([*words, "--select", node])


def _nodes(run: Run) -> Iterator[str]:
    """The rows of the table of nodes, as HTML: there are very many of them, so they are no template's."""
    length = max(run.seconds, 0.001)
    times, rows = run.times, run.rows
    for name, state in sorted(run.states.items(), key=lambda p: _ORDER.get(p[1], 3)):
        amount = f"{rows[name]:,.0f}" if name in rows else ""
        row = f'{_named(name, state)}<td class="n">{amount}</td>'
        if times:
            at, took = times.get(name, (0.0, 0.0))
            x = min(1000 * at / length, 996.0)
            width = max(4.0, min(1000 * took / length, 1000 - x))
            ran = took > 0 or state in ("passed", "failed")
            tone = NODES.get(state, ("unknown", "?"))[0]
            bar = BAR.format(tone, round(x, 1), round(width, 1)) if ran else ""
            row += f'<td class="bar optional">{bar}</td><td class="n">{duration(took) if ran else ""}</td>'
        yield f"{row}</tr>\n"


BAR = (
    '<svg viewBox="0 0 1000 10" preserveAspectRatio="none" aria-hidden="true"><rect class="track" '
    'width="1000" height="10"/><rect class="f-{}" x="{}" width="{}" height="10"/></svg>'
)


@lru_cache(maxsize=20_000)
def _named(name: str, state: str) -> str:
    tone, mark = NODES.get(state, ("unknown", "?"))
    word = plain(WORDS.get(state, state))
    return (
        f'<tr><td><span class="state {tone}"><i aria-hidden="true">{mark}</i>{word}</span></td>'
        f'<th scope="row" class="name">{plain(name)}</th>'
    )


def _counted(run: Run) -> str:
    seen: dict[str, int] = {}
    for state in run.states.values():
        seen[state] = seen.get(state, 0) + 1
    return ", ".join(
        f"{n:,} {WORDS.get(s, s)}" for s, n in sorted(seen.items(), key=lambda p: _ORDER.get(p[0], 3))
    )


# --- what changed ----------------------------------------


def _changed(run: Run, green: Run | None, commits: Sequence[Commit] | None, lost: bool) -> dict[str, Any]:
    """What a person asks first: commits, data and settings since the last green run. ``lost``: one may have
    been removed that came later."""
    if green is None:
        return {
            "commits": [],
            "rows": [],
            "why": [],
            "said": f"No run of it in this kitchen {'that is kept ' if lost else ''}was green before.",
            "lost": lost,
        }
    moved = [
        (name, float(old), float(run.rows[name])) for name, old in green.rows.items() if name in run.rows
    ]
    moved = sorted((m for m in moved if m[1] != m[2]), key=lambda m: -abs(m[2] - m[1]) / max(m[1], 1))
    rows = [f"{name}: {number(old)} rows, now {number(new)}" for name, old, new in moved[:DATASETS]]
    if len(moved) > DATASETS:
        rows.append(f"and {len(moved) - DATASETS} more datasets of other length")
    rows += [
        f"{n}: made by the green run, not by this one" for n in green.rows if n not in run.rows and run.rows
    ][:20]
    why = [
        f"{node}: {'; '.join(map(str, w['why']))}"
        for node, w in run.failed.items()
        if isinstance(w.get("why"), list)
    ]
    said = ""
    if commits is None:
        said = "Git could not tell which commits are between: it has not both of them."
    elif not commits and green.tree == run.tree:
        said = "The same files: what changed is the data, the clock, or what is outside."
    shown = [
        {"oid": c.oid[:10], "subject": c.message.partition("\n")[0], "author": c.author.rpartition(" <")[0]}
        for c in commits or ()
    ]
    return {"commits": shown, "rows": rows, "why": why[:20], "said": said, "lost": lost}


def commits_between(
    log: Sequence[Commit], index: Mapping[str, int], green: Run, run: Run
) -> Sequence[Commit] | None:
    """The commits of a branch behind the green run's up to the run's, the newest first and at most
    ``COMMITS``; None where the branch has not both."""
    if run.commit == green.commit:
        return ()
    if run.commit not in index or green.commit not in index:
        return None
    return log[index[run.commit] : index[green.commit]][:COMMITS]
