"""What a pull request changes of what judges it is listed, with file, line and who may allow it."""

from __future__ import annotations

import pytest
from tests.promote.requests import FILE, POLICY, RECIPE, TODAY, WAIVER, Requests, codes

from gitkitchen.promote.policy import Case, PolicyFinding, judge_changes
from gitkitchen.trees import read_tree

WORKFLOW = (
    "jobs:\n  a:\n    steps:\n      - uses: actions/checkout@1111111111111111111111111111111111111111\n"
)


def found(requests: Requests, code: str) -> PolicyFinding:
    """The only finding of that code."""
    (finding,) = [f for f in requests.judge().findings if f.code == code]
    return finding


def test_a_change_of_data_and_code_needs_nobody(requests: Requests) -> None:
    """New nodes, stricter tests, comments, rows and documents are allowed as they are."""
    requests.begin({"docs/x.md": "x"})
    requests.change(
        (FILE, "max: 5", "max: 4"),
        (FILE, "select count(*)", "select  count(*)"),
        (FILE, "  totals:", "  more: {sql: select 1 as one, tests: [{not_null: [one]}]}\n  totals:"),
        files={"recipes/orders/orders.csv": "id,n\n1,1\n", "docs/x.md": "y"},
    )
    judgement = requests.judge()
    assert judgement.conclusion == "success", judgement.findings
    assert judgement.findings == ()


CHANGES = {
    "removed test": (
        (FILE, "      - range: {column: n, max: 5}\n", "      - not_null: [n]\n"),
        "removed-test",
        4,
    ),
    "removed key": ((FILE, "    key: [id]\n", ""), "removed-test", 4),
    "wider range": ((FILE, "max: 5", "max: 6"), "weaker-test", 8),
    "severity": ((FILE, "max: 5}", "max: 5}\n        severity: log"), "weaker-test", 8),
    "tolerance": ((FILE, "max: 5}", "max: 5}\n        tolerate: 1%"), "weaker-test", 8),
    "where": ((FILE, "max: 5}", "max: 5}\n        where: id > 0"), "weaker-test", 8),
    "other ends": ((FILE, "max: 5}", "min: 9}"), "changed-test", 8),
    "a condition": ((FILE, "    key: [id]", "    key: [id]\n    if: kitchen.is_sandbox"), "weaker-node", 4),
    "excused": ((FILE, "    key: [id]", "    key: [id]\n    continue-on-error: true"), "weaker-node", 4),
    "volatile": ((FILE, "    key: [id]", "    key: [id]\n    volatile: true"), "weaker-node", 4),
    "a view": ((FILE, "from orders\n", "from orders\n    materialize: view\n"), "changed-node", 9),
    "a column public": ((FILE, "    key: [id]", "    key: [id]\n    public: [id]"), "privacy-opened", 4),
    "all public": (
        ("kitchen.yml", "sandboxes:", "privacy: {default: public}\nsandboxes:"),
        "privacy-opened",
        5,
    ),
    "removed node": ((FILE, RECIPE[RECIPE.index("  totals:") :], ""), "removed-node", 0),
    "policy": (("kitchen.yml", "recipes: [orders]", "recipes: []"), "policy-changed", 6),
    "no policy": (("kitchen.yml", POLICY, ""), "policy-changed", 0),
    "another branch": (("kitchen.yml", "branch: main", "branch: other"), "gate-changed", 4),
    "another environment": (
        ("kitchen.yml", "sandboxes:", "  dev: {branch: dev}\nsandboxes:"),
        "gate-changed",
        5,
    ),
    "another adoption": (("kitchen.yml", "branch: main", "adopt: rebuild, branch: main"), "gate-changed", 4),
    "a gate": (("kitchen.yml", "branch: main", "gate: {approvals: 1}, branch: main"), "gate-changed", 4),
    "another store": (("kitchen.yml", "sandboxes:", "store: other\nsandboxes:"), "gate-changed", 5),
    "another ledger": (("kitchen.yml", "sandboxes:", "ledger: branch\nsandboxes:"), "gate-changed", 5),
    "a variable": (("kitchen.yml", "region: eu", "region: eu, most: 9"), "weaker-test", 8),
}


