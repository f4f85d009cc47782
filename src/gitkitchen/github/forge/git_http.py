"""Git over HTTP behind the forge's repositories: ``git http-backend``, with GitHub's refusals before it."""

from __future__ import annotations

import base64
import binascii
import os
import re
import zlib

from gitkitchen.git import environment
from gitkitchen.github.forge.answering import Desk, Incoming, Record, Reply
from gitkitchen.github.forge.happening import moved
from gitkitchen.github.forge.state import Repository, Token
from gitkitchen.process import capture

PATH = re.compile(
    r"/(?P<owner>[\w.-]+)/(?P<name>[\w.-]+?)(?:\.git)?/(?P<rest>info/refs|git-upload-pack|git-receive-pack)"
)
TIMEOUT = 120.0


def serve(desk: Desk, request: Incoming, record: Record) -> Reply:
    """Answer a request of Git's smart protocol: gitprotocol-http(5)."""
    match = PATH.fullmatch(request.path)
    assert match is not None
    pushes = "git-receive-pack" in (match["rest"], request.query.partition("service=")[2])
    record.operation = "git/push" if pushes else "git/fetch"
    with desk.lock:
        token, given = _token(desk, request)
        record.login = token.user.login if token is not None else ""
        repo = desk.state.repositories.get(f"{match['owner']}/{match['name']}")
        refused = _refused(repo, token, given=given, pushes=pushes)
        if refused is not None:
            return refused
        assert repo is not None
        before = repo.bare.refs() if match["rest"] == "git-receive-pack" else {}
        extra = {
            "GIT_PROJECT_ROOT": str(repo.bare.path),
            "GIT_HTTP_EXPORT_ALL": "1",
            "PATH_INFO": f"/{match['rest']}",
            "REQUEST_METHOD": request.verb,
            "QUERY_STRING": request.query,
            "CONTENT_TYPE": request.headers.get("content-type", ""),
            "CONTENT_LENGTH": str(len(request.body)),
            "HTTP_CONTENT_ENCODING": request.headers.get("content-encoding", ""),
            "GIT_PROTOCOL": request.headers.get("git-protocol", ""),
            "REMOTE_USER": record.login,
            "REMOTE_ADDR": "127.0.0.1",
            "GIT_CONFIG_COUNT": "1",
            "GIT_CONFIG_KEY_0": "core.hooksPath",
            "GIT_CONFIG_VALUE_0": str(repo.bare.path / "hooks"),
        }
        if before or match["rest"] == "git-receive-pack":
            extra |= _rules(repo, token, request)
        done = capture(
            ["git", "http-backend"],
            env=environment(os.environ, extra),
            cwd=repo.bare.path,
            input=request.body,
            timeout=TIMEOUT,
        )
        if match["rest"] == "git-receive-pack" and token is not None:
            moved(desk.state, repo, before, token.user, token)
    return _reply(done.output)


def _token(desk: Desk, request: Incoming) -> tuple[Token | None, bool]:
    """The token, and whether one was given: as a password (or as the user's name), or as a bearer."""
    scheme, _, value = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "basic":
        try:
            user, _, password = base64.b64decode(value, validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            return None, True
        candidates = [password, user]
    else:
        candidates = [value.strip()]
    for one in candidates:
        token = desk.state.tokens.get(one)
        if token is not None and token.valid:
            return token, True
    return None, bool(scheme)


def _refused(repo: Repository | None, token: Token | None, *, given: bool, pushes: bool) -> Reply | None:
    if token is None and (given or pushes or repo is None or repo.private):
        headers = {"WWW-Authenticate": 'Basic realm="GitHub"'}
        return _said(401, "Invalid username or token." if given else "No anonymous write access.", headers)
    if repo is None:
        return _said(404, "Repository not found.")
    if token is None:
        return None
    here = token.app is None or token.repository == repo.full_name
    if repo.private and not (
        here and (token.grants("contents", "read") if token.app else repo.may(token.user.login, "read"))
    ):
        return _said(404, "Repository not found.")
    if pushes:
        may = here and (
            token.grants("contents", "write") if token.app else repo.may(token.user.login, "write")
        )
        if not may:
            return _said(403, f"Permission to {repo.full_name}.git denied to {token.user.login}.")
    return None


def _rules(repo: Repository, token: Token | None, request: Incoming) -> dict[str, str]:
    """What the update hook refuses, a line each: the ref, a tab, and the lines of the message with tabs
    between them. GitHub's words: GH006 of a protected branch, GH013 of a ruleset."""
    login = token.user.login if token is not None else ""
    denied, no_force, no_deletion = [], [], []
    for ref in pushed_refs(request):
        branch = ref.removeprefix("refs/heads/")
        for rule in repo.protections_of(branch):
            if login in rule.bypass:
                continue

            def say(what: str, ref: str = ref, ruleset: bool = rule.ruleset) -> str:
                if not ruleset:
                    return f"{ref}\terror: GH006: Protected branch update failed for {ref}.\terror: {what}"
                return f"{ref}\terror: GH013: Repository rule violations found for {ref}.\t- {what}"

            if rule.pull_request:
                denied.append(say("Changes must be made through a pull request."))
            elif rule.checks:
                count = len(rule.checks)
                words = f'Required status check "{rule.checks[0]}" is expected.'
                denied.append(
                    say(words if count == 1 else f"{count} of {count} required status checks are expected.")
                )
            if rule.no_force:
                no_force.append(say("Cannot force-push to this branch"))
            if rule.no_deletion:
                no_deletion.append(say("Cannot delete this branch"))
    may = token is None or token.app is None or token.grants("workflows", "write")
    return {
        "FORGE_DENIED": "\n".join(denied),
        "FORGE_NO_FORCE": "\n".join(no_force),
        "FORGE_NO_DELETION": "\n".join(no_deletion),
        "FORGE_NO_WORKFLOWS": "" if may else "1",
    }


def pushed_refs(request: Incoming) -> list[str]:
    """The refs that a push wants to move, from its first packet lines: gitprotocol-pack(5)."""
    body = request.body
    if request.headers.get("content-encoding") == "gzip":
        body = zlib.decompressobj(wbits=31).decompress(body, 4 * 1024 * 1024)
    found: list[str] = []
    at = 0
    while re.fullmatch(rb"[0-9a-f]{4}", length := body[at : at + 4]) and int(length, 16) >= 4:
        line = body[at + 4 : at + int(length, 16)].partition(b"\0")[0].rstrip(b"\n")
        words = line.split(b" ", 2)
        if len(words) == 3:
            found.append(words[2].decode("utf-8", "replace"))
        at += int(length, 16)
    return found


def _said(status: int, text: str, headers: dict[str, str] | None = None) -> Reply:
    return Reply(status, {"Content-Type": "text/plain; charset=utf-8", **(headers or {})}, text.encode())


def _reply(output: bytes) -> Reply:
    head, _, body = output.partition(b"\r\n\r\n")
    headers = {}
    for line in head.decode("latin-1").split("\r\n"):
        name, _, value = line.partition(":")
        if name:
            headers[name] = value.strip()
    status = int(headers.pop("Status", "200 OK").split(" ")[0])
    return Reply(status, headers, body)
