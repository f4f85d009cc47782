"""``demo --road``: the road to production on real data, told step by step, without network or account.

Environments, gates and promotions are real. Two things are the demo's own: it commits what people would, and
where a gate asks for a day, its clock is set forward.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from gitkitchen import history
from gitkitchen.cli.demo import Story
from gitkitchen.errors import FAILED, PASSED, Infrastructure, Problem
from gitkitchen.workplace import Request

RECIPE = "recipes/delays/recipe.yml"
LATE, TOO_SOON, MENDED = "late_minutes: 15 ", "late_minutes: 10 ", "late_minutes: 20 "
PROD = "  prod:    {branch: main}\n"
GATED = """\
  prod:
    branch: main
    gate:
      soak: {hours: 24}           # a tree stands in staging for a day before it comes here
"""
SHARE = (
    "select count(*) as carriers, round(100.0 * sum(share_late * n_flights) / sum(n_flights), 1) as percent "
    "from late_by_carrier"
)
REASON = "more flights are late than ever"


class Road(Story):
    """The demo with its clock."""

    days = 0

    def now(self) -> datetime:
        """The clock of the promotions."""
        return datetime.now(UTC) + timedelta(days=self.days)

    def gitkitchen(self, *words: str, expect: int = PASSED) -> None:
        print(flush=True)
        super().gitkitchen(*words, expect=expect)

    def promote(self, environment: str, expect: int = PASSED) -> None:
        """`gitkitchen promote`, by the demo's clock."""
        from gitkitchen.process import Cancel
        from gitkitchen.road.landing import promote
        from gitkitchen.road.walking import Asked

        self.timed(
            f"promote {environment}",
            lambda: promote(
                Asked(environment, Request(start=self.root), Cancel(), clock=self.now, say=self.say)
            ),
            expect,
        )

    def hotfix(self, environment: str, branch: str, reason: str) -> None:
        """`gitkitchen promote --hotfix`, by the demo's clock."""
        from gitkitchen.process import Cancel
        from gitkitchen.promote.shapes import Intent
        from gitkitchen.road.landing import promote
        from gitkitchen.road.walking import Asked

        asked = Asked(
            environment,
            Request(start=self.root),
            Cancel(),
            Intent.HOTFIX,
            rev=branch,
            reason=reason,
            clock=self.now,
            say=self.say,
        )
        words = shlex.join(["promote", environment, "--hotfix", "--from", branch, "--reason", reason])
        self.timed(words, lambda: promote(asked), PASSED)

    def rollback(self, environment: str, reason: str) -> None:
        """`gitkitchen rollback`, by the demo's clock."""
        from gitkitchen.process import Cancel
        from gitkitchen.road.rollback import Back, rollback
        from gitkitchen.road.walking import Asked

        asked = Asked(
            environment, Request(start=self.root), Cancel(), reason=reason, clock=self.now, say=self.say
        )
        words = shlex.join(["rollback", environment, "--reason", reason])
        self.timed(words, lambda: rollback(asked, Back()), PASSED)

    def timed(self, words: str, do: Callable[[], object], expect: int) -> None:
        """A command that moves an environment, done by the demo's clock, and its text."""
        from gitkitchen.road.shown import code_of, text
        from gitkitchen.road.walking import Done

        late = f"          (the clock is {self.days} days ahead)" if self.days else ""
        print(f"\n   $ gitkitchen {words}{late}\n", flush=True)
        done = do()
        assert isinstance(done, Done)
        print(text(done.shown()), flush=True)
        code = code_of(done.end, done.gates)
        if code != expect:
            raise Infrastructure(Problem(f"`{words}` ended with {code}; the demo expected {expect}"))

    def late(self, environment: str) -> float:
        """The share of late flights that consumers of an environment read, in percent."""
        from gitkitchen import holdings, workplace

        place = workplace.enter(workplace.Request(start=self.root, kitchen=environment))
        with holdings.open_tables(place, None) as engine:
            return float(engine.fetch(SHARE)[1][0][1])

    def tree(self, branch: str) -> str:
        return history.commit_of(self.root, self.git("rev-parse", branch)).tree

    def builds(self) -> int:
        """How many builds the store has."""
        return sum(1 for _ in (self.root / ".gitkitchen" / "store").rglob("builds/*/*"))

    def hold_true(self, promise: str, held: bool) -> None:
        """A promise of the story is checked while it is told."""
        if not held:
            raise Infrastructure(Problem(f"the demo's promise does not hold: {promise}"))

    def change(self, branch: str, old: str, new: str, message: str) -> None:
        """Somebody's change, merged to ``develop``."""
        path = self.root / RECIPE
        self.git("checkout", "-q", "-b", branch, "develop")
        text = path.read_text(encoding="utf-8")
        self.hold_true(f"{RECIPE} says {old}", old in text)
        path.write_text(text.replace(old, new), encoding="utf-8")
        self.git("commit", "-q", "-am", message)
        self.git("checkout", "-q", "develop")
        self.git("merge", "-q", "--no-ff", "-m", f"Merge {branch}", branch)


def told(road: Road) -> None:
    """The whole story."""
    _laid_out(road)
    _first(road)
    _surprise(road)
    _back(road)
    _mended(road)
    _hotfix(road)
    _looked_at(road)


