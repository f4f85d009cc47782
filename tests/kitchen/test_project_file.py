"""kitchen.yml becomes a project, or says all that is wrong with it."""

from __future__ import annotations

from pathlib import Path

import pytest

from gitkitchen.errors import Mistake, NotAvailable
from gitkitchen.kitchen.config import find_root, load_project, may_have
from gitkitchen.model import Policy, WaiverRules

HEAD = "version: 1\nproject: {name: flights, id: 7c1e2b90d4a84f36}\n"
DESIGN = """\
version: 1
project: {name: flights, id: 7c1e2b90d4a84f36}
environments:
  dev:     {branch: develop}
  staging: {branch: staging}
  prod:    {branch: main, vars: {region: us}}
sandboxes: {base: prod, ttl: 14d}
connections:
  warehouse: {type: duckdb}
store: .gitkitchen/store
ledger: folder
vars: {carrier_table: airlines}
pools: {heavy: 2}
privacy: {default: public}
"""


def _write(root: Path, text: str) -> Path:
    (root / "kitchen.yml").write_text(text)
    return root


def _problems(root: Path, text: str) -> list[str]:
    with pytest.raises(Mistake) as caught:
        load_project(_write(root, HEAD + text))
    return [str(p) for p in caught.value.problems]


def test_every_key_reaches_the_project(tmp_path: Path) -> None:
    """The design's example, without what this version refuses, loads as it stands."""
    project = load_project(_write(tmp_path, DESIGN))
    assert (project.name, project.id) == ("flights", "7c1e2b90d4a84f36")
    assert [(e.name, e.branch) for e in project.environments] == [
        ("dev", "develop"),
        ("staging", "staging"),
        ("prod", "main"),
    ]
    prod = project.environment_of("main")
    assert prod is not None
    assert (prod.vars, str(prod.place)) == ({"region": "us"}, "kitchen.yml:6")
    assert (project.sandbox_base, project.sandbox_ttl) == ("prod", 14 * 86400)
    assert project.connections == {"warehouse": {"type": "duckdb"}}
    assert (project.store, project.ledger) == (".gitkitchen/store", "folder")
    assert (project.vars, project.pools) == ({"carrier_table": "airlines"}, {"heavy": 2})
    assert project.public_by_default is True
    assert str(project.places["environments.prod.vars.region"]) == "kitchen.yml:6"


def test_every_key_of_a_policy_reaches_the_project(tmp_path: Path) -> None:
    """The shape of docs/policy.md; what is left out has a default."""
    text = """\
environments: {prod: {branch: main}}
policy:
  require: {recipes: [a, "a:b"], tests: ["a/*/unique"], severity: warn}
  waivers: {tests: ["a/b/*"], by: ["@ana", "@acme/data"], environments: [prod], longest: 2w}
  changes: {by: ["@boss", codeowners, "@robot[bot]"]}
"""
    policy = load_project(_write(tmp_path, HEAD + text)).policy
    assert policy == Policy(
        changes_by=("@boss", "codeowners", "@robot[bot]"),
        recipes=("a", "a:b"),
        tests=("a/*/unique",),
        severity="warn",
        waivers=WaiverRules(("a/b/*",), ("@ana", "@acme/data"), ("prod",), 14 * 86400.0),
    )
    short = "environments: {prod: {branch: main}}\npolicy: {changes: {by: ['@a']}}\n"
    assert load_project(_write(tmp_path, HEAD + short)).policy == Policy(("@a",))
    few = "{tests: ['a/b/c'], by: ['@a'], environments: [prod]}"
    waivers = short.replace("'@a']}}", f"'@a']}}, waivers: {few}}}")
    made = load_project(_write(tmp_path, HEAD + waivers)).policy
    assert made is not None
    assert made.waivers is not None
    assert made.waivers.longest == 30 * 86400.0


def test_what_is_left_out_has_a_default(tmp_path: Path) -> None:
    """Two keys are enough; the base of sandboxes is the last environment."""
    text = "environments: {a: {branch: a}, b: {branch: b}, b0: {branch: c}}"
    project = load_project(_write(tmp_path, HEAD + text))
    assert project.sandbox_base == "b0"
    assert load_project(_write(tmp_path, HEAD)).sandbox_base is None
    assert project.public_by_default is False


