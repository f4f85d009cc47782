"""Whose approval counts for this tree and this policy, who objects, and what is not known of either.

Reviews are read in the order of their time, each person for themselves: an approval counts for the tree and
the policy it was given under; a request for changes takes back what its author approved, and stands until
its author approves again or it is dismissed.
"""

from __future__ import annotations

from collections.abc import Iterable

from gitkitchen.frozen import dataclass
from gitkitchen.promote.gates.case import Case
from gitkitchen.promote.gates.facts import Commit, Review, Unread

MAY_WRITE = frozenset({"write", "maintain", "admin"})
GHOST = "ghost"
"""Who wrote what a deleted account wrote, as GitHub shows it."""


@dataclass(frozen=True, slots=True)
class Ballot:
    """Logins as they were written. ``maybe`` and ``doubts``: they count if what could not be read allows."""

    certain: tuple[str, ...] = ()
    maybe: tuple[str, ...] = ()
    objecting: tuple[str, ...] = ()
    doubts: tuple[str, ...] = ()
    void: tuple[str, ...] = ()
    """Sentences on approvals that do not count."""
    unread: tuple[Unread, ...] = ()
    """Why anything is uncertain."""
    nameless: tuple[str, ...] = ()
    """Addresses in the range of which the forge knows no account: each may be one of the approvers."""


@dataclass(slots=True)
class _Person:
    login: str
    approved: dict[tuple[str, str], None]
    objects: bool = False
    bot: bool = False
    deleted: bool = False


def count(case: Case, reviews: tuple[Review, ...]) -> Ballot:
    """The ballot of the reviews of this step."""
    facts = case.facts
    commits: tuple[Commit, ...] = () if isinstance(facts.commits, Unread) else facts.commits
    own = {n.lower(): "they wrote or committed a part of it" for c in commits for n in _names(c) if n}
    if not isinstance(facts.dispatchers, Unread):
        for login in facts.dispatchers:
            own.setdefault(login.lower(), "they asked for this promotion")
    unread: dict[Unread, None] = {}
    for fact in (facts.commits, facts.dispatchers):
        if isinstance(fact, Unread):
            unread[fact] = None
    blind = bool(unread)
    found: dict[str, list[str]] = {"certain": [], "maybe": [], "objecting": [], "doubts": [], "void": []}
    for person in _people(reviews, facts.environment):
        role = facts.permissions.get(person.login.lower(), Unread(f"the role of {person.login} was not read"))
        why = _no_voice(person, role)
        if person.objects:
            if not why:
                found["doubts" if isinstance(role, Unread) else "objecting"].append(person.login)
                unread |= {role: None} if isinstance(role, Unread) else {}
            continue
        if not person.approved:
            continue
        why = why or own.get(person.login.lower(), "") or _unbound(person, facts.tree, facts.policy)
        if why:
            found["void"].append(f"{person.login}'s does not count: {why}")
        elif blind or isinstance(role, Unread):
            found["maybe"].append(person.login)
            unread |= {role: None} if isinstance(role, Unread) else {}
        else:
            found["certain"].append(person.login)
    nameless = tuple(dict.fromkeys(a.lower() for c in commits for a in c.unknown))
    return Ballot(**{k: tuple(v) for k, v in found.items()}, unread=tuple(unread), nameless=nameless)


def _names(commit: Commit) -> tuple[str, ...]:
    return (commit.author, commit.committer, *commit.others)


def _people(reviews: Iterable[Review], environment: str) -> list[_Person]:
    people: dict[str, _Person] = {}
    for review in sorted(reviews, key=lambda r: (r.at, r.id)):
        state = review.state.upper()
        if review.environment != environment or state not in ("APPROVED", "CHANGES_REQUESTED", "DISMISSED"):
            continue
        person = people.setdefault(review.login.lower(), _Person(review.login, {}))
        person.bot |= review.bot
        person.deleted |= review.deleted
        person.objects = state == "CHANGES_REQUESTED"
        if state == "APPROVED":
            person.approved[review.tree, review.policy] = None
        else:
            person.approved.clear()
    return list(people.values())


def _no_voice(person: _Person, role: str | Unread) -> str:
    """Why this one neither approves nor objects."""
    if person.deleted or person.login.lower() == GHOST:
        return "the account is deleted"
    if person.bot or person.login.lower().endswith("[bot]"):
        return "it is a bot"
    if not isinstance(role, Unread) and role not in MAY_WRITE:
        return f"their role here is {role}, which may not write"
    return ""


def _unbound(person: _Person, tree: str, policy: str) -> str:
    trees = [p for t, p in person.approved if t and t == tree]
    if not trees:
        return "it is of another tree"
    if not policy or policy not in trees:
        return "the policy or gate changed since"
    return ""


def is_one(case: Case, login: str, names: Iterable[str]) -> bool | Unread:
    """Whether somebody is one of ``names`` (logins and ``organisation/team``, with or without ``@``)."""
    doubt: Unread | None = None
    for name in names:
        wanted = name.removeprefix("@").lower()
        if "/" not in wanted:
            if wanted == login.lower():
                return True
            continue
        members = case.facts.teams.get(wanted, Unread(f"the members of @{wanted} were not read"))
        if isinstance(members, Unread):
            doubt = doubt or members
        elif login.lower() in members:
            return True
    return doubt if doubt is not None else False


def among(case: Case, logins: Iterable[str], names: Iterable[str]) -> tuple[list[str], dict[str, Unread]]:
    """Who of ``logins`` is one of ``names``, and of whom that is not known."""
    known = tuple(names)
    found: list[str] = []
    doubts: dict[str, Unread] = {}
    for login in logins:
        answer = is_one(case, login, known)
        if isinstance(answer, Unread):
            doubts[login] = answer
        elif answer:
            found.append(login)
    return found, doubts


def review_command(case: Case) -> str:
    """What an approver types; before there is a pull request, what opens it."""
    return f"gh pr review {case.facts.pull} --approve" if case.facts.pull else case.promote()
