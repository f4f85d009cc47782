"""One request of the API, from its bytes to its answer: understood, checked, allowed, done, checked again."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Mapping
from dataclasses import field
from functools import lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

from gitkitchen.document.openapi import Description, Operation
from gitkitchen.frozen import dataclass
from gitkitchen.github.forge import routes
from gitkitchen.github.forge.faults import Fault, Limits
from gitkitchen.github.forge.routing import ROUTES, Answer, Call, Refused, authorize
from gitkitchen.github.forge.state import Repository, State, Token

OPENAPI = Path(__file__).parent / "openapi.json"
MOST_BODY = 64 * 1024 * 1024
"""Bytes of a request that are read."""

assert routes.__all__  # imported for the table that it fills


@lru_cache(maxsize=1)
def description() -> Description:
    """GitHub's own description of the operations that the forge answers."""
    return Description(OPENAPI)


@dataclass(frozen=True)
class Incoming:
    """A request as it came; header names in lower case, ``path`` raw."""

    verb: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True)
class Reply:
    status: int
    headers: dict[str, str]
    body: bytes


@dataclass
class Record:
    """One request in the log. ``login``: whose token; ``operation``: its name in the description, or
    ``git/…``; ``status``: 0 where no answer was given; ``fault``: what went wrong on purpose."""

    verb: str
    path: str
    query: str
    body: Any
    operation: str = ""
    login: str = ""
    status: int = 0
    fault: str = ""

    @property
    def is_write(self) -> bool:
        return self.verb not in ("GET", "HEAD")


@dataclass
class Desk:
    """What the threads of the server share. ``misuse``: what clients did wrong; ``broken``: what the forge
    itself did wrong, against the description."""

    state: State
    limits: Limits = field(default_factory=Limits)
    faults: list[Fault] = field(default_factory=list)
    log: list[Record] = field(default_factory=list)
    misuse: list[str] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)
    lock: threading.RLock = field(default_factory=threading.RLock)

    def fault(self, verb: str, path: str) -> Fault | None:
        """The fault whose turn it is."""
        with self.lock:
            return next((fault for fault in self.faults if fault.strikes(verb, path)), None)

    def answer(self, request: Incoming, record: Record) -> Reply:
        """Do what is asked, all of it or nothing, and say so."""
        with self.lock:
            now = self.state.clock()
            token = None
            try:
                token = self.token(request)
                record.login = token.user.login if token is not None else ""
                if request.path != "/rate_limit":
                    self.limits.count(token, request.verb, now)
                answer = self._perform(request, record, token)
            except Refused as refused:
                answer = refused.answer()
            headers = {**self.limits.headers(token, now), **answer.headers}
            return self.reply(request, answer, headers)

    def reply(self, request: Incoming, answer: Answer, headers: Mapping[str, str]) -> Reply:
        """The answer as bytes. What did not change since the client's ETag is 304, and costs no request."""
        body = (
            b""
            if answer.body is None
            else json.dumps(answer.body, ensure_ascii=False).encode("utf-8", "replace")
        )
        made = {
            "X-GitHub-Request-Id": f"F0:{len(self.log):06X}",
            "X-GitHub-Media-Type": "github.v3; format=json",
            **headers,
        }
        if body:
            made["Content-Type"] = "application/json; charset=utf-8"
        if request.verb == "GET" and answer.status == 200:
            made["ETag"] = f'W/"{hashlib.sha256(body).hexdigest()}"'
            if request.headers.get("if-none-match") == made["ETag"]:
                return Reply(304, made, b"")
        return Reply(answer.status, made, body)

    def token(self, request: Incoming) -> Token | None:
        """Whose request it is. Refused (401) where its token is none of ours."""
        scheme, _, value = request.headers.get("authorization", "").partition(" ")
        if not scheme:
            return None
        token = self.state.tokens.get(value.strip()) if scheme.lower() in ("bearer", "token") else None
        if token is None or not token.valid:
            raise Refused(401, "Bad credentials")
        return token

    def _perform(self, request: Incoming, record: Record, token: Token | None) -> Answer:
        if not request.headers.get("user-agent"):
            raise Refused(
                403,
                "Request forbidden by administrative rules. "
                "Please make sure your request has a User-Agent header",
            )
        found = description().find(request.verb, request.path)
        if found is None:
            self.misuse.append(
                f"{request.verb} {request.path} is not among the operations that the forge knows"
            )
            raise Refused(404, "Not Found")
        operation, path = found
        record.operation = operation.id
        if operation.id == "rate-limit/get":
            return self._checked(operation, self._rate(token))
        repository = self._repository(path)
        rule = ROUTES[operation.id]
        authorize(token, repository, rule, request.verb)
        query, problems = description().query(operation, parse_qs(request.query, keep_blank_values=True))
        body = _body(request)
        record.body = body
        problems += description().request(operation, body)
        if problems:
            self.misuse += [f"{operation.key}: {problem}" for problem in problems]
            raise Refused(422, "Invalid request.\n\n" + "\n".join(problems))
        url = self.state.api_url + request.path
        call = Call(self.state, token, repository, path, query, body, url)
        try:
            answer = rule.answer(call)
        except Refused as refused:
            self._checked(operation, refused.answer())
            raise
        return self._checked(operation, answer)

    def _checked(self, operation: Operation, answer: Answer) -> Answer:
        problems = description().answer(operation, answer.status, answer.body)
        if problems:
            self.broken += [f"{operation.key}: {problem}" for problem in problems]
            raise Refused(500, "The forge's answer departs from GitHub's description: " + "; ".join(problems))
        return answer

    def _repository(self, path: Mapping[str, str]) -> Repository | None:
        if "owner" not in path or "repo" not in path:
            return None
        repository = self.state.repositories.get(f"{path['owner']}/{path['repo']}")
        if repository is None:
            raise Refused(404, "Not Found")
        return repository

    def _rate(self, token: Token | None) -> Answer:
        limit, used, reset = self.limits.standing(token, self.state.clock())
        rate = {"limit": limit, "used": used, "remaining": max(limit - used, 0), "reset": reset}
        return Answer(200, {"resources": {"core": rate, "search": rate}, "rate": rate})


def _body(request: Incoming) -> Any:
    if not request.body:
        return None
    try:
        return json.loads(request.body)
    except (ValueError, RecursionError):
        raise Refused(400, "Problems parsing JSON") from None
