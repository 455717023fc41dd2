"""What everything of an environment is called in AWS, in one place. The templates and the bundle follow it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Self

from deploy.problem import DeployFailed

ENVIRONMENTS = ("development", "staging", "production")
DEFAULT_PREFIX = "lumata-lakehouse"
DEFAULT_REGION = "us-east-1"

_PREFIX = re.compile(r"[a-z0-9][a-z0-9-]{1,33}[a-z0-9]")
_BUCKETS = ("raw", "staging", "scripts", "athena-results")


@dataclass(frozen=True, kw_only=True)
class Names:
    """The names of one environment.

    :param environment: one of `ENVIRONMENTS`.
    :param prefix: beginning of the buckets' names.
    """

    environment: str
    prefix: str = DEFAULT_PREFIX

    @classmethod
    def of(cls, environment: str, prefix: str | None = None) -> Self:
        """The names of an environment, checked.

        :param environment: as in SF_HISTORY_ENV.
        :param prefix: beginning of the buckets' names; None is the default.
        :raises DeployFailed: naming the value and what is allowed.
        """
        if environment not in ENVIRONMENTS:
            raise DeployFailed(
                f"the environment is {environment!r:.60}.",
                f"Allowed are {', '.join(ENVIRONMENTS)}: make deploy ENV=development.",
            )
        given = DEFAULT_PREFIX if prefix is None else prefix
        if not _PREFIX.fullmatch(given):
            raise DeployFailed(
                f"the bucket prefix is {given!r:.60}.",
                "Allowed are 3 to 35 lower-case letters, digits and hyphens; bucket names are shared by all of AWS.",
            )
        return cls(environment=environment, prefix=given)

    @property
    def suffix(self) -> str:
        """How buckets and databases call the environment."""
        return "prod" if self.environment == "production" else self.environment

    @property
    def foundation(self) -> str:
        """Stack of what is kept: buckets, databases, key, secret, topic, alarms."""
        return f"sf-history-{self.environment}-foundation"

    @property
    def network(self) -> str:
        """Stack of the network, where no subnets are given."""
        return f"sf-history-{self.environment}-network"

    @property
    def airflow(self) -> str:
        """Stack of the MWAA environment and its role."""
        return f"sf-history-{self.environment}-airflow"

    @property
    def mwaa(self) -> str:
        """The MWAA environment, and the Athena workgroup."""
        return f"sf-history-{self.environment}"

    @property
    def secret(self) -> str:
        """The secret with the Salesforce login."""
        return f"salesforce/{self.environment}/credentials"

    @property
    def topic(self) -> str:
        """The SNS topic of the alerts."""
        base = "sf-user-pipeline-alerts"
        return base if self.environment == "production" else f"{base}-{self.environment}"

    @property
    def databases(self) -> tuple[str, str, str]:
        """Glue databases: raw, curated, operations."""
        return f"sf_raw_{self.suffix}", f"sf_curated_{self.suffix}", f"sf_ops_{self.suffix}"

    @property
    def buckets(self) -> tuple[str, ...]:
        """All buckets: raw, staging, scripts, athena-results."""
        return tuple(self.bucket(purpose) for purpose in _BUCKETS)

    def bucket(self, purpose: str) -> str:
        """A bucket's name.

        :param purpose: raw, staging, scripts or athena-results.
        """
        return f"{self.prefix}-{self.suffix}-{purpose}"
