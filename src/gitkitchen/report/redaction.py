"""An outcome as it may leave for GitHub: the same verdicts and figures, no values of rows.

What ``facts`` hides when a report is written is gone here before the document is: whoever may read a public
repository may read its jobs' artifacts.
"""

from __future__ import annotations

from dataclasses import replace

from gitkitchen.model import Build, Failure, NodeResult, Outcome, TestResult, Version
from gitkitchen.report import facts


def public(outcome: Outcome) -> Outcome:
    """The outcome without rows of columns that are not public, logs, links, statistics and file lists.

    Judgements, counts, schemas and digests stay. To do it twice changes nothing.
    """
    return replace(outcome, nodes=tuple(_node(outcome, n) for n in outcome.nodes))


def _node(outcome: Outcome, node: NodeResult) -> NodeResult:
    return replace(
        node,
        build=_build(node.build) if node.build else None,
        tests=tuple(_test(outcome, t) for t in node.tests),
        failure=_failure(outcome, node.failure) if node.failure else None,
        log=None,
        log_tail=(),
        links={},
    )


def _test(outcome: Outcome, test: TestResult) -> TestResult:
    sample = facts.public_sample(outcome, test)
    return replace(
        test,
        sample=tuple(row for row in sample if any(v != facts.HIDDEN for v in row.values())),
        observed=facts.public_observed(outcome, test),
        message=facts.public_message(outcome, test.message),
    )


def _failure(outcome: Outcome, failure: Failure) -> Failure:
    return replace(failure, message=facts.public_message(outcome, failure.message))


def _build(build: Build) -> Build:
    return replace(build, versions={name: _version(v) for name, v in build.versions.items()})


def _version(version: Version) -> Version:
    """Statistics and the partitions of files are values of rows; nobody reads data through this document."""
    return replace(version, files=(), stats={}, sql=None, inputs={}, relation=None)
