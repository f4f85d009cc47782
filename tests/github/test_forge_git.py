"""Real Git against the forge: clones, pushes, and the refusals that GitHub gives."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from clones import Clone
from stage import Stage, staged


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    with staged(tmp_path / "forge") as made:
        yield made


def test_a_push_moves_the_pull_request(stage: Stage, tmp_path: Path) -> None:
    """What Git pushed is what the API tells, pull request, merge ref and event."""
    clone = Clone(stage, tmp_path / "clone", stage.forge.user_token("octo"))
    clone.git("switch", "-q", "feature")
    sha = clone.commit("b.sql", "select 3\n")
    assert clone.git("push", "-q", "origin", "feature").returncode == 0
    assert stage.client().pull(stage.pull.number).head_sha == sha
    clone.git("fetch", "-q", "origin", f"refs/pull/{stage.pull.number}/merge")
    parents = clone.git("rev-list", "--parents", "-n", "1", "FETCH_HEAD").stdout.split()[1:]
    assert parents == [stage.repo.head("main"), sha]
    (event,) = [
        one for one in stage.repo.deliveries("pull_request") if one.payload["action"] == "synchronize"
    ]
    assert event.payload["after"] == sha
    assert event.starts


def test_a_conflict_leaves_the_merge_ref_where_it_was(stage: Stage) -> None:
    """So it is on GitHub: who trusts refs/pull/N/merge on a conflict tests what nobody would merge."""
    refs = stage.repo.repo.bare.refs()
    stage.repo.commit("main", {"a.sql": "select 9\n"})
    after = stage.repo.repo.bare.refs()
    assert stage.pull.mergeable is False
    name = f"refs/pull/{stage.pull.number}/merge"
    assert refs[name] == after[name]


def test_nobody_pushes_without_the_right(stage: Stage, tmp_path: Path) -> None:
    """Reading is free in a public repository; writing needs a token with contents: write."""
    for number, token in enumerate(["", stage.forge.user_token("mallory"), stage.token]):
        clone = Clone(stage, tmp_path / f"clone{number}", token)
        clone.commit("b.sql", "x\n")
        done = clone.git("push", "-q", "origin", "HEAD:refs/heads/mine")
        assert done.returncode != 0
    assert "refs/heads/mine" not in stage.repo.repo.bare.refs()
    token = stage.forge.job_token(stage.repo, contents="write")
    clone = Clone(stage, tmp_path / "clone", token)
    clone.commit("b.sql", "x\n")
    stage.forge.revoke(token)
    assert clone.git("push", "-q", "origin", "HEAD:refs/heads/mine").returncode != 0


def test_a_private_repository_is_not_there_for_strangers(stage: Stage, tmp_path: Path) -> None:
    """Not found, rather than forbidden: its name is a secret too."""
    hidden = stage.forge.repository("octo/hidden", private=True)
    token = stage.forge.user_token("mallory")
    clone = Clone(stage, tmp_path / "clone", "")
    done = clone.run(tmp_path, "clone", "-q", hidden.git_url(token), "hidden")
    assert "not found" in done.stderr.lower()
    job = stage.forge.job_token(hidden, contents="read")
    assert clone.run(tmp_path, "clone", "-q", hidden.git_url(job), "hidden").returncode == 0


@pytest.mark.parametrize(("ruleset", "code"), [(False, "GH006"), (True, "GH013")], ids=["classic", "ruleset"])
def test_protected_branches_refuse_pushes(stage: Stage, tmp_path: Path, ruleset: bool, code: str) -> None:
    """A job's token lands nothing where a pull request is required, nor what it pushes atomically beside."""
    stage.repo.protect("main", ruleset=ruleset)
    token = stage.forge.job_token(stage.repo, contents="write")
    clone = Clone(stage, tmp_path / "clone", token)
    before = stage.repo.repo.bare.refs()
    clone.commit("b.sql", "x\n")
    done = clone.git("push", "--atomic", "origin", "HEAD:main", "HEAD:refs/heads/other")
    assert code in done.stderr
    assert "pull request" in done.stderr
    assert stage.repo.repo.bare.refs() == before
    assert clone.git("push", "-q", "origin", "HEAD:refs/heads/other").returncode == 0
    assert clone.git("push", "-q", "origin", ":main").returncode != 0


