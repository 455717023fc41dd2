"""What the pipeline's own tasks have read and written, for OpenLineage.

Imported only where OpenLineage is configured. Tables are called as dbt's lineage calls them (Cosmos emits it), so that
the two halves of a run meet: `SF_HISTORY_*` and `AWS_REGION` are read as dbt/profiles.yml reads them.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

from airflow.providers.openlineage.extractors import OperatorLineage
from openlineage.client.event_v2 import InputDataset, OutputDataset
from openlineage.client.facet_v2 import input_statistics_input_dataset as read_facets
from openlineage.client.facet_v2 import output_statistics_output_dataset as written_facets
from openlineage.client.facet_v2 import schema_dataset
from pyiceberg.exceptions import NoSuchTableError

from include.config.environment import Environment
from include.flow import Flow
from include.staging import store
from include.staging.manifest import (
    ExtractionManifest,
    ReadPlan,
    ReplayManifest,
    UpsertManifest,
    ValidationManifest,
)


def lineage_of(done: tuple[Any, ...], *, open_flow: Callable[[], Flow]) -> OperatorLineage:
    """Inputs and outputs of a task, with their columns and counts.

    :param done: what the task did: its manifest, after the one that it was given. Empty: it touched no data.
    :param open_flow: gives the object and its lake.
    """
    if not done:
        return OperatorLineage()
    flow = open_flow()
    match done:
        case (ExtractionManifest() as read,):
            size = (read.stats.distinct_ids, read.stats.bytes_staged)
            return OperatorLineage(
                inputs=[_salesforce(read.plan, rows=read.stats.rows)],
                outputs=[_written(*_staged(flow, "extract"), columns=_columns(read.plan), rows=size[0], size=size[1])],
            )
        case (ValidationManifest() as judged,):
            columns = _columns(judged.extraction.plan)
            outputs = [_written(*_staged(flow, "validate"), columns=columns, rows=judged.accepted)]
            if judged.rejected:
                outputs.append(_table_written(flow, flow.tables.quarantine, rows=judged.rejected))
            rows = judged.extraction.stats.distinct_ids
            return OperatorLineage(
                inputs=[_read(*_staged(flow, "extract"), columns=columns, rows=rows)], outputs=outputs
            )
        case (ValidationManifest() as judged, UpsertManifest() as written, replay):
            columns = _columns(judged.extraction.plan)
            inputs = [_read(*_staged(flow, "validate"), columns=columns, rows=judged.accepted)]
            logged = written.logged
            if isinstance(replay, ReplayManifest):
                quarantine = _table(flow.environment, flow.tables.quarantine)
                inputs.append(_read(*quarantine, columns={}, rows=replay.replayed))
                logged += replay.logged
            return OperatorLineage(
                inputs=inputs,
                outputs=[
                    _table_written(flow, flow.tables.changes, rows=logged),
                    _table_written(flow, flow.tables.mirror, rows=written.inserted + written.updated),
                ],
            )
    return OperatorLineage()


def _salesforce(plan: ReadPlan, *, rows: int) -> InputDataset:
    return _read(
        f"salesforce://{plan.org_id}",
        plan.object,
        columns={field.name: field.salesforce_type for field in plan.fields},
        rows=rows,
    )


def _columns(plan: ReadPlan) -> dict[str, str]:
    return {field.column: field.column_type for field in plan.fields}


def _staged(flow: Flow, step: str) -> tuple[str, str]:
    """Where the staged files of all runs of a step are: a run's own folder would be another dataset every time."""
    folder = store.join(flow.environment.staging_uri, flow.object_file.table, step)
    found = urlsplit(folder)
    return (f"{found.scheme}://{found.netloc}", found.path.lstrip("/")) if found.netloc else ("file", found.path)


def _table(environment: Environment, identifier: str) -> tuple[str, str]:
    variable = os.environ.get
    match environment.dbt_target:
        case "athena":
            region = variable("AWS_REGION") or "us-east-1"
            catalog = variable("SF_HISTORY_ATHENA_CATALOG") or "awsdatacatalog"
            return f"awsathena://athena.{region}.amazonaws.com", f"{catalog}.{identifier}"
        case "trino":
            host = variable("SF_HISTORY_TRINO_HOST") or "127.0.0.1"
            catalog = variable("SF_HISTORY_TRINO_CATALOG") or "iceberg"
            return f"trino://{host}:{variable('SF_HISTORY_TRINO_PORT') or '8080'}", f"{catalog}.{identifier}"
        case "local":
            return f"duckdb://{environment.lake}/views.duckdb", f"lake.{identifier}"


def _table_written(flow: Flow, identifier: str, *, rows: int) -> OutputDataset:
    try:
        fields = flow.catalog.load_table(identifier).schema().fields
    except NoSuchTableError:
        fields = ()
    columns = {field.name: str(field.field_type) for field in fields}
    return _written(*_table(flow.environment, identifier), columns=columns, rows=rows)


def _read(namespace: str, name: str, *, columns: Mapping[str, str], rows: int) -> InputDataset:
    return InputDataset(
        namespace=namespace,
        name=name,
        facets=_schema(columns),
        inputFacets={"inputStatistics": read_facets.InputStatisticsInputDatasetFacet(rowCount=rows)},
    )


def _written(
    namespace: str, name: str, *, columns: Mapping[str, str], rows: int, size: int | None = None
) -> OutputDataset:
    statistics = written_facets.OutputStatisticsOutputDatasetFacet(rowCount=rows, size=size)
    return OutputDataset(
        namespace=namespace, name=name, facets=_schema(columns), outputFacets={"outputStatistics": statistics}
    )


def _schema(columns: Mapping[str, str]) -> dict[str, Any]:
    if not columns:
        return {}
    fields = [schema_dataset.SchemaDatasetFacetFields(name=name, type=kind) for name, kind in columns.items()]
    return {"schema": schema_dataset.SchemaDatasetFacet(fields=fields)}
