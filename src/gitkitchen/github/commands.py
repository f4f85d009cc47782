"""Commands in comments: ``/kitchen run``, ``diff <dataset>``, ``fresh``, ``help``.

A command is a line of its own at the beginning of a paragraph. What is quoted, in a code block, or within
HTML that shows something literally does nothing: where it is in doubt whether a line is meant, it is not.
"""

from __future__ import annotations

import difflib
import re
from typing import Literal

from gitkitchen.frozen import dataclass

Verb = Literal["run", "diff", "fresh", "help"]

VERBS: dict[str, str] = {
    "run": "run the recipes of this pull request's head again",
    "diff": "compare one dataset with the target's environment, and answer here",
    "fresh": "run again with sources fetched anew, not pinned to the base's",
    "help": "show this",
}
WORD = "/kitchen"

_DATASET = re.compile(r"[a-z][a-z0-9_]{0,62}")
_SHA = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_FENCE = re.compile(r"(?:[ \t>]|[-*+] |\d{1,9}[.)] )*(`{3,}|~{3,})(.*)")
_COMMENTED = re.compile(r"<!--.*?(?:-->|\Z)", re.S)
_LITERAL = re.compile(r"<(/?)(pre|code|blockquote|script|style|textarea|details|template)\b", re.I)


@dataclass(frozen=True, slots=True)
class Command:
    """What a person asked for. ``head``: the commit that they named, or "" for the one that they saw."""

    verb: Verb
    dataset: str = ""
    head: str = ""


@dataclass(frozen=True, slots=True)
class Unclear:
    """A line that begins as a command and is none; ``why`` is to be answered."""

    why: str


def parse(body: str) -> Command | Unclear | None:
    """The one command of a comment; None where there is none."""
    lines = list(_own_lines(body))
    if not lines:
        return None
    if len(set(lines)) > 1:
        return Unclear("a comment holds one command")
    return _command(lines[0].split()[1:])


def _own_lines(body: str) -> list[str]:
    """The lines that are commands of the comment's author, as they stand."""
    found: list[str] = []
    fence, begins, depth = "", True, 0
    for line in _COMMENTED.sub("", body).replace("\r\n", "\n").replace("\r", "\n").split("\n"):
        mark = _FENCE.fullmatch(line)
        if fence:
            if mark and mark[1].startswith(fence) and not mark[2].strip():
                fence = ""
            continue
        if mark and not (mark[1][0] == "`" and "`" in mark[2]):
            fence, begins = mark[1], False
            continue
        is_command = line == WORD or line.startswith(f"{WORD} ")
        if is_command and begins and not depth:
            found.append(line)
        else:
            depth = _depth(line, depth)
        begins = not line.strip(" \t") or (is_command and begins)
    return found


def _depth(line: str, depth: int) -> int:
    """How many elements that show their content as somebody's, or literally, are open behind a line."""
    for closes, _ in _LITERAL.findall(line):
        depth = max(0, depth - 1) if closes else depth + 1
    return depth


def _command(words: list[str]) -> Command | Unclear:
    if not words:
        return Command("help")
    verb, *rest = words
    if verb not in VERBS:
        near = difflib.get_close_matches(verb[:40], VERBS, n=1)
        return Unclear(
            f"there is no such command; did you mean `{near[0]}`?" if near else "there is no such command"
        )
    head = ""
    if rest and verb != "help" and _SHA.fullmatch(rest[-1]):
        head = rest.pop()
    if verb == "diff":
        if len(rest) != 1 or not _DATASET.fullmatch(rest[0]):
            return Unclear("`diff` takes the name of one dataset")
        return Command("diff", rest[0], head)
    if rest:
        return Unclear(f"`{verb}` takes nothing but, where you like, the whole 40 digits of a commit")
    return Command(verb, head=head)  # type: ignore[arg-type]


def help_text() -> str:
    """The commands, as Markdown."""
    takes = {"diff": " <dataset>"}
    return "\n".join(f"- `{WORD} {verb}{takes.get(verb, '')}`: {said}" for verb, said in VERBS.items())
