"""Promotions that were started and never ran: the job was dropped from its queue, or lost with its runner.

What a landing starts leaves no record before its job has begun, so a job that GitHub drops would be missed
by nobody. Whatever trusted job comes next finds it by the key in its title, and tells. It starts nothing
again: a person who cancels a job looks the same.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from gitkitchen.frozen import dataclass
from gitkitchen.github.facts import Started
from gitkitchen.model import Environment
from gitkitchen.promote.shapes import Intent, Landing
from gitkitchen.road.ground import CANDIDATES, Ground, before
from gitkitchen.road.incidents import course_of

ENDED = frozenset({"success", "failure", "neutral", "skipped", "action_required"})
"""How a job ends that had its say: it told itself what became of the promotion."""


def key_of(environment: str, commit: str) -> str:
    """What the title of the promotion shows that follows a landing: ``commit`` is what landed."""
    return f"promote {environment} {commit[:12]}"


@dataclass(frozen=True, slots=True)
class Dropped:
    """The promotion to ``environment`` that followed a landing of the one before, and the job that was to
    do it."""

    environment: str
    landing: Landing
    job: int
    conclusion: str

    @property
    def said(self) -> str:
        how = f"ended {self.conclusion or 'without a word'} before it began"
        what = f"the promotion of {self.landing.commit[:12]} from {self.landing.environment} never ran"
        return f"{what}: job {self.job} {how}; `gitkitchen promote {self.environment}` starts it again"


def dropped(
    ground: Ground, environments: Sequence[Environment], runs: Callable[[], Sequence[Started]]
) -> tuple[Dropped, ...]:
    """Of the promotions to these environments that the newest landing of the one before started, those whose
    job ended without a word. ``runs`` lists the jobs of promotions, and is asked only where there can be
    one: a landing that the next environment has not, and of which nothing is proposed."""
    behind = [(e, landing) for e in environments if (landing := _waits(ground, e)) is not None]
    if not behind:
        return ()
    listed = runs()
    found = []
    for environment, landing in behind:
        key = key_of(environment.name, landing.commit)
        own = [run for run in listed if key in run.title]
        if own and all(run.status == "completed" and run.conclusion not in ENDED for run in own):
            newest = max(own, key=lambda run: run.id)
            found.append(Dropped(environment.name, landing, newest.id, newest.conclusion))
    return tuple(found)


def _waits(ground: Ground, environment: Environment) -> Landing | None:
    """The newest landing of the environment before that this one has not, and of which nothing stands on the
    candidate's branch."""
    source = before(ground.project, environment)
    landing = course_of(ground.ledger, source.name).last if source is not None else None
    if landing is None or landing.intent is Intent.ROLLBACK:
        return None
    course = course_of(ground.ledger, environment.name)
    if any(one.source == landing.commit for one in course.landings):
        return None
    name = CANDIDATES + environment.name
    tips = ground.tips([name, environment.branch])
    candidate = tips.get(name, "")
    return landing if not candidate or candidate == tips.get(environment.branch) else None
