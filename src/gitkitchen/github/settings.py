"""What protects a repository: its settings, rulesets and classic protections, as they are read.

https://docs.github.com/en/rest/repos/rules, …/branches/branch-protection, …/actions/permissions
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar
from urllib.parse import quote

from gitkitchen.frozen import dataclass
from gitkitchen.github.asking import Asking
from gitkitchen.github.trouble import Trouble

T = TypeVar("T")
Json = Mapping[str, Any]
ADMIN = {"administration": "read"}
"""A right that no job's token ever has."""


@dataclass(frozen=True, slots=True)
class Ruleset:
    """Who passes a ruleset by. ``actors``: kind (``Integration``, ``RepositoryRole``, ``Team``, …) and
    number of each; None where the token may not see them. ``ours``: always, never, …, of the token's owner;
    "" where GitHub does not say."""

    actors: tuple[tuple[str, int], ...] | None
    ours: str


@dataclass(frozen=True, slots=True)
class Home:
    """A repository. ``methods``: how pull requests may be merged (merge, squash, rebase); None: not shown to
    this token."""

    name: str
    default_branch: str
    archived: bool
    methods: tuple[str, ...] | None


@dataclass(frozen=True, slots=True)
class Settings:
    """Questions about one repository. Each raises Trouble where it is not answered."""

    asking: Asking
    path: str

    def home(self) -> Home:
        """The repository itself."""
        return self._get("", "read the repository", {}, _home)

    def actions(self) -> bool:
        """Whether workflows run here."""
        doing = "read whether workflows run"
        return self._get("/actions/permissions", doing, ADMIN, lambda answer: bool(answer["enabled"]))

    def jobs(self) -> tuple[str, bool]:
        """The rights of a job that names none (read or write), and whether jobs may open pull requests."""
        path, doing = "/actions/permissions/workflow", "read the rights of workflows"

        def made(answer: Json) -> tuple[str, bool]:
            default = str(answer["default_workflow_permissions"])
            return default, bool(answer["can_approve_pull_request_reviews"])

        return self._get(path, doing, ADMIN, made)

    def workflows(self) -> dict[str, str]:
        """The workflows that GitHub knows, by path: active, disabled_manually, disabled_inactivity, …"""
        path, doing = f"{self.path}/actions/workflows", "list the workflows"
        found = self.asking.pages(path, doing, {"actions": "read"}, key="workflows")
        return {str(one.get("path")): str(one.get("state")) for one in found if isinstance(one, dict)}

    def branch(self, name: str) -> bool | None:
        """Whether a branch has a classic protection; None where there is no such branch."""
        doing = f"read the branch '{name[:100]}'"
        try:
            path = f"/branches/{quote(name, safe='')}"
            return self._get(path, doing, {"contents": "read"}, lambda answer: bool(answer["protected"]))
        except Trouble as trouble:
            if trouble.kind == "missing":
                return None
            raise

    def rules(self, branch: str) -> tuple[Json, ...]:
        """The rules of all active rulesets that bind a branch, whether it exists or not."""
        doing = f"read the rules of '{branch[:100]}'"
        found = self.asking.pages(f"{self.path}/rules/branches/{quote(branch, safe='')}", doing, {})
        return tuple(one for one in found if isinstance(one, dict))

    def ruleset(self, number: int) -> Ruleset:
        """Who passes a ruleset by."""
        return self._get(f"/rulesets/{int(number)}", f"read the ruleset {number}", {}, _ruleset)

    def protection(self, branch: str) -> Json | None:
        """The classic protection of a branch, as GitHub describes it; None where it has none."""
        doing = f"read the protection of '{branch[:100]}'"
        path = f"/branches/{quote(branch, safe='')}/protection"
        try:
            return self._get(path, doing, ADMIN, dict)
        except Trouble as trouble:
            if trouble.kind == "missing" and trouble.reason in ("Branch not protected", "Branch not found"):
                return None
            if trouble.kind == "missing":  # so GitHub answers people who may not see it
                raise Trouble("denied", doing, trouble.reason, permissions=dict(ADMIN)) from None
            raise

    def _get(self, path: str, doing: str, needs: Mapping[str, str], make: Callable[[Json], T]) -> T:
        answer = self.asking.get(f"{self.path}{path}", doing, needs)
        try:
            return make(answer)
        except (KeyError, TypeError, ValueError, AttributeError):
            raise Trouble("unreachable", doing, "the answer is not what GitHub describes") from None


def _home(answer: Json) -> Home:
    keys = {"merge": "allow_merge_commit", "squash": "allow_squash_merge", "rebase": "allow_rebase_merge"}
    shown = all(key in answer for key in keys.values())
    methods = tuple(method for method, key in keys.items() if answer.get(key)) if shown else None
    name, branch = str(answer["full_name"]), str(answer["default_branch"])
    return Home(name, branch, bool(answer.get("archived")), methods)


def _ruleset(answer: Json) -> Ruleset:
    given = answer.get("bypass_actors")
    actors = None
    if isinstance(given, list):
        actors = tuple((str(one["actor_type"]), int(one.get("actor_id") or 0)) for one in given)
    return Ruleset(actors, str(answer.get("current_user_can_bypass") or ""))
