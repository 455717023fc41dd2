"""What a person asks of `deploy up` and `deploy plan`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class Options:
    """What a person has asked for.

    :param environment: development, staging or production.
    :param yes: apply without asking.
    :param credentials: file with the Salesforce login.
    :param region: AWS region.
    :param prefix: beginning of the buckets' names.
    :param parameters: of the templates; they win over the file's.
    :param bundle: a bundle that is built already; None: build it.
    :param templates: folder of the templates; None: this project's.
    :param run: whether to trigger the pipeline.
    :param pause: seconds between two looks at what is waited for.
    :param patience: seconds that Airflow is given to parse the pipeline.
    """

    environment: str
    yes: bool = False
    credentials: Path | None = None
    region: str | None = None
    prefix: str | None = None
    parameters: Mapping[str, str] = field(default_factory=dict)
    bundle: Path | None = None
    templates: Path | None = None
    run: bool = True
    pause: float = 5.0
    patience: float = 600.0
