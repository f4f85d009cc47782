"""A broken environment takes nothing before somebody has said, for the record, that it shall.

Asking again is no such word: whoever asks twice has not looked. There are three ways out: the branch is put
back where it landed (``reconcile`` sees it), a rollback, or a promotion *over* the incidents, each by its id,
with a reason.
"""

from __future__ import annotations

from gitkitchen.errors import Mistake, Problem
from gitkitchen.ledger.protocol import Ledger
from gitkitchen.promote.moves import Course, breaks, moves_of
from gitkitchen.promote.protocol import End
from gitkitchen.promote.shapes import Incident, Intent, stream_of
from gitkitchen.road.looking import Moved, Stretch
from gitkitchen.road.walking import Asked, Done


def unmended(course: Course, over: tuple[str, ...]) -> tuple[Incident, ...]:
    """The incidents that break an environment, without those that are named."""
    return tuple(i for i in course.incidents if breaks(i) and i.id not in over)


def refusal_of(ledger: Ledger, course: Course, asked: Asked) -> Done | None:
    """The end of a promotion to an environment that is broken; None where nothing stands against it.

    Mistake where an incident is named that never was, or without a reason. One that is over by now is no
    mistake: the same command may be run again.
    """
    if asked.over:
        ever = {m.id for m in moves_of(ledger.read(stream_of(asked.environment))) if isinstance(m, Incident)}
        for name in sorted(set(asked.over) - ever):
            known = ", ".join(i.id for i in course.incidents) or "none"
            text = f"environment '{asked.environment}' has no incident '{name[:80]}'"
            raise Mistake(Problem(text, hint=f"open: {known}", code="no-incident"))
        if not asked.reason.strip():
            text = "to promote over an incident needs a reason: whoever reads the audit asks why"
            raise Mistake(Problem(text, hint="--reason TEXT", code="no-reason"))
    found = unmended(course, asked.over)
    if not found:
        return None
    words = " ".join(f"--over {i.id}" for i in found)
    problem = Problem(
        f"environment '{asked.environment}' is broken, and takes nothing: "
        + "; ".join(f"{i.kind} ({i.id}): {i.said}" for i in found),
        hint=f"look at it; then put the branch back where it landed, roll it back, or `gitkitchen promote "
        f"{asked.environment} {words} --reason TEXT`",
        code="broken",
    )
    return Done(End.BROKEN, asked.environment, problems=(problem,))


def refuse_broken(course: Course, stretch: Stretch, over: tuple[str, ...]) -> None:
    """Raise Moved where an incident came while the tree was proved. A rollback is the way out of it."""
    found = () if stretch.intent is Intent.ROLLBACK else unmended(course, over)
    if found:
        raise Moved(f"environment '{stretch.environment.name}' is broken by now: {found[0].said}")
