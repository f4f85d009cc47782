"""The model of the protocol in Promela, written from the table: its routes become processes.

`world.pml` says what each effect does, `meddling.pml` who disturbs. Everything else of the model (which
effects a purpose has, in which order, what each compares, where each answer leads) is the table's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from gitkitchen.promote.protocol import DONE, ROUTES, STEPS, End, Purpose, Route, Step, Way, route

HERE = Path(__file__).parent
FACTS = sorted({fact for path in ROUTES for step in (*path.steps, *path.aside) for fact in step.compares})
ANSWERS = sorted({DONE, *(answer for step in STEPS.values() for answer in step.answers)})
SILENT = frozenset({"reconcile", "open-pull", "open-backport", "close-pull", "dispatch-next", "alert"})
"""Steps that change nothing which another step or a property looks at."""
KEEPING = {Purpose.RECONCILE, Purpose.ABSORB}
LANDS = {Purpose.FORWARD, Purpose.HOTFIX, Purpose.ROLLBACK}
INTENTS = {Purpose.FORWARD: 1, Purpose.HOTFIX: 2, Purpose.ROLLBACK: 3, Purpose.HOLD: 4}
SOURCES = {Purpose.HOTFIX: 4, Purpose.ROLLBACK: 1}
"""The trees that are promoted; a forward promotion takes the source's head."""
LOSSY = {
    "renew-lease",
    "atomic-push",
    "merge-button",
    "record-move",
    "record-hold",
    "record-incident",
    "take-lease",
}
"""Writes whose answer can be lost."""
LATE = {"atomic-push": 1, "merge-button": 2}
"""Writes that can arrive after their answer was given up."""


@dataclass(frozen=True, slots=True)
class Cast:
    """Who plays, and how often what may go wrong."""

    name: str
    plays: tuple[tuple[Purpose, Way], ...]
    crashes: int = 1
    losts: int = 1
    expiries: int = 1
    events: int = 1
    bugs: int = 0
    retries: int = 0
    commits: int = 9


@dataclass(frozen=True, slots=True)
class Table:
    """The routes as the model takes them: the real ones, or with a mistake."""

    change: Callable[[Route], Route] = lambda path: path
    defines: Mapping[str, int] = field(default_factory=dict)
    extra: str = ""
    """Effects that only the mistake has."""

    def route(self, purpose: Purpose, way: Way) -> Route:
        return self.change(route(purpose, way))


def _label(to: str | End) -> str:
    return f"E_{to.name}" if isinstance(to, End) else f"S_{_word(to)}"


def _word(name: str) -> str:
    return name.replace("-", "_")


def _mask(step: Step) -> str:
    return "|".join(f"F_{fact.upper()}" for fact in step.compares) or "0"


def promela(cast: Cast, table: Table | None = None) -> str:
    """The whole model."""
    table = table or Table()
    pushing, pressing = table.route(Purpose.FORWARD, Way.PUSH), table.route(Purpose.FORWARD, Way.BUTTON)
    numbers = {
        **{f"F_{fact.upper()}": 1 << at for at, fact in enumerate(FACTS)},
        **{f"A_{_word(answer).upper()}": at + 1 for at, answer in enumerate(ANSWERS)},
        **{f"I_{purpose.name}": number for purpose, number in INTENTS.items()},
        "CRASHES": cast.crashes,
        "LOSTS": cast.losts,
        "EXPIRIES": cast.expiries,
        "EVENTS": cast.events,
        "BUGS": cast.bugs,
        "RETRIES": cast.retries,
        "LEASES_END": 1,
        "NC": cast.commits,
        **table.defines,
    }
    late = f"#define LATE_PUSH ({_mask(pushing.step('atomic-push'))})\n"
    late += f"#define LATE_PRESS ({_mask(pressing.step('merge-button'))})\n"
    return "\n".join(
        [
            *(f"#define {name} {number}" for name, number in numbers.items()),
            late,
            (HERE / "world.pml").read_text(encoding="utf-8"),
            table.extra,
            (HERE / "meddling.pml").read_text(encoding="utf-8"),
            *(_process(table.route(*pair), finishing=False) for pair in dict.fromkeys(cast.plays)),
            _process(table.route(Purpose.ABSORB, Way.PUSH), finishing=True),
            _init(cast),
        ]
    )


def _name(purpose: Purpose, way: Way) -> str:
    return f"{purpose.value}_{way.value}"


def _init(cast: Cast) -> str:
    lines = ["init {", "  atomic {", "    tree[1] = 1; recd[1] = 1; intent[1] = I_FORWARD;"]
    lines.append(f"    running = {len(cast.plays)};")
    lines += [f"    run {_name(*play)}({at});" for at, play in enumerate(cast.plays, start=1)]
    lines.append(f"    run the_next_job({len(cast.plays) + 1})")
    return "\n".join([*lines, "  }", "}"])