def test_who_may_pass_a_protection_does(stage: Stage, tmp_path: Path) -> None:
    """A bypass list binds nobody else; even there force pushes are their own rule."""
    stage.repo.protect("main", ruleset=True, bypass=("octo",))
    stage.repo.protect("rel*", pull_request=False)
    clone = Clone(stage, tmp_path / "clone", stage.forge.user_token("octo"))
    clone.commit("b.sql", "x\n")
    assert clone.git("push", "-q", "origin", "HEAD:main", "HEAD:refs/heads/rel1").returncode == 0
    clone.git("commit", "-q", "--amend", "-m", "again")
    done = clone.git("push", "-q", "--force", "origin", "HEAD:refs/heads/rel1")
    assert "Cannot force-push" in done.stderr


def test_workflow_files_need_a_right_that_no_job_has(stage: Stage, tmp_path: Path) -> None:
    """A push that carries a changed workflow is refused to the job's token and granted to a person."""
    token = stage.forge.job_token(stage.repo, contents="write")
    clone = Clone(stage, tmp_path / "clone", token)
    clone.commit(".github/workflows/evil.yml", "on: push\n")
    done = clone.git("push", "-q", "origin", "HEAD:refs/heads/evil")
    assert "refusing to allow a GitHub App to create or update workflow" in done.stderr
    person = stage.repo.git_url(stage.forge.user_token("octo"))
    assert clone.git("push", "-q", person, "HEAD:refs/heads/good").returncode == 0
    # What the repository has already carries nothing new.
    assert clone.git("push", "-q", "origin", "HEAD:refs/heads/again").returncode == 0
    with pytest.raises(ValueError, match="workflows"):
        stage.forge.job_token(stage.repo, workflows="write")


def test_nobody_pushes_to_the_refs_of_pull_requests(stage: Stage, tmp_path: Path) -> None:
    """refs/pull is GitHub's own: it says what a pull request is, and no push changes it."""
    clone = Clone(stage, tmp_path / "clone", stage.forge.user_token("octo"))
    clone.commit("b.sql", "x\n")
    assert clone.git("push", "-q", "origin", f"HEAD:refs/pull/{stage.pull.number}/head").returncode != 0
    assert stage.client().pull(stage.pull.number).head_sha == stage.pull.head_sha


def test_what_a_job_pushes_starts_nothing(stage: Stage, tmp_path: Path) -> None:
    """The events of a job's token start no workflow; those of a person do."""
    token = stage.forge.job_token(stage.repo, contents="write")
    clone = Clone(stage, tmp_path / "clone", token)
    clone.commit("b.sql", "x\n")
    clone.git("push", "-q", "origin", "HEAD:main")
    assert not stage.repo.deliveries("push")[-1].starts
    stage.repo.commit("main", {"c": "d"})
    assert stage.repo.deliveries("push")[-1].starts


def test_large_pushes_arrive(stage: Stage, tmp_path: Path) -> None:
    """Git sends what is larger than a megabyte in chunks."""
    clone = Clone(stage, tmp_path / "clone", stage.forge.user_token("octo"))
    (clone.root / "big").write_bytes(bytes(range(256)) * 4096 + os.urandom(2_000_000))
    sha = clone.commit("b.sql", "x\n")
    assert clone.git("push", "-q", "origin", "HEAD:refs/heads/big").returncode == 0
    assert stage.repo.head("big") == sha


def test_a_push_whose_answer_is_lost_was_done(stage: Stage, tmp_path: Path) -> None:
    """Faults strike Git as they strike the API."""
    clone = Clone(stage, tmp_path / "clone", stage.forge.user_token("octo"))
    sha = clone.commit("b.sql", "x\n")
    stage.forge.fail("reset-after", path="git-receive-pack$", verb="POST")
    assert clone.git("push", "-q", "origin", "HEAD:refs/heads/lost").returncode != 0
    assert stage.repo.head("lost") == sha
    assert "reset-after" in [record.fault for record in stage.forge.log]
