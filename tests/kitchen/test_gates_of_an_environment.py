"""`gate:` and `from:` of an environment: what they mean, and what is said of mistakes."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from gitkitchen.errors import Mistake
from gitkitchen.kitchen.config import load_project
from gitkitchen.model import Approvals, Contract, Environment, Freeze, Gate, GateCommand, Soak, Window

HEAD = "version: 1\nproject: {name: flights, id: 7c1e2b90d4a84f36}\n"
WHOLE = """\
environments:
  dev: {branch: develop}
  staging: {branch: staging, gate: {approvals: 1}}
  demo: {branch: demo, from: dev}
  prod:
    branch: main
    from: staging
    gate:
      approvals: {count: 2, users: ["@ann"], teams: ["@acme/data"], codeowners: true}
      soak: {hours: 24, green_runs: 3}
      allow:
        - Mon-Thu 08:00-16:00 Europe/London
        - {window: "Sat,Sun 22:00-02:00 UTC", expires: 2027-01-31}
      freeze:
        - {from: 2026-12-18 16:00, to: 2027-01-04, timezone: America/New_York, reason: "end of\\n year"}
        - {window: "Fri 12:00-24:00 Europe/London", reason: no Friday surprises}
      previous: healthy
      contract: {changes: none, datasets: [late_*], by: ["@acme/readers", codeowners]}
      command:
        - {name: lint, run: [python, tools/lint.py, "two words"], timeout-minutes: 0.5}
      hotfix: {approvals: 1, contract: additive}
