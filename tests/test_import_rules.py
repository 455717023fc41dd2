"""Imports go dags → plugins → include, never back; nothing that deploys imports `local`; none leads back to itself."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
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
#: Rooms of plugins/salesforce_history that nothing outside of them imports: people and Airflow's plugin enter them.
ENDS = ("ask", "page")


def imported(path: Path) -> Iterator[tuple[int, str]]:
    """Line and whole name of every import of a file, those inside functions included: `room.module` or
    `room.module.name`."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: a relative import hides which room it leads to"
            yield from ((node.lineno, f"{node.module}.{alias.name}") for alias in node.names)


def modules() -> dict[str, Path]:
    """Name → file of the project's modules, as they are imported."""
    found = {}
    for room in FORBIDDEN:
        for path in (PROJECT / room).rglob("*.py"):
            parts = path.relative_to(PROJECT / "plugins" if room == "plugins" else PROJECT).with_suffix("").parts
            found[".".join(parts).removesuffix(".__init__")] = path
    return found


@pytest.mark.parametrize("room", sorted(FORBIDDEN))
def test_a_room_imports_only_what_it_may(room: str) -> None:
    files = sorted((PROJECT / room).rglob("*.py"))
    assert files, f"{room}/ holds no Python: this test looks in the wrong folder"
    wrong = [
        f"{path.relative_to(PROJECT)}:{line} imports {name}"
        for path in files
        for line, name in imported(path)
        if name.split(".")[0] in FORBIDDEN[room]
    ]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("room", ENDS)
def test_nobody_imports_a_room_that_people_enter(room: str) -> None:
    inside = PROJECT / "plugins" / "salesforce_history" / room
    assert inside.is_dir(), f"{inside} is not there: this test looks in the wrong folder"
    wrong = [
        f"{path.relative_to(PROJECT)}:{line} imports {name}"
        for path in sorted((PROJECT / "plugins" / "salesforce_history").rglob("*.py"))
        if not path.is_relative_to(inside)
        for line, name in imported(path)
        if name.startswith(f"salesforce_history.{room}.")
    ]
    assert not wrong, "\n".join(wrong)


def test_no_module_leads_back_to_itself() -> None:
    known = modules()
    leads = {
        name: {
            found
            for _, whole in imported(path)
            if (found := whole if whole in known else whole.rpartition(".")[0]) in known and found != name
        }
        for name, path in known.items()
    }
    assert sum(map(len, leads.values())) > len(known), "hardly any import was found: names are looked up wrongly"
    try:
        TopologicalSorter(leads).prepare()
    except CycleError as error:
        pytest.fail(" → ".join(reversed(error.args[1])))


def test_a_dag_file_is_wiring_only() -> None:
    for path in sorted((PROJECT / "dags").glob("*.py")):
        assert len(path.read_text(encoding="utf-8").splitlines()) < 80, f"{path.name} is more than wiring"
