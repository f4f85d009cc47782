"""A commit that differs from another in a few files, made without a checkout and without an index."""

from __future__ import annotations

from collections.abc import Mapping

from gitkitchen.ledger.layout import View
from gitkitchen.objects import FILE, FOLDER, Entry, name_of
from gitkitchen.plumbing import Plumbing


def graft(
    git: Plumbing, view: View, files: Mapping[str, bytes | None], message: str, *, root: bool = False
) -> str:
    """The commit on top of ``view`` in which each path has this content (None: is gone). ``root``: one
    without a parent, that holds the same.

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
    known = [entry.oid for folder in folders.values() for entry in folder.values()]
    width = len(known[0]) if known else git.width()
    made: list[dict[str, Entry]] = []
    for at in sorted(folders, key=len, reverse=True):
        if not at or folders[at]:
            made.append(folders[at])
        if at and folders[at]:
            # Its name is computed, so that one process writes the trees of all depths, the deepest first.
            folders[at[:-1]][at[-1]] = Entry(FOLDER, name_of(folders[at], width))
        elif at:
            folders[at[:-1]].pop(at[-1], None)
    return git.commit(git.trees(made)[-1], None if root else view.tip, message)
