"""Whether outcomes are evidence for a tree: of its own content, complete, and judged by its own declarations.

What a job of a pull request wrote is a claim. So severities, tests and nodes are those of the tree that is
judged, never those that an outcome names; a result is only asked how it ended.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import field

from gitkitchen.finding import PolicyFinding
from gitkitchen.frozen import dataclass
from gitkitchen.kitchen.policy import RANK, Pattern, pattern, test_name
from gitkitchen.model import (
    GOOD_STATES,
    NodeResult,
    NodeSpec,
    Outcome,
    Policy,
    Recipe,
    Severity,
    State,
    TestResult,
    TestSpec,
    TestState,
    Verdict,
)
from gitkitchen.recipe.select import parse
from gitkitchen.recipe.waivers import Waiver
from gitkitchen.trees import Reading, Where

DECLARED = ("source", "sql", "python")
"""Kinds of nodes whose tests are all declared; others report tests that no file of ours names."""
WaiverOf = Callable[[str, str, str], Waiver | None]
"""(recipe, node, test id) -> the waiver that counts for it."""
_EVALUATED = frozenset({TestState.PASSED, TestState.FAILED})


@dataclass(slots=True)
class Accepted:
    """What is evidence: per recipe and variation the outcome with its findings, and how many tests were
    judged."""

    outcomes: dict[tuple[str, str | None], Outcome] = field(default_factory=dict)
    failed: set[tuple[str, str | None]] = field(default_factory=set)
    evaluated: int = 0


def weigh(
    head: Reading, outcomes: Sequence[Outcome], waiver_of: WaiverOf
) -> tuple[Accepted, list[PolicyFinding]]:
    """Each outcome beside what the tree declares."""
    accepted = Accepted()
    found: list[PolicyFinding] = []
    for outcome in outcomes:
        key = (outcome.recipe, outcome.variation)
        said = list(_unfit(head, outcome))
        if not said:
            recipe = head.resolved[_where(outcome)]
            said = list(_of_run(outcome, recipe, waiver_of))
            accepted.outcomes[key] = outcome
            accepted.evaluated += sum(t.state in _EVALUATED for t in outcome.tests)
        if any(f.severity == "failure" for f in said):
            accepted.failed.add(key)
        found += said
    if not accepted.evaluated:
        message = "nothing was tested on this tree: no test has a result"
        found.append(PolicyFinding("nothing-tested", "failure", message))
    return accepted, found


def _where(outcome: Outcome) -> Where:
    return Where(outcome.recipe, outcome.kitchen.environment or "", outcome.variation)


def _unfit(head: Reading, outcome: Outcome) -> Iterator[PolicyFinding]:
    """Why an outcome says nothing of this tree at all."""
    about = _label(outcome.recipe, outcome.variation)
    if outcome.subject.tree != head.tree:
        message = (
            f"{about}: its outcome is of tree {outcome.subject.tree[:12]}, and {head.tree[:12]} is judged"
        )
        yield PolicyFinding("other-tree", "failure", message)
    elif outcome.subject.dirty:
        message = f"{about}: its outcome is of a work tree with uncommitted changes, which is never evidence"
        yield PolicyFinding("other-tree", "failure", message)
    elif _where(outcome) not in head.resolved:
        yield PolicyFinding(
            "unknown-recipe", "failure", f"{about}: this tree has no such recipe or variation"
        )


def _label(recipe: str, variation: str | None) -> str:
    return f"recipe '{recipe}'" + (f", variation '{variation}'" if variation else "")


# --- one run -----------------------------------------------------------------------------------------


def _of_run(outcome: Outcome, recipe: Recipe, waiver_of: WaiverOf) -> Iterator[PolicyFinding]:
    results = {n.node: n for n in outcome.nodes}
    count = 0
    for name in _expected(recipe):
        result = results.pop(name, None)
        for finding in _of_node(recipe, recipe.nodes[name], result, waiver_of):
            count += finding.severity == "failure"
            yield finding
    for (
        result
    ) in results.values():  # effects of a branch, nodes after the publication, parts that were not asked
        for finding in _beside(recipe, result):
            count += finding.severity == "failure"
            yield finding
    if outcome.verdict is not Verdict.PASSED and not count:
        words = outcome.verdict.value.replace("_", " ")
        yield PolicyFinding(
            "not-green", "failure", f"{_label(outcome.recipe, outcome.variation)} ended as: {words}"
        )


def _expected(recipe: Recipe) -> list[str]:
    """The nodes that a whole run has a result of: of its variation, and none that waits for publication."""
    late = {n.name for n in recipe.nodes.values() if n.on == "publish"}
    grown = True
    while grown:
        more = {n.name for n in recipe.nodes.values() if n.name not in late and late & set(n.needs)}
        late |= more
        grown = bool(more)
    variation = recipe.variations.get(recipe.variation or "")
    chosen = variation.nodes if variation is not None else ()
    wanted: set[str] = set(recipe.nodes) if not chosen else set()
    for index, text in enumerate(chosen):
        try:
            selector = parse(text)
        except ValueError:
            continue
        if selector.excludes and not index:
            wanted = set(recipe.nodes)
        found = {n.name for n in recipe.nodes.values() if selector.matches(n)}
        wanted = wanted - found if selector.excludes else wanted | found
    return [name for name in recipe.nodes if name in wanted and name not in late]


def _of_node(
    recipe: Recipe, node: NodeSpec, result: NodeResult | None, waiver_of: WaiverOf
) -> Iterator[PolicyFinding]:
    about, path, line = f"node '{node.name}'", recipe.file, node.place.line
    if result is None:
        yield PolicyFinding("missing-result", "failure", f"{about} has no result", path, line)
        return
    if result.state is State.SKIPPED:
        yield PolicyFinding(
            "not-tested", "notice", f"{about} was skipped: nothing is known of it", path, line
        )
        return
    if result.state not in GOOD_STATES:
        if result.continued and node.continue_on_error:
            message = f"{about} {result.state.value.replace('_', ' ')}, excused by continue-on-error"
            yield PolicyFinding("not-tested", "notice", message, path, line)
            return
        yield from _bad_node(node, result, path)
        return
    yield from _of_tests(recipe, node, result, waiver_of)


def _bad_node(node: NodeSpec, result: NodeResult, path: str) -> Iterator[PolicyFinding]:
    stopping = [t for t in result.tests if t.severity is Severity.STOP and t.state is not TestState.PASSED]
    places = {spec.id: spec.place for spec in node.tests}
    for test in stopping:
        place = places.get(test.id)
        message = f"node '{node.name}': the test {test_name(test.node, test.id)} {test.state.value}"
        yield PolicyFinding("failed-test", "failure", message, path, place.line if place else node.place.line)
    if not stopping:
        infrastructure = result.failure is not None and result.failure.kind == "infrastructure"
        code = "could-not-check" if infrastructure else "failed-node"
        words = result.state.value.replace("_", " ")
        yield PolicyFinding(
            code, "failure", f"node '{node.name}' did not pass: {words}", path, node.place.line
        )


def _of_tests(
    recipe: Recipe, node: NodeSpec, result: NodeResult, waiver_of: WaiverOf
) -> Iterator[PolicyFinding]:
    """The tests that this tree declares, whatever the outcome lists, and those that the node ran itself."""
    results = {t.id: t for t in result.tests}
    for spec in node.tests:
        yield from _of_test(recipe, spec, results.pop(spec.id, None), waiver_of, node)
    if node.kind == "pytest" and not any(t.state in _EVALUATED for t in results.values()):
        message = f"node '{node.name}': no test of its module has a result"
        yield PolicyFinding("missing-result", "failure", message, recipe.file, node.place.line)
    for test in results.values():
        if test.severity is Severity.STOP and test.state in (TestState.FAILED, TestState.ERROR):
            message = f"node '{node.name}': {test_name(test.node, test.id)} {test.state.value}"
            yield PolicyFinding("failed-test", "failure", message, recipe.file, node.place.line)


def _of_test(
    recipe: Recipe, spec: TestSpec, result: TestResult | None, waiver_of: WaiverOf, node: NodeSpec
) -> Iterator[PolicyFinding]:
    about = f"node '{node.name}': the test {test_name(spec.node, spec.id)}"
    line = spec.place.line if spec.place else node.place.line
    stops = spec.severity is Severity.STOP
    if result is None:
        yield PolicyFinding("missing-result", "failure", f"{about} has no result", recipe.file, line)
    elif result.state is TestState.FAILED and stops:
        waiver = waiver_of(recipe.name, node.name, spec.id)
        if waiver is None:
            claim = ", and no waiver that counts covers it" if result.waived is not None else ""
            yield PolicyFinding("failed-test", "failure", f"{about} failed{claim}", recipe.file, line)
        else:
            message = (
                f"{about} failed and is waived by {waiver.approver} until {waiver.expires}: {waiver.reason}"
            )
            yield PolicyFinding("waived", "notice", message, waiver.file, waiver.place.line)
    elif result.state is TestState.ERROR and stops:
        yield PolicyFinding(
            "could-not-check", "failure", f"{about} could not be evaluated", recipe.file, line
        )
    elif result.state not in _EVALUATED:
        yield PolicyFinding("not-tested", "notice", f"{about} was not evaluated", recipe.file, line)


def _beside(recipe: Recipe, result: NodeResult) -> Iterator[PolicyFinding]:
    if result.state in GOOD_STATES or result.state is State.SKIPPED:
        return
    node = recipe.nodes.get(result.node)
    if result.continued and node is not None and node.continue_on_error:
        return
    place = node.place if node is not None else result.place
    message = f"'{result.node[:120]}' did not pass: {result.state.value.replace('_', ' ')}"
    file = recipe.file if node is not None else result.node if result.node.startswith("effects/") else ""
    yield PolicyFinding("failed-node", "failure", message, file, place.line if place else 0)


# --- what is required --------------------------------------------------------------------------------


def required(
    policy: Policy, head: Reading, accepted: Accepted, waiver_of: WaiverOf, lines: Mapping[str, int]
) -> Iterator[PolicyFinding]:
    """What the policy asks for and nothing here shows. ``lines``: where its keys stand in ``kitchen.yml``."""
    for text in policy.recipes:
        yield from _required_recipe(text, head, accepted, lines.get("policy.require.recipes", 0))
    for text in policy.tests:
        for code, message in _required_test(pattern(text), policy, head, accepted, waiver_of):
            line = lines.get("policy.require.tests", 0)
            yield PolicyFinding(code, "failure", f"required test '{text}': {message}", "kitchen.yml", line)


def _required_recipe(text: str, head: Reading, accepted: Accepted, line: int) -> Iterator[PolicyFinding]:
    name, _, variation = text.partition(":")
    key = (name, variation or None)
    outcome = accepted.outcomes.get(key)
    said = ""
    if outcome is None:
        said = "has no outcome on this tree"
    elif not outcome.complete and not _selects(head, key):
        said = "ran only in a part"
    if said:
        message = f"required {_label(*key)} {said}"
        yield PolicyFinding("required-recipe", "failure", message, "kitchen.yml", line)


def _selects(head: Reading, key: tuple[str, str | None]) -> bool:
    raw = head.recipes.get(key[0])
    return bool(raw and key[1] in raw.variations and raw.variations[key[1]].nodes)


def _required_test(
    wanted: Pattern, policy: Policy, head: Reading, accepted: Accepted, waiver_of: WaiverOf
) -> Iterator[tuple[str, str]]:
    """A node that is named must be there; of those that a pattern means, all that make a dataset."""
    met = 0
    for where, recipe in head.resolved.items():
        if where.environment or where.variation:
            continue
        for node in recipe.nodes.values():
            if wanted.is_about(recipe.name, node.name) and (wanted.names_node or node.datasets):
                met += 1
                yield from _in_node(wanted, policy, recipe, node, accepted, waiver_of)
    if not met:
        yield "required-test", "there is no node that it means"


def _in_node(
    wanted: Pattern, policy: Policy, recipe: Recipe, node: NodeSpec, accepted: Accepted, waiver_of: WaiverOf
) -> Iterator[tuple[str, str]]:
    about = f"node '{node.name}' of recipe '{recipe.name}'"
    least = RANK[Severity(policy.severity)]
    specs = [s for s in node.tests if wanted.means(s.kind, test_name(s.node, s.id))]
    heavy = [s for s in specs if RANK[s.severity] >= least]
    results = _results(recipe, node, accepted)
    own = [
        t
        for t in results.values()
        if node.kind not in DECLARED
        and t.id not in {s.id for s in node.tests}
        and wanted.means(t.kind, test_name(t.node, t.id))
    ]
    if not specs and not own:
        if node.kind not in DECLARED:
            yield "required-test", f"{about} reported no such test"
        else:
            yield "required-test", f"{about} declares no such test"
        return
    if not heavy and not own:
        yield "required-severity", f"{about} has it with severity {specs[0].severity.value} only"
        return
    for spec in heavy:
        result = results.get(spec.id)
        name = test_name(spec.node, spec.id)
        if result is None or result.state not in _EVALUATED:
            yield "required-test", f"{about}: {name} has no result"
        elif _fails(spec, result) and waiver_of(recipe.name, node.name, spec.id) is None:
            yield "required-test", f"{about}: {name} failed"
    for test in own:
        if test.state is not TestState.PASSED:
            yield "required-test", f"{about}: {test_name(test.node, test.id)} {test.state.value}"


def _fails(spec: TestSpec, result: TestResult) -> bool:
    return result.state is TestState.FAILED and spec.severity is Severity.STOP


def _results(recipe: Recipe, node: NodeSpec, accepted: Accepted) -> Mapping[str, TestResult]:
    """The results of a node's tests in the runs of its recipe, the plain one before its variations."""
    runs = sorted(
        (k for k in accepted.outcomes if k[0] == recipe.name), key=lambda k: k[1] or "", reverse=True
    )
    found: dict[str, TestResult] = {}
    for key in runs:
        for result in accepted.outcomes[key].nodes:
            if result.node == node.name and result.state in GOOD_STATES:
                found |= {t.id: t for t in result.tests}
    return found