def _process(path: Route, *, finishing: bool) -> str:
    """A route as a process. The one that finishes walks it until it finds nothing left to do."""
    name = "the_next_job" if finishing else _name(path.purpose, path.way)
    first = path.steps[0].name
    steps = {step.name: step for step in (*path.steps, *path.aside)}
    lines = [
        f"proctype {name}(byte me) {{",
        f"  bit keeping = {int(path.purpose in KEEPING)}, proves = {int(path.purpose is Purpose.ABSORB)};",
        f"  bit wrong; byte purpose = {INTENTS.get(path.purpose, 0)};",
        f"  byte src = {SOURCES.get(path.purpose, 0)};",
        "  byte cand, base, cref0, pol0, ver0, mv, fence, mine, jpol, myno, ans, res = GOOD, rounds;",
    ]
    if finishing:
        lines += [
            "  atomic { running == 0 && fkind == 0 -> finishing = 1; events = 0; expiries = 0;",
            "    crashes = 0; lost = 0; bugs = 0; retries = 0; must(all_ends_well, lholder == 0 || lover) }",
        ]
    lines.append(f"START: goto {_label(_loud(path, first))};")
    for step in steps.values():
        if step.name not in SILENT:
            lines += _step(path, step)
    for end in End:
        lines += _end(path, end, finishing=finishing)
    return "\n".join([*lines, "OVER: skip", "}"])


def _loud(path: Route, to: str | End) -> str | End:
    """The next step that changes anything."""
    while not isinstance(to, End) and to in SILENT:
        to = path.after(to)
    return to


def _step(path: Route, step: Step) -> list[str]:
    effect, mask = _word(step.name), _mask(step)
    lines = [f"S_{effect}:", "  atomic {"]
    crash = f'    :: crashes > 0 -> crashes--; printf("%d crashes before {step.name}\\n", me); goto CRASHED'
    lines += ["    if", crash]
    if step.name == "prove":
        lines += ["    :: res = GOOD; ans = A_DONE"]
        if path.purpose in KEEPING:
            lines += ["    :: res = BAD; ans = A_DONE"]
    elif step.name == "merge-button":
        lines += [f"    :: d_step {{ wrong = 0; e_{effect}({mask}) }}"]
        lines += [f"    :: bugs > 0 -> d_step {{ bugs--; wrong = 1; e_{effect}({mask}) }}"]
    else:
        lines += [f"    :: d_step {{ e_{effect}({mask}) }}"]
    if step.name in LOSSY:
        lines += [f"    :: lost > 0 -> d_step {{ lost--; e_{effect}({mask}); ans = A_UNKNOWN"]
        if step.name == "take-lease":
            lines += ["         ; if :: FENCED -> lover = 1; fence = 0 :: else fi"]
        lines += ["       }", "    :: lost > 0 -> lost--; ans = A_UNKNOWN"]
    if step.name in LATE:
        lines += [
            f"    :: lost > 0 && fkind == 0 -> d_step {{ lost--; fkind = {LATE[step.name]}; fcand = cand;",
            "         if :: fkind == 1 -> fwho = me; fbase = base; ffence = fence; fmoves = mv; fver = ver0;",
            "            fpol = jpol; mine = cand :: else fi; ans = A_UNKNOWN }",
        ]
    lines += ["    fi;", f'    printf("%d {path.purpose.value}: {step.name}: %d\\n", me, ans);', "    if"]
    for answer in (DONE, *step.answers):
        to = _label(_loud(path, path.after(step.name, answer)))
        lines.append(f"    :: ans == A_{_word(answer).upper()} -> goto {to}")
    lines += ["    :: else -> must(the_table_expects_it, false)", "    fi", "  }"]
    return lines


def _end(path: Route, end: End, *, finishing: bool) -> list[str]:
    """An end gives back the lease first; where nobody answers, it ends by itself."""
    lines = [f"E_{end.name}:", "  atomic {", f'    printf("%d ends {end.value}\\n", me);']
    if end in {End.LOST, End.WAITING, End.UNPROVED}:
        lines += ["    if", "    :: FENCED && lost > 0 -> lost--; lover = 1"]
        lines += ["    :: d_step { e_give_back_lease(0) }", "    fi;"]
        if path.purpose in LANDS:
            lines += ["    must(losers_change_nothing, !ours[cand] || forced); refusedly[cand] = 1;"]
        lines += ["    if", "    :: retries > 0 -> retries--; goto START", "    :: goto OUT", "    fi"]
    elif finishing and end is not End.CLEAN:
        lines += [
            "    d_step { e_give_back_lease(0); rounds++; must(all_ends_well, rounds < 6) }; goto START"
        ]
    elif finishing:
        lines += ["    if", "    :: ans == A_CLEAN -> d_step { at_the_end() }; goto OVER"]
        lines += ["    :: else -> d_step { e_give_back_lease(0); rounds++; must(all_ends_well, rounds < 6) }"]
        lines += ["    fi; goto START"]
    else:
        if end is End.LANDED:
            lines += ["    must(claimed_is_recorded, recd[mine]);"]
        lines += ["    d_step { e_give_back_lease(0) }; goto OUT"]
    lines += ["  }"]
    if end is list(End)[-1]:
        lines += [
            "CRASHED:",
            "  atomic {",
            "    if :: lholder == me && !finishing -> lover = LEASES_END :: else fi;",
            "    if :: retries > 0 -> retries--; goto START :: goto OUT fi",
            "  }",
            "OUT:",
            "  atomic { cand = 0; base = 0; cref0 = 0; pol0 = 0; ver0 = 0; mv = 0; fence = 0; mine = 0;",
            "    jpol = 0; myno = 0; ans = 0; res = 0; wrong = 0; running-- }",
        ]
    return lines


def without(path: Route, *facts: str, at: frozenset[str] | None = None) -> Route:
    """The route whose steps (those named, or all) do not compare these facts."""

    def bare(step: Step) -> Step:
        if at is not None and step.name not in at:
            return step
        return replace(step, compares=tuple(fact for fact in step.compares if fact not in facts))

    return replace(path, steps=tuple(map(bare, path.steps)), aside=tuple(map(bare, path.aside)))
