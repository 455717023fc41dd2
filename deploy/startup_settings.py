"""What startup.sh exports: where an environment's lake is, and what a person set differently. Never a secret."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path

from deploy.names import Names
from include.config.environment import PREFIX, PROJECT_ROOT, Environment, current_environment

ICEBERG = "AIRFLOW_CONN_ICEBERG_DEFAULT"

_READ_BY_DBT = re.compile(rf"env_var\('({PREFIX}\w+)'")
_SECRET = re.compile(r"passw|secret|token|credential|private|access.?key", re.IGNORECASE)


class SettingRefused(ValueError):
    """A setting is none that the deployed package reads, or must not be in a file."""


def startup_settings(environment: str, given: Mapping[str, str]) -> dict[str, str]:
    """Names and values that startup.sh exports.

    :param environment: development, staging or production.
    :param given: settings that differ from the environment's own, by variable.
    :raises SettingRefused: naming the setting and what is allowed.
    :raises UnknownEnvironment: if there is no such environment, or a value is wrong.
    """
    known = _known()
    for name, value in given.items():
        if name not in known:
            raise SettingRefused(
                f"{name} is no setting of the deployed package; there are {', '.join(sorted(known))}. Connections with "
                "secrets belong in Secrets Manager."
            )
        if not value.isprintable():
            raise SettingRefused(f"{name} is {value!r:.120}; allowed is one line of text")
    given = {f"{PREFIX}ENV": environment, **given}
    settings = {**_defaults(current_environment(given)), **given}
    _refuse_secrets(settings[ICEBERG])
    return dict(sorted(settings.items()))


def dbt_variables(settings: Mapping[str, str]) -> dict[str, str]:
    """Environment variables with which dbt reads the project as the deployed tasks do.

    :param settings: of `startup_settings`.
    """
    ours = {name: value for name, value in settings.items() if name.startswith(PREFIX)}
    return {**ours, **current_environment(ours).dbt_variables()}


def _defaults(environment: Environment) -> dict[str, str]:
    raw = f"s3://{Names(environment=environment.name).bucket('raw')}"
    iceberg = {"conn_type": "iceberg", "extra": {"type": "glue", "warehouse": raw}}
    return {
        f"{PREFIX}DBT_TARGET": environment.dbt_target,
        f"{PREFIX}ATHENA_WORKGROUP": environment.athena_workgroup,
        f"{PREFIX}ATHENA_RESULTS": f"{environment.query_results_uri.rstrip('/')}/dbt/",
        f"{PREFIX}CURATED_LOCATION": f"{raw}/",
        ICEBERG: json.dumps(iceberg),
    }


def _known() -> set[str]:
    ours = {f"{PREFIX}{field.upper()}" for field in Environment.model_fields if field != "name"}
    profiles = Path(PROJECT_ROOT / "dbt" / "profiles.yml").read_text(encoding="utf-8")
    # Where dbt is, startup.sh says itself; nobody else can know.
    return {ICEBERG, *ours, *_READ_BY_DBT.findall(profiles)} - {f"{PREFIX}DBT_EXECUTABLE", f"{PREFIX}DBT_PROJECT"}


def _refuse_secrets(connection: str) -> None:
    try:
        parts = json.loads(connection)
    except ValueError:
        parts = None
    if not isinstance(parts, dict) or not isinstance(extra := parts.get("extra", {}), dict):
        raise SettingRefused(
            f'{ICEBERG} is to be a connection as JSON, such as {{"conn_type": "iceberg", "extra": {{"type": "glue"}}}}'
        )
    if found := sorted(key for key in [*parts, *extra] if _SECRET.search(key)):
        raise SettingRefused(
            f"{ICEBERG} has {', '.join(found)}, and startup.sh is a file: give the rights to the role of the workers, "
            "or keep the connection in Secrets Manager."
        )
