"""Where a person clicks, below whatever path Airflow is served at."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request

from salesforce_history.links import dag_link, run_link

PREFIX = "/salesforce-history"


@dataclass(frozen=True)
class Addresses:
    """Pages of Airflow, as paths on its own host.

    :param base: the path that Airflow is served at, without a slash at its end.
    """

    base: str

    def dag(self, dag_id: str) -> str:
        """The DAG's page."""
        return dag_link(dag_id, base=self.base)

    def run(self, dag_id: str, run_id: str) -> str:
        """The run's page."""
        return run_link(dag_id, run_id, base=self.base)

    def trigger(self, dag_id: str) -> str:
        """The DAG's page, with the form that triggers a run of it."""
        return f"{self.dag(dag_id)}/trigger"

    def dbt_docs(self) -> str | None:
        """Cosmos's page of the dbt docs; None where it is not configured."""
        from salesforce_history.page.dbt_docs import docs_slug

        slug = docs_slug()
        return f"{self.base}/cosmos/{slug}/dbt_docs_index.html" if slug else None


def addresses(request: Request) -> Addresses:
    """Of the request that is answered."""
    return Addresses(str(request.scope.get("root_path", "")).removesuffix(PREFIX).rstrip("/"))


AddressesDep = Annotated[Addresses, Depends(addresses)]