"""


def _load(root: Path, text: str) -> tuple[Environment, ...]:
    (root / "kitchen.yml").write_text(HEAD + text)
    return load_project(root).environments


def _problems(root: Path, text: str) -> list[str]:
    with pytest.raises(Mistake) as caught:
        _load(root, text)
    return [str(p) for p in caught.value.problems]


def test_every_key_reaches_the_gate(tmp_path: Path) -> None:
    """Each key of a gate, in each of its forms, ends in the field that gates are judged by."""
    dev, staging, demo, prod = _load(tmp_path, WHOLE)
    assert [e.source for e in (dev, staging, demo, prod)] == [None, "dev", "dev", "staging"]
    assert (dev.gate, staging.gate) == (Gate(), Gate(approvals=Approvals(1)))
    weekdays, nights, fridays = (0, 1, 2, 3), (5, 6), (4,)
    assert prod.gate == Gate(
        approvals=Approvals(2, ("ann",), ("acme/data",), codeowners=True),
        soak=Soak(24, 3),
        allow=(
            Window("Mon-Thu 08:00-16:00 Europe/London", weekdays, 480, 960, "Europe/London"),
            Window("Sat,Sun 22:00-02:00 UTC", nights, 1320, 1560, "UTC", date(2027, 1, 31)),
        ),
        freeze=(
            Freeze(
                "end of year", datetime(2026, 12, 18, 21, tzinfo=UTC), datetime(2027, 1, 5, 5, tzinfo=UTC)
            ),
            Freeze(
                "no Friday surprises",
                window=Window("Fri 12:00-24:00 Europe/London", fridays, 720, 1440, "Europe/London"),
            ),
        ),
        previous="healthy",
        contract=Contract("none", ("late_*",), ("@acme/readers", "codeowners")),
        commands=(GateCommand("lint", ("python", "tools/lint.py", "two words"), 30.0),),
        hotfix=Gate(approvals=Approvals(1), contract=Contract("additive")),
    )


def test_the_one_before_promotes_unless_from_says_otherwise(tmp_path: Path) -> None:
    """The order of the file is the road; `from` names another environment, above or below."""
    text = "environments: {a: {branch: x}, b: {branch: y, from: c}, c: {branch: z, from: a}}"
    assert [e.source for e in _load(tmp_path, text)] == [None, "c", "a"]


@pytest.mark.parametrize(
    ("gate", "said"),
    [
        ("{}", "gate: must be a mapping of at least 1 keys"),
        ("{aprovals: 1}", "gate: unknown key 'aprovals'; did you mean 'approvals'?"),
        ("{approvals: 0}", "gate.approvals: must be at least 1"),
        ("{approvals: two}", "gate.approvals: must be a number or a mapping, not 'two'"),
        ("{approvals: {users: [ann]}}", "gate.approvals.users[1]: must be @login, not 'ann'"),
        ("{approvals: {teams: ['@ann']}}", "gate.approvals.teams[1]: must be @organisation/team, not '@ann'"),
        ("{soak: {hours: -1}}", "gate.soak.hours: must be more than 0"),
        ("{soak: {green_runs: 0}}", "gate.soak.green_runs: must be at least 1"),
        (
            "{allow: [Mon 08:00]}",
            "gate.allow[1]: 'Mon 08:00' is no window; write days, hours and a time zone",
        ),
        (
            "{allow: ['Mon 8:00-25:00 UTC']}",
            "gate.allow[1]: 'Mon 8:00-25:00 UTC' has an hour that no day has",
        ),
        ("{allow: ['Mon 08:00-08:00 UTC']}", "is empty; for a whole day write 00:00-24:00"),
        ("{allow: ['Moon 08:00-09:00 UTC']}", "'Moon' is no day of the week; did you mean 'Mon'?"),
        ("{allow: ['Mon 08:00-09:00 London']}", "no time zone 'London'; did you mean 'Europe/London'?"),
        ("{allow: ['Mon 08:00-09:00 Europe']}", "there is no time zone 'Europe'"),
        ("{allow: ['Mon 08:00-09:00 ../../etc']}", "there is no time zone '../../etc'"),
        (
            "{allow: [{window: 'Mon 08:00-09:00 UTC', expires: 2027-02-30}]}",
            "gate.allow[1]: '2027-02-30' is no day of the calendar",
        ),
        ("{freeze: [{from: 2027-01-01, to: 2027-01-02}]}", "gate.freeze[1]: the key 'reason' is missing"),
        ("{freeze: [{reason: x, from: 2027-01-01}]}", "lacks to; write from and to, or window"),
        ("{freeze: [{reason: x, from: 2027-01-02, to: 2027-01-01}]}", "freeze[1]: ends before it begins"),
        (
            "{freeze: [{reason: x, from: 2027-01-01, to: 2027-01-02, timezone: Europe/Londn}]}",
            "there is no time zone 'Europe/Londn'; did you mean 'Europe/London'?",
        ),
        (
            "{freeze: [{reason: x, window: 'Fri 12:00-24:00 UTC', to: 2027-01-02}]}",
            "freeze[1]: has window and to; keep `window`",
        ),
        (
            "{freeze: [{reason: x, from: 2027-01-01, to: 2027-01-02, expires: 2027-01-02}]}",
            "freeze[1]: has `expires`, which belongs to a window",
        ),
        (
            "{previous: healthly}",
            "gate.previous: must be landed or healthy, not 'healthly'; did you mean 'healthy'?",
        ),
        ("{contract: breaking}", "gate.contract: must be additive, none, or a mapping, not 'breaking'"),
        ("{contract: {by: [ann]}}", "gate.contract.by[1]: must be @login, @organisation/team or codeowners"),
        ("{command: [{name: a, run: 'make x'}]}", "gate.command[1].run: must be a list, not 'make x'"),
        (
            "{command: [{name: a, run: [x]}, {name: a, run: [y]}]}",
            "gate.command[2]: there is another 'a'; give each a name of its own",
        ),
        ("{command: [{name: a, run: [x], timeout-minutes: 61}]}", "timeout-minutes: must be at most 60"),
        ("{hotfix: {soak: {hours: 1}}}", "gate.hotfix: unknown key 'soak'"),
        ("{hotfix: {allow: [x]}}", "gate.hotfix.allow[1]: 'x' is no window"),
    ],
)
def test_mistakes_of_a_gate(tmp_path: Path, gate: str, said: str) -> None:
    """Each is told with file and line, what is wrong, and the nearest thing that would be right."""
    found = _problems(tmp_path, f"environments:\n  a: {{branch: x}}\n  b:\n    branch: y\n    gate: {gate}\n")
    assert len(found) == 1, found
    assert found[0].startswith("kitchen.yml:7: environment 'b', gate")
    assert said in found[0]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "{bea: {branch: x}, b: {branch: y, from: bee}}",
            "from: is 'bee', which is no environment; did you mean 'bea'?",
        ),
        ("{a: {branch: x}, b: {branch: y, from: b}}", "environment 'b', from: is itself; there are a"),
        (
            "{a: {branch: x, from: b}, b: {branch: y}}",
            "kitchen.yml:3: environments promote in a circle: a -> b -> a; remove one `from:`",
        ),
        (
            "{a: {branch: x, gate: {soak: {hours: 1}}}}",
            "environment 'a', gate.soak: no environment promotes to 'a'; name one by `from:`, or remove",
        ),
        ("{a: {branch: x, gate: {previous: healthy}}}", "gate.previous: no environment promotes to 'a'"),
    ],
)
def test_mistakes_of_the_road(tmp_path: Path, text: str, said: str) -> None:
    """Environments promote to one another without circles, and what is asked of the one before needs one."""
    found = _problems(tmp_path, f"environments: {text}\n")
    assert any(said in problem for problem in found), found
    assert len(found) == 1, found
