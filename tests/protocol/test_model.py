"""The protocol, searched by Spin: no state breaks a property, and every known mistake is found.

The model's transitions are written from the table (`writing.py`), so that a change of the table is a change
of the model. What the effects do is `world.pml`; one test here holds the two to the same names.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from tests.protocol.casts import CASTS
from tests.protocol.mistakes import MISTAKES, Mistake
from tests.protocol.spinning import MEGABYTES, explore, needs_spin
from tests.protocol.writing import LANDS, SILENT, Cast, promela

from gitkitchen.promote.protocol import ROUTES, STEPS, Does, End, Purpose, Route, Way, route

HERE = Path(__file__).parent
PAGE = HERE.parent.parent / "docs" / "protocol.md"
LEAST = 500_000
SMALL = Cast(
    "small", ((Purpose.FORWARD, Way.PUSH), (Purpose.ROLLBACK, Way.BUTTON)), crashes=0, expiries=0, commits=5
)


@needs_spin
@pytest.mark.long
@pytest.mark.parametrize("cast", CASTS, ids=lambda cast: cast.name)
def test_no_state_breaks_a_property(cast: Cast, tmp_path: Path) -> None:
    """Half a million states and more of each cast: tested, won by one, recorded, whole at the end."""
    found = explore(promela(cast), tmp_path, large=True)
    print(f"{cast.name}: {found.states:,} states, {found.seconds} s, {found.megabytes} MB")
    assert found.broken == "", f"{found.broken}:\n{found.trail}"
    assert found.states >= LEAST
    assert found.megabytes < MEGABYTES


@needs_spin
def test_no_state_of_a_small_world_breaks_a_property(tmp_path: Path) -> None:
    """The same search over fewer commits and troubles, for every commit of ours."""
    found = explore(promela(SMALL), tmp_path)
    assert found.broken == "", f"{found.broken}:\n{found.trail}"
    assert found.states > 10_000


@needs_spin
@pytest.mark.long
@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda mistake: mistake.name.replace(" ", "-"))
def test_the_mistake_is_found(mistake: Mistake, tmp_path: Path) -> None:
    """With the mistake in the table, Spin shows steps that break the property which the docs name."""
    found = explore(promela(mistake.cast, mistake.table), tmp_path)
    assert found.broken == mistake.breaks
    assert "failed assertion" in found.trail
    assert len(found.trail.splitlines()) > 5


@needs_spin
@pytest.mark.long
def test_the_casts_of_the_mistakes_break_nothing_without_them(tmp_path: Path) -> None:
    """It is the mistake that is found, and not a fault of the world it is played in."""
    for cast in dict.fromkeys(mistake.cast for mistake in MISTAKES):
        assert explore(promela(cast), tmp_path, large=True).broken == ""


def test_every_mistake_changes_a_route_or_the_world() -> None:
    """None of the mistakes is the protocol as it is."""
    for mistake in MISTAKES:
        plays = [route(*play) for play in mistake.cast.plays]
        assert mistake.defines or any(mistake.change(path) != path for path in plays), mistake.name


def test_the_docs_list_the_mistakes_and_what_they_break() -> None:
    """The page names each mistake with its property, in this order, and no other."""
    rows = re.findall(r"^\| \d+ \| ([^|]+) \| [^|]+ \| `(\w+)` \|$", PAGE.read_text(encoding="utf-8"), re.M)
    assert rows == [(mistake.name, mistake.breaks) for mistake in MISTAKES]
    assert len(rows) >= 10


def test_the_world_has_every_effect_of_the_table_and_no_other() -> None:
    """An effect that is new, gone or renamed in the table is so in the model, or this fails."""
    world = (HERE / "world.pml").read_text(encoding="utf-8")
    written = set(re.findall(r"^(?:inline|#define) e_(\w+)", world, re.M))
    names = {name.replace("-", "_") for name in set(STEPS) - SILENT if name != "prove"}
    # A hold is taken back by nobody in the model: that a person releases it opens what the gates then judge.
    assert written == names - {"record_release"}


def test_the_world_compares_what_the_table_says_it_compares() -> None:
    """Each fact that a step compares is looked at by its effect in the model, none in name only."""
    world = (HERE / "world.pml").read_text(encoding="utf-8")
    bodies = dict(re.findall(r"^inline (\w+)\([^)]*\) \{(.*?)^\}", world, re.M | re.S))
    called = {"e_atomic_push": "try_push", "e_merge_button": "try_press", "e_judge_again": "e_judge"}
    for path in PLAYED:
        for step in (*path.steps, *path.aside):
            effect = f"e_{step.name.replace('-', '_')}"
            body = bodies.get(effect, "") + bodies.get(called.get(effect, ""), "")
            if "unguarded(" in body:
                body += bodies["unguarded"]
            for fact in step.compares:
                assert f"HAS(mask, F_{fact.upper()})" in body, f"{step.name} does not compare {fact}"


PLAYED = [path for path in ROUTES if path.purpose is not Purpose.RELEASE]


@pytest.mark.parametrize("path", PLAYED, ids=[f"{r.purpose.value}-{r.way.value}" for r in PLAYED])
def test_the_processes_are_the_routes(path: Route) -> None:
    """Every loud step is a label of the process, with its answers leading where the table says."""
    text = promela(Cast("one", ((path.purpose, path.way),)))
    body = text[text.index(f"proctype {path.purpose.value}_{path.way.value}") :]
    body = body[: body.index("OVER: skip")]
    for step in (*path.steps, *path.aside):
        if step.name in SILENT:
            continue
        label = step.name.replace("-", "_")
        part = body[body.index(f"S_{label}:") :]
        part = part[: part.index("the_table_expects_it")]
        for answer in ("done", *step.answers):
            to = path.after(step.name, answer)
            while isinstance(to, str) and to in SILENT:
                to = path.after(to)
            target = f"E_{to.name}" if isinstance(to, End) else f"S_{to.replace('-', '_')}"
            assert f":: ans == A_{answer.replace('-', '_').upper()} -> goto {target}\n" in part


def test_what_the_model_passes_over_only_tells_people() -> None:
    """The steps that the model has no effect for move nothing that a property looks at."""
    assert all(STEPS[name].does is Does.WRITES for name in SILENT)
    assert {"atomic-push", "merge-button", "move-branch", "record-move", "record-hold"}.isdisjoint(SILENT)
    assert {Purpose.FORWARD, Purpose.HOTFIX, Purpose.ROLLBACK} == LANDS
