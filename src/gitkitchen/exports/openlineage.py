"""A run as OpenLineage events (https://openlineage.io/spec/2-0-2/OpenLineage.json), by its own client.

A recipe's run is a job, each node that ran in it a job with that one as its parent, and so is each batch of
tests. Each has a START and a COMPLETE, FAIL or ABORT. What a node read and made are datasets with schema,
version and number of rows; of SQL also which column comes from which; tests are assertions on datasets.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from openlineage.client import event_v2 as events
from openlineage.client import facet_v2 as facets

from gitkitchen import __version__
from gitkitchen.exports.shapes import Told, ended, judged, tested_from
from gitkitchen.model import NodeResult, Severity, State, TestResult, TestState, Verdict, Version
from gitkitchen.plan.lineage import Origins, origins
from gitkitchen.report.facts import public_message, versions

PRODUCER = f"urn:gitkitchen:{__version__}"
MOST = 2_000
"""Columns of a dataset, and assertions of a batch, that are told."""

_ENDS = {
    Verdict.PASSED: events.RunState.COMPLETE,
    Verdict.CANCELLED: events.RunState.ABORT,
}
_LANGUAGES = {"sql": "SQL", "python": "Python", "pytest": "Python"}


def run_events(told: Told) -> list[events.RunEvent]:
    """All events of a run in the order of their times."""
    facets.set_producer(PRODUCER)
    return sorted(_Telling(told).all(), key=lambda event: event.eventTime)


class _Telling:
    def __init__(self, told: Told) -> None:
        outcome = told.outcome
        self.told, self.outcome = told, outcome
        self.versions: Mapping[str, Version] = versions(outcome)
        kitchen = outcome.kitchen.environment or outcome.kitchen.namespace
        self.namespace = f"gitkitchen://{outcome.project_id}/{kitchen}"
        self.schemas = {d: tuple(c.name for c in v.columns) for d, v in self.versions.items()}

    def all(self) -> Iterator[events.RunEvent]:
        outcome = self.outcome
        about: dict[str, Any] = {
            "processing_engine": facets.processing_engine_run.ProcessingEngineRunFacet(
                version=outcome.tools.get("duckdb") or outcome.tools.get("postgres") or __version__,
                name="DuckDB" if "duckdb" in outcome.tools else "PostgreSQL",
                openlineageAdapterVersion=__version__,
            )
        }
        if self.told.interval is not None:
            about["nominalTime"] = facets.nominal_time_run.NominalTimeRunFacet(
                *(_time(moment) for moment in self.told.interval)
            )
        yield from self._pair(
            (), "RECIPE", (outcome.started, outcome.finished), _ENDS.get(outcome.verdict), about
        )
        for node in self.told.nodes():
            yield from self._node(node)
            if judged(node):
                yield from self._tests(node)

    def _node(self, node: NodeResult) -> Iterator[events.RunEvent]:
        assert node.started is not None
        inputs = [self._input(d) for d in self.told.reads.get(node.node, ())]
        made = node.build.versions if node.build is not None else {}
        outputs = [self._output(node, d, version) for d, version in sorted(made.items())]
        good = {State.PASSED: events.RunState.COMPLETE, State.CANCELLED: events.RunState.ABORT}
        about: dict[str, Any] = {}
        if node.failure is not None:
            about["errorMessage"] = facets.error_message_run.ErrorMessageRunFacet(
                message=public_message(self.outcome, node.failure.message),
                programmingLanguage=_LANGUAGES.get(node.kind, node.kind),
            )
        times = (node.started, ended(node))
        yield from self._pair((node.node,), "NODE", times, good.get(node.state), about, inputs, outputs)

    def _tests(self, node: NodeResult) -> Iterator[events.RunEvent]:
        by_dataset: dict[str, list[TestResult]] = {}
        for test in node.tests:
            if test.state is not TestState.SKIPPED:
                by_dataset.setdefault(test.dataset or node.node, []).append(test)
        inputs = [
            self._input(
                dataset,
                {
                    "dataQualityAssertions": (
                        facets.data_quality_assertions_dataset.DataQualityAssertionsDatasetFacet(
                            assertions=[_assertion(test) for test in tests[:MOST]]
                        )
                    )
                },
            )
            for dataset, tests in sorted(by_dataset.items())
        ]
        bad = any(t.state is not TestState.PASSED for tests in by_dataset.values() for t in tests if t.stops)
        end = events.RunState.FAIL if bad else events.RunState.COMPLETE
        yield from self._pair((node.node, "tests"), "TEST", (tested_from(node), ended(node)), end, {}, inputs)

    def _pair(
        self,
        parts: tuple[str, ...],
        kind: str,
        times: tuple[datetime, datetime],
        end: events.RunState | None,
        about: Mapping[str, Any],
        inputs: list[events.InputDataset] | None = None,
        outputs: list[events.OutputDataset] | None = None,
    ) -> Iterator[events.RunEvent]:
        """START and the end of one job; ``end`` None: it failed."""
        job = events.Job(self.namespace, self._name(*parts), self._of_job(kind, parts))
        run: dict[str, Any] = dict(about)
        if parts:
            parent, whole = self.told.id_of(*parts[:-1]), self.told.id_of()
            run["parent"] = facets.parent_run.ParentRunFacet(
                run=facets.parent_run.Run(str(parent)),
                job=facets.parent_run.Job(self.namespace, self._name(*parts[:-1])),
                root=facets.parent_run.Root(
                    run=facets.parent_run.RootRun(str(whole)),
                    job=facets.parent_run.RootJob(self.namespace, self._name()),
                ),
            )
        begun = {name: facet for name, facet in run.items() if name != "errorMessage"}
        for state, time, facets_of_run in (
            (events.RunState.START, times[0], begun),
            (end or events.RunState.FAIL, times[1], run),
        ):
            yield events.RunEvent(
                eventTime=_time(time),
                eventType=state,
                producer=PRODUCER,
                run=events.Run(str(self.told.id_of(*parts)), facets_of_run),
                job=job,
                inputs=inputs or [],
                outputs=outputs or [],
            )

    def _name(self, *parts: str) -> str:
        return ".".join([self.outcome.recipe, *parts])

    def _of_job(self, kind: str, parts: tuple[str, ...]) -> dict[str, Any]:
        found: dict[str, Any] = {
            "jobType": facets.job_type_job.JobTypeJobFacet(
                processingType="BATCH", integration="GITKITCHEN", jobType=kind
            )
        }
        place = self.told.places.get(parts[0]) if parts else None
        commit = self.outcome.subject.commit
        if self.told.repository and commit and not self.outcome.subject.dirty:
            path = place.file if place is not None else f"recipes/{self.outcome.recipe}/recipe.yml"
            found["sourceCodeLocation"] = facets.source_code_location_job.SourceCodeLocationJobFacet(
                type="git",
                url=f"{self.told.repository}/blob/{commit}/{path}",
                repoUrl=self.told.repository,
                path=path,
                version=commit,
                branch=self.outcome.kitchen.branch,
            )
        return found

    def _of_dataset(self, dataset: str) -> dict[str, Any]:
        version = self.versions.get(dataset)
        if version is None:
            return {}
        fields = [
            facets.schema_dataset.SchemaDatasetFacetFields(name=c.name, type=c.type)
            for c in version.columns[:MOST]
        ]
        found: dict[str, Any] = {
            "version": facets.dataset_version_dataset.DatasetVersionDatasetFacet(version.fingerprint)
        }
        return found | ({"schema": facets.schema_dataset.SchemaDatasetFacet(fields)} if fields else {})

    def _input(self, dataset: str, own: dict[str, Any] | None = None) -> events.InputDataset:
        return events.InputDataset(self.namespace, dataset, own or {}, facets=self._of_dataset(dataset))

    def _output(self, node: NodeResult, dataset: str, version: Version) -> events.OutputDataset:
        statistics = facets.output_statistics_output_dataset.OutputStatisticsOutputDatasetFacet(
            rowCount=version.rows, size=version.bytes or None, fileCount=len(version.files) or None
        )
        about = self._of_dataset(dataset) | self._columns(node)
        return events.OutputDataset(self.namespace, dataset, {"outputStatistics": statistics}, facets=about)

    def _columns(self, node: NodeResult) -> dict[str, Any]:
        """Which column comes from which, where the query tells it."""
        query = self.told.queries.get(node.node)
        found = origins(query, self.schemas) if query is not None else None
        if not isinstance(found, Origins):
            return {}
        written = {d: {c.lower(): c for c in columns} for d, columns in self.schemas.items()}
        lineage = facets.column_lineage_dataset

        def sources(pairs: frozenset[tuple[str, str]], kind: str) -> list[Any]:
            return [
                lineage.InputField(
                    self.namespace,
                    dataset,
                    written.get(dataset, {}).get(column, column),
                    [lineage.Transformation(type=kind)],
                )
                for dataset, column in sorted(pairs)
            ]

        made = node.build.versions.values() if node.build is not None else ()
        own = {column.name.lower(): column.name for version in made for column in version.columns}
        fields = {
            own.get(name.lower(), name): lineage.Fields(sources(pairs, "DIRECT"))
            for name, pairs in list(found.columns.items())[:MOST]
        }
        facet = lineage.ColumnLineageDatasetFacet(fields, sources(found.rows, "INDIRECT"))
        return {"columnLineage": facet}


def _assertion(test: TestResult) -> Any:
    return facets.data_quality_assertions_dataset.Assertion(
        assertion=test.kind,
        success=test.state is TestState.PASSED,
        name=test.id,
        severity="error" if test.severity is Severity.STOP else "warn",
        description="it could not be checked" if test.state is TestState.ERROR else None,
    )


def _time(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")
