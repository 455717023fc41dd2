"""The real DAGs, run in a process of their own as in the environment `development`: Glue, S3, dbt on Athena.

    python -m tests.athena.dag_runs FOLDER AWS_ENDPOINT ATHENA_ENDPOINT SCENARIO.jsonl

The org lives through the scenario, a DAG run an interval. Before the last one a row of the dimension is there twice, so
that a critical test fails and the history is rebuilt; after it `lakehouse_maintenance` runs. The last line is JSON.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow.compute as pc

from local.airflow_home import AirflowHome
from local.cloud.aws import Aws
from local.cloud.prepared import prepare
from local.org.handle import start_org
from local.org.scenario import load_scenario, six_hour_runs
from local.warm import warm_up
from tests.athena.endpoint import Athena
from tests.athena.moto import client

if TYPE_CHECKING:
    from airflow.sdk import DAG

PREFIX = "lumata-lakehouse-development"
UNTOUCHED = "Cyd"
DIMENSION = "sf_curated_development.dim_sf_user_scd"


def settings(athena: Athena, topic: str) -> dict[str, str]:
    """Environment variables of a worker in development; only the addresses are not AWS's.

    :param athena: the endpoint, and the AWS beside it.
    :param topic: ARN of the alerts' topic.
    """
    iceberg = {"conn_type": "iceberg", "extra": athena.aws.catalog_properties()}
    return {
        **athena.variables(),
        "AIRFLOW_CONN_ICEBERG_DEFAULT": json.dumps(iceberg),
        "AIRFLOW_CONN_AWS_DEFAULT": json.dumps({"conn_type": "aws"}),
        "SF_HISTORY_ENV": "development",
        "SF_HISTORY_LAKE": "",
        "SF_HISTORY_SNS_TOPIC_ARN": topic,
        "SF_HISTORY_ATHENA_RESULTS": f"s3://{PREFIX}-athena-results/dbt/",
        "SF_HISTORY_ATHENA_POLL_SECONDS": "0.05",
    }


def found(aws: Aws, environment: str = "development") -> str:
    """Make what CloudFormation makes: buckets, databases, the workgroup, the topic; its ARN.

    :param aws: where.
    :param environment: whose.
    """
    buckets = f"lumata-lakehouse-{environment}"
    for purpose in ("staging", "scripts", "athena-results"):
        client(aws, "s3").create_bucket(Bucket=f"{buckets}-{purpose}")
    databases = [f"sf_{room}_{environment}" for room in ("raw", "curated", "ops")]
    prepare(aws, bucket=f"{buckets}-raw", databases=databases)
    client(aws, "athena").create_work_group(Name=f"sf-history-{environment}")
    return str(client(aws, "sns").create_topic(Name=f"sf-user-pipeline-alerts-{environment}")["TopicArn"])


def main(folder: str, aws_endpoint: str, athena_endpoint: str, scenario_file: str) -> None:
    """Run them.

    :param folder: for Airflow and the org.
    :param aws_endpoint: of the stand-in for AWS.
    :param athena_endpoint: of the endpoint for Athena.
    :param scenario_file: what happens in the org.
    """
    aws = Aws(aws_endpoint)
    topic = found(aws)
    queue = _listen(aws, topic)
    scenario, home = load_scenario(Path(scenario_file)), AirflowHome(Path(folder))
    with start_org(home=home.org) as org:
        org.load_events(scenario)
        variables = home.variables(org, extra=settings(Athena(athena_endpoint, aws), topic))
        os.environ.update(variables)
        sys.path[:0] = variables["PYTHONPATH"].split(os.pathsep)
        home.prepare(variables, fresh=True)
        dags = _dags()
        warm_up()
        intervals = six_hour_runs(scenario)
        told: dict[str, Any] = {"runs": []}
        for number, interval in enumerate(intervals, start=1):
            org.set_clock(interval.end)
            if number == len(intervals) > 1:
                told["before"] = _doubled(aws)
            told["runs"].append(
                _run(dags["sf_user_pipeline"], interval.end, {"full_refresh": "User" in interval.full_refresh})
            )
        told["upkeep"] = _run(dags["lakehouse_maintenance"], intervals[-1].end, {"object": "user"})
    told["alerts"] = _heard(aws, queue)
    print(json.dumps(told, default=str))


def _dags() -> dict[str, DAG]:
    from airflow.dag_processing.dagbag import DagBag

    from salesforce_history import engines

    engines._POLL_SECONDS = 1
    bag = DagBag(dag_folder=os.environ["AIRFLOW__CORE__DAGS_FOLDER"], include_examples=False)
    assert not bag.import_errors, bag.import_errors
    return dict(bag.dags)


def _run(dag: DAG, at: Any, conf: dict[str, Any]) -> dict[str, Any]:
    run: Any = dag.test(logical_date=at, run_after=at, run_conf=conf)
    states = {task.task_id: str(getattr(task.state, "value", task.state)) for task in run.get_task_instances()}
    return {"state": str(getattr(run.state, "value", run.state)), "tasks": states}


def _doubled(aws: Aws) -> int:
    """Put a row into the dimension once more, behind dbt's back; how many rows there were.

    It is that of somebody in whom nothing changes any more: a run that touches somebody makes them good by itself.
    """
    from tests.athena.lake import catalog_of

    table = catalog_of(aws).load_table(DIMENSION)
    rows = table.scan().to_arrow()
    table.append(rows.filter(pc.field("name") == UNTOUCHED))
    return int(rows.num_rows)


def _listen(aws: Aws, topic: str) -> str:
    sqs = client(aws, "sqs")
    queue = str(sqs.create_queue(QueueName="alerts")["QueueUrl"])
    arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    client(aws, "sns").subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn)
    return queue


def _heard(aws: Aws, queue: str) -> list[str]:
    heard = []
    while messages := client(aws, "sqs").receive_message(QueueUrl=queue, MaxNumberOfMessages=10).get("Messages"):
        for message in messages:
            heard.append(json.loads(message["Body"])["Subject"])
            client(aws, "sqs").delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])
    return heard


if __name__ == "__main__":
    main(*sys.argv[1:])
