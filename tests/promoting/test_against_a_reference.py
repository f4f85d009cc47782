"""Promotion against a reference of a few lines: whatever happens in whatever order, both end alike.

The code is the command `promote` over a ledger in a folder. The reference knows, for every environment, what
its branch holds, what its consumers read, and what was landed.
"""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from gitkitchen.promote.protocol import Purpose, Way, route
from gitkitchen.road import effects
from gitkitchen.road.ground import Ground
from gitkitchen.workplace import Request
from road import FILES, SQL, made, rows
from shop import Said, Shop

SOURCE = {"staging": "dev", "prod": "staging"}
BRANCH = {"dev": "develop", "staging": "staging", "prod": "main"}
BAD = 0
"""The one content whose test fails."""
FORWARD = [step.name for step in route(Purpose.FORWARD, Way.LOCAL).steps if step.name != "report-landed"]
EARLY = FORWARD[1 : FORWARD.index("move-branch") + 1]
"""Steps before which somebody else may still change what is being proved."""
CHILD = """
import os, signal, sys
from gitkitchen.cli.main import main
from gitkitchen.road import effects
name, when, root, environment = sys.argv[1:5]
def kill(step, now):
    if (step, now) == (name, when):
        os.kill(os.getpid(), signal.SIGKILL)
effects.watchers.append(kill)
sys.exit(main(["-C", root, "promote", environment, "--quiet"]))
"""
CONTENTS = st.integers(0, 5)
GOOD = st.integers(1, 5)
TARGETS = st.sampled_from(sorted(SOURCE))


def walked(seen: list[tuple[str, str]]) -> list[tuple[tuple[Purpose, ...], list[str]]]:
    """The walks of a command, and whose routes each may be: every attempt of a promotion, and behind it those
    of its `reconcile`, each of which begins with a look for work."""
    walks: list[tuple[tuple[Purpose, ...], list[str]]] = []
    outer: list[str] = []
    inside = False
    for name, when in seen:
        if name == "reconcile":
            inside = when == "before"
            if inside:
                outer = ["reconcile"]
                walks.append(((Purpose.FORWARD,), outer))
        elif when == "before" and name not in effects.KEEPING:
            if inside and name == "look-for-work":
                walks.append(((Purpose.RECONCILE, Purpose.ABSORB), []))
            (walks[-1][1] if inside else outer).append(name)
    return walks


def follows(walk: list[str], purpose: Purpose) -> bool:
    """Whether the steps come in the route's order, and none that writes the environment without its looks.

    A step that has nothing to do is left out. What an answer leads to stands behind all steps.
    """
    path = route(purpose, Way.LOCAL)
    order = [step.name for step in (*path.steps, *path.aside)]
    if walk[0] != order[0] or not set(walk) <= set(order):
        return False
    back = walk.index("give-back-lease") if "give-back-lease" in walk else len(walk)
    if any(path.holds(name) for name in walk[back + 1 :]):
        return False
    places = [order.index(name) for name in walk if name != "give-back-lease"]  # behind an incident, too
    moves = {"move-branch", "record-move", "record-incident"} & set(walk)
    looks = {"prove", "record-evidence", "take-lease", "judge", "judge-again"} & set(order)
    if purpose is Purpose.ABSORB and "record-incident" in walk:
        looks -= {"prove", "record-evidence"}  # a tree that is another than was proposed is wrong unproved
    return places == sorted(set(places)) and (not moves or looks <= set(walk))


def sql(content: int) -> str:
    return SQL.replace("count(*)", f"count(*) + {content}") + ("having false\n" if content == BAD else "")


@dataclass
class Reference:
    """What must be true. Contents are numbers; None where nothing was published or landed yet."""

    branch: dict[str, int] = field(default_factory=dict)
    read: dict[str, int | None] = field(default_factory=dict)
    landed: dict[str, int | None] = field(default_factory=dict)
    used: dict[str, str] = field(default_factory=dict)
    """By environment, the commit of its source that was promoted last."""
    stands: dict[str, str] = field(default_factory=dict)
    """By environment, the commit that it promotes from here on."""
    hand: set[str] = field(default_factory=set)
    """Where what landed last came by hand."""

    def older(self, environment: str) -> bool:
        """Whether what would be promoted is in what came by hand since."""
        return environment in self.hand and self.used[environment] == self.stands[SOURCE[environment]]

    def forward(self, environment: str) -> tuple[int, int | None]:
        """Promote: the exit code, and what lands (None: nothing)."""
        source = SOURCE[environment]
        if self.older(environment):
            return 2, None
        content = self.landed.get(source)
        if content is None:  # where nothing was ever landed, what stands on the branch is what there is
            content = self.branch[source]
        return (1, None) if content == BAD else (0, content)

    def lands(self, environment: str, content: int, commit: str) -> None:
        self.branch[environment] = self.read[environment] = self.landed[environment] = content
        self.used[environment] = self.stands[SOURCE[environment]]
        self.stands[environment] = commit
        self.hand.discard(environment)

    def absorbs(self, environment: str, content: int, commit: str) -> None:
        """What came by hand is recorded; where nothing ever landed, the branch is only moved."""
        self.branch[environment] = content
        self.stands[environment] = commit
        if self.landed[environment] is not None:
            self.read[environment] = self.landed[environment] = content
            self.hand.add(environment)


