"""Places of a document relative to the repository, as GitHub wants them. Pure.

A project that lies in a folder of its repository speaks of its files from there; check runs, annotations
and links are about the files of the repository.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from gitkitchen.errors import Place
from gitkitchen.model import NodeResult, Outcome, TestResult
from gitkitchen.report.surfaces.pull import Pull


def at(folder: str, place: Place | None) -> Place | None:
    """A place of the project in ``folder`` of the repository ("" for its top), relative to the repository."""
    return replace(place, file=f"{folder}/{place.file}") if folder and place and place.file else place


def located(pull: Pull, folder: str) -> Pull:
    """A document with all places but those of the policy's findings moved below ``folder``; they are
    relative to the repository as they come."""
    if not folder:
        return pull
    return replace(
        pull,
        folder=folder,
        recipes=tuple(_outcome(o, folder) for o in pull.recipes),
        changes=tuple(
            replace(c, place=at(folder, c.place), files=_all(c.files, folder)) for c in pull.changes
        ),
        touched={f"{folder}/{path}": lines for path, lines in pull.touched.items()},
        waivers=tuple(replace(w, place=at(folder, w.place)) for w in pull.waivers),
    )


def _all(places: Iterable[Place], folder: str) -> tuple[Place, ...]:
    return tuple(moved for p in places if (moved := at(folder, p)) is not None)


def _outcome(outcome: Outcome, folder: str) -> Outcome:
    return replace(outcome, nodes=tuple(_node(n, folder) for n in outcome.nodes))


def _node(node: NodeResult, folder: str) -> NodeResult:
    failure = node.failure
    return replace(
        node,
        place=at(folder, node.place),
        failure=replace(failure, place=at(folder, failure.place)) if failure is not None else None,
        tests=tuple(_test(t, folder) for t in node.tests),
    )


def _test(test: TestResult, folder: str) -> TestResult:
    return replace(test, place=at(folder, test.place))
