"""Gates as a promotion meets them: commands, columns, the environment before, hotfixes, who ran what."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from gitkitchen.kitchen.identity import environment_namespace
from gitkitchen.ledger.folder import FolderLedger
from gitkitchen.ledger.records import Record
from gitkitchen.model import GateCommand
from gitkitchen.promote.gates.facts import Unread
from gitkitchen.promote.moves import body_of
from gitkitchen.promote.shapes import Incident, Intent, Landing, Method, stream_of
from gitkitchen.road.commanding import run_commands
from gitkitchen.road.facts import _hotfixes, source_of
from gitkitchen.road.ground import Ground
from gitkitchen.road.looking import look
from gitkitchen.workplace import Request
from road import FILES, SQL, made, promoted
from shop import Shop

AT = datetime(2026, 11, 18, 12, tzinfo=UTC)


def road(folder: Path, gate: str, environment: str = "staging") -> Shop:
    """A road whose environment has a gate, with dev run once."""
    branch = {"staging": "staging", "prod": "main"}[environment]
    old = f"{environment}: {{branch: {branch}}}"
    text = FILES["kitchen.yml"].replace(old, f"{environment}: {{branch: {branch}, gate: {gate}}}")
    shop = made(folder, {**FILES, "kitchen.yml": text})
    assert shop.cli("run", "--quiet").code == 0
    return shop


def gates(shop: Shop, *words: str, environment: str = "staging") -> dict[str, dict[str, Any]]:
    said = shop.cli("promote", environment, "--quiet", "--json", *words)
    return {gate["gate"]: gate for gate in json.loads(said.out)["gates"]}


def test_a_command_of_the_target_runs_in_the_candidates_tree(tmp_path: Path) -> None:
    """It sees the files that would land; while it fails nothing lands, and when it passes they do."""
    check = "{command: [{name: notes, run: [grep, -q, reviewed, notes.txt]}]}"
    shop = road(tmp_path, check)
    shop.commit({"notes.txt": "draft\n"})
    said = gates(shop)["command:notes"]
    assert (said["standing"], "`grep -q reviewed notes.txt` ended with 1" in said["reason"]) == (
        "failed",
        True,
    )
    assert shop.git("rev-parse", "staging") != shop.git("rev-parse", "develop")
    shop.commit({"notes.txt": "reviewed\n"})
    promoted(shop, "staging")
    assert shop.git("show", "staging:notes.txt") == "reviewed"


def test_a_change_of_columns_is_held_against_what_is_published(tmp_path: Path) -> None:
    """A new column is additive and lands; a column that readers have and that goes stops the promotion."""
    shop = road(tmp_path, "{contract: additive}")
    promoted(shop, "staging")
    more = "select carrier, count(*) as n, max(late) as worst from flights group by carrier\n"
    shop.commit({"recipes/delays/late.sql": more})
    promoted(shop, "staging")
    shop.commit({"recipes/delays/late.sql": SQL})
    said = gates(shop)["contract"]
    assert (said["standing"], "late: column worst is removed" in said["reason"]) == ("failed", True)


def test_the_keys_of_a_gate_are_the_targets_not_the_candidates(tmp_path: Path) -> None:
    """A tree that takes the gate away lands only when the gate that stands there lets it (S22)."""
    shop = road(tmp_path, "{command: [{name: never, run: ['false']}]}")
    shop.commit({"kitchen.yml": FILES["kitchen.yml"]})
    assert gates(shop)["command:never"]["standing"] == "failed"


def test_commands_have_no_secrets_no_shell_and_an_end(tmp_path: Path) -> None:
    """Environment variables of the job are not there, arguments stay what they are, time is bounded."""
    seen = tmp_path / "seen"
    code = "import os, sys; print(sorted(os.environ), sys.argv[1]); sys.exit('TOKEN' in os.environ)"
    commands = (
        GateCommand("env", ("python", "-c", code, "$(touch seen); `id`")),
        GateCommand("slow", ("sleep", "60"), 0.2),
        GateCommand("gone", ("no-such-program",)),
        GateCommand("killed", ("python", "-c", "import os; os.kill(os.getpid(), 9)")),
        GateCommand("loud", ("python", "-c", "print('x' * 3_000_000 + 'end'); raise SystemExit(7)")),
    )
    runs = run_commands(commands, tmp_path, "t", {"PATH": "/usr/bin:/bin", "TOKEN": "hush"})
    found = {run.name: run for run in runs}
    assert found["env"].code == 0
    assert "$(touch seen); `id`" in found["env"].said
    assert "hush" not in found["env"].said
    assert not seen.exists()
    assert (found["slow"].code, found["slow"].said) == (None, "it took longer than 0.2 s")
    assert (found["gone"].code, "cannot be started" in found["gone"].said) == (None, True)
    assert (found["killed"].code, "signal 9" in found["killed"].said) == (None, True)
    assert (found["loud"].code, len(found["loud"].said), found["loud"].said[-3:]) == (7, 300, "end")


def test_approvals_without_a_forge_are_unknown_and_nothing_moves(tmp_path: Path) -> None:
    """Where nobody can approve, the gate says so, and the environment keeps what it has."""
    shop = road(tmp_path, "{approvals: 1}")
    before = shop.git("rev-parse", "staging")
    said = gates(shop)["approvals"]
    assert (said["standing"], "`ledger: folder` has none" in said["reason"]) == ("unknown", True)
    assert "a gate without `approvals`" in said["change"]
    assert shop.git("rev-parse", "staging") == before


@pytest.fixture
def ground(tmp_path: Path) -> Ground:
    """A road with a commit in develop that staging does not have."""
    shop = made(tmp_path)
    shop.commit({"recipes/delays/late.sql": SQL + "-- more\n"})
    return Ground.of(Request(shop.root))


def landing(ground: Ground, rev: str, at: datetime, **given: Any) -> Landing:
    commit = ground.git.ref(rev) or ""
    tree = ground.git.ref(f"{rev}^{{tree}}") or ""
    made_of = {"before": "", "source": commit, "source_environment": "dev", "method": Method.PUSH}
    fields = {"environment": "staging", "branch": "staging", "intent": Intent.FORWARD, **made_of, **given}
    return Landing(tree=tree, commit=commit, at=at, **fields)


def write(ground: Ground, *moves: Any) -> None:
    for move in moves:
        ground.ledger.append(stream_of(move.environment), body_of(move))


def test_a_tree_stood_from_its_landing_to_the_next(ground: Ground) -> None:
    """The ledger's landings say when a tree stood there; an incident is told with its time."""
    first, second, third = AT, AT + timedelta(hours=5), AT + timedelta(hours=9)
    write(
        ground,
        landing(ground, "main", first),
        landing(ground, "develop", second, before=ground.git.ref("main")),
        landing(ground, "main", third, before=ground.git.ref("develop")),
        Incident("staging", "i1", "torn", third, "half of it"),
    )
    staging = ground.project.environments[1]
    tree = ground.git.ref("main^{tree}") or ""
    known = source_of(ground, staging, tree, AT)
    assert known.stood == ((first, second), (third, None))
    assert known.incidents == (third,)
    assert known.trouble == ("torn (i1): half of it",)
    other = source_of(ground, staging, ground.git.ref("develop^{tree}") or "", AT)
    assert other.stood == ((second, third),)