def _laid_out(road: Road) -> None:
    road.step("A repository with three environments, each a branch: develop -> staging -> main.")
    kitchen = road.root / "kitchen.yml"
    text = kitchen.read_text(encoding="utf-8")
    road.hold_true("the example's kitchen.yml is the one that this demo edits", PROD in text)
    kitchen.write_text(text.replace(PROD, GATED), encoding="utf-8")
    road.git("init", "-q", "-b", "main", ".")
    road.git("config", "user.name", "GitKitchen demo")
    road.git("config", "user.email", "demo@example.org")
    road.git("add", "-A")
    road.git("commit", "-q", "-m", "Delays of flights from New York")
    road.git("branch", "staging")
    road.git("checkout", "-q", "-b", "develop")
    for line in GATED.splitlines():
        road.say(line)
    road.say("People reach dev by pull requests. A green run on its branch publishes there:")
    road.gitkitchen("run", "--quiet")


def _first(road: Road) -> None:
    road.step("To staging: the same tree, tested again in staging's own kitchen, and nothing is built twice.")
    before = road.builds()
    road.promote("staging")
    road.hold_true("staging has the tree of develop", road.tree("staging") == road.tree("develop"))
    road.hold_true("nothing is built twice", road.builds() == before)
    road.say(f"The store has the {before} builds that it had before: staging shows them, too.")
    road.step("To production: the gate asks for a day in staging.")
    road.promote("prod", expect=FAILED)
    road.say("Nothing has moved. A dry run says how it will stand at another moment:")
    tomorrow = (datetime.now(UTC) + timedelta(days=1, hours=1)).strftime("%Y-%m-%dT%H:%MZ")
    road.gitkitchen("promote", "prod", "--dry-run", "--at", tomorrow)
    road.days += 2
    road.step("Two days later: what was tested is what ships, tree and data, in one step.")
    road.promote("prod")
    road.hold_true("main has the tree of develop", road.tree("main") == road.tree("develop"))
    road.say("What consumers of production read:")
    road.gitkitchen("query", "--kitchen", "prod", SHARE)


def _surprise(road: Road) -> None:
    road.step("A bad surprise: somebody lets a flight count as late after 10 minutes. All tests pass.")
    before = road.late("prod")
    road.change("late-sooner", LATE, TOO_SOON, "Count delays from 10 minutes on")
    road.gitkitchen("run", "--quiet")
    road.promote("staging")
    road.days += 2
    road.promote("prod")
    after = road.late("prod")
    road.hold_true("the surprise has come", after > before)
    road.say(f"Yesterday {before:.1f} % of flights were late, today {after:.1f} %.")


def _back(road: Road) -> None:
    road.step("One command brings production back, tree and data, and holds it there.")
    road.rollback("prod", REASON)
    share = road.late("prod")
    road.hold_true("the data of before is back", share == 23.8)
    road.say(f"Readers of production see {share:.1f} % again. A promotion meets the hold:")
    road.promote("prod", expect=FAILED)


def _mended(road: Road) -> None:
    road.step("Mended on develop, and the whole road again: nothing of what had gone back is lost.")
    road.change("mended", TOO_SOON, LATE, "A flight is late after 15 minutes")
    road.gitkitchen("run", "--quiet")
    road.promote("staging")
    road.days += 2
    road.say("The hold is released by name:")
    road.gitkitchen("hold", "prod", "--release")
    road.promote("prod")
    road.hold_true("main has the tree of develop", road.tree("main") == road.tree("develop"))


def _hotfix(road: Road) -> None:
    road.step("A hotfix: straight from a branch of production, and brought back by itself.")
    road.change("note", "# How punctual", "# How very punctual", "A note that is still on its way")
    road.git("checkout", "-q", "-b", "hot", "main")
    path = road.root / RECIPE
    path.write_text(path.read_text(encoding="utf-8").replace(LATE, MENDED), encoding="utf-8")
    road.git("commit", "-q", "-am", "A flight is late after 20 minutes")
    road.hotfix("prod", "hot", "the contract says 20 minutes")
    branch = road.git("for-each-ref", "--format=%(refname:short)", "refs/heads/gitkitchen-backport/")
    road.hold_true("there is one branch of the back-port", len(branch.split()) == 1)
    road.step("Until develop has the hotfix, nothing is promoted over it; merged, everything goes on.")
    road.git("checkout", "-q", "develop")
    road.gitkitchen("run", "--quiet")
    road.promote("staging")
    road.days += 2
    road.promote("prod", expect=FAILED)
    print(f"   $ git merge {branch}\n")
    road.git("merge", "-q", "--no-ff", "-m", f"Merge {branch}", branch)
    road.gitkitchen("run", "--quiet")
    road.promote("staging")
    road.days += 2
    road.promote("prod")
    road.hold_true("main has the tree of develop", road.tree("main") == road.tree("develop"))


def _looked_at(road: Road) -> None:
    road.step("Who moved what, and is the record whole?")
    road.gitkitchen("audit", "prod")
    road.gitkitchen("audit", "--verify")
    road.say("Nothing died on the way, and nothing was changed by hand:")
    road.gitkitchen("reconcile")
