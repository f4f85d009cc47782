"""What can go wrong at GitHub's API. It is told to people as a warning and never changes a verdict."""

from __future__ import annotations

from typing import Literal

from gitkitchen.errors import Problem
from gitkitchen.printed import text_safe

Kind = Literal["denied", "missing", "refused", "limit", "budget", "unreachable", "unsure"]
"""``denied``: the token may not; ``missing``: there is no such thing, or the token may not see it;
``refused``: GitHub finds the request wrong; ``limit``: it asks to wait longer than there is time; ``budget``:
our own bound of requests or time is reached; ``unreachable``: no usable answer to a question; ``unsure``: no
usable answer to a write, so that it may have been done or not."""

ORDER = (
    "actions", "checks", "contents", "deployments", "issues", "packages", "pull-requests", "statuses",
)  # fmt: skip


class Trouble(Exception):
    """A request that did not succeed: what was being done, what kind of trouble, what to do about it.

    ``status``: HTTP's, 0 where there was none. ``permissions``: those that would have been needed.
    """

    def __init__(
        self,
        kind: Kind,
        doing: str,
        reason: str,
        *,
        status: int = 0,
        permissions: dict[str, str] | None = None,
    ) -> None:
        self.kind: Kind = kind
        self.doing, self.reason, self.status = text_safe(doing), text_safe(reason)[:500], status
        self.permissions = dict(permissions or {})
        super().__init__(f"could not {self.doing}: {self.reason}")

    @property
    def hint(self) -> str:
        """The next step, in one sentence or as the block to add."""
        if self.kind == "denied" and self.permissions:
            return f"add to the job in the workflow file:\n{block(self.permissions)}"
        return {
            "denied": "look at the token's permissions",
            "missing": "look whether it exists, and whether the token may see it",
            "refused": "report this with the message above: the request itself is wrong",
            "limit": "run the job again later; what is there is not doubled",
            "budget": "run the job again; what is there is not doubled",
            "unreachable": "run the job again; what is there is not doubled",
            "unsure": "look at the page, or run the job again; what is there is not doubled",
        }[self.kind]

    def problem(self) -> Problem:
        """As what reports show."""
        return Problem(str(self), hint=self.hint, code=f"github-{self.kind}")


def block(permissions: dict[str, str]) -> str:
    """The ``permissions:`` block of a workflow's job, ready to paste.

    A block takes away whatever it does not name, so that ``contents: read`` is always part of it.
    """
    whole = {"contents": "read", **permissions}
    names = sorted(whole, key=lambda name: (ORDER.index(name) if name in ORDER else len(ORDER), name))
    return "\n".join(["permissions:", *(f"  {name}: {whole[name]}" for name in names)])
