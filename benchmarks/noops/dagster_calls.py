"""Dagster: one job of ops, executed in process on an ephemeral instance. Argument: the number of ops."""

import logging
import sys

from dagster import DagsterInstance, GraphDefinition, OpDefinition, Out, Output

COUNT = int(sys.argv[1])


def nothing(_context, _inputs):  # type: ignore[no-untyped-def]  # Dagster refuses other annotations
    yield Output(None)


ops = [OpDefinition(name=f"n{i}", compute_fn=nothing, ins={}, outs={"result": Out()}) for i in range(COUNT)]
logging.disable(logging.CRITICAL)  # an event log on a terminal is no part of the work
job = GraphDefinition(name="noops", node_defs=ops).to_job()
with DagsterInstance.ephemeral() as instance:
    result = job.execute_in_process(instance=instance)
done = sum(1 for event in result.all_events if event.is_step_success)
if not result.success or done != COUNT:
    sys.exit(f"{done} of {COUNT} ops ran")
