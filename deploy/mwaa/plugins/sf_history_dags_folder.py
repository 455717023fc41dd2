"""Puts the DAG folder on the import path of every Airflow process, where this package's code is.

Airflow 3 does that for whoever parses or runs a DAG, but not for the triggerer, which imports the triggers of deferred
tasks and the callbacks of deadlines by name. Airflow imports this module because it is in its plugins folder.
"""

import sys
from pathlib import Path

_DAGS = str(Path(__file__).resolve().parent.parent / "dags")

if _DAGS not in sys.path:
    sys.path.append(_DAGS)
