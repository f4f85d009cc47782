"""What git said: what a push came to, why a call failed, and what to do next.

All of it is read from the text and the exit code of a call that has ended; no process is started here.
"""

from __future__ import annotations

import re
from enum import Enum

from gitkitchen.errors import Infrastructure, Problem
from gitkitchen.frozen import dataclass
from gitkitchen.printed import text_safe
from gitkitchen.process import Captured

_CREDENTIALS = re.compile(r"(\w+://)[^\s/@]*@")
_DENIED = re.compile(
    r"\b40[13]\b|denied|not allowed|not granted|read.only|authentication failed|could not read", re.I
)

# What git-receive-pack says to the loser of two pushes that saw the same ref.
_LOST = ("[rejected]", "cannot lock", "incorrect old", "failed to update ref")


class Unreachable(Infrastructure):
    """The remote did not answer, in time or at all. What was pushed may have arrived."""


class Answer(Enum):
    """What a push came to."""

    APPLIED = "applied"
    OVERTAKEN = "overtaken"
    """The ref was not where we expected it: nothing was changed."""
    REFUSED = "refused"
    """The remote said no (a hook, a rule): nothing was changed."""
    DENIED = "denied"
    """We may not write there at all."""
    UNKNOWN = "unknown"
    """No answer came: it may have been applied, and it may still be."""


@dataclass(frozen=True, slots=True)
class Pushed:
    answer: Answer
    said: str = ""


def pushed(done: Captured, refs: set[str]) -> Pushed:
    """What the answer of `git push --porcelain` means: git-push(1), OUTPUT."""
    lines = [line.split("\t") for line in done.output.decode(errors="surrogateescape").splitlines()]
    answers = {f[1].partition(":")[2]: (f[0], f[2]) for f in lines if len(f) == 3 and ":" in f[1]}
    reason = next((text for flag, text in answers.values() if flag == "!"), "") or said(done)
    reason = _CREDENTIALS.sub(r"\1", text_safe(reason))[:300]
    if done.code == 0 and answers.keys() >= refs:
        return Pushed(Answer.APPLIED)
    flags = [text for flag, text in answers.values() if flag == "!"]
    if any("remote failure" in text for text in flags):
        return Pushed(Answer.UNKNOWN, reason)
    if any(word in text for text in flags for word in _LOST):
        return Pushed(Answer.OVERTAKEN, reason)
    if any("[remote rejected]" in text for text in flags):
        told = " / ".join(text_safe(x) for x in done.err.splitlines() if x.startswith("remote:"))
        return Pushed(Answer.REFUSED, f"{reason} {told}".strip()[:300])
    if _DENIED.search(done.err):
        return Pushed(Answer.DENIED, reason)
    if "does not support --atomic" in done.err:
        return Pushed(Answer.REFUSED, reason)
    return Pushed(Answer.UNKNOWN, reason)


def said(done: Captured) -> str:
    """What git said when it failed, safe to show, without what stands before the @ of an address."""
    lines = [text_safe(line) for line in done.err.splitlines()]
    chosen = [line for line in lines if line.startswith(("fatal:", "error:"))] or lines or ["it said nothing"]
    return _CREDENTIALS.sub(r"\1", chosen[0])[:300]


def mending(done: Captured) -> str:
    """What to do next where git could not work in a repository, by what it said."""
    err = done.err.lower()
    if "no space left" in err or "quota" in err or "unable to write file" in err:
        return "free space on the disk, then run the same command again"
    if "read-only file system" in err or "permission denied" in err:
        return "make the repository writable for this account, then run the same command again"
    return "see that `git fsck` finds nothing, then run the same command again"


def unreachable(what: str, reason: str) -> Unreachable:
    """The error of a remote that gave no answer to ``what``: a command, or the remote by its name."""
    return Unreachable(
        Problem(
            f"the ledger's remote could not be asked ({what}: {reason})",
            hint="see that `git fetch` works without asking for anything, then run the command again",
            code="ledger-remote",
        )
    )
