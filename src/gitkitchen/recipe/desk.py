"""Where a recipe is read: its values, its expressions, its files, and the mistakes found so far."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import field
from pathlib import Path
from typing import Any

from gitkitchen.document import Document
from gitkitchen.document.words import near, short, subject
from gitkitchen.errors import Place, Problem
from gitkitchen.files import inside, matching, read_bounded
from gitkitchen.frozen import dataclass
from gitkitchen.kitchen.settings import texts
from gitkitchen.model import Project

MARK = "${{"
Keys = tuple[str | int, ...]


class Unusable(Exception):
    """A part has mistakes, already noted: what is made of it is left out."""


@dataclass(slots=True)
class Desk:
    """The reading of one recipe with one set of variables."""

    project: Project
    document: Document
    folder: str
    early: Mapping[str, Any]
    """What expressions can name before anything runs: ``vars`` and ``kitchen``."""
    names: frozenset[str]
    """The recipe's nodes."""
    problems: list[Problem] = field(default_factory=list)

    def place(self, *path: str | int) -> Place:
        return self.document.place(*path)

    def wrong(self, path: Keys, message: str, hint: str = "", code: str = "wrong-value") -> None:
        """Note a mistake in the part at ``path``."""
        about = subject(path)
        said = f"{about}: {message}" if about else message
        self.problems.append(Problem(said, self.document.place(*path), hint, code))

    def unknown(self, path: Keys, message: str, word: str, words: Any) -> None:
        """Note a name that does not exist, with the one that was meant."""
        known = [str(w) for w in words]
        hint = near(word, known) or (f"there are {', '.join(known[:20])}" if known else "")
        self.wrong(path, message, hint, "unknown-name")

    # --- expressions ---

    def value(self, value: Any, path: Keys) -> Any:
        """A value with its expressions over variables and the kitchen evaluated. Raises Unusable."""
        if isinstance(value, str):
            return self._rendered(value, path) if MARK in value else value
        if isinstance(value, (dict, list)):
            return self._each(value, path, self.value)
        return value

    def later(self, value: Any, path: Keys, node: Mapping[str, Any]) -> Any:
        """The same, where what only a run knows may be named too: that stays a Template. Raises Unusable."""
        if isinstance(value, str):
            return self._rendered(value, path, node) if MARK in value else value
        if isinstance(value, (dict, list)):
            return self._each(value, path, lambda v, p: self.later(v, p, node))
        return value

    def _rendered(self, text: str, path: Keys, node: Mapping[str, Any] | None = None) -> Any:
        from gitkitchen.recipe.names import Names  # late: many recipes have no expression

        names = Names(self.early, self.names)
        found = names.now(text) if node is None else names.later(text, self.document.place(*path), node)
        return self._checked(found, path)

    def condition(self, text: str, path: Keys, node: Mapping[str, Any]) -> str:
        """An ``if:`` whose names exist. Raises Unusable."""
        from gitkitchen.recipe.names import Names

        return str(self._checked(Names(self.early, self.names).condition(text, node), path))

    def _checked(self, found: Any, path: Keys) -> Any:
        """What ``Names`` found: a value, or the reasons why there is none."""
        value, reasons = found
        for message, hint in reasons:
            self.wrong(path, message, hint, "bad-expression")
        if reasons:
            raise Unusable
        return value

    def plain(self, value: Any, path: Keys, why: str, hint: str = "") -> Any:
        """A value in which no expression may stand. Raises Unusable."""
        if isinstance(value, str) and MARK in value:
            self.wrong(path, f"an expression cannot stand here: {why}", hint, "misplaced-expression")
            raise Unusable
        if isinstance(value, (dict, list)):
            return self._each(value, path, lambda v, p: self.plain(v, p, why, hint))
        return value

    def _each(self, value: Any, path: Keys, of: Any) -> Any:
        """A collection with ``of`` applied to each part; all parts are looked at before it gives up."""
        made: list[Any] = []
        broken = False
        for key, part in value.items() if isinstance(value, dict) else enumerate(value):
            try:
                made.append((key, of(part, (*path, key))))
            except Unusable:
                broken = True
        if broken:
            raise Unusable
        return dict(made) if isinstance(value, dict) else [part for _, part in made]

    def used(self, *parts: Any) -> dict[str, Any]:
        """The variables that the expressions in these parts read, with their values."""
        marked = [text for part in parts if part is not None for _, text in texts(part) if MARK in text]
        if not marked:
            return {}
        from gitkitchen.recipe.names import variables

        return {name: _reach(self.early["vars"], name) for name in sorted(variables(marked))}

    # --- files ---

    def file(self, relative: str, path: Keys, *, folders: bool = False) -> str:
        """A file that the recipe names, relative to the repository. Raises Unusable where it is missing.

        ``folders``: a folder or a pattern will do too.
        """
        root = self.project.root
        try:
            found = inside(root, relative, base=self.folder)
        except ValueError as error:
            hint = "paths are relative to the recipe's folder and stay inside the repository"
            self.wrong(path, f"the path '{short(relative)}' {error}", hint, "bad-path")
            raise Unusable from None
        full = f"{root}/{found}"
        try:
            if os.path.isfile(full):  # noqa: PTH113 - asked for every file of a recipe, Path costs more
                return found
            if folders and (Path(full).is_dir() or (set(found) & set("*?[") and any(matching(root, found)))):
                return found
        except (OSError, ValueError, NotImplementedError):
            pass  # a name that no file can have: said below
        what = "no such file"
        if not folders and Path(full).is_dir():
            what = "a folder, not a file"
        self.wrong(path, f"'{short(relative)}' is {what}", _near_file(root, found), "missing-file")
        raise Unusable

    def text_of(self, relative: str, path: Keys, most: int = 1_000_000) -> tuple[str, str]:
        """A text file that the recipe names: its path and what it says. Raises Unusable."""
        found = self.file(relative, path)
        try:
            raw = read_bounded(f"{self.project.root}/{found}", most)
            if len(raw) > most:
                self.wrong(path, f"'{short(relative)}' has more than {most:,} bytes", "", "too-large")
                raise Unusable
            return found, raw.decode("utf-8-sig")
        except OSError as error:
            self.wrong(path, f"'{short(relative)}' cannot be read: {error.strerror}", "", "unreadable")
        except UnicodeDecodeError:
            self.wrong(path, f"'{short(relative)}' is not text in UTF-8", "save it as UTF-8", "not-text")
        raise Unusable


def _reach(value: Any, dotted: str) -> Any:
    """The value of a dotted name, as far as it leads."""
    for key in dotted.split("."):
        if isinstance(value, Mapping) and key in value:
            value = value[key]
        elif isinstance(value, list) and key.isdigit() and int(key) < len(value):
            value = value[int(key)]
        else:
            break
    return value


def _near_file(root: Path, path: str) -> str:
    """The file that was meant: one of a near name in the same folder."""
    folder, _, name = path.rpartition("/")
    try:
        names = sorted(entry.name for entry in (root / folder).iterdir())[:2000]
    except (OSError, ValueError):
        here = f"{folder}/" if folder else ""
        return f"there is no folder {here}" if folder and len(folder) < 200 else ""
    hint = near(name, names)
    return hint or f"it would be {path[:200]}"
