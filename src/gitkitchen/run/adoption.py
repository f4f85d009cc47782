"""An environment adopts what a sandbox built, instead of building it again.

The fingerprint is the one that the node has with the environment's own inputs, so that nothing older comes
in. Beyond it, nothing that the sandbox says is believed: a run of it must have sealed this very build in
the ledger, made from the very bytes that the environment has; each file, or table of a warehouse, is copied
and the copy's digest compared; content, rows and columns are computed again from the copy; figures that only
the manifest knows are dropped; and the node's tests are judged anew. Whatever does not fit is built.
"""

from __future__ import annotations

from dataclasses import replace

from gitkitchen.errors import GitKitchenError, Infrastructure
from gitkitchen.model import Build, Step, Version
from gitkitchen.printed import text_safe
from gitkitchen.run.building import Building
from gitkitchen.run.context import RunContext
from gitkitchen.run.sealing import Claim, build_seal, bytes_seal
from gitkitchen.run.tables import Tables

KINDS = frozenset({"source", "sql", "python", "run"})


def adopted(step: Step, building: Building, context: RunContext, tables: Tables) -> tuple[Build, str] | None:
    """A build of a sandbox whose bytes were checked, and the sandbox's name; None: build it.

    Its tests are still to be judged, and it is not saved yet. Infrastructure where the store fails.
    """
    claims = context.claims(building.fingerprint)
    inputs = {name: bytes_seal(version) for name, version in building.inputs.items()} if claims else {}
    for claim in claims:
        if dict(claim.inputs) != inputs:
            continue
        build = _claimed(claim, step, building, context)
        if build is None:
            continue
        try:
            build = context.store.take(claim.namespace, build)
            versions = {n: _measured(v, building, tables) for n, v in build.versions.items()}
        except ValueError:
            continue  # it is not what was sealed, and stays where it is
        return replace(build, versions=versions), text_safe(claim.label)[:80]
    return None


def may_be(step: Step) -> bool:
    """Whether all that the node depends on is in its fingerprint, and it gives data.

    A node with secrets may read what belongs to the sandbox alone; a volatile one, the moment.
    """
    node = step.node
    return (
        node.kind in KINDS
        and bool(node.datasets)
        and node.on == "run"
        and not (step.forced or node.secrets or node.volatile)
        and node.materialize.mode != "view"
    )


def _claimed(claim: Claim, step: Step, building: Building, context: RunContext) -> Build | None:
    """The build in the sandbox's zone, where it is the one that was sealed and the one that is needed."""
    build = context.store.offered(claim.namespace, building.fingerprint)
    if build is None or build_seal(build) != claim.build:
        return None
    same = (
        build.node == step.node.name
        and build.definition == building.definition.digest
        and dict(build.inputs) == building.contents
        and build.versions.keys() == step.node.datasets.keys()
        and all(v.fingerprint == build.fingerprint for v in build.versions.values())
        and all(v.format in ("table", "file") and (v.files or v.relation) for v in build.versions.values())
        and not any(v.inputs for v in build.versions.values())
    )
    return build if same else None


def _measured(version: Version, building: Building, tables: Tables) -> Version:
    """The version with nothing in it but what its bytes say. ValueError where they say something else."""
    if version.relation is not None:
        return tables.taken(version, building.cancel)
    if version.format == "file":
        if len(version.files) != 1 or version.content != version.files[0].digest:
            raise ValueError("its content is not that of its file")
        return replace(version, columns=(), rows=None, stats={}, sql=None)
    try:
        columns, rows, content = tables.measured(version.files, building.cancel)
    except Infrastructure:
        raise
    except GitKitchenError as error:
        raise ValueError(str(error)) from None
    if (columns, rows, content) != (version.columns, version.rows, version.content):
        raise ValueError("its content is not what its manifest says")
    # Statistics are the manifest's word: without them the tests ask the rows.
    known = rows if len(version.files) == 1 else None
    files = tuple(replace(f, rows=known) for f in version.files)
    return replace(version, files=files, stats={}, sql=None)