def test_the_file_is_found_from_below(tmp_path: Path) -> None:
    """A command works in any folder of the project, and no further up than its repository."""
    _write(tmp_path, HEAD)
    (tmp_path / "recipes" / "x").mkdir(parents=True)
    assert find_root(tmp_path / "recipes" / "x") == tmp_path
    (tmp_path / "other" / ".git").mkdir(parents=True)
    with pytest.raises(Mistake, match=r"there is no kitchen.yml in .* run `gitkitchen init`"):
        find_root(tmp_path / "other")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("store: gs://bucket/x", "store: 'gs://bucket/x' is not available in this version"),
        (
            "connections: {w: {type: snowflake}}",
            "connection 'w', type: 'snowflake' is not available in this version",
        ),
    ],
)
def test_what_the_design_has_and_this_version_has_not_is_refused(
    tmp_path: Path, text: str, said: str
) -> None:
    """Nothing is accepted and ignored: the error has a kind of its own, and the line."""
    with pytest.raises(NotAvailable) as caught:
        load_project(_write(tmp_path, HEAD + text))
    assert [str(p) for p in caught.value.problems] == [f"kitchen.yml:3: {said}"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("enviroments: {}", "unknown key 'enviroments'; did you mean 'environments'?"),
        ("vars: []", "vars: must be a mapping, not a list"),
        (
            "sandboxes: {base: prd}\nenvironments: {prod: {branch: main}}",
            "sandboxes.base is 'prd', which is no environment; did you mean 'prod'?",
        ),
        (
            "environments: {a: {branch: x}, b: {branch: x}}",
            (
                "environment 'b': branch 'x' is that of environment 'a'; "
                "give each environment a branch of its own"
            ),
        ),
        ("environments: {a: {branch: '-x'}}", "environment 'a': '-x' cannot be a branch"),
        ("environments: {a: {branch: gitkitchen/x}}", "environment 'a': 'gitkitchen/x' cannot be a branch"),
        ("store: ../../other", "store: '../../other' leaves the repository; name a folder of the repository"),
        ("store: .", "store: is the repository itself; name a folder of it"),
        (
            "sandboxes: {ttl: 14}",
            "sandboxes.ttl: must be a duration such as 14d or 36h, not the number 14; quote it",
        ),
        ("sandboxes: {ttl: 0d}", "sandboxes.ttl: must be a duration such as 14d or 36h, not '0d'"),
        (
            "sandboxes: {ttl: 2 fortnights}",
            "sandboxes.ttl: must be a duration such as 14d or 36h, not '2 fortnights'",
        ),
        (
            "environments: {a: {branch: x, from: b}}",
            "environment 'a', from: is 'b', which is no environment",
        ),
        ("pools: {heavy: 0}", "pools.heavy: must be at least 1"),
        ("policy: {}", "policy: the key 'changes' is missing"),
        (
            "policy: {changes: {by: [ana]}}",
            "policy.changes.by[1]: must be @login, @organisation/team or codeowners, not 'ana'",
        ),
        (
            "policy: {changes: {by: ['@a']}, requires: {}}",
            "policy: unknown key 'requires'; did you mean 'require'?",
        ),
        (
            "policy: {changes: {by: ['@a']}, require: {tests: [unique]}}",
            (
                "policy.require.tests[1]: must be recipe/node/test, each a name or a pattern such as late_*, "
                "not 'unique'"
            ),
        ),
        (
            (
                "policy: {changes: {by: ['@a']}, waivers: {tests: [a/b/c], by: ['@a'],"
                " environments: [prd]}}\n"
                "environments: {prod: {branch: main}}"
            ),
            "policy.waivers.environments: there is no environment 'prd'; did you mean 'prod'?",
        ),
        (
            "policy: {changes: {by: ['@a']}, waivers: {tests: ['a/b/c'], by: ['@a']}}",
            "policy.waivers: the key 'environments' is missing",
        ),
        (
            'vars: {a: "${{ vars.b }}"}',
            (
                "vars.a: a variable holds a value, not an expression; "
                "write the expression where the variable is used"
            ),
        ),
        (
            "privacy: {default: pubic}",
            "privacy.default: must be public or private, not 'pubic'; did you mean 'public'?",
        ),
        ("version: 1", "the key 'version' stands here again (first in line 1)"),
    ],
)
def test_mistakes_of_the_project_file(tmp_path: Path, text: str, said: str) -> None:
    """Each mistake says what, where and what next."""
    assert _problems(tmp_path, text) == [f"kitchen.yml:3: {said}"]


def test_both_keys_of_a_project_are_needed(tmp_path: Path) -> None:
    """All that is missing is said at once."""
    (tmp_path / "kitchen.yml").write_text("vars: {a: 1}\n")
    with pytest.raises(Mistake) as caught:
        load_project(tmp_path)
    assert [p.message for p in caught.value.problems] == [
        "the key 'project' is missing",
        "the key 'version' is missing",
    ]


def test_a_quoted_version_is_explained(tmp_path: Path) -> None:
    """The version is a number."""
    (tmp_path / "kitchen.yml").write_text(HEAD.replace("1\n", "'1'\n", 1))
    with pytest.raises(Mistake, match=r"kitchen.yml:1: version: must be 1"):
        load_project(tmp_path)


@pytest.mark.parametrize(
    ("data", "may"),
    [
        (HEAD.encode(), False),
        (b"# no al erts\n" + HEAD.encode(), False),
        (HEAD.encode() + b"alerts: {rules: []}\n", True),
        (HEAD.encode() + b'"\\x61lerts": {rules: []}\n', True),
        ((HEAD + "alerts: {rules: []}\n").encode("utf-16"), True),
        (b"# " + b"x" * 200_000 + b"\n" + HEAD.encode() + b"alerts: {}\n", True),
        (None, True),
    ],
    ids=["without", "not-the-word", "plain", "escaped", "utf-16", "far-behind", "no-file"],
)
def test_a_key_is_never_overlooked(tmp_path: Path, data: bytes | None, may: bool) -> None:
    """That a file has no such key is said only where no way of writing it could hide it."""
    if data is not None:
        (tmp_path / "kitchen.yml").write_bytes(data)
    assert may_have(tmp_path, "alerts") is may
