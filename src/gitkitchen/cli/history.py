"""``log``, ``show`` and ``report``: views of the outcomes that are kept."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from gitkitchen import workplace
from gitkitchen.cli.runs import request, show_outcome
from gitkitchen.errors import PASSED
from gitkitchen.files import write_atomic
from gitkitchen.model import Outcome

ENDINGS = {"html": "html", "junit": "xml", "markdown": "md", "json": "json", "github": "txt"}


def log(options: argparse.Namespace) -> int:
    from gitkitchen.report.history import as_document, as_text

    rows = workplace.history(workplace.enter(request(options), looks=True), limit=options.limit)
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
    text = _rendered(_outcome(options), options.format)
    output = options.output or Path(f"report.{ENDINGS[options.format]}")
    if str(output) == "-":
        sys.stdout.write(text)
        return PASSED
    write_atomic(output, text)
    print(f"wrote {output}")
    return PASSED


def _outcome(options: argparse.Namespace) -> Outcome:
    place = workplace.enter(request(options), looks=True)
    return workplace.load_outcome(place, workplace.find_run(place, options.run))


def _as_json(outcome: Outcome) -> str:
    from gitkitchen.report.outcome import to_json

    return to_json(outcome)


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
