"""Where a person clicks, as the page needs it: whoever serves the page says where Airflow is."""

from __future__ import annotations

from typing import Protocol


class Links(Protocol):
    """Addresses of Airflow's own pages."""

    def dag(self, dag_id: str) -> str:
        """The DAG's page.

        :param dag_id: the DAG.
        """

    def run(self, dag_id: str, run_id: str) -> str:
        """The run's page.

        :param dag_id: the DAG.
        :param run_id: the run.
        """
