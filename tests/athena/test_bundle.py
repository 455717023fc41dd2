"""The bundle that is uploaded, unpacked at MWAA's pins, dbt in startup.sh's own virtualenv: a run on Athena."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from deploy.bundle import build_bundle
from local.org.handle import start_org
from tests.athena.dag_runs import found
from tests.athena.endpoint import Athena
from tests.athena.lake import catalog_of
from tests.packaging.bare_layout import BareLayout

pytestmark = pytest.mark.athena

SIX = datetime(2026, 1, 5, 6, tzinfo=UTC)
EVENT = {"at": "2026-01-05T01:00:00Z", "op": "insert", "object": "User", "Id": "005Sim000000001IAA"}


def test_what_is_uploaded_runs_through_dbt_athena(athena: Athena, tmp_path: Path) -> None:
    topic = found(athena.aws, "staging")
    bundle = build_bundle(tmp_path / "bundle", "staging", {"SF_HISTORY_SNS_TOPIC_ARN": topic}, airflow="3.2.1")
    layout = BareLayout(tmp_path / "airflow", bundle)
    layout.start_up("worker")
    layout.make_database()
    events = tmp_path / "events.jsonl"
    events.write_text(json.dumps({**EVENT, "fields": {"Name": "Ada", "Division": "North"}}) + "\n", encoding="utf-8")

    with start_org(tmp_path / "org") as org:
        org.load_events(events)
        org.set_clock(SIX)
        states = layout.run_dag(
            "sf_user_pipeline",
            SIX,
            **athena.variables(),
            AIRFLOW_CONN_SALESFORCE_DEFAULT=json.dumps(org.connection()),
            # Glue is found by AWS_ENDPOINT_URL_GLUE; pyiceberg does not tell pyarrow of S3's.
            AIRFLOW_CONN_ICEBERG_DEFAULT=json.dumps({"conn_type": "iceberg", "extra": athena.aws.catalog_properties()}),
            AIRFLOW_CONN_AWS_DEFAULT=json.dumps({"conn_type": "aws"}),
            REQUESTS_CA_BUNDLE=str(org.ca_bundle),
            CURL_CA_BUNDLE=str(org.ca_bundle),
            SF_HISTORY_ATHENA_POLL_SECONDS="0.1",
        )

    assert states.pop("rebuild_history") == "skipped"
    assert set(states.values()) == {"success"}, states
    (row,) = catalog_of(athena.aws).load_table("sf_curated_staging.dim_sf_user_scd").scan().to_arrow().to_pylist()
    assert (row["user_id"], row["division"], row["is_current"]) == ("005Sim000000001IAA", "North", True)
