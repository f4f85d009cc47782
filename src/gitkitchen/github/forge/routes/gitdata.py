"""The Git database: refs, commits, trees, blobs. https://docs.github.com/en/rest/git"""

from __future__ import annotations

import base64
from datetime import datetime

from gitkitchen.github.forge import render
from gitkitchen.github.forge.bare import Person
from gitkitchen.github.forge.guarding import refuse_ref
from gitkitchen.github.forge.happening import moved, person
from gitkitchen.github.forge.routing import Answer, Call, Refused, invalid, route

READ, WRITE = "contents:read", "contents:write"


@route("git/get-ref", READ)
def get_ref(call: Call) -> Answer:
    ref = f"refs/{call.path['ref']}"
    sha = call.repo.bare.refs().get(ref)
    if sha is None:
        raise Refused(404, "Not Found")
    return Answer(200, render.git_ref(call.state, call.repo, ref, sha))


@route("git/list-matching-refs", READ)
def matching(call: Call) -> Answer:
    start = f"refs/{call.path['ref']}"
    found = [(ref, sha) for ref, sha in call.repo.bare.refs().items() if ref.startswith(start)]
    return Answer(200, [render.git_ref(call.state, call.repo, ref, sha) for ref, sha in found])


@route("git/create-ref", WRITE, role="write")
def create_ref(call: Call) -> Answer:
    ref, sha = call.body["ref"], call.body["sha"]
    before = call.repo.bare.refs()
    if ref in before:
        raise Refused(422, "Reference already exists")
    if not ref.startswith(("refs/heads/", "refs/tags/")) or ref.count("/") < 2:
        raise Refused(422, "Reference name must start with 'refs/' and have at least two slashes.")
    if call.repo.bare.kind(sha) != "commit":
        raise Refused(422, "Object does not exist")
    main = before.get(f"refs/heads/{call.repo.default_branch}")
    refuse_ref(call.repo, call.token, ref, main, sha, force=False)
    if not call.repo.bare.set(ref, sha):
        raise invalid("Reference", "ref")
    moved(call.state, call.repo, before, call.user, call.token)
    return Answer(201, render.git_ref(call.state, call.repo, ref, sha))


@route("git/update-ref", WRITE, role="write")
def update_ref(call: Call) -> Answer:
    ref, sha = f"refs/{call.path['ref']}", call.body["sha"]
    before = call.repo.bare.refs()
    if ref not in before:
        raise Refused(422, "Reference does not exist")
    if call.repo.bare.kind(sha) != "commit":
        raise Refused(422, "Object does not exist")
    forced = not call.repo.bare.is_ancestor(before[ref], sha)
    if forced and not call.body.get("force"):
        raise Refused(422, "Update is not a fast forward")
    refuse_ref(call.repo, call.token, ref, before[ref], sha, force=forced)
    call.repo.bare.set(ref, sha)
    moved(call.state, call.repo, before, call.user, call.token)
    return Answer(200, render.git_ref(call.state, call.repo, ref, sha))


@route("git/delete-ref", WRITE, role="write")
def delete_ref(call: Call) -> Answer:
    ref = f"refs/{call.path['ref']}"
    before = call.repo.bare.refs()
    if ref not in before:
        raise Refused(422, "Reference does not exist")
    branch = ref.removeprefix("refs/heads/")
    refuse_ref(call.repo, call.token, ref, before[ref], None, force=False)
    if branch == call.repo.default_branch:
        raise Refused(422, "Cannot delete the default branch")
    call.repo.bare.set(ref, None)
    moved(call.state, call.repo, before, call.user, call.token)
    return Answer(204)


@route("git/get-commit", READ)
def get_commit(call: Call) -> Answer:
    sha = call.path["commit_sha"]
    if call.repo.bare.kind(sha) != "commit":
        raise Refused(404, "Not Found")
    return Answer(200, render.git_commit(call.state, call.repo, call.repo.bare.facts(sha)))


@route("git/create-commit", WRITE, role="write")
def create_commit(call: Call) -> Answer:
    body, bare = call.body, call.repo.bare
    parents = tuple(body.get("parents", ()))
    if bare.kind(body["tree"]) != "tree":
        raise Refused(422, "Tree SHA does not exist")
    if any(bare.kind(parent) != "commit" for parent in parents):
        raise Refused(422, "Parent SHA does not exist or is not a commit object")
    who, when = person(call.user), call.now()
    if author := body.get("author"):
        who = Person(author["name"], author["email"])
        if "date" in author:
            when = datetime.fromisoformat(author["date"].replace("Z", "+00:00")).timestamp()
    sha = bare.commit_tree(body["tree"], parents, body["message"], who, when)
    return Answer(201, render.git_commit(call.state, call.repo, bare.facts(sha)))


@route("git/get-tree", READ)
def tree(call: Call) -> Answer:
    bare, name = call.repo.bare, call.path["tree_sha"]
    sha = bare.resolve(name) or (name if bare.kind(name) == "tree" else None)
    if sha is None:
        raise Refused(404, "Not Found")
    found = bare.entries(sha, recursive="recursive" in call.query)
    url = render.repo_url(call.state, call.repo)
    entries = []
    for mode, kind, oid, size, path in found:
        link = {"blob": f"{url}/git/blobs/{oid}", "tree": f"{url}/git/trees/{oid}"}.get(kind)
        entry = {"path": path, "mode": mode, "type": kind, "sha": oid}
        entries.append(
            {**entry, **({"url": link} if link else {}), **({"size": size} if size is not None else {})}
        )
    return Answer(200, {"sha": sha, "url": f"{url}/git/trees/{sha}", "tree": entries, "truncated": False})


@route("git/get-blob", READ)
def blob(call: Call) -> Answer:
    sha = call.path["file_sha"]
    if call.repo.bare.kind(sha) != "blob":
        raise Refused(404, "Not Found")
    data = call.repo.bare.blob(sha)
    body = {
        "sha": sha,
        "node_id": f"B_{sha[:20]}",
        "size": len(data),
        "url": f"{render.repo_url(call.state, call.repo)}/git/blobs/{sha}",
        "content": base64.encodebytes(data).decode(),
        "encoding": "base64",
    }
    return Answer(200, body)
