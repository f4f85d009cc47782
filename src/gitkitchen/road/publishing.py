"""The records of a landing: its move, and one publication of everything that goes with the tree."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from gitkitchen.data.catalog import load_catalog, publication
from gitkitchen.data.catalog import stream_of as publications_of
from gitkitchen.flow.beginning import new_run_id
from gitkitchen.frozen import dataclass
from gitkitchen.ledger.protocol import Held, Ledger, New
from gitkitchen.ledger.records import Record
from gitkitchen.model import Subject
from gitkitchen.promote.bodies import EVIDENCE
from gitkitchen.promote.moves import body_of
from gitkitchen.promote.shapes import Evidence, Incident, Landing, stream_of
from gitkitchen.workplace import Workplace

if TYPE_CHECKING:
    from gitkitchen.plumbing import Moves
    from gitkitchen.road.proving import Proof


LATEST = 50
"""So many proofs of an environment are looked at, the newest first."""


def evidence_stream(environment: str) -> str:
    """The ledger's stream of what was proved for an environment."""
    return f"evidence/{environment}"


def evidence_body(
    environment: str, proof: Proof, commit: str, at: datetime, against: Sequence[str]
) -> dict[str, Any]:
    """The record of a proof: what it is bound to, and, where it is one, what its landing publishes.

    ``against``: what the target's policy says against it."""
    patch = None
    if proof.patch is not None:
        subject = Subject(commit, proof.tree)
        whole = publication("", "", proof.patch, read_sequence=proof.sequence, fence=0, subject=subject)
        patch = whole["datasets"]
    return {
        "kind": "evidence",
        "version": 1,
        "environment": environment,
        "at": at.isoformat(),
        "tree": proof.tree,
        "candidate": commit,
        "base": proof.base,
        "policy": proof.policy,
        "sequence": proof.sequence,
        "runs": [
            {name: field.write(getattr(e, name)) for name, field in EVIDENCE.items()}
            for e in proof.evidence
            if e.tests
        ],
        "failed": [f.recipe for f in proof.failed],
        "against": list(against)[:100],
        "datasets": patch,
    }


@dataclass(frozen=True, slots=True)
class Kept:
    """A proof that is in the ledger. ``against``: what the policy said against it then."""

    evidence: tuple[Evidence, ...]
    failed: tuple[str, ...]
    against: tuple[str, ...]


def kept_evidence(ledger: Ledger, environment: str, tree: str, base: str, policy: str) -> Kept | None:
    """The newest proof of a tree on a base under a policy that the ledger has; None where there is none."""
    stream = evidence_stream(environment)
    head = ledger.head(stream)
    for record in reversed(list(ledger.read(stream, after=max(head - LATEST, 0)))):
        body = record.body
        if (body["tree"], body["base"], body["policy"]) == (tree, base, policy):
            runs = tuple(Evidence(**{n: f.read(run[n]) for n, f in EVIDENCE.items()}) for run in body["runs"])
            return Kept(runs, tuple(body["failed"]), tuple(body["against"]))
    return None


def records(
    place: Workplace,
    landing: Landing,
    proof: Proof,
    held: Held,
    head: int,
    incidents: Sequence[Incident] = (),
) -> list[New]:
    """What is written with a landing, each on the condition that nothing came in between: its publication
    first, then the incidents that it ends, then the move. ``head``: of the stream of moves."""
    assert proof.patch is not None
    body = publication(
        "",
        new_run_id(landing.at),
        proof.patch,
        read_sequence=proof.sequence,
        fence=held.fence,
        subject=Subject(landing.commit, landing.tree),
    )
    found = [
        New(publications_of(place.kitchen.namespace), {**body, "landing": landing.commit}, proof.sequence)
    ]
    moves: list[Incident | Landing] = [*incidents, landing]
    stream = stream_of(landing.environment)
    found += [New(stream, body_of(move), None if number else head) for number, move in enumerate(moves)]
    return found


def write(place: Workplace, new: Sequence[New], held: Held, beside: Moves | None = None) -> list[Record]:
    """Bring the records of a landing to the ledger, and with them, where the ledger is whole, the refs."""
    return place.ledger.append_together(new, under=held, beside=beside)


def show(place: Workplace, proof: Proof) -> str:
    """Bring what consumers read to the catalog as it is now, and say where they read."""
    catalog = load_catalog(place.ledger, place.project, place.kitchen)
    return place.show(catalog, built=proof.builds, asked=False)
