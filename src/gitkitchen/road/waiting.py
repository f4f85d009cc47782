"""Promotions that wait, and go on when what they waited for is there: approvals, a window, a soak's end.

Nobody stays at work for it. The candidate stands on its branch, and the ledger's record of its proof says who
asked for what. Whatever trusted job comes next (a review was given, a branch moved, a schedule) looks whether
every gate would pass now, and then starts the promotion's own workflow, which judges again under the lease.
What a job's token dispatches does start: https://docs.github.com/actions/concepts/security/github_token
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from gitkitchen.automation import PROMOTE
from gitkitchen.errors import GitKitchenError
from gitkitchen.frozen import dataclass
from gitkitchen.github.trouble import Trouble
from gitkitchen.ledger.protocol import Ledger
from gitkitchen.model import Environment
from gitkitchen.process import Cancel
from gitkitchen.promote.gates.case import OWN_RUN
from gitkitchen.promote.protocol import End
from gitkitchen.promote.shapes import GateResult, Intent, Standing
from gitkitchen.road.asking import BOT, Wish, wish_of
from gitkitchen.road.facts import UNBUILT
from gitkitchen.road.ground import CANDIDATES, Ground, before
from gitkitchen.road.hub import Hub
from gitkitchen.road.landing import foresee
from gitkitchen.road.publishing import LATEST, evidence_stream
from gitkitchen.road.walking import Asked
from gitkitchen.workplace import Request

if TYPE_CHECKING:
    from gitkitchen.github.api import Client


@dataclass(frozen=True, slots=True)
class Forge:
    """Where promotions are started: through whom, on which branch; ``mark`` tells this job's starts from
    others'."""

    client: Client
    ref: str
    mark: str


def go_on(
    request: Request, environments: tuple[Environment, ...], forge: Forge, now: datetime
) -> Iterator[str]:
    """Start the promotions to these environments that wait for nothing any more; a sentence about each that
    waits. Nothing of it raises: the next job looks again."""
    ground = Ground.of(request)
    names = {e.name: CANDIDATES + e.name for e in environments if before(ground.project, e) is not None}
    tips = ground.tips([*names.values(), *(e.branch for e in environments)]) if names else {}
    for environment in environments:
        candidate = tips.get(names.get(environment.name, ""), "")
        if not candidate or candidate == tips.get(environment.branch):
            continue  # nothing was proposed, or what was has landed
        try:
            wish = _waiting(ground.ledger, environment.name, candidate)
            if wish is not None:
                yield _one(request, environment.name, candidate, wish, forge, now)
        except Trouble as trouble:
            problem = trouble.problem()
            yield f"{environment.name}: its promotion could not be started: {problem.message}; {problem.hint}"
        except GitKitchenError as error:
            yield f"{environment.name}: whether its promotion can go on is not known: {error.problems[0]}"


def _waiting(ledger: Ledger, environment: str, candidate: str) -> Wish | None:
    """Who asked for what, of the promotion whose candidate stands on its branch; None where that is not
    recorded (a rollback, a promotion that is being proved for the first time)."""
    stream = evidence_stream(environment)
    for record in reversed(list(ledger.read(stream, after=max(ledger.head(stream) - LATEST, 0)))):
        if record.body.get("candidate") == candidate:
            return wish_of(record.body)
    return None


def _one(request: Request, name: str, candidate: str, wish: Wish, forge: Forge, now: datetime) -> str:
    if wish.intent is Intent.ROLLBACK:
        return f"{name}: a rollback waits, and is asked for again by people alone"
    asked = Asked(name, acting(request), Cancel(), wish.intent, wish.rev, wish.reason)
    done = foresee(replace(asked, hub=Hub(forge.client)), now)
    if done.end is End.LANDED:
        return f"{name}: it stands there already"
    left = [gate for gate in done.gates if not _own(gate)]
    if left:
        said = "; ".join(f"{gate.gate} {gate.standing.value}: {gate.reason}" for gate in left[:5])
        return f"{name}: its promotion waits on: {said}"
    key = f"promote {name} {candidate[:12]} after {forge.mark}"
    inputs = {"promote": name, "from": wish.rev, "reason": wish.reason, "key": key}
    if wish.intent is Intent.HOTFIX:
        inputs["hotfix"] = "true"
    given = {k: v for k, v in inputs.items() if v}
    forge.client.dispatch_workflow(PROMOTE, forge.ref, given, key=key)
    return f"{name}: nothing stands against its promotion any more: {PROMOTE} is started for it"


def _own(gate: GateResult) -> bool:
    """Whether a gate waits for nothing but the promotion's own run."""
    if gate.standing is Standing.UNKNOWN:
        return UNBUILT.reason in gate.reason
    return gate.standing is Standing.PASSED or (gate.standing is Standing.PENDING and gate.change == OWN_RUN)


def acting(request: Request) -> Request:
    """A request as the job would make it that goes on: whoever caused this one (by a review, say) has not
    asked for the promotion. Who has is in the ledger."""
    environ: Mapping[str, Any] = {**request.environ, "GITHUB_ACTOR": BOT, "GITHUB_TRIGGERING_ACTOR": BOT}
    return replace(request, environ=environ)
