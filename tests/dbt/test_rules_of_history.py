"""The dbt unit tests, one a rule of the history, hold on DuckDB."""

from __future__ import annotations


def test_every_rule_holds(history_lake):
    # dbt takes the column types of a unit test's inputs from the built models.
    assert history_lake.dbt("run", "--empty").success
    result = history_lake.dbt("test", "--select", "test_type:unit")
    failed = {one.node.name: one.message for one in result.result or [] if one.status != "pass"}
    assert not failed
    assert len(result.result) >= 20
