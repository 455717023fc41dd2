"""Airflow imports every plugin in each process, a task's too: this one brings nothing along until it is asked."""

from __future__ import annotations

import json
from pathlib import Path

from tests.airflow_process import PROJECT, run_in_airflow

_LOAD = """
import importlib.util, json, sys
import airflow.plugins_manager
before = set(sys.modules)
spec = importlib.util.spec_from_file_location("history_page", sys.argv[1])
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
made = module.HistoryPagePlugin()
print("RESULT" + json.dumps(sorted(set(sys.modules) - before)))
"""


def test_the_plugin_imports_nothing(tmp_path: Path) -> None:
    done = run_in_airflow(tmp_path, _LOAD, str(PROJECT / "plugins" / "history_page.py"))
    assert done.returncode == 0, done.stderr[-2000:]
    assert json.loads(done.stdout.split("RESULT", 1)[1]) == []


def test_airflow_loads_it_without_an_error(tmp_path: Path) -> None:
    script = """
import json
from airflow import plugins_manager
plugins, errors = plugins_manager._get_plugins()
print("RESULT" + json.dumps([sorted(p.name for p in plugins), errors]))
"""
    done = run_in_airflow(tmp_path, script)
    names, errors = json.loads(done.stdout.split("RESULT", 1)[1].splitlines()[0])
    assert "salesforce_history_page" in names
    assert errors == {}
