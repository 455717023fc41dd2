"""Imports go dags → plugins → include, never back; nothing that deploys imports `local`."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parent.parent
FORBIDDEN = {
    "bench": {"dags", "tests", "deploy"},
    "include": {"airflow", "cosmos", "salesforce_history", "local", "dags", "plugins", "tests", "duckdb", "bench"},
    "plugins": {"local", "bench", "dags", "tests", "duckdb", "dbt"},
    "dags": {"local", "include", "tests", "airflow", "cosmos"},
    "deploy": {"airflow", "cosmos", "salesforce_history", "local", "dags", "plugins", "tests", "duckdb"},
    "local": {"dags", "tests", "bench"},
}


def imported(path: Path) -> Iterator[tuple[int, str]]:
    """Line and first name of every import of a file, those inside functions included."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name.split(".")[0]) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: a relative import hides which room it leads to"
            yield node.lineno, (node.module or "").split(".")[0]


@pytest.mark.parametrize("room", sorted(FORBIDDEN))
def test_a_room_imports_only_what_it_may(room: str) -> None:
    files = sorted((PROJECT / room).rglob("*.py"))
    assert files, f"{room}/ holds no Python: this test looks in the wrong folder"
    wrong = [
        f"{path.relative_to(PROJECT)}:{line} imports {name}"
        for path in files
        for line, name in imported(path)
        if name in FORBIDDEN[room]
    ]
    assert not wrong, "\n".join(wrong)


def test_a_dag_file_is_wiring_only() -> None:
    for path in sorted((PROJECT / "dags").glob("*.py")):
        assert len(path.read_text(encoding="utf-8").splitlines()) < 80, f"{path.name} is more than wiring"
