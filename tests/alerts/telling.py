"""A message of each kind, with all that it can say, and as hostile as data can be."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from gitkitchen.alerts.message import Words, words_of
from gitkitchen.alerts.shapes import Delivery, Happening, Incident, Message, What
from gitkitchen.model import Severity

START = datetime(2026, 3, 2, 9, 5, tzinfo=UTC)
HAPPENING = Happening(
    What.TEST_FAILED,
    Severity.STOP,
    "prod",
    "delays",
    "late_by_carrier",
    "late_by_carrier/outputs/rows(between=[10, 20])",
    owner="@ana",
    said="a test of late_by_carrier: failed",
    at=START + timedelta(hours=2),
    run="20260302T110500000Z-0a1b2c",
    commit="d2e9b6291201b60c10bfc740092b88d0691d01a9",
    interval=(START - timedelta(days=1), START),
    reproduce=(
        "gitkitchen query --candidate 20260302T110500000Z-0a1b2c 'SELECT count(*) FROM \"late_by_carrier\"'"
    ),
    runbook="recipes/delays/runbook.md",
    observed="9 rows",
    expected="10 to 20 rows",
    job="https://github.com/acme/flights/actions/runs/42",
    changed=("input flights changed", "d2e9b6291201 Read the new feed", "and 3 more commits"),
)
INCIDENT = Incident(
    id="a-0123456789ab",
    key=HAPPENING.key,
    first=replace(HAPPENING, at=START),
    last=HAPPENING,
    count=3,
    severity=Severity.STOP,
    state=3,
)
HOSTILE = (
    "<script>alert(1)</script> <!channel> <@U1|x> [x](javascript:1) ![](https://e.example/p.png) "
    "@acme/all ::error::x\r\nBcc: eve@e.example\u202e\x1b[31m `a` *b* _c_ ~d~ | "
    "{{7*7}} ${{ secrets.TOKEN }} \ud800 s3cr3t"
)


def delivery(kind: Message) -> Delivery:
    closed = START + timedelta(hours=3)
    incident = (
        INCIDENT if kind != "closed" else replace(INCIDENT, closed=closed, well="the test passes again")
    )
    return Delivery(replace(incident, state={"opened": 1, "updated": 3, "closed": 4}[kind]), "c", kind)


def words(kind: Message = "opened") -> Words:
    return words_of(delivery(kind), project="flights", repository="https://github.com/acme/flights")


def several(kind: str = "group") -> Words:
    """Thirteen tests of a node, or ``digest``: what more failed, of two recipes; one is well again."""
    digest = kind == "digest"
    made = [
        replace(
            INCIDENT,
            id=f"a-{n:012x}",
            severity=Severity.WARN if n > 8 else Severity.STOP,
            last=replace(
                HAPPENING,
                recipe="planes" if digest and n % 2 else "delays",
                node=f"node_{n}" if digest else HAPPENING.node,
                test=f"late_by_carrier/outputs/t{n:02}",
                owner="@bo" if n == 3 else "@ana",
            ),
        )
        for n in range(13)
    ]
    made[12] = replace(made[12], closed=START + timedelta(hours=3), well="the test passes again")
    told = Delivery(made[0], "c", "opened", tuple(made[1:]), digest=digest)
    return words_of(told, project="flights", repository="https://github.com/acme/flights")


def hostile(*, many: bool = False) -> Words:
    """Every text that comes from elsewhere is the worst there is, and long."""
    names = ("recipe", "node", "test", "owner", "said", "run", "reproduce", "runbook", "observed", "expected")
    bad = replace(HAPPENING, **dict.fromkeys(names, HOSTILE), changed=(HOSTILE * 20,) * 30)
    long = replace(bad, observed=HOSTILE * 100, said=HOSTILE * 100, job="https://e.example/<x>\n")
    incident = replace(INCIDENT, first=long, last=long)
    more = tuple(replace(incident, id=f"a-{n}") for n in range(80)) if many else ()
    return words_of(Delivery(incident, "c", "opened", more), project=HOSTILE, masks=("s3cr3t",))
