"""A landing whose commit stands on the branch and whose records do not stand in the ledger: they are written
from what its commit and its evidence say, or it is said why they cannot be."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from gitkitchen import history
from gitkitchen.data.catalog import publication
from gitkitchen.data.catalog import stream_of as publications_of
from gitkitchen.errors import GitKitchenError
from gitkitchen.flow.beginning import new_run_id
from gitkitchen.kitchen.identity import environment_namespace
from gitkitchen.ledger.protocol import Held, New
from gitkitchen.model import Environment, Subject
from gitkitchen.promote.moves import Course, landing_in, trailers_in
from gitkitchen.promote.shapes import Landing
from gitkitchen.road.ground import Ground
from gitkitchen.road.publishing import evidence_stream
from gitkitchen.road.verifying import run_records, unlike


def complete(ground: Ground, environment: Environment, course: Course, oid: str) -> Landing | tuple[str, str]:
    """The landing that a commit without a record is; else the kind of what is wrong, and what it is.

    Trailers are what whoever made the commit says. So they count only where the commit is what they say
    (its tree, its parent), follows what landed last, and all its evidence is in the ledger.
    """
    commit = history.commit_of(ground.folder, oid)
    drift = f"commit {oid[:12]} stands on branch '{environment.branch}', and nobody landed it"
    try:
        told = landing_in(trailers_in(commit.message), oid)
    except GitKitchenError as error:
        return "drift-branch", f"{drift}: {error.problems[0].message}"
    if told is None:
        return "drift-branch", f"{drift}: it was pushed or merged by hand"
    landing = replace(told.landing, told="trailers")
    if landing.environment != environment.name or landing.before not in commit.parents[:1]:
        return "drift-branch", f"{drift}: its trailers are those of another landing"
    if landing.before != course.tip:
        return "drift-branch", f"{drift}: it was made on {landing.before[:12]}, which nobody landed either"
    if landing.tree != commit.tree:
        said = f"commit {oid[:12]} should have tree {landing.tree[:12]}, which was tested, and has "
        return "wrong-tree", f"{said}{commit.tree[:12]}"
    torn = f"the landing of {oid[:12]} has no record and cannot be completed"
    if not landing.evidence or any(name == "evidence" for name, _ in told.left_out):
        return "torn", f"{torn}: its trailers do not name all of its evidence"
    bodies = run_records(ground, {e.recipe for e in landing.evidence})
    for evidence in landing.evidence:
        unfit = unlike(evidence, bodies.get(evidence.record))
        if unfit or evidence.tree != landing.tree or evidence.verdict != "passed":
            why = unfit or "is not of its tree, or failed"
            return "torn", f"{torn}: its evidence, run {evidence.run}, {why}"
    return landing


def published_with(
    ground: Ground, environment: Environment, landing: Landing, held: Held
) -> Sequence[New] | str:
    """The publication that belongs to a landing: what its evidence has shown, on the catalog that it saw.

    Nothing, where it is written already, or nothing moved. A sentence, where it cannot be written any more:
    then the tree must be proved anew.
    """
    stream = publications_of(environment_namespace(ground.project, environment))
    if any(record.body.get("landing") == landing.commit for record in ground.ledger.read(stream)):
        return ()
    if not landing.published:
        return ()
    proofs = [
        record.body
        for record in ground.ledger.read(evidence_stream(environment.name))
        if (record.body["tree"], record.body["base"], record.body["policy"])
        == (landing.tree, landing.before, landing.policy)
        and [run["record"] for run in record.body["runs"]] == [e.record for e in landing.evidence if e.tests]
        and record.body["datasets"] is not None
    ]
    if not proofs or sorted(proofs[-1]["datasets"]) != sorted(landing.published):
        return "its evidence does not say which versions it publishes"
    sequence = int(proofs[-1]["sequence"])
    if ground.ledger.head(stream) != sequence:
        return "the environment was published meanwhile by a run"
    body = publication(
        "",
        new_run_id(landing.at),
        {},
        read_sequence=sequence,
        fence=held.fence,
        subject=Subject(landing.commit, landing.tree),
    )
    whole = {**body, "datasets": proofs[-1]["datasets"], "landing": landing.commit}
    return [New(stream, whole, sequence)]


def bring_along(ground: Ground, environment: Environment, landing: Landing) -> None:
    """Bring a clean checkout of the branch, which the killed command left behind, to what landed."""
    if ground.remote is not None or not landing.before:
        return
    place = history.checkouts(ground.folder).get(history.BRANCHES + environment.branch)
    if (
        place is not None
        and history.index_tree(place) == history.commit_of(ground.folder, landing.before).tree
    ):
        history.bring_along(place, landing.before, landing.commit)
