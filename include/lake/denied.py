"""What AWS refuses, in words: which right the role lacks, and where the rights are listed.

boto3 says it as a ClientError, pyarrow as an OSError with the error's name in its text; Iceberg lets both through.
"""

from __future__ import annotations

import re

#: HeadObject's answer has no body that could say more than its status.
_CODES = {"AccessDenied", "AccessDeniedException", "UnauthorizedException", "Forbidden", "403"}
_BY_PYARROW = re.compile(r"AWS Error (ACCESS_DENIED|\S*AccessDenied\S*)( during (?P<operation>\w+) operation)?")


class AwsRefused(RuntimeError):
    """The role lacks a right. Another attempt would be refused as well."""


def denial(problem: BaseException) -> AwsRefused | None:
    """What a problem comes from, if AWS has refused something; None: from something else.

    :param problem: as it was raised; what it was raised from (`raise … from`) is looked at as well. What was merely
        being handled when it came is not: a timeout after a refusal that harms nobody may be over at the next attempt.
    """
    cause: BaseException | None = problem
    for _ in range(10):
        if cause is None:
            break
        if isinstance(cause, AwsRefused):
            return cause
        if (what := _refused(cause)) is not None:
            return AwsRefused(
                f"AWS refused {what}: {cause}. Give the role of Airflow's workers this right, on what is named there; "
                "docs/configuration.md (Rights in AWS) lists all that it needs. If Lake Formation guards the database, "
                "grant it there too; if the bucket is encrypted with a key of KMS, the key's policy must let the role "
                "use it."
            )
        cause = cause.__cause__
    return None


def _refused(cause: BaseException) -> str | None:
    answer = getattr(cause, "response", None)
    if isinstance(answer, dict) and isinstance(answer.get("Error"), dict):
        if answer["Error"].get("Code") in _CODES:
            return f"{getattr(cause, 'operation_name', 'a request')}"
    elif isinstance(cause, OSError) and (found := _BY_PYARROW.search(str(cause))):
        return f"{found['operation'] or 'a request'} of S3"
    return None