@pytest.mark.parametrize("name", sorted(CHANGES))
def test_each_change_is_listed_and_waits(requests: Requests, name: str) -> None:
    """One finding with its code and line; the check waits for somebody whom the target's policy names."""
    replacement, code, line = CHANGES[name]
    if name == "a variable":
        requests.begin({FILE: RECIPE.replace("max: 5", 'max: "${{ vars.most }}"') + "vars: {most: 5}\n"})
    else:
        requests.begin()
    requests.change(replacement)
    judgement = requests.judge()
    listed = [f for f in judgement.findings if f.severity == "action"]
    assert {f.code for f in listed} == {code}, judgement.findings
    path = FILE if name == "a variable" else replacement[0]
    assert (listed[0].path, listed[0].line) == (path, line)
    assert listed[0].who_may_allow == ("@boss",)
    assert judgement.conclusion in ("action_required", "failure")
    if not any(f.severity == "failure" for f in judgement.findings):
        allowed = requests.judge(reviews=[requests.approved("boss")])
        assert (allowed.conclusion, codes(allowed)) == ("success", codes(judgement))
        assert allowed.findings[0].allowed_by == "boss"


def test_a_removed_recipe_is_listed(requests: Requests) -> None:
    """All of a recipe's tests go with it."""
    requests.begin({"recipes/b/recipe.yml": "version: 1\nrecipe: b\nnodes: {x: {sql: select 1 as a}}\n"})
    requests.shop.git("rm", "-rq", "recipes/b")
    requests.change()
    assert codes(requests.judge()) == ["removed-recipe"]


def test_a_node_without_tests_may_go(requests: Requests) -> None:
    """What was tested by nothing takes no evidence away: it is told, and waits for nobody."""
    requests.begin({FILE: RECIPE + "  extra: {sql: select 1 as one}\n"})
    requests.change((FILE, "  extra: {sql: select 1 as one}\n", ""))
    judgement = requests.judge()
    assert (judgement.conclusion, codes(judgement, "notice")) == ("success", ["removed-node"])


def test_variations_that_are_gone_or_narrower_are_listed(requests: Requests) -> None:
    """A variation is a promise to run: fewer of them, other nodes, fewer environments."""
    variations = "variations: {a: {}, b: {}, c: {vars: {}}}\n"
    requests.begin({FILE: RECIPE + variations})
    requests.change((FILE, variations, "variations: {b: {nodes: [orders]}, c: {environments: [prod]}}\n"))
    assert sorted(codes(requests.judge())) == ["changed-variation", "removed-variation", "weaker-variation"]


def test_needs_and_matrix_that_shrink_are_listed(requests: Requests) -> None:
    """A test that no longer waits for what it is about, or sees fewer parts, sees less."""
    node = """\
  part:
    needs: [orders, totals]
    strategy: {matrix: {n: [1, 2]}}
    sql: select $n as n from orders
    with: {n: "${{ matrix.n }}"}
    tests: [{rows: {min: 1}}]
"""
    requests.begin({FILE: RECIPE + node})
    requests.change((FILE, "needs: [orders, totals]", "needs: [orders]"), (FILE, "n: [1, 2]", "n: [1]"))
    judgement = requests.judge()
    assert codes(judgement) == ["weaker-node", "weaker-node"]
    assert {"needs totals no more" in f.message for f in judgement.findings} == {True, False}


