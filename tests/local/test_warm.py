"""What a replay's tasks share: dbt reads its project once, and each command does what it would have done alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import duckdb
import pytest

from local.warm import ParsedOnce


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DBT_SEND_ANONYMOUS_USAGE_STATS", "false")
    (tmp_path / "models").mkdir()
    (tmp_path / "dbt_project.yml").write_text("name: small\nprofile: small\nversion: 1.0.0\nmodel-paths: [models]\n")
    (tmp_path / "profiles.yml").write_text(
        f"small:\n  target: t\n  outputs:\n    t: {{type: duckdb, path: '{tmp_path}/small.duckdb'}}\n"
        f"    other: {{type: duckdb, path: '{tmp_path}/other.duckdb', schema: elsewhere}}\n"
    )
    (tmp_path / "models" / "grown.sql").write_text(
        "{{ config(materialized='incremental') }}\n"
        "select 1 as number\n{% if is_incremental() %} union all select 2 {% endif %}"
    )
    (tmp_path / "models" / "schema.yml").write_text(
        "models: [{name: grown, data_tests: [{unique: {column_name: number}}]}]"
    )
    return tmp_path


def options(project: Path) -> list[str]:
    where = ["--project-dir", str(project), "--profiles-dir", str(project), "--target-path", str(project / "target")]
    return [*where, "--log-path", str(project / "logs"), "--quiet"]


def outcomes(dbt: ParsedOnce, *arguments: str) -> list[tuple[str, str]]:
    result = dbt.invoke(list(arguments))
    return [(one.node.name, str(one.status)) for one in cast("Any", result.result).results]


def test_each_command_works_on_the_project_as_it_was_read(project: Path) -> None:
    dbt, arguments = ParsedOnce(), options(project)
    assert outcomes(dbt, "run", "--select", "grown", *arguments) == [("grown", "success")]
    read = dbt.manifest
    assert outcomes(dbt, "test", *arguments) == [("unique_grown_number", "pass")]
    # What an earlier command has found in the database does not stick: the table is there now, and grows.
    assert outcomes(dbt, "run", *arguments) == [("grown", "success")]
    assert outcomes(dbt, "test", *arguments) == [("unique_grown_number", "fail")]
    assert outcomes(dbt, "run", "--full-refresh", *arguments) == [("grown", "success")]
    with duckdb.connect(str(project / "small.duckdb")) as database:
        assert database.sql("select number from grown").fetchall() == [(1,)]
    assert read is not None
    assert dbt.manifest is read


def test_another_target_or_environment_is_read_for_itself(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    named = "{{ config(schema=env_var('SF_HISTORY_TEST_ROOM', 'first')) }} select 1 as number"
    (project / "models" / "grown.sql").write_text(named)
    dbt, arguments = ParsedOnce(), options(project)
    outcomes(dbt, "run", *arguments)
    outcomes(dbt, "run", *arguments, "--target", "other")
    # A form that is not known here is left to dbt.
    outcomes(dbt, "run", *arguments, "--target=t")
    assert dbt.manifest is None
    monkeypatch.setenv("SF_HISTORY_TEST_ROOM", "second")
    outcomes(dbt, "run", *arguments)
    found = {}
    for name in ("small", "other"):
        with duckdb.connect(str(project / f"{name}.duckdb")) as database:
            rows = database.sql("select table_schema from information_schema.tables order by 1").fetchall()
            found[name] = [schema for (schema,) in rows]
    assert found == {"small": ["main_first", "main_second"], "other": ["elsewhere_first"]}


def test_a_project_that_cannot_be_read_says_so_at_each_command(project: Path) -> None:
    (project / "models" / "grown.sql").write_text("select {{ ref('nowhere') }}")
    dbt = ParsedOnce()
    for _ in range(2):
        result = dbt.invoke(["run", *options(project)])
        assert not result.success
        assert "nowhere" in str(result.exception)
