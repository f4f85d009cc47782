"""A commit that differs from another in a few files, made without a checkout and without an index."""

from __future__ import annotations

from collections.abc import Mapping

from gitkitchen.ledger.layout import View
from gitkitchen.plumbing import FILE, FOLDER, Entry, Plumbing


def graft(git: Plumbing, view: View, files: Mapping[str, bytes | None], message: str) -> str:
    """The commit on top of ``view`` in which each path has this content (None: is gone).

    Only the folders on the way to those files are read and written, whatever the ledger's size.
    """
    folders: dict[tuple[str, ...], dict[str, Entry]] = {}
    for path, content in files.items():
        *above, name = path.split("/")
        for depth in range(len(above) + 1):
            at = tuple(above[:depth])
            if at not in folders:
                folders[at] = dict(view.folder("/".join(at)))
        if content is None:
            folders[tuple(above)].pop(name, None)
        else:
            folders[tuple(above)][name] = Entry(FILE, git.write(content))
    for depth in range(max(map(len, folders)), -1, -1):
        level = [at for at in folders if len(at) == depth]
        for at, oid in zip(level, git.trees([folders[at] for at in level]), strict=True):
            if not at:
                return git.commit(oid, view.tip, message)
            if folders[at]:
                folders[at[:-1]][at[-1]] = Entry(FOLDER, oid)
            else:
                folders[at[:-1]].pop(at[-1], None)
    raise AssertionError("the top folder is always among them")
