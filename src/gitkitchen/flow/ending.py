"""A run ends: its outcome, whole in its folder, in essence in the ledger."""

from __future__ import annotations

import platform
import secrets as randomness
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from gitkitchen import __version__
from gitkitchen.files import digest_bytes, write_atomic
from gitkitchen.frozen import dataclass
from gitkitchen.holdings import version_finder
from gitkitchen.ledger.protocol import New
from gitkitchen.model import Catalog, NodeResult, Outcome, Plan, Publication, Verdict
from gitkitchen.report.essence import essence
from gitkitchen.report.outcome import to_json
from gitkitchen.run.publication import patch
from gitkitchen.run.sealing import sealed
from gitkitchen.workplace import Request, Workplace

if TYPE_CHECKING:
    from gitkitchen.process import Cancel


def _outcome(
    place: Workplace,
    plan: Plan,
    results: Sequence[NodeResult],
    verdict: Verdict,
    publication: Publication,
    run_id: str,
    started: datetime,
    cancel: Cancel,
) -> Outcome:
    everywhere = place.project.public_by_default
    return Outcome(
        run=run_id,
        project=place.project.name,
        project_id=place.project.id,
        recipe=plan.recipe.name,
        variation=plan.recipe.variation,
        kitchen=plan.kitchen,
        subject=plan.subject,
        started=started,
        finished=datetime.now(UTC),
        verdict=verdict,
        nodes=tuple(results),
        publication=publication,
        candidate=publication.state in ("withheld", "not_asked"),
        signal=cancel.signal,
        tools=_tools(place),
        public_columns={
            d: ("*",) if everywhere else s.node.public for s in plan.steps for d in s.node.datasets
        },
        complete=plan.complete,
    )


def _tools(place: Workplace) -> dict[str, str]:
    tools = {"gitkitchen": __version__, "python": platform.python_version()}
    if place.warehouse is not None:
        tools["postgres"] = place.warehouse.version
    if "duckdb" in sys.modules:
        tools["duckdb"] = sys.modules["duckdb"].__version__
    return tools


@dataclass
class End:
    """The end of a run: its outcome, whole in the run's folder, in essence (never row values) in the ledger;
    there with the publication, where that is the run's last deed, or by itself."""

    place: Workplace
    plan: Plan
    catalog: Catalog
    run: str
    began: datetime
    cancel: Cancel
    clock: Callable[[], datetime]
    more: Mapping[str, Any]
    """What the record says beyond the usual."""
    url: str
    """Of the job that runs it."""
    told: Outcome | None = None
    mark: str = field(default_factory=lambda: randomness.token_hex(8))
    """What went with a publication that had no answer may arrive: the run's record is known by it."""

    def along(self, results: Sequence[NodeResult], verdict: Verdict, publication: Publication) -> New:
        self.told = outcome = self._outcome(results, verdict, publication)
        return New(self._stream, self._body(outcome, to_json(outcome)), mark=self.mark)

    def record(self, results: Sequence[NodeResult], verdict: Verdict, publication: Publication) -> Outcome:
        written = self.told if publication.state == "published" else None
        outcome = written or self._outcome(results, verdict, publication)
        text = to_json(outcome)
        write_atomic(self.place.run_folder(self.run) / "outcome.json", text)
        if written is None:
            self.place.ledger.deposit(self._stream, self._body(outcome, text), mark=self.mark)
        return outcome

    @property
    def _stream(self) -> str:
        return f"runs/{self.plan.kitchen.namespace}/{self.plan.recipe.name}"

    def _outcome(self, results: Sequence[NodeResult], verdict: Verdict, publication: Publication) -> Outcome:
        found = self.place, self.plan, results, verdict, publication, self.run, self.began, self.cancel
        return replace(_outcome(*found), finished=self.clock())

    def _body(self, outcome: Outcome, text: str) -> dict[str, Any]:
        about = {"outcome": digest_bytes(text.encode()), "built": self._built(outcome)}
        return essence(outcome, self.url) | about | dict(self.more)

    def _built(self, outcome: Outcome) -> dict[str, Any]:
        """The builds that the run made itself (``run/sealing.py``). A cancelled run vouches for nothing. Of
        an environment's only those are named that its catalog does not name: nobody asks it for more."""
        if self.cancel.is_set:
            return {}
        find = version_finder(self.place.store, self.catalog)
        built = sealed(self.plan, outcome.nodes, find, self.place.store)
        if self.plan.kitchen.is_sandbox:
            return built
        named = {entry.fingerprint for entry in self.catalog.entries.values()}
        if outcome.publication.state == "published":
            changes = patch(self.plan, outcome.nodes, self.run)
            named |= {entry.fingerprint for entry in changes.values() if entry is not None}
        own = ((node, seal["fingerprint"]) for node, seal in built.items())
        return {node: {"fingerprint": found} for node, found in own if found not in named}


def occasion(request: Request) -> dict[str, Any]:
    """Who asked for a run, as far as gates ask: the job's event, and the interval of a scheduled run."""
    found: dict[str, Any] = {}
    if request.environ.get("GITHUB_ACTIONS") == "true" and request.environ.get("GITHUB_EVENT_NAME"):
        found["event"] = request.environ["GITHUB_EVENT_NAME"]
    if request.interval is not None and request.period is None:
        found["interval"] = [moment.isoformat() for moment in request.interval]
    if request.period is not None:
        found["backfill"] = [moment.isoformat() for moment in request.period]
    return found
