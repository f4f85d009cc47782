"""``kitchens``, ``drop`` and ``gc``: what there is, and what may go."""

from __future__ import annotations

import argparse
import json
from datetime import UTC, datetime

from gitkitchen import workplace
from gitkitchen.cli.runs import request
from gitkitchen.errors import INFRASTRUCTURE, PASSED, Mistake
from gitkitchen.model import Kitchen
from gitkitchen.premises import Premises, find_premises


def kitchens(options: argparse.Namespace) -> int:
    from gitkitchen.report.upkeep import kitchens_as_document, kitchens_as_text
    from gitkitchen.upkeep import listing

    asked = request(options)
    premises = find_premises(asked.start, asked.say)
    rows = listing.kitchens(premises, _current(asked, premises))
    if options.json:
        print(json.dumps(kitchens_as_document(rows), ensure_ascii=False, indent=2))
    else:
        print(kitchens_as_text(rows, datetime.now(UTC)))
    return PASSED


def _current(asked: workplace.Request, premises: Premises) -> Kitchen | None:
    """The kitchen of what is checked out; None where that is none (a detached HEAD)."""
    try:
        return workplace.enter(asked, found=premises, subject=workplace.UNASKED).kitchen
    except Mistake:
        return None


def drop(options: argparse.Namespace) -> int:
    from gitkitchen.report.text import safe, size
    from gitkitchen.upkeep.ending import drop as end

    asked = request(options)
    premises = find_premises(asked.start, asked.say)
    entry, freed, left = end(premises, options.kitchen_name, datetime.now(UTC))
    print(f"dropped {safe(entry.label)}: {size(freed)} freed")
    if left:
        print(f"left its zone of the store to `gitkitchen gc`: {safe(left)}")
    return PASSED


def gc(options: argparse.Namespace) -> int:
    from gitkitchen.report.upkeep import sweep_as_document, sweep_as_text
    from gitkitchen.upkeep.collecting import Limits, look, sweep

    asked = request(options)
    premises = find_premises(asked.start, asked.say)
    limits = Limits(grace=options.grace, keep=options.keep, cache=options.cache)
    found = (sweep if options.apply else look)(premises, limits, datetime.now(UTC))
    if options.json:
        print(json.dumps(sweep_as_document(found), ensure_ascii=False, indent=2))
    else:
        print(sweep_as_text(found))
    return INFRASTRUCTURE if found.failed else PASSED
