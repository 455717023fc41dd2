"""From an object file to its DAG: `sf_<object>_pipeline`."""

from __future__ import annotations

from airflow.sdk import DAG, TriggerRule, get_parsing_context

from include.alerts.routing import check_routes
from include.config.environment import Environment, current_environment
from include.config.object_file import ObjectFile, read_object_files
from include.staging.lifetime import LONGEST_RUN
from salesforce_history.alerts.callbacks import tell_of_failure, tell_of_recovery
from salesforce_history.alerts.deadlines import PipelineDag, add_deadlines
from salesforce_history.assets import ObjectAssets
from salesforce_history.dag_defaults import FIRST_INTERVAL, task_defaults
from salesforce_history.dbt_group import RebuildHistoryOperator, dbt_task_group
from salesforce_history.operators import CheckSourceOperator, ExtractOperator, IcebergUpsertOperator, ValidateOperator
from salesforce_history.params import pipeline_params
from salesforce_history.publish import PublishMetricsOperator
from salesforce_history.schedule import pipeline_schedule
from salesforce_history.turn import TakeTurnOperator


def build_pipelines() -> dict[str, DAG]:
    """The DAG of every object file, by DAG id; in a task, its own.

    :raises ObjectFileError: if an object file is wrong: it shows in Airflow as an import error that says what to fix.
    """
    environment, asked_for = current_environment(), get_parsing_context().dag_id
    dags = (
        build_pipeline(object_file, environment)
        for object_file in read_object_files().values()
        # A task parses the file for its own DAG; the others would be drawn for nothing, however many objects there are.
        if asked_for in (None, object_file.dag_id)
    )
    return {dag.dag_id: dag for dag in dags}


def build_pipeline(object_file: ObjectFile, environment: Environment) -> DAG:
    """The DAG of one object.

    :param object_file: which object, and how.
    :param environment: where to.
    :raises ChannelWithoutAddress: if alerts of the object would reach nobody.
    """
    check_routes(object_file, environment)
    with PipelineDag(
        dag_id=object_file.dag_id,
        description=f"Keeps the history of Salesforce {object_file.object} in {object_file.dimension}",
        doc_md=_DOC.format(
            object=object_file.object,
            table=object_file.table,
            dimension=object_file.dimension,
            tracked=", ".join(f"`{name}`" for name in object_file.tracked),
            raw=environment.raw_namespace,
            curated=environment.curated_namespace,
        ),
        schedule=pipeline_schedule(object_file, environment),
        start_date=FIRST_INTERVAL,
        catchup=False,
        max_active_runs=1,
        dagrun_timeout=LONGEST_RUN,
        params=pipeline_params(),
        on_failure_callback=tell_of_failure,
        on_success_callback=tell_of_recovery,
        tags=["salesforce", object_file.table, "scd2"],
        default_args=task_defaults(environment),
        render_template_as_native_obj=False,
    ) as dag:
        asks = {"pool": environment.salesforce_pool}
        check_source = CheckSourceOperator(task_id="check_source", object_file=object_file, **asks)
        extract = ExtractOperator(task_id="extract", object_file=object_file, plan=check_source.output, **asks)
        validate = ValidateOperator(task_id="validate", object_file=object_file, extraction=extract.output)
        upsert_raw = IcebergUpsertOperator(task_id="upsert_raw", object_file=object_file, validation=validate.output)
        take_turn = TakeTurnOperator(task_id="take_turn", object_file=object_file)
        dbt_scd2 = dbt_task_group(object_file, environment, group_id="dbt_scd2")
        rebuild_history = RebuildHistoryOperator(
            task_id="rebuild_history",
            object_file=object_file,
            environment=environment,
            group_id="dbt_scd2",
            trigger_rule=TriggerRule.ONE_FAILED,
            retries=0,
        )
        publish_metrics = PublishMetricsOperator(
            task_id="publish_metrics",
            object_file=object_file,
            dbt_group="dbt_scd2",
            check_task="check_source",
            extract_task="extract",
            validate_task="validate",
            upsert_task="upsert_raw",
            turn_task="take_turn",
            rebuild_task="rebuild_history",
            trigger_rule=TriggerRule.ALL_DONE,
        )
        ObjectAssets.of(object_file, environment).declare(validate=validate, upsert=upsert_raw, publish=publish_metrics)
        upsert_raw >> take_turn >> dbt_scd2 >> [rebuild_history, publish_metrics]
        rebuild_history >> publish_metrics
    add_deadlines(dag, object_file, environment, dbt_group="dbt_scd2")
    return dag


_DOC = """
### The history of Salesforce {object}

Every run reads what changed in **{object}**, appends it to the changes log `{raw}.{table}_changes`, brings the mirror
`{raw}.{table}` up to date, and lets dbt publish the versions in `{curated}.{dimension}`. A version opens when
{tracked} or the deletion flag changes.

| task | what it does | if it fails |
|---|---|---|
| `check_source` | logs in, asks for quota and fields, decides the window | nothing was read or written |
| `extract` | reads the window into staged Parquet, proves that nothing is missing | nothing was written to the lake |
| `validate` | accepts or quarantines every record | rejects are in `{raw}.{table}_quarantine`, nothing is published |
| `upsert_raw` | changes log first, then mirror and watermark in one commit | clear it: the outcome is the same |
| `take_turn` | waits while another run is at the history | nothing was published; clear it |
| `dbt_scd2` | staging, observations, versions (audited), dimension, snapshot | readers still see the last good state |
| `rebuild_history` | only if a dbt task failed: works every history out anew | the log is complete: fix, then clear |
| `publish_metrics` | records the run in `sf_ops.pipeline_runs` | the run has failed: it says why |

**Trigger** it with a form (since, until, full refresh, replay of the quarantine, erasure). **Backfill** with
`airflow backfill create --dag-id {table}_pipeline --from-date … --to-date …`; bounds are inclusive.
Every task can be cleared and run again at any time; the outcome is the same.
"""