def test_what_nobody_promoted_stands_since_it_was_run(tmp_path: Path) -> None:
    """Of the first environment Git says what stood there, and its runs since when: no clock of an author."""
    shop = made(tmp_path)
    shop.git("commit", "-q", "--allow-empty", "--date=2001-01-01T00:00Z", "-m", "old")
    place = Ground.of(Request(shop.root))
    dev, tree = place.project.environments[0], place.git.ref("develop^{tree}") or ""
    assert source_of(place, dev, tree, AT).stood == ((AT, None),), "no run says since when: since now"
    assert shop.cli("run", "--quiet").code == 0
    ((since, until),) = source_of(Ground.of(Request(shop.root)), dev, tree, AT).stood
    assert since.year >= 2026
    assert until is None
    assert source_of(place, dev, "0" * 40, AT).stood == ()


class Counted(FolderLedger):
    """A ledger in a folder that counts the records that are read of it."""

    count = 0

    def read(self, stream: str, after: int = 0) -> Iterator[Record]:
        for record in super().read(stream, after):
            Counted.count += stream.startswith("runs/")
            yield record


def ran(ground: Ground, count: int, there: Callable[[int], bool], number: int = 1) -> str:
    """So many runs of an environment, staging, one every other day, of the tree of `develop` where it was
    ``there`` so many days ago, else of another. That tree."""
    environment = ground.project.environments[number]
    stream = f"runs/{environment_namespace(ground.project, environment)}/delays"
    tree = ground.git.ref("develop^{tree}") or ""
    for days in range(2 * count, 0, -2):
        body = {"run": f"r{days}", "recipe": "delays", "verdict": "failed"}
        body |= {"subject": {"tree": tree if there(days) else "0" * 40}}
        ground.ledger.append(stream, body | {"finished": (AT - timedelta(days=days)).isoformat()})
    return tree


