"""``page``: the status page of the project, as a folder of files."""

from __future__ import annotations

import argparse
import gc
import json
from datetime import UTC, datetime

from gitkitchen.cli.runs import request
from gitkitchen.errors import PASSED


def page(options: argparse.Namespace) -> int:
    from gitkitchen.page.drawn import Drawn
    from gitkitchen.page.machines import status
    from gitkitchen.page.views.parts import Studio
    from gitkitchen.page.writing import write_site
    from gitkitchen.report.text import count, safe
    from gitkitchen.showing import site

    gc.disable()
    try:
        premises, found = site(request(options), datetime.now(UTC))
        # It all stays until it is written: nobody looks for garbage in it, and no fork copies it for that.
        gc.freeze()
    finally:
        gc.enable()
    folder = options.out or premises.project.state / "page"
    studio = Studio.of(found, Drawn(premises.project.state / "cache" / "drawn"))
    try:
        written = write_site(studio, folder)
    finally:
        gc.unfreeze()
    if options.json:
        print(json.dumps(status(studio), ensure_ascii=False, indent=2))
    else:
        what = f"{count(written.pages, 'page')}, {count(written.changed, 'file')} written"
        print(safe(f"{what}: {folder / 'index.html'}"))
        for line in found.lacks:
            print(safe(f"not known: {line}"))
    if options.serve is not None:
        from gitkitchen.page.serving import serve

        serve(folder, options.serve, lambda address: print(f"{address}  (Ctrl-C ends it)", flush=True))
    return PASSED
