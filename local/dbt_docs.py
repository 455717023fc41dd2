"""The dbt docs beside the manifest, where Cosmos's page in Airflow finds them.

`dbt docs generate` takes ten seconds, most of it to ask the lake for what the manifest says already. The site itself is
one file of dbt's, which reads the manifest; so it is put there as it is, with a catalog that knows nothing besides.
Whoever runs `dbt docs generate` has the whole of it.
"""

from __future__ import annotations

import json
import shutil
from importlib.metadata import distribution
from pathlib import Path

#: What this project is called in Cosmos's setting, as the page does (plugins/salesforce_history/page/dbt_docs.py).
SLUG = "salesforce_history"
_SITE = "dbt/task/docs/index.html"
_SCHEMA = "https://schemas.getdbt.com/dbt/catalog/v1.json"


def put_docs(target: Path) -> None:
    """Make a folder with a manifest a dbt docs site; what is there already stays.

    :param target: dbt's target folder.
    """
    site, catalog = target / "index.html", target / "catalog.json"
    if not site.exists():
        shutil.copyfile(str(distribution("dbt-core").locate_file(_SITE)), site)
    if not catalog.exists():
        nothing = {"metadata": {"dbt_schema_version": _SCHEMA, "env": {}}, "nodes": {}, "sources": {}, "errors": None}
        catalog.write_text(json.dumps(nothing), encoding="utf-8")


def docs_setting(target: Path) -> str:
    """Cosmos's setting `dbt_docs_projects`.

    :param target: dbt's target folder.
    """
    return json.dumps({SLUG: {"dir": str(target), "index": "index.html", "name": "Salesforce history: dbt docs"}})