def test_tests_that_are_code_cannot_be_judged(requests: Requests) -> None:
    """A changed module of pytest, its conftest or its arguments wait for a look."""
    node = "  check: {pytest: test_orders.py, needs: [orders]}\n"
    module = {"recipes/orders/test_orders.py": "def test_a(): assert 1\n"}
    requests.begin({FILE: RECIPE + node, **module, "recipes/orders/conftest.py": ""})
    requests.change(files={"recipes/orders/conftest.py": "collect_ignore = ['test_orders.py']\n"})
    finding = found(requests, "changed-test")
    assert (finding.path, finding.severity) == ("recipes/orders/test_orders.py", "action")
    requests.change((FILE, "pytest: test_orders.py", "pytest: {file: test_orders.py, args: [-k, none]}"))
    assert codes(requests.judge()) == ["changed-test"]


def test_workflows_actions_and_owners_are_listed(requests: Requests) -> None:
    """Whoever may edit the job that judges, or who owns what, edits the judge; a new action has its line."""
    files = {".github/workflows/ci.yml": WORKFLOW, ".github/CODEOWNERS": "* @boss\n"}
    requests.begin(files)
    requests.change(
        files={
            ".github/workflows/ci.yml": WORKFLOW.replace("@1", "@2") + "      - run: echo\n",
            ".github/CODEOWNERS": "* @dev\n",
            "tools/action.yml": "name: x\n",
        }
    )
    judgement = requests.judge()
    listed = sorted((f.code, f.path, f.line) for f in judgement.findings)
    assert listed == [
        ("action-changed", ".github/workflows/ci.yml", 4),
        ("codeowners-changed", ".github/CODEOWNERS", 0),
        ("workflow-changed", ".github/workflows/ci.yml", 0),
        ("workflow-changed", "tools/action.yml", 0),
    ]
    assert {f.who_may_allow for f in judgement.findings} == {("@boss",)}, "the owners are those of the target"


def test_a_link_in_the_place_of_a_folder_hides_nothing(requests: Requests) -> None:
    """Waivers are compared by what they say, however they come to stand in the folder."""
    requests.begin({"data/n.yml": WAIVER})
    (requests.shop.root / "waivers").symlink_to("data")
    requests.change()
    assert codes(requests.judge()) == ["waiver-added"]


def test_without_a_policy_changes_are_told_and_wait_for_nobody(requests: Requests) -> None:
    """A project that names nobody is not locked; the first policy needs no permission."""
    requests.begin(policy="")
    requests.change((FILE, "max: 5", "max: 6"), files={"waivers/n.yml": WAIVER.replace("5", "6", 1)})
    judgement = requests.judge()
    assert judgement.conclusion == "success"
    assert codes(judgement, "notice") == ["weaker-test", "waiver-added"]


def test_many_changes_are_cut(requests: Requests) -> None:
    """A thousand weaker tests are two hundred lines, the last of which counts the rest."""
    tests = "".join(f"      - range: {{column: n, max: {n}.5}}\n" for n in range(300))
    requests.begin({FILE: RECIPE.replace("      - range: {column: n, max: 5}\n", tests)})
    requests.change((FILE, tests, "      - not_null: [n]\n"))
    judgement = requests.judge()
    assert len(judgement.findings) == 200
    assert any("and 101 more" in f.message for f in judgement.findings)


def test_a_project_in_a_folder_of_its_repository(requests: Requests) -> None:
    """Paths of findings are the repository's, whose workflows count."""
    shop = requests.shop
    requests.begin()
    (shop.root / "sub").mkdir()
    shop.git("mv", "kitchen.yml", "recipes", "sub")
    shop.commit({".github/workflows/ci.yml": WORKFLOW})
    target = read_tree(shop.root, "HEAD", project="sub")
    shop.replace(f"sub/{FILE}", "max: 5", "max: 6")
    shop.commit({".github/workflows/ci.yml": ""})
    head = read_tree(shop.root, "HEAD", project="sub")
    judgement = judge_changes(Case(target, head, "h", (), TODAY))
    listed = [(f.code, f.path) for f in judgement.findings]
    assert listed == [("workflow-changed", ".github/workflows/ci.yml"), ("weaker-test", f"sub/{FILE}")]
