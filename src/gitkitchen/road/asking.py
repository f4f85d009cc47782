"""Who asks for a promotion, and what exactly: kept with the proof, so that a job can go on with it later.

Who asked does not approve. A job that goes on with what waited is dispatched by a bot; then whoever asked for
this tree before still counts as having asked.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gitkitchen.frozen import dataclass
from gitkitchen.ledger.protocol import Ledger
from gitkitchen.promote.bodies import LINE, TEXT, cut
from gitkitchen.promote.shapes import Intent
from gitkitchen.road.publishing import LATEST, evidence_stream

BOT = "github-actions[bot]"
"""As whom a job's own token acts."""


@dataclass(frozen=True, slots=True)
class Wish:
    """``by``: logins; ``rev``: the commit or branch that was named ("" the newest)."""

    by: tuple[str, ...]
    intent: Intent
    rev: str
    reason: str


def body_of(wish: Wish) -> dict[str, Any]:
    """As it stands in the record of a proof, under ``asked``."""
    return {
        "by": [cut(name, LINE) for name in wish.by],
        "intent": wish.intent.value,
        "rev": cut(wish.rev, LINE),
        "reason": cut(wish.reason, TEXT),
    }


def wish_of(body: Mapping[str, Any]) -> Wish | None:
    """What the record of a proof says of who asked; None where it says nothing that is understood."""
    said = body.get("asked")
    try:
        by = tuple(str(name) for name in said["by"])  # type: ignore[index]
        return Wish(by, Intent(said["intent"]), str(said["rev"]), str(said["reason"]))  # type: ignore[index]
    except (KeyError, TypeError, ValueError):
        return None


def names_of(environ: Mapping[str, str]) -> tuple[str, ...]:
    """The accounts that started this job, and started it again."""
    names = [environ.get(name, "") for name in ("GITHUB_ACTOR", "GITHUB_TRIGGERING_ACTOR")]
    return tuple(dict.fromkeys(n for n in names if n))


def with_earlier(names: tuple[str, ...], ledger: Ledger, environment: str, tree: str) -> tuple[str, ...]:
    """Who asks, with who asked before for this tree where none but bots ask now."""
    if not names or not all(name.endswith("[bot]") for name in names):
        return names
    stream = evidence_stream(environment)
    for record in reversed(list(ledger.read(stream, after=max(ledger.head(stream) - LATEST, 0)))):
        wish = wish_of(record.body) if record.body.get("tree") == tree else None
        if wish is not None:
            return tuple(dict.fromkeys([*names, *wish.by]))
    return names
