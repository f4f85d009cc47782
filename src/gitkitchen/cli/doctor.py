"""``doctor``: how far a project is protected, and what is to be mended."""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path

from gitkitchen.errors import FAILED, INFRASTRUCTURE, PASSED

CODES = {"held": PASSED, "gaps": FAILED, "unknown": INFRASTRUCTURE}


def doctor(options: argparse.Namespace) -> int:
    from gitkitchen.promote.diagnosis import judge
    from gitkitchen.report.doctor import as_text
    from gitkitchen.road.doctor import document, examine

    facts = examine(Path(options.folder).resolve(), os.environ)
    made = document(judge(facts), facts, options.level)
    print(json.dumps(made, ensure_ascii=False, indent=2) if options.json else as_text(made))
    return CODES[made["conclusion"]]
