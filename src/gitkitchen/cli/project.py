"""``init``, ``validate``, ``settings`` and ``schema``: the files that people write."""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path

from gitkitchen import reading, workplace
from gitkitchen.cli.main import complain
from gitkitchen.cli.runs import request
from gitkitchen.errors import MISTAKE, PASSED, Mistake, Problem


def init(options: argparse.Namespace) -> int:
    from gitkitchen.automation import pinned
    from gitkitchen.start import action_of, store_at_hand, write_project

    folder = Path(options.folder).resolve()
    known = action_of(folder)
    action = options.action or known or _asked()
    if action:
        pinned(action)
    store = options.store
    if action and not (store or known or store_at_hand(folder) or (folder / "kitchen.yml").exists()):
        store = _asked_store()
    started = write_project(folder, options.name or folder.name, action, store)
    for one in started.offered:
        if one.word != "same":
            print(f"{one.word:8} {one.path}{f' ({one.said})' if one.said else ''}")
    if all(one.word == "same" or one.word == "kept" for one in started.offered):
        print("nothing is to be done")
    if started.advice:
        complain(*started.advice)
    if started.open:
        complain(*started.open)
        return MISTAKE
    if not started.action:
        print("\nWorkflows for pull requests: gitkitchen init --action OWNER/REPO@SHA")
    first = (
        "" if all(one.word in ("same", "kept") for one in started.offered) else "commit these files, then "
    )
    print(f"\nNext: {first}gitkitchen run")
    kind = started.store.partition("://")[0] if "://" in started.store else ""
    if kind in ("oci", "s3"):
        print(
            f"\nJobs keep what they build in {started.store}. Here you see it once you may read it:\n"
            f"`pip install 'gitkitchen[{kind}]'`, and a login (docs/stores.md). Until then runs work alone."
        )
    return PASSED


def _asked_store() -> str:
    """The store that a person names; "" where nobody is there to ask."""
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        return ""
    print("Hosted runners forget their disks: jobs keep what they build in a registry or a bucket.")
    try:
        return input("oci://HOST/REPOSITORY or s3://BUCKET/PREFIX (empty: a folder): ").strip()
    except EOFError:
        return ""


def _asked() -> str:
    """The action that a person names; "" where nobody is there to ask."""
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        return ""
    print("Workflows for pull requests use GitKitchen's action, at one commit that you trust.")
    try:
        return input("OWNER/REPO@SHA (empty: no workflows): ").strip()
    except EOFError:
        return ""


def validate(options: argparse.Namespace) -> int:
    from gitkitchen.report.problems import as_github, as_json, as_text

    problems = reading.validate(Path(options.folder).resolve(), os.environ, options.readers)
    if options.format == "json":
        print(as_json(problems))
    elif problems:
        print((as_github if options.format == "github" else as_text)(problems))
    elif options.format == "text":
        print("all files are well-formed")
    return MISTAKE if problems else PASSED


def settings(options: argparse.Namespace) -> int:
    asked = request(options)
    place = workplace.enter(asked)
    recipes = reading.read_recipes(place.project)
    raw = recipes.recipes[reading.choose(recipes, asked.recipe)]
    found = reading.settings_of(place, raw, asked)
    if options.json:
        document = {
            "version": 1,
            "kitchen": place.kitchen.label,
            "namespace": place.kitchen.namespace,
            "environment": place.kitchen.environment,
            "values": {k: {"value": s.value, "origin": s.origin} for k, s in sorted(found.items())},
        }
        print(json.dumps(document, ensure_ascii=False, indent=2))
        return PASSED
    kind = f"environment {place.kitchen.environment}" if place.kitchen.environment else "sandbox"
    print(f"kitchen {place.kitchen.label} ({kind}, namespace {place.kitchen.namespace})")
    width = max((len(k) for k in found), default=0)
    for key, setting in sorted(found.items()):
        print(f"  {key:{width}}  {json.dumps(setting.value, ensure_ascii=False)}  # {setting.origin}")
    return PASSED


def schema(options: argparse.Namespace) -> int:
    from gitkitchen.document import schema as load_schema
    from gitkitchen.document import schema_names

    names = schema_names()
    if options.name is None:
        print("\n".join(names))
        return PASSED
    if options.name not in names:
        raise Mistake(Problem(f"there is no schema '{options.name}'", hint=f"there are: {', '.join(names)}"))
    print(json.dumps(load_schema(options.name), ensure_ascii=False, indent=2))
    return PASSED
