"""Errors that people can act on: what happened, where, why, and what to do next.

Each error class carries the exit code with which a command ends. Library code raises; only
``gitkitchen.cli`` prints and exits.
"""

from __future__ import annotations

from collections.abc import Iterable

from gitkitchen.frozen import dataclass

PASSED = 0
FAILED = 1
MISTAKE = 2
INFRASTRUCTURE = 3
NOTHING_TESTED = 4
BUG = 5
INTERRUPTED = 130
UNREAD = 141
"""Whoever read our output went away, as the shell tells of SIGPIPE."""
TERMINATED = 143


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """A line of a file, for people: the path is relative to the repository, lines count from 1.

    ``line`` 0 means the file as a whole.
    """

    file: str
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        return f"{self.file}:{self.line}" if self.line else self.file


@dataclass(frozen=True, slots=True)
class Problem:
    """One mistake: what, where, and the next step.

    ``code`` is a stable word for machines (``unknown-key``), ``hint`` a sentence for people.
    """

    message: str
    place: Place | None = None
    hint: str = ""
    code: str = ""

    def __str__(self) -> str:
        text = f"{self.place}: {self.message}" if self.place else self.message
        return f"{text}; {self.hint}" if self.hint else text


def in_order(problems: Iterable[Problem]) -> tuple[Problem, ...]:
    """All problems, each once, sorted by file and line: the order in which a reader mends them."""
    unique = dict.fromkeys(problems)
    nowhere = Place("")
    return tuple(sorted(unique, key=lambda p: (p.place or nowhere, p.message)))


class GitKitchenError(Exception):
    """The base of all errors that a command turns into a message and an exit code."""

    exit_code = BUG

    def __init__(self, *problems: Problem | str) -> None:
        self.problems = in_order(p if isinstance(p, Problem) else Problem(p) for p in problems)
        super().__init__("\n".join(str(p) for p in self.problems))


class Mistake(GitKitchenError):
    """Files or arguments are wrong; the person who wrote them can mend it."""

    exit_code = MISTAKE


class Infrastructure(GitKitchenError):
    """Something around us failed (disk, git, network, engine): nothing could be checked."""

    exit_code = INFRASTRUCTURE


class NotAvailable(Mistake):
    """A key or command that the design names and this version cannot carry out."""


class Conflict(Infrastructure):
    """A compare-and-swap lost: someone else wrote first. Nothing of ours was changed."""
