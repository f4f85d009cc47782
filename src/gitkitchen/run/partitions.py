"""Some partitions of a dataset built anew, the others as they are published: together one version.

Each partition is kept in the store under a key of its own as soon as it is built. A run that is killed, or
one over another span, finds those that were built of the same meaning and the same inputs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, NoReturn

from gitkitchen.data.sql import quote_identifier
from gitkitchen.files import digest
from gitkitchen.model import Build, Failure, FileEntry, State, Version
from gitkitchen.run.context import NodeFailed, Task
from gitkitchen.run.parts import compose
from gitkitchen.schedule import periods
from gitkitchen.schedule.shapes import Interval


def touched(
    task: Task,
    dataset: str,
    text: str,
    params: Mapping[str, Any],
    cursor: Any,
    period: tuple[datetime, datetime],
) -> Version:
    """The version of a dataset of which the partitions of ``period`` are built by ``text``.

    NodeFailed where what is published does not fit to what is built, or tells nothing of its partitions.
    """
    grain = task.node.materialize.grain or "day"
    wanted = list(periods.touched(*period, grain))
    kept = _kept(task, dataset, wanted)
    built = []
    for part in wanted:
        if task.cancel.is_set:
            failure = Failure("cancelled", "cancelled while it ran", task.node.place)
            raise NodeFailed(failure, state=State.CANCELLED)
        built.append(_part(task, dataset, text, params, cursor, part))
    parts = [*([kept] if kept is not None else []), *built]
    version = compose(dataset, parts, task.fingerprint, task.node.place, task.tables.content)
    # Of what is kept only whole files are known: figures of columns are counted where they are asked for.
    return replace(version, fingerprint=task.fingerprint, stats={})


def _part(
    task: Task, dataset: str, text: str, params: Mapping[str, Any], cursor: Any, part: Interval
) -> Version:
    """One partition: from the store where it was built, else built and kept."""
    meaning = {k: v for k, v in task.definition.parts.items() if k != "partition"}
    contents = {name: version.content for name, version in task.inputs.items()}
    key = digest(["partition", meaning, contents, part.iso()])
    known = task.context.store.find(key)
    if known is not None:
        return known.versions[dataset]
    by = quote_identifier(task.node.materialize.by or "")
    low, high = (_literal(moment) for moment in (part.start, part.end))
    written = task.tables.engine.write_table(
        dataset,
        f"SELECT * FROM (\n{text}\n) WHERE {by} >= {low} AND {by} < {high}",
        params=params,
        partitions=task.node.materialize,
        inputs=task.inputs,
        cursor=cursor,
        seconds=task.node.timeout,
    )
    version = replace(task.tables.version(task, dataset, written), fingerprint=key)
    task.context.store.save(
        Build(
            node=task.node.name,
            fingerprint=key,
            definition=digest(meaning),
            parts=meaning,
            inputs=contents,
            versions={dataset: version},
            run=task.context.run_id,
            finished=task.context.clock().isoformat(),
        )
    )
    return version


def _literal(moment: datetime) -> str:
    """A time of ours as SQL; dates and times of the column compare with it."""
    return f"TIMESTAMP '{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S}'"


def _kept(task: Task, dataset: str, wanted: list[Interval]) -> Version | None:
    """What is published of the other partitions; None where nothing is."""
    base = task.context.published(dataset)
    if base is None:
        return None
    column = task.node.materialize.by or ""
    files = [file for file in base.files if not _within(file, column, wanted, task)]
    if not files:
        return None
    counts = [file.rows for file in files]
    return replace(
        base,
        files=tuple(files),
        rows=sum(c for c in counts if c is not None) if None not in counts else None,
        content=task.tables.content(files),
        stats={},
    )


def _within(file: FileEntry, column: str, wanted: list[Interval], task: Task) -> bool:
    if column not in file.partition:
        if file.rows == 0:
            return True  # the one empty file of a dataset without rows
        _unfit(task, "what is published is not kept by these partitions")
    value = file.partition[column]
    if value is None:
        return False
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        _unfit(task, f"its partition '{value[:40]}' is no time")
    moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    return any(part.start <= moment < part.end for part in wanted)


def _unfit(task: Task, why: str) -> NoReturn:
    hint = "run the recipe as a whole once: `gitkitchen run`"
    raise NodeFailed(
        Failure("error", f"its partitions cannot be built one by one: {why}", task.node.place, hint)
    )
