"""Git over HTTP behind the forge's repositories: ``git http-backend``, with GitHub's refusals before it."""

from __future__ import annotations

import base64
import binascii
import gzip
import os
import re
from dataclasses import replace

from gitkitchen.git import environment
from gitkitchen.github.forge import guarding
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
        pushing = match["rest"] == "git-receive-pack"
        before = repo.bare.refs() if pushing else {}
        if pushing:
            request = _plain(request)
            if repo.atomic == "ignored":
                request = replace(request, body=_without_atomic(request.body))
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
            "GIT_CONFIG_COUNT": "2",
            "GIT_CONFIG_KEY_0": "core.hooksPath",
            "GIT_CONFIG_VALUE_0": str(repo.bare.path / "hooks"),
            "GIT_CONFIG_KEY_1": "receive.advertiseAtomic",
            "GIT_CONFIG_VALUE_1": "false" if repo.atomic == "absent" else "true",
        }
        if pushing:
            extra |= guarding.for_the_hook(desk.state, repo, token, pushed(request))
        done = capture(
            ["git", "http-backend"],
            env=environment(os.environ, extra),
            cwd=repo.bare.path,
            input=request.body,
            timeout=TIMEOUT,
        )
        if pushing and token is not None:
            moved(desk.state, repo, before, token.user, token)
    reply = _reply(done.output)
    return replace(reply, body=reworded(reply.body)) if pushing else reply


def _plain(request: Incoming) -> Incoming:
    """A request whose body is not packed."""
    if request.headers.get("content-encoding") != "gzip":
        return request
    headers = {name: value for name, value in request.headers.items() if name != "content-encoding"}
    return replace(request, headers=headers, body=gzip.decompress(request.body))


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
    if pushes and repo.archived:
        return _said(403, "This repository was archived so it is read-only.")
    if pushes:
        may = here and (
            token.grants("contents", "write") if token.app else repo.may(token.user.login, "write")
        )
        if not may:
            return _said(403, f"Permission to {repo.full_name}.git denied to {token.user.login}.")
    return None


def _without_atomic(body: bytes) -> bytes:
    """A push whose refs are moved one by one: the capability is taken out of its first packet line."""
    line = body[4 : int(body[:4], 16)] if re.match(rb"[0-9a-f]{4}", body) else b""
    plain = re.sub(rb"(?<=[\0 ])atomic(?= |\n|$)", b"", line)
    return b"%04x" % (len(plain) + 4) + plain + body[4 + len(line) :] if line else body


def pushed(request: Incoming) -> list[tuple[str, str, str]]:
    """(old, new, ref) of what a push wants to move, from its first packet lines: gitprotocol-pack(5)."""
    body = request.body
    found: list[tuple[str, str, str]] = []
    at = 0
    while re.fullmatch(rb"[0-9a-f]{4}", length := body[at : at + 4]) and int(length, 16) >= 4:
        line = body[at + 4 : at + int(length, 16)].partition(b"\0")[0].rstrip(b"\n")
        words = line.decode("utf-8", "replace").split(" ", 2)
        if len(words) == 3:
            found.append((words[0], words[1], words[2]))
        at += int(length, 16)
    return found


def _packets(data: bytes) -> list[bytes] | None:
    """The packet lines of a stream, b"" for a flush: gitprotocol-common(5). None where it is none."""
    found: list[bytes] = []
    at = 0
    while at < len(data):
        size = int(data[at : at + 4], 16) if re.fullmatch(rb"[0-9a-f]{4}", data[at : at + 4]) else -1
        if size != 0 and not 4 <= size <= len(data) - at:
            return None
        found.append(data[at + 4 : at + size] if size else b"")
        at += size or 4
    return found


def _packet(data: bytes) -> bytes:
    return b"%04x" % (len(data) + 4) + data


def reworded(body: bytes) -> bytes:
    """The report of a push, with the reasons that GitHub gives where Git says that a hook declined."""
    outer = _packets(body)
    if outer is None or b" hook declined\n" not in body:
        return body
    told = b"".join(one[1:] for one in outer if one.startswith(b"\x02"))
    inner = _packets(b"".join(one[1:] for one in outer if one.startswith(b"\x01")))
    if inner is None:
        return body
    refusing = re.search(rb"refusing to allow a GitHub App .* permission", told)
    report = b""
    for one in inner:
        ref = one.removeprefix(b"ng ").removesuffix(b" hook declined\n")
        if one and one == b"ng %s hook declined\n" % ref:
            if b"GH013: Repository rule violations found for %s." % ref in told:
                one = b"ng %s push declined due to repository rule violations\n" % ref
            elif b"GH006: Protected branch update failed for %s." % ref in told:
                one = b"ng %s protected branch hook declined\n" % ref
            elif refusing is not None:
                one = b"ng %s %s\n" % (ref, refusing[0])
        report += _packet(one) if one else b"0000"
    whole = [*(one for one in outer if one and not one.startswith(b"\x01")), b"\x01" + report]
    return b"".join(map(_packet, whole)) + b"0000"


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
