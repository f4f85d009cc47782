"""One logical write, one object: check runs and comments are brought to what they should be, not just sent.

Each begins by looking for what is there, and looks again whenever a write ends without a usable answer. So a
retry, a second delivery of the same event, or the job after a killed one finds and mends what there is.
What carries our marker or ``external_id`` counts only when it is ours: anybody may write the same.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from gitkitchen.frozen import dataclass
from gitkitchen.github.asking import Asking
from gitkitchen.github.surfaces import ANNOTATIONS_PER_REQUEST, Annotation, CheckRun, Comment
from gitkitchen.github.trouble import Trouble

CHECKS = {"checks": "write"}
COMMENTS = {"pull-requests": "write"}
LOOKS = 4
"""How often a write is taken up again after looking."""
PAUSES = (1.0, 2.0, 4.0)

Json = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Standing:
    """A check run of ours that is there."""

    name: str
    external_id: str
    status: str


def put_check(asking: Asking, repo: str, app: str, check: CheckRun) -> int:
    """Make the check run of ``check.external_id`` what it should be; its number. Raises Trouble.

    ``repo`` is the path ``/repos/OWNER/NAME``, ``app`` the slug of the App whose token this is.
    """
    doing = f"write the check run '{check.name}'"
    found = _find_check(asking, repo, app, check, doing)
    for look in range(LOOKS):
        try:
            return _bring(asking, repo, check, found, doing)
        except Trouble as trouble:
            gone = trouble.kind == "missing" and found is not None
            if look == LOOKS - 1 or (trouble.kind != "unsure" and not gone):
                raise
            asking.pause(PAUSES[min(look, len(PAUSES) - 1)], doing)
        found = _find_check(asking, repo, app, check, doing)
    raise AssertionError("the last look returns or raises")


def standing(asking: Asking, repo: str, app: str, sha: str, prefix: str) -> tuple[Standing, ...]:
    """Our check runs at a commit whose names begin with ``prefix``, newest first. Raises Trouble."""
    found = _ours(asking, repo, app, sha, "", "read the check runs that are there")
    return tuple(
        Standing(str(one["name"]), str(one.get("external_id") or ""), str(one.get("status")))
        for one in found
        if str(one.get("name", "")).startswith(prefix)
    )


def settle(
    asking: Asking, repo: str, app: str, sha: str, prefix: str, keep: frozenset[str]
) -> tuple[str, ...]:
    """End check runs of ours at a commit that nobody will end: those whose name begins with ``prefix`` and
    is not in ``keep``, left open by a job that died. The names of those. Raises Trouble."""
    doing = "end check runs that were left open"
    ended = []
    for one in _ours(asking, repo, app, sha, "", doing):
        name = str(one.get("name", ""))
        if name.startswith(prefix) and name not in keep and one.get("status") != "completed":
            _cancel(asking, repo, one, doing)
            ended.append(name)
    return tuple(ended)


def _find_check(asking: Asking, repo: str, app: str, check: CheckRun, doing: str) -> Json | None:
    """The check run to write to: the newest with our ``external_id``; else the newest of our name, from a
    job before us, where it has no annotations that would be mixed with ours. Every other one of the name
    that is open is ended."""
    ours = _ours(asking, repo, app, check.head_sha, check.name, doing)
    chosen = next((one for one in ours if one.get("external_id") == check.external_id), None)
    if chosen is None and ours and not _count(ours[0]):
        chosen = ours[0]
    for other in ours:
        if other is not chosen and other.get("status") != "completed":
            _cancel(asking, repo, other, doing)
    return chosen


def _ours(asking: Asking, repo: str, app: str, sha: str, name: str, doing: str) -> list[Json]:
    """The check runs of our App at a commit, newest first; ``filter=latest`` would hide all but one."""
    query = {"filter": "all", **({"check_name": name} if name else {})}
    path = f"{repo}/commits/{sha}/check-runs"

    def is_ours(one: Any) -> bool:
        return isinstance(one, dict) and (one.get("app") or {}).get("slug") == app

    ours = asking.pages(path, doing, CHECKS, query, key="check_runs", keep=is_ours)
    return sorted(ours, key=lambda one: -int(one["id"]))


def _cancel(asking: Asking, repo: str, one: Json, doing: str) -> None:
    """Nothing stays in progress. Doing it twice is doing it once: it carries no annotations."""
    output = {"title": "Superseded", "summary": "The job that began this ended without a result."}
    body = {"status": "completed", "conclusion": "cancelled", "output": output}
    asking.ask("PATCH", f"{repo}/check-runs/{one['id']}", doing, CHECKS, body=body, again=True)


def _bring(asking: Asking, repo: str, check: CheckRun, found: Json | None, doing: str) -> int:
    """The writes from what was found to what should be: 50 annotations each, the conclusion in the last."""
    missing = list(check.annotations)
    if found is not None:
        missing = _missing(asking, repo, check, found, doing)
        if not missing and _is_as(found, check):
            return int(found["id"])
    batches = [
        missing[at : at + ANNOTATIONS_PER_REQUEST]
        for at in range(0, max(len(missing), 1), ANNOTATIONS_PER_REQUEST)
    ]
    number = int(found["id"]) if found is not None else 0
    for position, batch in enumerate(batches):
        body = _body(check, batch, is_last=position == len(batches) - 1)
        if number:
            asking.ask("PATCH", f"{repo}/check-runs/{number}", doing, CHECKS, body=body)
        else:
            made = {**body, "head_sha": check.head_sha}
            _, answer = asking.ask("POST", f"{repo}/check-runs", doing, CHECKS, body=made)
            number = number_of(answer, doing)
    return number


def _missing(asking: Asking, repo: str, check: CheckRun, found: Json, doing: str) -> list[Annotation]:
    """The annotations that are not there yet: a PATCH adds to those that are."""
    if not check.annotations or not _count(found):
        return list(check.annotations)
    path = f"{repo}/check-runs/{found['id']}/annotations"
    there = Counter(_key(one) for one in asking.pages(path, doing, CHECKS) if isinstance(one, dict))
    missing = []
    for annotation in check.annotations:
        key = _key(_annotation(annotation))
        if there[key] > 0:
            there[key] -= 1
        else:
            missing.append(annotation)
    return missing


def _key(one: Json) -> tuple[Any, ...]:
    """What makes an annotation the same one, but for white space at its ends, which servers drop."""
    names = ("path", "start_line", "end_line", "annotation_level", "start_column", "end_column")
    texts = (str(one.get(name) or "").replace("\r\n", "\n").strip() for name in ("title", "message"))
    return (*(one.get(name) for name in names), *texts)


def _annotation(annotation: Annotation) -> dict[str, Any]:
    made: dict[str, Any] = {
        "path": annotation.path,
        "start_line": annotation.start_line,
        "end_line": annotation.end_line,
        "annotation_level": annotation.level,
        "message": annotation.message,
    }
    for name in ("title", "start_column", "end_column"):
        if value := getattr(annotation, name):
            made[name] = value
    return made


def _body(check: CheckRun, batch: list[Annotation], *, is_last: bool) -> dict[str, Any]:
    output: dict[str, Any] = {"title": check.title, "summary": check.summary, "text": check.text}
    if batch:
        output["annotations"] = [_annotation(annotation) for annotation in batch]
    body: dict[str, Any] = {
        "name": check.name,
        "external_id": check.external_id,
        "status": check.status if is_last else "in_progress",
        "output": output,
    }
    if is_last and check.conclusion is not None:
        body["conclusion"] = check.conclusion
    if check.details_url:
        body["details_url"] = check.details_url
    return body


def _is_as(found: Json, check: CheckRun) -> bool:
    output = found.get("output") or {}
    texts = (("title", check.title), ("summary", check.summary), ("text", check.text))
    return (
        (found.get("status"), found.get("conclusion")) == (check.status, check.conclusion)
        and found.get("external_id") == check.external_id
        and all(_same(output.get(name) or "", text) for name, text in texts)
    )


def _count(found: Json) -> int:
    return int((found.get("output") or {}).get("annotations_count") or 0)


def _same(one: str, other: str) -> bool:
    return one.replace("\r\n", "\n").strip() == other.replace("\r\n", "\n").strip()


def put_comment(
    asking: Asking, repo: str, author: str, number: int, comment: Comment, *, over: bool = True
) -> int:
    """Make the one comment of its marker what it should be; its number. Raises Trouble.

    ``over``: one that is there is brought to it; otherwise it stays as it is.

    Ours is the oldest that begins with the marker and whose author is ``author``; others of ours with the
    same marker, from two jobs that ran at once, are removed.
    """
    doing = f"write the comment of pull request {number}"
    for look in range(LOOKS):
        ours = _comments(asking, repo, author, number, comment.marker, doing)
        try:
            done = _bring_comment(asking, repo, number, comment, ours, doing, over=over)
        except Trouble as trouble:
            gone = trouble.kind == "missing" and ours
            if look == LOOKS - 1 or (trouble.kind != "unsure" and not gone):
                raise
            asking.pause(PAUSES[min(look, len(PAUSES) - 1)], doing)
        else:
            for other in ours[1:]:
                _remove(asking, repo, other, doing)
            return done
    raise AssertionError("the last look returns or raises")


def _comments(asking: Asking, repo: str, author: str, number: int, marker: str, doing: str) -> list[Json]:
    def is_ours(one: Any) -> bool:
        return (
            isinstance(one, dict)
            and (one.get("user") or {}).get("login") == author
            and str(one.get("body") or "").startswith(marker)
        )

    ours = asking.pages(f"{repo}/issues/{number}/comments", doing, COMMENTS, keep=is_ours)
    return sorted(ours, key=lambda one: int(one["id"]))


def _bring_comment(
    asking: Asking, repo: str, number: int, comment: Comment, ours: list[Json], doing: str, *, over: bool
) -> int:
    body = {"body": comment.whole}
    if not ours:
        _, answer = asking.ask("POST", f"{repo}/issues/{number}/comments", doing, COMMENTS, body=body)
        return number_of(answer, doing)
    if over and not _same(str(ours[0].get("body") or ""), comment.whole):
        path = f"{repo}/issues/comments/{ours[0]['id']}"
        asking.ask("PATCH", path, doing, COMMENTS, body=body, again=True)
    return int(ours[0]["id"])


def _remove(asking: Asking, repo: str, one: Json, doing: str) -> None:
    """Gone is gone, whoever removed it."""
    try:
        asking.ask("DELETE", f"{repo}/issues/comments/{one['id']}", doing, COMMENTS, again=True)
    except Trouble as trouble:
        if trouble.kind != "missing":
            raise


def number_of(answer: Any, doing: str) -> int:
    """The number of what was made. Raises Trouble (unsure) where the answer has none."""
    if isinstance(answer, dict) and isinstance(answer.get("id"), int):
        return int(answer["id"])
    raise Trouble("unsure", doing, "the answer does not say what was made")
