"""Who plays in the searches that must find nothing. Each is as large as a minute for all of them allows."""

from __future__ import annotations

from tests.protocol.writing import Cast

from gitkitchen.promote.protocol import Purpose, Way

FORWARD, HOTFIX, ROLLBACK = Purpose.FORWARD, Purpose.HOTFIX, Purpose.ROLLBACK
RECONCILE, ABSORB, HOLD = Purpose.RECONCILE, Purpose.ABSORB, Purpose.HOLD
PUSH, BUTTON, LOCAL = Way.PUSH, Way.BUTTON, Way.LOCAL

CASTS = (
    Cast("pushes", ((FORWARD, PUSH), (FORWARD, PUSH)), commits=6),
    Cast("buttons", ((FORWARD, BUTTON), (FORWARD, BUTTON)), bugs=1, commits=8),
    Cast("rollback", ((FORWARD, BUTTON), (ROLLBACK, PUSH)), commits=7),
    Cast("hotfix", ((FORWARD, PUSH), (HOTFIX, BUTTON)), bugs=1, commits=8),
    Cast("hold", ((FORWARD, BUTTON), (HOLD, PUSH), (ABSORB, PUSH)), expiries=0, commits=6),
    Cast("local", ((FORWARD, LOCAL), (ROLLBACK, LOCAL)), losts=0, retries=1, commits=6),
    Cast("three", ((FORWARD, PUSH), (FORWARD, BUTTON), (ROLLBACK, BUTTON)), expiries=0, events=0, commits=7),
)
