"""``hold``: an environment on hold takes no forward promotion. Rollbacks, hotfixes make it well."""

from __future__ import annotations

from collections.abc import Iterator

from gitkitchen.promote.gates.case import Case, failed, listed, moment, passed, unknown
from gitkitchen.promote.gates.facts import Unread
from gitkitchen.promote.shapes import GateResult

NAME = "hold"


def judge(case: Case) -> Iterator[GateResult]:
    """Failed while any hold is open."""
    holds = case.facts.holds
    environment = case.facts.environment
    if isinstance(holds, Unread):
        yield unknown(NAME, holds, case.promote("--dry-run"))
        return
    own = [h for h in holds if h.environment == environment]
    if not own:
        yield passed(NAME, f"{environment} is not on hold")
        return
    said = [f"by {h.by} since {moment(h.at)}: {' '.join(h.reason.split())}" for h in own]
    change = (
        f"whoever may write, when the reason is gone (best {listed(list(dict.fromkeys(h.by for h in own)))})"
    )
    yield failed(
        NAME, f"{environment} is on hold {listed(said)}", change, f"gitkitchen hold {environment} --release"
    )
