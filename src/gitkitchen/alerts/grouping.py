"""Which incidents one message tells of: things that failed for one reason are told together. Pure.

The ledger keeps an incident for each thing; only what a channel is sent is grouped, and which incidents a
message told of is recorded with it. A message is named by the first incident that it tells of, so that it is
the same message wherever, and however often, it is put together.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import chain

from gitkitchen.alerts.incidents import RANK, Book
from gitkitchen.alerts.rules import is_quiet, matching
from gitkitchen.alerts.shapes import Delivery, Happening, Incident, Message
from gitkitchen.frozen import dataclass
from gitkitchen.model import AlertRule, Alerts, Channel

Key = tuple[str, ...]
DEFAULT = AlertRule(())
"""How what no rule is for any more is grouped."""


@dataclass(frozen=True, slots=True)
class Going:
    """Which runs may still go on, as far as who sends knows: what waits for a run's end waits for theirs.

    ``run`` and ``recipe``: what goes on here (a recipe's runs follow each other: its older ones are over).
    ``over``: runs that ended here. Of others nothing is known; they are waited for ``patience`` from their
    beginning.
    """

    run: str = ""
    recipe: str = ""
    over: frozenset[str] = frozenset()
    patience: timedelta = timedelta(0)

    def awaits(self, incident: Incident, now: datetime) -> bool:
        first = incident.first
        if self.run and first.run == self.run:
            return True
        if not _is_of_run(first) or first.run in self.over or (self.run and first.recipe == self.recipe):
            return False
        return now < first.at + self.patience


ENDED = Going()
"""Nothing is waited for."""


@dataclass(frozen=True, slots=True)
class Begun:
    """A message that was tried, and may have been taken: which incidents it told of."""

    incidents: frozenset[str]
    digest: bool = False


Tried = Mapping[tuple[str, str], Begun]
"""(channel, incident whose name the message has) -> what was tried."""
NONE: Tried = {}


def owed(
    book: Book,
    alerts: Alerts,
    now: datetime,
    *,
    quiet: bool = True,
    going: Going = ENDED,
    tried: Tried = NONE,
) -> tuple[Delivery, ...]:
    """What is to be sent at ``now``, in the order of the incidents. ``quiet``: not what quiet hours hold
    back. ``going``: nor what waits for the end of a run. ``tried``: openings that are sent again as they
    were.

    A channel is told that a group opened, then, where it can take that in place, of its newest state, and
    once that all of it is well. What opened and closed before anything was sent is one message.
    """
    found = chain.from_iterable(
        _Channel(book, alerts, alerts.channels[name], now, quiet, going, tried).owed()
        for name in sorted(alerts.channels)
    )
    return tuple(sorted(found, key=lambda d: d.incident.sequence))


def unsettled(book: Book, alerts: Alerts) -> frozenset[str]:
    """The incidents of which a channel has yet to be told that they are over."""
    known = alerts.channels.keys()
    return frozenset(
        i.id
        for i in book.incidents.values()
        if any((t := i.told.get(name)) is None or t.message != "closed" for name in i.due & known)
    )


def _is_of_run(first: Happening) -> bool:
    return bool(first.recipe and not first.variation and not first.about)


@dataclass
class _Channel:
    """What one channel is owed."""

    book: Book
    alerts: Alerts
    channel: Channel
    now: datetime
    quiet: bool
    going: Going
    tried: Tried

    def owed(self) -> Iterator[Delivery]:
        name = self.channel.name
        own = [i for i in self.book.incidents.values() if name in i.due]
        self.groups: dict[str, list[Incident]] = {}
        """What was told, by the name of its message; what belongs to it and was not told with it joins."""
        for incident in own:
            if (told := incident.told.get(name)) is not None:
                self.groups.setdefault(told.group or incident.id, []).append(incident)
        told_by = {key: tuple(members) for key, members in self.groups.items()}
        self.of_run: dict[str, list[str]] = {}
        """run -> the names of the messages that told of something of it, in their order."""
        for group, told_of in told_by.items():
            for run in dict.fromkeys(m.first.run for m in told_of if _is_of_run(m.first)):
                self.of_run.setdefault(run, []).append(group)
        fresh: dict[Key, list[Incident]] = {}
        untold = [i for i in own if name not in i.told]
        again = list(self._tried(untold))
        settled = {i.id for d in again for i in d.incidents}
        waiting = {self._key(d.incident) for d in again}
        """What belongs to a message that is sent again joins it when that is told."""
        for incident in untold:
            if incident.id not in settled and not self._joins(incident, told_by):
                key = self._key(incident)
                if key not in waiting:
                    fresh.setdefault(key, []).append(incident)
        for group, members in self.groups.items():
            yield from self._again(group, members)
        yield from self._first(list(fresh.values()), again)

    # --- what is new ---

    def _tried(self, untold: Sequence[Incident]) -> Iterator[Delivery]:
        """The openings that were tried, as they were."""
        taken = set[str]()
        for lead in untold:
            begun = self.tried.get((self.channel.name, lead.id))
            if begun is not None and lead.id not in taken:
                members = [i for i in untold if i.id in begun.incidents - taken and i is not lead]
                taken |= {lead.id, *(i.id for i in members)}
                yield replace(_opening([lead, *members], self.channel), digest=begun.digest)

    def _first(self, groups: Sequence[Sequence[Incident]], again: Sequence[Delivery]) -> Iterator[Delivery]:
        """Openings: as many of each run, and at once, as may be; the rest as one. What is the environment's
        own is never among many."""
        sent = {run: len(names) for run, names in self.of_run.items()}
        planned, rest = 0, list[Incident]()
        digested = set[str]()
        """The runs whose digest is sent again: what is more of them joins it when that is told."""
        for delivery in again:
            planned += 1
            for run in {m.first.run for m in delivery.incidents if _is_of_run(m.first)}:
                sent[run] = sent.get(run, 0) + 1
                digested |= {run} if delivery.digest else set()
            if not self._held(delivery.incidents):
                yield delivery
        for members in groups:
            if self._held(members):
                continue
            first, rule = members[0].first, self._rule(members[0])
            if not first.recipe:
                yield _opening(members, self.channel)
                continue
            run = first.run if _is_of_run(first) else ""
            awaited = any(self.going.awaits(m, self.now) for m in members)
            if max(sent.get(run, 0), planned) >= rule.most:
                rest += () if awaited or run in digested else members
            elif rule.group != "recipe" or not awaited:
                planned += 1
                sent |= {run: sent.get(run, 0) + 1} if run else {}
                yield _opening(members, self.channel)
        if rest:
            yield replace(_opening(rest, self.channel), digest=True)

    def _joins(self, incident: Incident, told_by: Mapping[str, Sequence[Incident]]) -> bool:
        """Whether an incident that was not told belongs to what was: it is then told where that is told
        again. What is heavier than all that was told is news."""
        if not _is_of_run(incident.first):
            return False
        rule, key, run = self._rule(incident), self._key(incident), incident.first.run
        of_run = self.of_run.get(run, [])
        same = [g for g in of_run if rule.group != "none" and self._key(told_by[g][0]) == key]
        candidates = [g for g in (same or of_run[rule.most :]) if not self._is_over(told_by[g])]
        if not candidates:
            return False
        group = candidates[-1]
        heaviest = max(RANK[m.severity] for m in told_by[group])
        is_news = RANK[incident.severity] > heaviest and not _in_place(self.channel)
        if same and is_news and len(of_run) <= rule.most:
            return False
        self.groups[group].append(incident)
        return True

    def _is_over(self, members: Iterable[Incident]) -> bool:
        return all(m.told[self.channel.name].message == "closed" for m in members)

    # --- what was told ---

    def _again(self, name: str, members: Sequence[Incident]) -> Iterator[Delivery]:
        channel = self.channel.name
        told = [m for m in members if channel in m.told]
        if self._is_over(told):
            return
        if self._held(members):
            return
        lead = next((m for m in members if m.id == name), members[0])
        more = tuple(m for m in members if m is not lead)
        if not any(m.is_open for m in members):
            yield Delivery(lead, channel, "closed", more)
        elif _in_place(self.channel) and any(
            (t := m.told.get(channel)) is None or t.state < m.state for m in members
        ):
            yield Delivery(lead, channel, "updated", more)

    # --- rules ---

    def _rule(self, incident: Incident) -> AlertRule:
        """The rule by which the channel is told of an incident: the first that is for both."""
        found = matching(self.alerts, incident.last, incident.count, incident.severity)
        return next((rule for rule in found if self.channel.name in rule.channels), DEFAULT)

    def _key(self, incident: Incident) -> Key:
        """What is told together has one key."""
        first, group = incident.first, self._rule(incident).group
        if group == "none" or not _is_of_run(first):
            return (incident.id,)
        if group == "recipe":
            return (first.run, first.recipe)
        return (first.run, first.recipe, first.root or first.node)

    def _held(self, members: Iterable[Incident]) -> bool:
        """Whether every rule by which the channel is told of any of these has quiet hours now."""
        if not self.quiet:
            return False
        for incident in members:
            rules = matching(self.alerts, incident.last, incident.count, incident.severity)
            own = [rule for rule in rules if self.channel.name in rule.channels]
            if not (own and all(is_quiet(rule, incident.severity, self.now) for rule in own)):
                return False
        return True


def _opening(members: Sequence[Incident], channel: Channel) -> Delivery:
    message: Message = "opened" if any(m.is_open for m in members) else "closed"
    return Delivery(members[0], channel.name, message, tuple(members[1:]))


def _in_place(channel: Channel) -> bool:
    return channel.kind == "github_issue" or bool(channel.config.get("updates"))
