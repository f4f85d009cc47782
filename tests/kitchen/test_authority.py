"""Who may publish an environment: one table."""

from __future__ import annotations

import pytest

from gitkitchen.kitchen.authority import refusal
from gitkitchen.model import Kitchen

PROD = Kitchen("id", "", "main", "k_main_0", "prod")
FIX = Kitchen("id", "", "fix", "k_fix_0", None, "prod")


def job(event: str, ref: str = "refs/heads/main", **more: str) -> dict[str, str]:
    return {"GITHUB_ACTIONS": "true", "GITHUB_EVENT_NAME": event, "GITHUB_REF": ref, **more}


@pytest.mark.parametrize(
    ("ledger", "kitchen", "environ", "publishes"),
    [
        pytest.param("folder", PROD, {}, True, id="folder-laptop"),
        pytest.param("folder", PROD, job("pull_request"), True, id="folder-job"),
        pytest.param("branch", FIX, {}, True, id="sandbox-laptop"),
        pytest.param("branch", FIX, job("pull_request", "refs/pull/7/merge"), True, id="sandbox-job"),
        pytest.param("branch", PROD, {}, False, id="laptop"),
        pytest.param("branch", PROD, job("push"), True, id="push"),
        pytest.param("branch", PROD, job("schedule"), True, id="schedule"),
        pytest.param("branch", PROD, job("workflow_dispatch"), True, id="dispatch"),
        pytest.param("branch", PROD, job("push", "refs/heads/develop"), False, id="other-branch"),
        pytest.param("branch", PROD, job("push", "refs/tags/main"), False, id="tag"),
        pytest.param("branch", PROD, job("push", "refs/heads/Main"), False, id="other-case"),
        pytest.param("branch", PROD, job("pull_request", "refs/pull/7/merge"), False, id="pull-request"),
        pytest.param("branch", PROD, job("pull_request_target"), False, id="pull-request-target"),
        pytest.param("branch", PROD, job("merge_group"), False, id="queue"),
        pytest.param("branch", PROD, job("workflow_run"), False, id="workflow-run"),
        pytest.param("branch", PROD, job("issue_comment"), False, id="comment"),
        pytest.param("branch", PROD, job("push") | {"GITHUB_ACTIONS": ""}, False, id="no-runner"),
        pytest.param("branch", PROD, {"GITHUB_ACTIONS": "true"}, False, id="nothing-said"),
        pytest.param("branch", PROD, {"CI": "true", "GITLAB_CI": "true"}, False, id="another-ci"),
    ],
)
def test_who_publishes(ledger: str, kitchen: Kitchen, environ: dict[str, str], publishes: bool) -> None:
    """Environments are published by jobs on their branch that run its own code; sandboxes anywhere."""
    assert (refusal(ledger, "s3://bucket", kitchen, environ) == "") is publishes


def test_it_says_what_is_asked_for() -> None:
    """The refusal names the environment, its branch, what this is instead, and what becomes of the data."""
    assert refusal("branch", "store", PROD, {}) == (
        "with `ledger: branch` environment 'prod' is published by jobs on branch 'main' alone "
        "(push, schedule, workflow_dispatch), and this is none: the versions are kept as a candidate"
    )
    assert "this job is of event 'pull_request' on refs/pull/7/merge" in refusal(
        "branch", "store", PROD, job("pull_request", "refs/pull/7/merge")
    )


def test_a_folder_on_a_hosted_runner_is_no_store() -> None:
    """A hosted runner's disk ends with the job: what is published from it could never be read."""
    hosted = job("push", RUNNER_ENVIRONMENT="github-hosted")
    assert "is a folder, which ends with the job" in refusal("branch", ".gitkitchen/store", PROD, hosted)
    assert refusal("branch", "oci://ghcr.io/o/r", PROD, hosted) == ""
    assert refusal("branch", ".gitkitchen/store", PROD, job("push", RUNNER_ENVIRONMENT="self-hosted")) == ""
    assert refusal("branch", ".gitkitchen/store", FIX, hosted) == ""
