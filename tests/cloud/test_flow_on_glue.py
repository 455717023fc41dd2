"""The whole flow on Glue and S3, through Airflow's connection: the same lake as on a laptop, whatever AWS does."""

from __future__ import annotations

from local.faults.bench import RUNS, numbered_run
from local.faults.world import EVENING, NOON, SIX, expected_users
from local.org.handle import OrgHandle
from tests.cloud.conftest import CloudBench
from tests.cloud.wire import count


def run(bench: CloudBench, org: OrgHandle, number: int, **kwargs):
    org.set_clock(RUNS[number])
    return bench.run(numbered_run(number), **kwargs)


def test_a_load_a_rerun_changes_and_deletions(bench: CloudBench, org: OrgHandle) -> None:
    import time
    t=time.time()
    with bench.cloud.wire.listen() as said:
        first = run(bench, org, 1)
    print(time.time()-t, count(said)); t=time.time()
    assert bench.lake().mirror == expected_users(SIX)
    again = run(bench, org, 1)
    with bench.cloud.wire.listen() as said:
        second = run(bench, org, 2)
    print(time.time()-t, count(said)); t=time.time()
    for s in said: print(s.operation, s.resource, s.prefix)
    assert bench.lake().mirror == expected_users(NOON)
    run(bench, org, 3)
    assert bench.lake().mirror == expected_users(EVENING)