class Road(RuleBasedStateMachine):
    """Commands and meddlers on one repository, and the reference beside it."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.shop: Shop
        self.told: dict[str, list[str]] = {name: [] for name in SOURCE}
        self.model = Reference()
        self.commits = 0

    @initialize()
    def begin(self) -> None:
        self.shop = made(self.folder, {**FILES, "recipes/delays/late.sql": sql(1)})
        assert self.shop.cli("run", "--quiet").code == 0
        self.model.branch = dict.fromkeys(BRANCH, 1)
        self.model.read = {"dev": 1, "staging": None, "prod": None}
        self.model.landed = {"staging": None, "prod": None}
        self.model.stands = {name: self.tip(name) for name in BRANCH}

    # --- what people do ------------------------------------------------------------------------------------

    @rule(content=CONTENTS)
    def change(self, content: int) -> None:
        """Somebody changes the recipe on develop, and it is run there."""
        if content == self.model.branch["dev"]:
            return
        self.shop.commit({"recipes/delays/late.sql": sql(content)})
        assert self.shop.cli("run", "--quiet").code == (1 if content == BAD else 0)
        self.model.branch["dev"] = content
        self.model.stands["dev"] = self.tip("dev")
        if content != BAD:
            self.model.read["dev"] = content

    @rule(environment=TARGETS)
    def promote(self, environment: str) -> None:
        self.expect(environment, self.watched(environment, "", lambda: None))

    @rule(environment=TARGETS, content=GOOD, step=st.sampled_from(EARLY))
    def promote_while_somebody_pushes(self, environment: str, content: int, step: str) -> None:
        """The base moves before a step: what was pushed is proved, and then the promotion, on top of it."""
        if self.freshen(environment):
            said = self.watched(environment, step, lambda: self.by_hand(environment, content))
            self.expect(environment, said)

    @precondition(lambda self: self.model.forward("staging")[1] is not None)
    @rule(content=GOOD, step=st.sampled_from(EARLY))
    def promote_while_the_source_moves(self, content: int, step: str) -> None:
        """The head moves before a step: the old tree lands or the new one, whole."""
        old = self.model.branch["dev"]

        def change() -> None:
            if content != old:
                self.shop.commit({"recipes/delays/late.sql": sql(content)})

        said = self.watched("staging", step, change)
        assert said.code == 0, said.out + said.err
        self.model.branch["dev"] = self.content("dev")
        self.model.stands["dev"] = self.tip("dev")
        landed = self.content("staging")
        assert landed in {old, content}
        self.model.lands("staging", landed, self.tip("staging"))
        self.model.used["staging"] = self.shop.git("rev-parse", "staging^@").split()[-1]
        if self.model.branch["dev"] != old:
            assert self.shop.cli("run", "--quiet").code == 0
            self.model.read["dev"] = self.model.branch["dev"]

    @rule(environment=TARGETS, step=st.sampled_from(FORWARD), when=st.sampled_from(["before", "after"]))
    def promote_killed(self, environment: str, step: str, when: str) -> None:
        """kill -9 at any effect: readers see old or new; the same command again does what was asked."""
        old = self.model.read[environment]
        root = str(self.shop.root)
        argv = [sys.executable, "-c", CHILD, step, when, root, environment]
        child = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=120)
        code, new = self.model.forward(environment)
        assert child.returncode in {-signal.SIGKILL, code}, child.stderr
        assert self.reads(environment) in {old, new if new is not None else old}
        self.expect(environment, self.shop.cli("promote", environment, "--quiet"))

    @rule(environment=TARGETS, content=GOOD, fresh=st.booleans())
    def push(self, environment: str, content: int, fresh: bool) -> None:
        """A push by hand publishes nothing by itself; the next promotion proves it before all else. Where the
        source has nothing newer, it ends there: what came by hand is not taken back."""
        if not fresh or self.freshen(environment):
            before = self.reads(environment)
            self.by_hand(environment, content)
            assert self.reads(environment) == before
            self.model.absorbs(environment, content, self.tip(environment))
            self.expect(environment, self.watched(environment, "", lambda: None))

    # --- what must be true ------------------------------------------------------------------------------

    @invariant()
    def branches_and_readers_are_the_reference(self) -> None:
        for environment in BRANCH:
            assert self.content(environment) == self.model.branch[environment], environment
            assert self.reads(environment) == self.model.read[environment], environment

    @invariant()
    def what_was_told_is_recorded_and_stands(self) -> None:
        """Each landing that a command told of is in the ledger and in the branch's history."""
        ground = Ground.of(Request(start=self.shop.root))
        for environment, told in self.told.items():
            landings = [landing.commit for landing in ground.course(environment).landings]
            assert set(told) <= set(landings)
            history = self.shop.git("rev-list", "--first-parent", BRANCH[environment]).split()
            assert set(landings) <= set(history)
            assert len(landings) == len(set(landings))
            if landings and self.model.landed[environment] == self.model.branch[environment]:
                assert landings[-1] == self.tip(environment)

    def teardown(self) -> None:
        if hasattr(self, "shop"):
            ledger = Ground.of(Request(start=self.shop.root)).ledger
            assert [p for stream in ledger.streams() for p in ledger.verify(stream)] == []
        shutil.rmtree(self.folder, ignore_errors=True)

    # --- helpers ------------------------------------------------------------------------------------------

    def expect(self, environment: str, said: Said) -> None:
        """The command did what the reference does."""
        code, content = self.model.forward(environment)
        assert said.code == code, said.out + said.err
        if content is not None:
            self.model.lands(environment, content, self.tip(environment))
            self.told[environment].append(self.tip(environment))

    def freshen(self, environment: str) -> bool:
        """Give the source a commit that the target lacks: over a commit by hand, an older one goes no way."""
        if self.model.branch["dev"] == BAD:
            return False
        self.commits += 1
        self.shop.commit({"notes.txt": f"{self.commits}"})
        self.model.stands["dev"] = self.tip("dev")
        if environment == "prod":
            self.promote("staging")
        return True

    def watched(self, environment: str, step: str, do: object) -> Said:
        begun: list[str] = []
        seen: list[tuple[str, str]] = []

        def watch(name: str, when: str) -> None:
            seen.append((name, when))
            if (name, when) == (step, "before") and not begun:
                begun.append(name)
                do()  # type: ignore[operator]

        effects.watchers.append(watch)
        try:
            said = self.shop.cli("promote", environment, "--quiet")
        finally:
            effects.watchers.remove(watch)
        for purposes, walk in walked(seen):
            assert any(follows(walk, purpose) for purpose in purposes), walk
        return said

    def by_hand(self, environment: str, content: int) -> None:
        """A commit on an environment's branch that nobody asked GitKitchen for."""
        git, branch = self.shop.git, BRANCH[environment]
        file = self.folder / "by-hand.sql"
        file.write_text(sql(content))
        blob = git("hash-object", "-w", str(file))
        held = git("rev-parse", "HEAD")
        git("read-tree", branch)
        git("update-index", "--cacheinfo", f"100644,{blob},recipes/delays/late.sql")
        tree = git("write-tree")
        git("read-tree", held)
        commit = git("commit-tree", tree, "-p", branch, "-m", "by hand")
        git("update-ref", f"refs/heads/{branch}", commit)

    def tip(self, environment: str) -> str:
        return self.shop.git("rev-parse", BRANCH[environment])

    def content(self, environment: str) -> int:
        text = self.shop.git("show", f"{BRANCH[environment]}:recipes/delays/late.sql")
        return int(text.split("count(*) + ")[1].split()[0])

    def reads(self, environment: str) -> int | None:
        """What consumers see."""
        if self.shop.cli("query", "late", "--kitchen", environment).code == 2:
            return None
        (first, *_) = rows(self.shop, environment, "select n from late order by carrier")
        assert isinstance(first, tuple)
        return int(first[0]) - 2


def run(examples: int, steps: int) -> None:
    from hypothesis.stateful import run_state_machine_as_test

    run_state_machine_as_test(
        Road,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            derandomize=True,
            phases=[Phase.generate],  # a step costs a second: a shorter way to a failure would cost minutes
            report_multiple_bugs=False,
            suppress_health_check=list(HealthCheck),
        ),
    )


def test_a_few_orders_of_events_end_as_in_the_reference() -> None:
    """Promotions, kills and meddlers in an order that hypothesis chooses: code and reference agree."""
    run(2, 4)


@pytest.mark.long
def test_many_orders_of_events_end_as_in_the_reference() -> None:
    """The same, longer and more often."""
    run(10, 8)
