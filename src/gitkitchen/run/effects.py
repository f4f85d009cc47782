"""Effects: which ``on: publish`` nodes have done their work for which publication."""

from __future__ import annotations

import json

from gitkitchen.files import write_atomic
from gitkitchen.model import NodeSpec, Plan
from gitkitchen.run.context import RunContext


class Effects:
    """The record, one small file a node: ``<state>/effects/<namespace>/<recipe>/<node>.json``.

    A node that has no such file, or one of an older publication, runs; so what failed or was killed is
    tried again by the next command.
    """

    def __init__(self, plan: Plan, context: RunContext, sequence: int | None) -> None:
        folder = context.project.state / "effects" / plan.kitchen.namespace
        self._folder = folder / plan.recipe.name
        self._context = context
        # Publications of other recipes count the same sequence on: only this recipe's own matter.
        own = [e.sequence for e in plan.catalog.entries.values() if e.recipe == plan.recipe.name]
        catalog = plan.catalog.sequence
        published_now = sequence is not None and sequence != catalog
        self.sequence = sequence if published_now or not own else max(own)

    def done(self, node: NodeSpec) -> str:
        """Why a node need not run: it succeeded for this publication. Empty where it must."""
        try:
            record = json.loads((self._folder / f"{node.name}.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return ""
        if not isinstance(record, dict) or record.get("sequence") != self.sequence:
            return ""
        return f"done for publication {self.sequence} by run {record.get('run', '?')}"

    def record(self, node: NodeSpec) -> None:
        """Note that a node succeeded; on the disk before anything else happens."""
        value = {"version": 1, "sequence": self.sequence, "run": self._context.run_id}
        write_atomic(self._folder / f"{node.name}.json", json.dumps(value) + "\n", sync=True)
