"""The outcomes of a proof, as what came of it says: each was a candidate's run, until its tree landed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from gitkitchen.model import Outcome, Publication
from gitkitchen.promote.protocol import End
from gitkitchen.report.facts import versions
from gitkitchen.road.shown import WORDS

if TYPE_CHECKING:
    from gitkitchen.road.proving import Proof
    from gitkitchen.road.walking import Done

OPEN = (End.UNFINISHED,)
"""Ends at which nobody knows yet whether it was published: then nothing is claimed of it."""


def outcomes_of(proofs: Sequence[Proof], done: Done) -> tuple[Outcome, ...]:
    """The outcomes that stand for a move's end, in the order of the runs: each says what consumers read now.

    ``proofs``: those of the move, the newest last. An attempt that another overtook tells nothing, nor does
    the proof of what stood on the branch before. Of a landing that is not this move's nothing was proved.
    """
    if not proofs or done.end in OPEN or (done.end is End.LANDED and not done.new):
        return ()
    proof, landing = proofs[-1], done.landing
    if landing is not None and landing.tree == proof.tree and landing.before == proof.base:
        return tuple(
            _landed(o, landing.published, proof.sequence + 1) if o.variation is None else _proved(o)
            for o in proof.outcomes
        )
    if landing is not None or (done.stretch is not None and done.stretch.tree != proof.tree):
        return ()
    return tuple(
        replace(o, publication=Publication("withheld", WORDS[done.end].replace(": ", ", ")), candidate=True)
        for o in proof.outcomes
    )


def _landed(outcome: Outcome, published: Sequence[str], sequence: int) -> Outcome:
    """``sequence``: of the one publication that carries all recipes of the landing."""
    mine = tuple(sorted(versions(outcome).keys() & set(published)))
    found = Publication("published" if mine else "unchanged", "", sequence, mine)
    return replace(outcome, publication=found, candidate=False)


def _proved(outcome: Outcome) -> Outcome:
    """A variation, of which a landing publishes nothing."""
    said = "a landing proves a variation, and its own runs publish it"
    return replace(outcome, publication=Publication("withheld", said), candidate=True)
