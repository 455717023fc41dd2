"""What a run asks AWS for: no more however old the lake is, no bucket listed, nothing beyond the role's rights."""

from __future__ import annotations

import fnmatch
import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from include.config.operating import TableUpkeep, Upkeep
from include.lake.run_log import record_run
from include.lake.table_sizes import measure_tables, record_sizes
from include.salesforce.window import RunRequest
from include.upkeep.staged import expire_query_results, expire_staged
from include.upkeep.tables import object_tables
from include.upkeep.upkeep import keep_up
from local.faults.world import MIDNIGHT, SIX, iso, user
from local.org.handle import OrgHandle, start_org
from tests.cloud.conftest import Cloud, CloudBench
from tests.cloud.wire import Request, Wire, count

PROJECT = Path(__file__).resolve().parents[2]
TEMPLATE = PROJECT / "deploy" / "cloudformation" / "airflow.yaml"
LATER = datetime.now(UTC) + timedelta(days=30)
#: Runs of the lake's life; manifests are merged at the eighth commit.
RUNS = 10
#: Services of the lake itself.
SERVICES = ("glue", "s3")
#: Only where CloudFormation has not made the databases.
OPTIONAL = {"glue:CreateDatabase"}
#: What MWAA itself asks of the account, for no bucket of the lake.
MWAA = {"s3:GetAccountPublicAccessBlock"}


def listings(said: Iterable[Request]) -> list[Request]:
    return [request for request in said if request.operation == "ListObjects"]


@dataclass(frozen=True)
class Life:
    """What was asked for in the life of a lake.

    :param runs: by each scheduled run.
    :param rest: by its upkeep, an erasure, a replay.
    """

    runs: list[list[Request]]
    rest: list[Request]


@pytest.fixture(scope="module")
def life(wire: Wire, encryption_key: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Life]:
    """A lake from its first run on: two of two hundred users change between any two runs, and then all that is rare."""
    folder, cloud = tmp_path_factory.mktemp("life"), Cloud(wire, encryption_key)
    scenario = folder / "busy.jsonl"
    scenario.write_text("".join(json.dumps(event) + "\n" for event in events()), encoding="utf-8")
    lived = Life([], [])
    with pytest.MonkeyPatch.context() as patch, start_org(folder / "org") as org:
        for name, value in {**cloud.variables, "REQUESTS_CA_BUNDLE": str(org.ca_bundle)}.items():
            patch.setenv(name, value)
        cloud.make()
        org.load_events(scenario)
        bench = CloudBench(org, cloud)
        for number in range(RUNS):
            with wire.listen() as said:
                scheduled(bench, org, number)
            lived.runs.append(said)
        with wire.listen() as said:
            rare(bench)
        lived.rest.extend(said)
        yield lived


def events() -> Iterator[dict[str, Any]]:
    for number in range(200):
        fields = {"Name": f"User {number}"}
        yield {"at": iso(MIDNIGHT), "op": "insert", "object": "User", "Id": user(number), "fields": fields}
    for turn in range(RUNS):
        for number in (turn, 100 + turn):
            at, fields = iso(SIX + timedelta(hours=6 * turn + 1)), {"Division": f"North {turn}"}
            yield {"at": at, "op": "update", "object": "User", "Id": user(number), "fields": fields}


def scheduled(bench: CloudBench, org: OrgHandle, number: int) -> None:
    """A run six hours after the one before it, with all that its last task writes down."""
    end = SIX + timedelta(hours=6 * number)
    org.set_clock(end)
    flow, operations = bench.flow, bench.flow.environment.operations_namespace
    run_id = f"scheduled__{end:%Y-%m-%dT%H:%M:%S+00:00}"
    interval = (end - timedelta(hours=6), end)
    bench.run(RunRequest(kind="scheduled", run_after=end, logical_date=end, interval=interval), run_id=run_id)
    record_run(flow.catalog, operations, {"run_id": run_id, "object": "User", "state": "success"})
    sizes = measure_tables(flow.catalog, flow.tables, operations_namespace=operations)
    record_sizes(flow.catalog, operations, sizes, run_id=run_id, object_name="User", environment="development")