@pytest.mark.long
def test_of_many_runs_those_that_are_asked_for_are_read(ground: Ground) -> None:
    """Of 200 runs the last 64, when the tree landed within their time and nothing older is lately."""
    write(ground, landing(ground, "develop", AT - timedelta(days=41)))
    tree = ran(ground, 200, lambda days: days <= 40)
    assert isinstance(ground.ledger, FolderLedger)
    Counted.count = 0
    counting = replace(ground, ledger=Counted(ground.ledger.root))
    known = source_of(counting, ground.project.environments[1], tree, AT)
    assert [run.run for run in known.runs if run.tree == tree] == [f"r{n}" for n in range(40, 0, -2)]
    assert Counted.count == 64


@pytest.mark.long
def test_runs_of_a_tree_that_came_back_are_read_back_to_its_first(ground: Ground) -> None:
    """A tree that stood there long ago, and again: none of its runs is left out."""
    ago = [AT - timedelta(days=days) for days in (181, 161, 41)]
    write(
        ground,
        landing(ground, "develop", ago[0]),
        landing(ground, "main", ago[1], before=ground.git.ref("develop")),
        landing(ground, "develop", ago[2], before=ground.git.ref("main")),
    )
    tree = ran(ground, 200, lambda days: days <= 40 or 160 < days <= 180)
    known = source_of(ground, ground.project.environments[1], tree, AT)
    assert len([run for run in known.runs if run.tree == tree]) == 30


@pytest.mark.long
def test_where_nobody_recorded_a_landing_runs_are_read_until_the_trees_first(ground: Ground) -> None:
    """What stands in the first environment stands there since its first run, however many came behind it."""
    tree = ran(ground, 200, lambda days: days <= 150, number=0)
    known = source_of(ground, ground.project.environments[0], tree, AT)
    assert known.stood == ((AT - timedelta(days=150), None),)


def test_which_runs_count(ground: Ground) -> None:
    """Runs of jobs by a schedule are told from others; candidates, dirty trees and unpublished passes are
    not runs of the environment."""
    staging = ground.project.environments[1]
    stream = f"runs/{environment_namespace(ground.project, staging)}/delays"
    body: dict[str, Any] = {
        "run": "r1", "recipe": "delays", "variation": None, "subject": {"tree": "t", "dirty": False},
        "verdict": "passed", "finished": AT.isoformat(), "publication": {"state": "published"},
    }  # fmt: skip
    bodies = [
        body | {"event": "schedule"},
        body | {"run": "r2", "interval": ["a", "b"]},
        body | {"run": "r3"},
        body | {"run": "r4", "candidate": {}},
        body | {"run": "r5", "subject": {"tree": "t", "dirty": True}},
        body | {"run": "r6", "publication": {"state": "withheld"}},
        body | {"run": "r7", "publication": {"state": "withheld"}, "verdict": "failed"},
    ]
    for one in bodies:
        ground.ledger.append(stream, one)
    known = source_of(ground, staging, "t", AT)
    assert [(r.run, r.scheduled) for r in known.runs] == [
        ("r1", True),
        ("r2", True),
        ("r3", False),
        ("r7", False),
    ]
    assert known.scheduled == ("delays",)
    assert source_of(ground, staging, "x", AT + timedelta(days=15)).scheduled == ()
    jobs = replace(ground, project=replace(ground.project, ledger="branch"))
    assert [r.run for r in source_of(jobs, staging, "t", AT).runs] == ["r1"]


def test_a_hotfix_is_contained_by_its_commits_or_by_its_changes(tmp_path: Path) -> None:
    """Merged back, or squashed into another commit with the same changes, it is there; else it is lacking."""
    shop = made(tmp_path)
    shop.git("switch", "-q", "main")
    shop.commit({"fix.txt": "mended\n"}, "hotfix")
    shop.git("switch", "-q", "staging")
    shop.commit({"other.txt": "1\n"})
    place = Ground.of(Request(shop.root))
    fix = landing(
        place, "main", AT, environment="prod", branch="main", before=place.git.ref("main~1"), source=""
    )
    write(place, replace(fix, intent=Intent.HOTFIX, reason="wrong sign"))

    def contained() -> bool | Unread:
        now = Ground.of(Request(shop.root))
        (hotfix,) = _hotfixes(now, look(now, "prod", intent=Intent.FORWARD), now.course("prod"))
        return hotfix.contained

    assert contained() is False
    shop.commit({"fix.txt": "mended otherwise\n"})
    assert contained() is False
    shop.commit({"fix.txt": "mended\n"}, "the same, squashed")
    assert contained() is True
    shop.git("reset", "-q", "--hard", "HEAD~2")
    shop.git("merge", "-q", "-m", "back-port", "main")
    assert contained() is True
