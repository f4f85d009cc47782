"""A forge of our own: a stateful fake of GitHub's API, over real HTTP on loopback, with real Git behind it.

Tests and simulations run against it. Every request and every answer is checked against GitHub's own OpenAPI
description; what that lacks (limits, refusals, what a job's token cannot do) is here as code::

    with Forge(folder) as forge:
        repo = forge.repository("octo/shop", {"kitchen.yml": "…"})
        repo.commit("feature", {"a.sql": "select 1"})
        pull = repo.pull("feature", author="alice")
        token = forge.job_token(repo, checks="write", pull_requests="write")
        …  # a client with forge.api_url and token, or git with repo.url
        assert not forge.misuse
"""

from __future__ import annotations

import io
import time
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from gitkitchen.github.forge.answering import Desk, Record
from gitkitchen.github.forge.bare import Bare
from gitkitchen.github.forge.faults import KINDS, Fault, Limits
from gitkitchen.github.forge.hosted import Hosted
from gitkitchen.github.forge.server import Handler, Server, StorageHandler
from gitkitchen.github.forge.state import JOB_PERMISSIONS, Repository, State, Ticking, Token, User

__all__ = ["KINDS", "Fault", "Forge", "Hosted", "Limits", "Record", "Ticking", "zipped"]


class Forge:
    """The server and what it serves; a context manager that starts and stops it.

    ``folder`` gets the bare repositories. ``clock`` gives seconds since the epoch (``Ticking()`` makes all
    dates reproducible). ``api_path``: ``/api/v3`` as GitHub Enterprise Server has it, or another.
    """

    def __init__(
        self,
        folder: Path,
        *,
        clock: Callable[[], float] = time.time,
        api_path: str = "/api/v3",
        port: int = 0,
    ) -> None:
        self.state = State(folder, clock)
        self.desk = Desk(self.state)
        self._server = Server(self.desk, api_path, Handler, port)
        self._storage = Server(self.desk, "", StorageHandler)
        self.state.server_url = self._server.url
        self.state.api_url = self._server.url + api_path
        self.state.storage_url = self._storage.url

    def __enter__(self) -> Self:
        self._server.start()
        self._storage.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.stop()
        self._storage.stop()
        if kind is None and self.desk.broken:
            raise AssertionError(
                "the forge departs from GitHub's description: " + "; ".join(self.desk.broken)
            )

    @property
    def server_url(self) -> str:
        """``GITHUB_SERVER_URL``."""
        return self.state.server_url

    @property
    def api_url(self) -> str:
        """``GITHUB_API_URL``."""
        return self.state.api_url

    @property
    def log(self) -> list[Record]:
        """Every request so far."""
        return self.desk.log

    @property
    def writes(self) -> list[Record]:
        """Every request so far that asked to change something through the API."""
        return [
            record for record in self.desk.log if record.is_write and not record.operation.startswith("git/")
        ]

    @property
    def misuse(self) -> list[str]:
        """What clients asked that GitHub's description does not know, or would leak."""
        return self.desk.misuse

    @property
    def limits(self) -> Limits:
        return self.desk.limits

    def fail(self, kind: str, **about: Any) -> Fault:
        """Let something go wrong: see ``Fault`` for what ``about`` says."""
        fault = Fault(kind, **about)
        with self.desk.lock:
            self.desk.faults.append(fault)
        return fault

    def heal(self) -> None:
        """Nothing goes wrong any more."""
        with self.desk.lock:
            self.desk.faults.clear()

    def user(self, login: str, kind: str = "User") -> User:
        """A person (or, with ``kind``, an Organization or Bot), made where there is none."""
        with self.desk.lock:
            return self.state.user(login, kind)

    def repository(
        self,
        full_name: str,
        files: Mapping[str, str | bytes | None] | None = None,
        *,
        private: bool = False,
        branch: str = "main",
    ) -> Hosted:
        """A new repository, with a first commit of ``files`` on its default branch."""
        owner, _, name = full_name.partition("/")
        with self.desk.lock:
            bare = Bare.make(self.state.folder / owner / f"{name}.git", branch)
            made = Repository(
                self.state.id(), self.state.user(owner), name, bare, self.state.clock(), branch, private
            )
            self.state.repositories[made.full_name] = made
            hosted = Hosted(self.desk, made)
            hosted.commit(branch, files or {"README.md": f"# {name}\n"}, message="Begin")
        return hosted

    def hosted(self, full_name: str) -> Hosted:
        """A repository that is there already."""
        return Hosted(self.desk, self.state.repositories[full_name])

    def job_token(self, repo: Hosted, **permissions: str) -> str:
        """The GITHUB_TOKEN of a job with these ``permissions:`` (``pull_requests="write"``)."""
        given = {name.replace("_", "-"): level for name, level in permissions.items()}
        unknown = given.keys() - set(JOB_PERMISSIONS)
        if unknown:
            raise ValueError(f"no workflow can ask for {', '.join(sorted(unknown))}")
        return self._app_token("github-actions", repo, given, is_job=True)

    def app_token(self, repo: Hosted, slug: str, **permissions: str) -> str:
        """An installation token of an App: what it does starts workflows."""
        given = {name.replace("_", "-"): level for name, level in permissions.items()}
        return self._app_token(slug, repo, given, is_job=False)

    def user_token(self, login: str) -> str:
        """A personal access token: it may what its person may."""
        with self.desk.lock:
            return self._keep(Token(f"ghp_{self.state.id():036d}", self.state.user(login)))

    def revoke(self, token: str) -> None:
        """From now on 401, as after the end of the job."""
        self.state.tokens[token].valid = False

    def _app_token(self, slug: str, repo: Hosted, given: dict[str, str], *, is_job: bool) -> str:
        with self.desk.lock:
            app = self.state.app(slug, "GitHub Actions" if is_job else slug)
            value = f"ghs_{self.state.id():036d}"
            return self._keep(Token(value, app.bot, app, repo.full_name, given, is_job))

    def _keep(self, token: Token) -> str:
        self.state.tokens[token.value] = token
        return token.value

    def environ(self, repo: Hosted, token: str = "") -> dict[str, str]:
        """The environment of a job that says where it is."""
        made = {
            "GITHUB_ACTIONS": "true",
            "GITHUB_API_URL": self.api_url,
            "GITHUB_SERVER_URL": self.server_url,
            "GITHUB_GRAPHQL_URL": f"{self.server_url}/api/graphql",
            "GITHUB_REPOSITORY": repo.full_name,
            "GITHUB_REPOSITORY_OWNER": repo.full_name.partition("/")[0],
        }
        return {**made, "GITHUB_TOKEN": token} if token else made


def zipped(files: Mapping[str, str | bytes]) -> bytes:
    """A zip file as an upload makes it; the same files give the same bytes."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            data = content.encode() if isinstance(content, str) else content
            archive.writestr(zipfile.ZipInfo(name), data, zipfile.ZIP_DEFLATED)
    return buffer.getvalue()
