"""What the forge knows of a step of the road: who approved which tree, who wrote it, who may what.

Each question that fails becomes an ``Unread`` with the permission that was missing. Reviews are of commits;
which tree and which policy stood there is Git's to say, so that nobody approves by a forged word.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import UTC, datetime

from gitkitchen import history
from gitkitchen.errors import GitKitchenError, Mistake
from gitkitchen.frozen import dataclass
from gitkitchen.github.api import Client
from gitkitchen.github.facts import Authored, Reviewed
from gitkitchen.github.trouble import Trouble
from gitkitchen.promote.gates.binding import policy_digest
from gitkitchen.promote.gates.facts import Commit, Facts, Review, Unread
from gitkitchen.promote.owners import CODEOWNERS
from gitkitchen.road.ground import CANDIDATES, Ground
from gitkitchen.road.looking import Stretch

FORGE = "web-flow"
"""The committer of commits that are made at GitHub's own pages: nobody."""
MOST_PEOPLE = 50
MOST_TEAMS = 20
_MAIL = re.compile(r"(?:\d+\+)?([A-Za-z0-9-]{1,39}(?:\[bot\])?)@users\.noreply\.github\.com", re.IGNORECASE)
_CO_AUTHOR = re.compile(r"^co-authored-by:[^<\n]*<([^>\s]{3,200})>\s*$", re.IGNORECASE | re.MULTILINE)
_RIGHTS = {"members": "organization members: read (of an App's or a person's token; a job's has none)"}


def unread(error: Trouble | GitKitchenError, permission: str = "", command: str = "") -> Unread:
    """What could not be read, and what would let it be read."""
    if isinstance(error, Trouble):
        needed = ", ".join(f"{name}: {level}" for name, level in error.permissions.items())
        return Unread(f"{error}", needed or permission, command)
    return Unread("; ".join(p.message for p in error.problems[:3]), permission, command)


def without_forge(ledger: str = "branch") -> Unread:
    """Why there are no reviews where there is no forge. With ``ledger: folder`` nobody ever reaches one."""
    if ledger == "folder":
        return Unread(
            "approvals are reviews at GitHub, and a project with `ledger: folder` has none",
            "`ledger: branch` in kitchen.yml and jobs at GitHub, or a gate without `approvals`",
        )
    return Unread(
        "approvals are reviews at GitHub, and no GitHub is reached from here",
        "GITHUB_TOKEN and GITHUB_REPOSITORY, in a job of GitHub Actions",
    )


def with_forge(facts: Facts, ground: Ground, stretch: Stretch, client: Client, names: Iterable[str]) -> Facts:
    """The facts with what the forge knows. ``names``: of people and teams who may allow something here."""
    reader = _Reader(ground, stretch, client)
    pull = reader.pull()
    number = pull if isinstance(pull, int) else 0
    reviews = reader.reviews(number) if not isinstance(pull, Unread) else pull
    people = _people(reviews)
    return replace(
        facts,
        pull=number,
        reviews=reviews,
        commits=reader.commits(),
        permissions={login.lower(): reader.role(login) for login in people},
        teams={team: reader.members(team, people) for team in _teams(names)},
    )


def _people(reviews: tuple[Review, ...] | Unread) -> list[str]:
    """The reviewers whose word may count, each once."""
    if isinstance(reviews, Unread):
        return []
    found = {r.login.lower(): r.login for r in reviews if not (r.bot or r.deleted) and r.state != "COMMENTED"}
    return list(found.values())[:MOST_PEOPLE]


def _teams(names: Iterable[str]) -> list[str]:
    teams = {n.removeprefix("@").lower() for n in names if "/" in n and n != CODEOWNERS}
    return sorted(teams)[:MOST_TEAMS]