def rare(bench: CloudBench) -> None:
    """Upkeep, a replay, an erasure."""
    flow, week = bench.flow, timedelta(days=7)
    keep = TableUpkeep(keep_history=week, keep_snapshots=1, compact_from_files=2)
    kept_file = flow.object_file.model_copy(update={"upkeep": Upkeep(changes=keep)})
    kept = next(one for one in object_tables(kept_file, flow.environment) if one.place == "changes")
    assert keep_up(flow.catalog, kept, flow.environment, now=LATER)
    assert expire_staged(flow.environment.staging_uri, "sf_user", keep=week, now=LATER, dry_run=True)
    flow.replay_quarantine()
    flow.erase([user(1)], run_id="erase", alone=True)
    assert expire_staged(flow.environment.staging_uri, "sf_user", keep=week, now=LATER)
    expire_query_results(flow.environment.query_results_uri, keep=week, now=LATER)


def test_a_run_asks_for_no_more_than_one_long_before_it(life: Life) -> None:
    early, late = count(life.runs[3]), count(life.runs[-1])
    # Every eighth commit or so merges manifests, which is a few requests more in that run.
    assert late.total() <= early.total() * 1.1, (early, late)
    assert max(count(said).total() for said in life.runs[2:]) <= early.total() * 1.2


def test_no_bucket_is_listed(life: Life) -> None:
    """A run looks for single files: pyarrow asks whether there is a folder of that name. Only upkeep lists folders."""
    for said in life.runs:
        for request in listings(said):
            assert re.fullmatch(
                r".+/[^/]+\.[a-z]+/|.+/sf_user/[^/]+/(extract|validate)/|.+/_bulk_jobs/sf_user/", request.prefix or ""
            ), request
    assert listings(life.rest)
    assert all((request.prefix or "").count("/") >= 1 for request in listings(life.rest))
    buckets = Counter(
        request.operation for said in (*life.runs, life.rest) for request in said if "Bucket" in request.operation
    )
    assert not buckets, buckets


def test_the_rights_that_docs_name_are_those_that_are_used(life: Life) -> None:
    used = {action for said in (*life.runs, life.rest) for request in said for action in request.actions}
    named = rights_in_docs()
    ours = {action for action, asked_by in named.items() if "pyiceberg" in asked_by}
    assert used == ours


def rights_in_docs() -> dict[str, str]:
    """Action → who asks for it, from the table in docs/configuration.md."""
    text = (PROJECT / "docs" / "configuration.md").read_text(encoding="utf-8")
    section = text.partition("## Rights in AWS")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| (.+?) \| (.+?) \| (.+?) \|$", section, re.MULTILINE)
    return {action: row[2] for row in rows for action in re.findall(r"`([a-z0-9]+:[A-Za-z]+)`", row[0])}


@pytest.mark.skipif(not TEMPLATE.exists(), reason="deploy/cloudformation/airflow.yaml is not there")
def test_the_role_may_do_what_is_needed_and_nothing_else_to_the_lake() -> None:
    allowed = {
        action
        for statement in statements(yaml.load(TEMPLATE.read_text(encoding="utf-8"), Loader=_Template))  # noqa: S506
        if "scripts" not in json.dumps(statement["Resource"])
        for action in ([statement["Action"]] if isinstance(statement["Action"], str) else statement["Action"])
    }
    needed = rights_in_docs()
    missing = [action for action in needed if not any(fnmatch.fnmatchcase(action, given) for given in allowed)]
    assert set(missing) <= OPTIONAL
    of_the_lake = {action for action in allowed if action.partition(":")[0] in SERVICES} - MWAA
    assert of_the_lake <= set(needed)


class _Template(yaml.SafeLoader):
    """CloudFormation's tags are read as what they stand around."""


def _untagged(loader: yaml.SafeLoader, _: str, node: yaml.Node) -> Any:
    if isinstance(node, yaml.ScalarNode):
        return loader.construct_scalar(node)
    if isinstance(node, yaml.SequenceNode):
        return loader.construct_sequence(node, deep=True)
    assert isinstance(node, yaml.MappingNode)
    return loader.construct_mapping(node, deep=True)


_Template.add_multi_constructor("!", _untagged)


def statements(found: Any) -> Iterator[dict[str, Any]]:
    """Every statement that allows something on a resource, wherever in the template."""
    if isinstance(found, dict):
        if found.get("Effect") == "Allow" and "Resource" in found:
            yield found
        for value in found.values():
            yield from statements(value)
    elif isinstance(found, list):
        for value in found:
            yield from statements(value)
