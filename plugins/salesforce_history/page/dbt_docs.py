"""Whether Cosmos shows this project's dbt docs: its own plugin does, where it is told where they are."""

from __future__ import annotations

import json
from pathlib import Path

from airflow.sdk.configuration import conf

#: What this project is called in Cosmos's setting `dbt_docs_projects`.
SLUG = "salesforce_history"


def docs_slug() -> str | None:
    """The project's name in Cosmos's addresses; None where it is not configured, or nobody has generated them."""
    try:
        projects = json.loads(conf.get("cosmos", "dbt_docs_projects", fallback="") or "{}")
        folder = projects[SLUG]["dir"]
    except (ValueError, KeyError, TypeError):
        return None
    if "://" in folder:
        return SLUG
    return SLUG if (Path(folder) / "index.html").is_file() else None
