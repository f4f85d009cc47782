"""``log``, ``show`` and ``report``: views of the outcomes that are kept."""

from __future__ import annotations

import argparse
import difflib
import json
import sys

from gitkitchen import past, plugins, workplace
from gitkitchen.cli.runs import request, show_outcome
from gitkitchen.errors import PASSED, Mistake, Problem
from gitkitchen.files import write_atomic
from gitkitchen.model import Outcome
from gitkitchen.printed import text_safe

ENDINGS = {"html": "html", "junit": "xml", "markdown": "md", "json": "json", "github": "txt"}


def log(options: argparse.Namespace) -> int:
    from gitkitchen.report.history import as_document, as_text

    place = workplace.enter(request(options), looks=True, subject=workplace.UNASKED)
    rows = past.history(place, limit=options.limit)
    print(json.dumps(as_document(rows), ensure_ascii=False, indent=2) if options.json else as_text(rows))
    return PASSED


def show(options: argparse.Namespace) -> int:
    outcome = _outcome(options)
    if options.json:
        sys.stdout.write(_as_json(outcome))
    else:
        show_outcome(outcome)
    return PASSED


def report(options: argparse.Namespace) -> int:
    plugin = None if options.format in ENDINGS else _added(options.format)
    place = workplace.enter(request(options), looks=True, subject=workplace.UNASKED)
    outcome = past.load_outcome(place, past.find_run(place, options.run))
    text = _by_plugin(plugin, outcome) if plugin else _rendered(outcome, options.format)
    # Beside the record: a new file in the work tree would make it dirty, and the next run a candidate.
    beside = place.run_folder(outcome.run) / f"report.{ENDINGS.get(options.format, options.format)}"
    output = options.output or beside
    if str(output) == "-":
        sys.stdout.write(text)
        return PASSED
    write_atomic(output, text)
    print(f"wrote {output}")
    return PASSED


def _outcome(options: argparse.Namespace) -> Outcome:
    place = workplace.enter(request(options), looks=True, subject=workplace.UNASKED)
    return past.load_outcome(place, past.find_run(place, options.run))


def _as_json(outcome: Outcome) -> str:
    from gitkitchen.report.outcome import to_json

    return to_json(outcome)


def _added(form: str) -> plugins.Plugin:
    """The report of that name that an installed package adds. Raises Mistake."""
    added = plugins.offers(plugins.REPORTS, ENDINGS)
    if form not in added:
        known = [*ENDINGS, *added]
        near = difflib.get_close_matches(form, known, n=1)
        hint = f"did you mean '{near[0]}'?" if near else f"there are {', '.join(known)}"
        raise Mistake(Problem(f"there is no report '{text_safe(form)[:80]}'", hint=hint))
    return plugins.load(added[form])


def _by_plugin(plugin: plugins.Plugin, outcome: Outcome) -> str:
    """What a plugin makes of the outcome document. Raises Mistake where that is no text."""
    try:
        text = plugins.call(plugin, json.loads(_as_json(outcome)))
    except ValueError as error:
        raise Mistake(Problem(f"{plugin.offer.origin}: {text_safe(str(error))[:300]}")) from error
    if not isinstance(text, str):
        raise plugins.broken(plugin.offer, f"must give a text, not {type(text).__name__}")
    return text


def _rendered(outcome: Outcome, form: str) -> str:
    if form == "html":
        from gitkitchen.report.html import page

        return page(outcome)
    if form == "junit":
        from gitkitchen.report.junit import to_xml

        return to_xml(outcome)
    if form == "markdown":
        from gitkitchen.report.markdown import summary

        return summary(outcome)
    if form == "github":
        from gitkitchen.report.annotations import commands

        return commands(outcome)
    return _as_json(outcome)
