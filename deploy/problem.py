"""What a deployment fails with: what happened and what to do, in a sentence each."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    EndpointConnectionError,
    NoCredentialsError,
    NoRegionError,
    PartialCredentialsError,
    ProfileNotFound,
    SSOTokenLoadError,
    TokenRetrievalError,
    UnauthorizedSSOTokenError,
)
from botocore.parsers import ResponseParserError

DENIED = ("AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "AccessDeniedFault", "403")
_EXPIRED = ("ExpiredToken", "ExpiredTokenException", "RequestExpired", "InvalidClientTokenId", "UnrecognizedClient")
_NOT_ALLOWED = re.compile(r"not authorized to perform: ([a-z0-9-]+:[A-Za-z*]+)(?: on resource: (\S+))?")


class DeployFailed(Exception):
    """A deployment cannot go on.

    :param what: what happened.
    :param remedy: what to do about it.
    """

    def __init__(self, what: str, remedy: str) -> None:
        super().__init__(f"{what}\n{remedy}")
        self.what, self.remedy = what, remedy


def error_code(error: ClientError) -> str:
    """AWS's code of an error.

    :param error: what boto3 raised.
    """
    return str(error.response.get("Error", {}).get("Code", ""))


def error_text(error: ClientError) -> str:
    """AWS's words of an error.

    :param error: what boto3 raised.
    """
    return str(error.response.get("Error", {}).get("Message", "")) or str(error)


@contextmanager
def explained(doing: str) -> Iterator[None]:
    """Turn what AWS says into what happened and what to do.

    :param doing: what was going on: `reading the stack sf-history-development-airflow`.
    :raises DeployFailed: for whatever boto3 and pyarrow raise inside.
    """
    try:
        yield
    except ClientError as error:
        raise _refused(doing, error) from error
    except (NoCredentialsError, PartialCredentialsError) as error:
        raise DeployFailed(
            f"{doing}: there are no AWS credentials.",
            "Log in (`aws sso login`, `aws configure`), or name a profile: AWS_PROFILE=name make deploy ENV=….",
        ) from error
    except (SSOTokenLoadError, UnauthorizedSSOTokenError, TokenRetrievalError) as error:
        raise DeployFailed(f"{doing}: the AWS session has ended.", "Log in anew: `aws sso login`.") from error
    except ProfileNotFound as error:
        raise DeployFailed(f"{doing}: {error}", "`aws configure list-profiles` shows which there are.") from error
    except NoRegionError as error:
        raise DeployFailed(f"{doing}: no AWS region is set.", "Give --region us-east-1, or AWS_REGION.") from error
    except EndpointConnectionError as error:
        raise DeployFailed(
            f"{doing}: AWS cannot be reached ({error}).",
            "Check the network, the region and, where set, AWS_ENDPOINT_URL. Then run the same command again.",
        ) from error
    except BotoCoreError as error:
        raise DeployFailed(
            f"{doing}: {error}", "Run the same command again; it goes on where this one ended."
        ) from error
    except ResponseParserError as error:
        raise DeployFailed(
            f"{doing}: what answered did not answer as AWS does.",
            "A proxy on the way, or another region or AWS_ENDPOINT_URL than there is, answers so: check them. Then run "
            "the same command again.",
        ) from error
    except OSError as error:  # as pyarrow has it, which reads the lake beside boto3
        raise DeployFailed(
            f"{doing}: {error}",
            "If access was denied: docs/deploy.md lists what whoever deploys must be allowed (s3:GetObject, "
            "s3:ListBucket, kms:Decrypt). Then run the same command again.",
        ) from error


def _refused(doing: str, error: ClientError) -> DeployFailed:
    code, text = error_code(error), error_text(error)
    if code.startswith(_EXPIRED):
        return DeployFailed(f"{doing}: AWS does not accept the credentials ({code}).", "Log in anew: `aws sso login`.")
    if code in DENIED or "not authorized to perform" in text:
        found = _NOT_ALLOWED.search(text)
        action = found[1] if found else f"{error.operation_name}"
        where = f" on {found[2]}" if found and found[2] else ""
        return DeployFailed(
            f"{doing}: this identity may not do {action}{where}.",
            "docs/deploy.md lists what whoever deploys must be allowed; ask for that permission, then run the same "
            "command again.",
        )
    if code in ("ThrottlingException", "Throttling", "TooManyRequestsException", "SlowDown"):
        return DeployFailed(f"{doing}: AWS asks for patience ({code}).", "Run the same command again in a minute.")
    return DeployFailed(
        f"{doing}: AWS answered {code}: {text}",
        "Set right what it names, then run the same command again; it goes on where this one ended.",
    )
