"""Public list prices and documented limits that docs/scaling.md calculates with, each with its source.

Prices are for us-east-1, without tax, free tier or discount. Whoever pays looks them up again.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

LOOKED_UP = date(2026, 11, 30)


@dataclass(frozen=True)
class Given:
    """A number that somebody else has published.

    :param value: the number.
    :param what: it is, with its unit.
    :param source: where it is published.
    """

    value: float
    what: str
    source: str


_ATHENA = "aws.amazon.com/athena/pricing"
_ATHENA_LIMITS = "AWS, Athena user guide, Service quotas"
_MWAA = "aws.amazon.com/managed-workflows-for-apache-airflow/pricing"
_MWAA_SIZES = "AWS, MWAA user guide, Environment class"
_BULK = "Salesforce, Bulk API 2.0 developer guide, Limits and allocations"

ATHENA_TERABYTE = Given(5.0, "$ a TB scanned by Athena", _ATHENA)
ATHENA_LEAST_MB = Given(10, "MB that an Athena statement costs at least", _ATHENA)
ATHENA_MINUTES = Given(30, "minutes after which Athena cancels a statement (240 on request)", _ATHENA_LIMITS)
ATHENA_PARTITIONS = Given(
    100, "partitions that a statement of Athena may write", "AWS, Athena user guide, CTAS and INSERT INTO"
)
MWAA_HOUR = {
    "mw1.small": Given(0.49, "$ an hour of mw1.small, one worker included", _MWAA),
    "mw1.medium": Given(0.74, "$ an hour of mw1.medium, one worker included", _MWAA),
    "mw1.large": Given(0.99, "$ an hour of mw1.large, one worker included", _MWAA),
}
MWAA_GIGABYTES = {
    "mw1.small": Given(2, "GB of memory of a worker of mw1.small", _MWAA_SIZES),
    "mw1.medium": Given(4, "GB of memory of a worker of mw1.medium", _MWAA_SIZES),
    "mw1.large": Given(8, "GB of memory of a worker of mw1.large", _MWAA_SIZES),
}
MWAA_DAGS = {
    "mw1.small": Given(50, "DAGs that mw1.small is meant for", _MWAA_SIZES),
    "mw1.medium": Given(250, "DAGs that mw1.medium is meant for", _MWAA_SIZES),
    "mw1.large": Given(1_000, "DAGs that mw1.large is meant for", _MWAA_SIZES),
}
API_REQUESTS = Given(
    100_000,
    "API requests in 24 hours of an Enterprise org, and 1,000 more a licence",
    "Salesforce, Developer limits quick reference, API request limits",
)
REST_PAGE = Given(2_000, "records of a page of a REST query", "Salesforce, REST API developer guide, Query")
BULK_JOBS = Given(10_000, "query jobs of Bulk API 2.0 in 24 hours", _BULK)
BULK_TERABYTES = Given(1, "TB of results of Bulk API 2.0 in 24 hours", _BULK)


def every() -> list[Given]:
    """All of them, as the report lists them."""
    found: list[Given] = []
    for value in globals().values():
        if isinstance(value, Given):
            found.append(value)
        elif isinstance(value, dict):
            found.extend(one for one in value.values() if isinstance(one, Given))
    return found
