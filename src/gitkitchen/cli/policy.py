"""``policy``: what this branch asks of changes, what it waives, and what a change takes away from that."""

from __future__ import annotations

import argparse
import json
from datetime import UTC, datetime
from typing import Any

from gitkitchen import policing
from gitkitchen.cli.runs import request
from gitkitchen.errors import PASSED


def policy(options: argparse.Namespace) -> int:
    from gitkitchen.report.policy import as_text, changes_text

    now = datetime.now(UTC)
    if options.changes is not None:
        judgement = policing.changes_since(request(options), options.changes, now)
        document = policing.judgement_document(judgement)
        text = changes_text(document, options.changes)
    else:
        document = policing.policy_document(request(options), now)
        text = as_text(document)
    _print(document if options.json else text)
    return PASSED


def _print(said: dict[str, Any] | str) -> None:
    print(said if isinstance(said, str) else json.dumps(said, ensure_ascii=False, indent=2))
