"""Where a test of a report stands in this repository: the file and line, as far as a dialect tells them.

Reports name files as their tools saw them: absolute, of another machine, relative to a package's folder, a
bare name in a stack trace. A place is only given where that file is here; nothing outside is looked at.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import field
from pathlib import Path, PurePosixPath

from gitkitchen.errors import Place
from gitkitchen.frozen import dataclass
from gitkitchen.run.junit import Case

_MOST_LOOKS = 20_000
_FRAMES = re.compile(
    r"(?:File \"(?P<python>[^\"\n]{1,300})\", line (?P<pyline>\d{1,7}))"
    r"|(?:in test file (?P<bats>[^,\n]{1,300}), line (?P<batsline>\d{1,7}))"
    r"|(?P<file>[\w./\\@+~-]{0,300}[\w+-]\.[A-Za-z]{1,10})[:(](?P<line>\d{1,7})"
)
_OTHERS = frozenset({"node_modules", "site-packages", ".venv", "vendor", ".git", ".gitkitchen"})
_SOURCES = ("src/test/java", "src/test/kotlin", "src/test/scala", "src", "test", "tests")


@dataclass(slots=True)
class Finder:
    """Finds files for the cases of one report. ``folders``: where the report lies and those around it,
    relative to ``root``, nearest first; ``fallback`` is the place of a case of which nothing is known."""

    root: Path
    folders: tuple[str, ...]
    fallback: Place
    known: dict[str, str] = field(default_factory=dict)
    looks: int = 0

    def place(self, case: Case) -> Place:
        """The place of a case: for one that failed the line that its trace names, else the one it has."""
        named = self._here(case.file) if case.file else ""
        bad = case.state in ("failed", "error")
        if bad:
            for file, line in self._frames(case):
                found = self._here(file) or self._below(file, case.classname)
                if found and (not named or found == named):
                    return Place(found, line)
        if not named and case.suite and case.line:
            named = self._here(case.suite)  # linters name the suite by its file
        if not named and bad and re.match(r"line (\d+), col", case.text):
            named = self._here(case.suite)
            return Place(named, int(case.text[5:].partition(",")[0])) if named else self.fallback
        return Place(named, case.line) if named else self.fallback

    def _frames(self, case: Case) -> Iterator[tuple[str, int]]:
        text = f"{case.message}\n{case.text}\n{case.output}"
        for number, match in enumerate(_FRAMES.finditer(text)):
            if number >= 40:
                return
            file = match["python"] or match["bats"] or match["file"]
            line = int(match["pyline"] or match["batsline"] or match["line"])
            if line:
                yield file, line

    def _here(self, name: str) -> str:
        """The file of that name in the repository, relative to its top; "" where there is none."""
        if name not in self.known:
            self.known[name] = next(filter(self._is_file, self._candidates(name)), "")
        return self.known[name]

    def _candidates(self, name: str) -> Iterator[str]:
        name = name.removeprefix("file://").replace("\\", "/")
        parts = PurePosixPath(name).parts
        if not parts or ".." in parts or _OTHERS & set(parts):
            return
        if parts[0] == "/" or parts[0].endswith(":"):
            # Of this machine or another: the longest end of the path that is a file here.
            yield from ("/".join(parts[first:]) for first in range(1, min(len(parts), 30)))
            return
        for folder in (*self.folders, ""):
            yield f"{folder}/{name}" if folder else name

    def _below(self, name: str, classname: str) -> str:
        """A bare name from a stack trace: in the folder that the class's package names."""
        if "/" in name or not classname:
            return ""
        key = f"{classname}\0{name}"
        if key not in self.known:
            self.known[key] = next(filter(self._is_file, self._packaged(name, classname)), "")
        return self.known[key]

    def _packaged(self, name: str, classname: str) -> Iterator[str]:
        if "/" in classname or "." not in classname:  # Go: the module's path, then folders
            parts = classname.split("/")
            for first in range(len(parts)):
                yield "/".join([*parts[first:], name])
            return
        package = "/".join(classname.split(".")[:-1])
        for folder in (*self.folders, ""):
            for source in _SOURCES:
                yield "/".join(p for p in (folder, source, package, name) if p)

    def _is_file(self, path: str) -> bool:
        self.looks += 1
        if self.looks > _MOST_LOOKS or len(path) > 1000 or "\0" in path:
            return False
        try:
            full = self.root / path
            return full.is_file() and full.resolve().is_relative_to(self.root.resolve())
        except OSError:
            return False


def folders_around(path: Path, root: Path) -> tuple[str, ...]:
    """The folders from a file's own up to the repository's top, relative to it; () for a file outside."""
    try:
        inner = path.parent.resolve().relative_to(root.resolve())
    except (ValueError, OSError):
        return ()
    return tuple(p.as_posix() for p in (inner, *inner.parents) if p != Path())
