"""What a run swears to in the ledger: which builds it made itself, from which bytes. And how it is read.

An environment that meets a sandbox's build asks the ledger whether a run of that sandbox made it. So only
what this process built is sealed, as it stands in its memory: what lies in the store may be anybody's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from gitkitchen.data.manifest import build_to_json
from gitkitchen.data.stores import Store
from gitkitchen.data.stores.contract import FINGERPRINT, NAMESPACE
from gitkitchen.errors import GitKitchenError
from gitkitchen.files import digest
from gitkitchen.frozen import dataclass
from gitkitchen.kitchen.identity import environment_namespace, namespace
from gitkitchen.ledger.protocol import Ledger
from gitkitchen.model import Build, NodeResult, Plan, Project, State, Version

CIRCUMSTANCES = ("run", "finished", "seconds")
"""What a build says beside what it is: of two runs that built the same, the store keeps the first's."""
NO_PROGRAMS = frozenset({"sql", "source"})
LATEST = 50
"""So many records of a sandbox's stream are looked at, the newest first."""


def build_seal(build: Build) -> str:
    """The digest of a build: its versions, their files and contents, its definition and its inputs."""
    return digest({k: v for k, v in build_to_json(build).items() if k not in CIRCUMSTANCES})


def bytes_seal(version: Version) -> str:
    """The digest of what a reader of a version reads: the bytes, not what a manifest says of them. Of a
    warehouse's table, which has no bytes of its own, the digest of its rows."""
    rows = [] if version.relation is None else [version.content]
    return digest(
        [
            *rows,
            version.format,
            version.sql,
            [[f.digest, f.bytes, f.suffix] for f in version.files],
            {name: bytes_seal(v) for name, v in version.inputs.items()},
        ]
    )


def sealed(
    plan: Plan,
    results: Iterable[NodeResult],
    find: Callable[[str], Version | None],
    store: Store,
) -> dict[str, dict[str, Any]]:
    """The builds that a run made itself, by node: fingerprint, digest of the build, bytes of its inputs.

    ``find`` gives what the catalog had before the run. Left out is what was reused, what reported tests of
    its own (nobody can run them again on the bytes), and, where programs of the recipe ran beside it, what
    read or wrote a file that is not what its name says by now.
    """
    results = tuple(results)
    made = {d: v for r in results if r.build is not None for d, v in r.build.versions.items()}
    own = [r for r in results if r.state is State.PASSED and r.build is not None and r.build.versions]
    checked: dict[str, bool] = {}
    suspect = plan.kitchen.is_sandbox and any(
        r.kind not in NO_PROGRAMS and r.state is not State.REUSED for r in results
    )
    found: dict[str, dict[str, Any]] = {}
    steps = {step.node.name: step for step in plan.steps}
    for result in own:
        build = result.build
        if build is None or any(t.kind == result.kind for t in result.tests):
            continue
        inputs: dict[str, Version] = {}
        for name in steps[result.node].reads:
            version = made.get(name) or find(name)
            if version is not None:
                inputs[name] = version
        if suspect and not _as_written([*inputs.values(), *build.versions.values()], store, checked):
            continue
        found[result.node] = {
            "fingerprint": build.fingerprint,
            "build": build_seal(build),
            "inputs": {name: bytes_seal(version) for name, version in sorted(inputs.items())},
        }
    return found


def _as_written(versions: Sequence[Version], store: Store, checked: dict[str, bool]) -> bool:
    """Whether every file and table has its digest. A file that is not on this machine was not read either.
    ``checked`` remembers what was read already."""
    for version in versions:
        key = version.relation or bytes_seal(version)
        if key not in checked:
            try:
                checked[key] = not store.altered(version)
            except GitKitchenError:
                checked[key] = False
        if not checked[key]:
            return False
    return True


@dataclass(frozen=True, slots=True)
class Claim:
    """A run of a sandbox says that it built a fingerprint. ``label`` is the sandbox's branch."""

    namespace: str
    label: str
    run: str
    build: str
    inputs: Mapping[str, str]


class Claims:
    """All claims of a project's sandboxes on builds of one recipe, read when first asked for."""

    def __init__(self, ledger: Ledger, project: Project, recipe: str) -> None:
        """What a branch of another repository says, a fork's, is left out."""
        self._ledger, self._project, self._recipe = ledger, project, recipe
        self._found: dict[str, list[Claim]] | None = None

    def __call__(self, fingerprint: str) -> Sequence[Claim]:
        if self._found is None:
            self._found = self._read()
        return self._found.get(fingerprint, ())

    def _read(self) -> dict[str, list[Claim]]:
        found: dict[str, list[Claim]] = {}
        environments = {environment_namespace(self._project, e) for e in self._project.environments}
        for stream in self._ledger.streams("runs"):
            parts = stream.split("/")
            if len(parts) != 3 or parts[2] != self._recipe or parts[1] in environments:
                continue
            try:
                head = self._ledger.head(stream)
                records = list(self._ledger.read(stream, after=max(head - LATEST, 0)))
            except GitKitchenError:
                continue  # what is damaged proves nothing: what it vouched for is built
            for record in reversed(records):
                for key, claim in self._claims(parts[1], record.body):
                    found.setdefault(key, []).append(claim)
        return found

    def _claims(self, name: str, body: Mapping[str, Any]) -> Iterable[tuple[str, Claim]]:
        """What one record says, where it has the shape that a run writes and the namespace of its branch."""
        try:
            kitchen = body["kitchen"]
            branch = kitchen["branch"]
            if kitchen["repository"] or not NAMESPACE.fullmatch(name):
                return
            if namespace(self._project.id, "", branch, int(kitchen["birth"])) != name:
                return
            for entry in body["built"].values():
                key, build = entry["fingerprint"], entry["build"]
                if FINGERPRINT.fullmatch(key) and FINGERPRINT.fullmatch(build):
                    inputs = {str(n): str(v) for n, v in entry["inputs"].items()}
                    yield key, Claim(name, branch, str(body["run"]), build, inputs)
        except (KeyError, TypeError, AttributeError, ValueError):
            return