@dataclass(frozen=True, slots=True)
class _Reader:
    ground: Ground
    stretch: Stretch
    client: Client

    def pull(self) -> int | Unread:
        """The number of the step's pull request, 0 where there is none."""
        environment = self.stretch.environment
        try:
            found = self.client.pull_between(CANDIDATES + environment.name, environment.branch)
        except Trouble as trouble:
            return unread(trouble)
        return found.number if found is not None else 0

    def reviews(self, number: int) -> tuple[Review, ...] | Unread:
        if not number:
            return ()
        try:
            found = self.client.reviews(number)
        except Trouble as trouble:
            return unread(trouble)
        bound: dict[str, tuple[str, str]] = {}
        for sha in dict.fromkeys(r.commit for r in found if r.commit):
            bound[sha] = self._bound(sha)
        return tuple(self._review(r, bound) for r in found)

    def _review(self, review: Reviewed, bound: dict[str, tuple[str, str]]) -> Review:
        tree, policy = bound.get(review.commit, ("", ""))
        return Review(
            review.author,
            review.state.upper(),
            tree,
            policy,
            self.stretch.environment.name,
            _moment(review.submitted),
            review.id,
            review.bot,
            review.deleted,
        )

    def _bound(self, sha: str) -> tuple[str, str]:
        """The tree of a commit, and the digest of the policy below it; "" for what cannot be told.

        The commit below must have been the target's: anybody could put another one there.
        """
        stretch = self.stretch
        if sha == stretch.candidate:
            return stretch.tree, stretch.policy
        try:
            commit = self._commit(sha)
            if commit is None:
                return "", ""
            below = commit.parents[0] if commit.parents else ""
            if not stretch.base:
                return commit.tree, stretch.policy
            if below == stretch.base:
                return commit.tree, stretch.policy
            if not below or not self.ground.is_ancestor(below, stretch.base):
                return commit.tree, ""
            reading = self.ground.reading(below)
            return commit.tree, policy_digest(reading.project, stretch.environment.name, reading.texts)
        except GitKitchenError:
            return "", ""

    def _commit(self, sha: str) -> history.Commit | None:
        """A commit that was the candidate's once: fetched, where it is not here."""
        try:
            return history.commit_of(self.ground.folder, sha)
        except Mistake:
            if self.ground.remote is None:
                return None
        self.ground.git.fetch(self.ground.remote, [sha])
        try:
            return history.commit_of(self.ground.folder, sha)
        except Mistake:
            return None

    def commits(self) -> tuple[Commit, ...] | Unread:
        """Who made the commits that move. Every commit that Git names must be among what the forge tells."""
        stretch = self.stretch
        if not stretch.base:
            branch = stretch.environment.branch
            return Unread(f"branch '{branch}' does not exist yet", f"the right to make branch '{branch}'")
        try:
            here = {c.oid for c in history.between(self.ground.folder, stretch.head, stretch.base)}
            told = {c.sha: c for c in self.client.commits(stretch.base, stretch.head)}
        except Trouble as trouble:
            return unread(trouble)
        except GitKitchenError as error:
            return unread(error)
        if here - told.keys():
            return Unread(f"GitHub does not tell who made {len(here - told.keys())} of {len(here)} commits")
        accounts = _accounts(told.values())
        return tuple(_commit(told[oid], accounts) for oid in sorted(here))

    def role(self, login: str) -> str | Unread:
        return _asked(lambda: self.client.permission(login), "metadata: read")

    def members(self, team: str, people: Iterable[str]) -> frozenset[str] | Unread:
        """Those of ``people`` who are in a team."""
        found = set()
        for login in people:
            try:
                if self.client.member(team, login):
                    found.add(login.lower())
            except Trouble as trouble:
                if trouble.kind != "missing":  # GitHub answers so for who is not in it
                    return unread(trouble, _RIGHTS["members"])
        return frozenset(found)


def _asked(question: Callable[[], str], permission: str) -> str | Unread:
    try:
        return question()
    except Trouble as trouble:
        return unread(trouble, permission)


def _accounts(commits: Iterable[Authored]) -> dict[str, str]:
    """Address -> login, as far as the range itself tells."""
    found: dict[str, str] = {}
    for commit in commits:
        for mail, login in ((commit.author_mail, commit.author), (commit.committer_mail, commit.committer)):
            if mail and login and login != FORGE:
                found[mail.lower()] = login
    return found


def _commit(commit: Authored, accounts: dict[str, str]) -> Commit:
    names, unknown = [], []
    for login, mail in ((commit.author, commit.author_mail), (commit.committer, commit.committer_mail)):
        name = login or _named(mail, accounts)
        names.append("" if name == FORGE else name)
        if not name and mail != history.MAIL:  # what the program itself committed is nobody's
            unknown.append(mail or "(no address)")
    others = [_named(mail, accounts) for mail in _CO_AUTHOR.findall(commit.message)]
    return Commit(commit.sha, names[0], names[1], tuple(unknown), tuple(o for o in others if o))


def _named(mail: str, accounts: dict[str, str]) -> str:
    match = _MAIL.fullmatch(mail)
    return accounts.get(mail.lower(), "") or (match[1] if match else "")


def _moment(text: str) -> datetime:
    """When a review was submitted; a pending one, without a time, came before all."""
    try:
        found = datetime.fromisoformat(text.replace("Z", "+00:00"))
    except ValueError:
        return datetime.min.replace(tzinfo=UTC)
    return found if found.tzinfo else found.replace(tzinfo=UTC)
