"""A resource of a stack that is made by calls of its service's API: what moto's CloudFormation asks of one."""

from __future__ import annotations

from functools import cache
from typing import Any, ClassVar

import boto3
from botocore.model import ListShape, Shape, StructureShape

ACCOUNT, REGION = "123456789012", "us-east-1"

Properties = dict[str, Any]

#: Where the other services are; None: where boto3 looks by itself (`mock_aws`).
_endpoint: str | None = None


def find_services_at(endpoint: str | None) -> None:
    """Say where the services are.

    :param endpoint: of moto's server; None: the process runs under `mock_aws`.
    """
    global _endpoint  # noqa: PLW0603  moto makes the resources: there is nobody to hand it to
    _endpoint = endpoint


@cache
def _client(service: str, endpoint: str | None) -> Any:
    """A client; making one takes longer than what it is asked."""
    make: Any = boto3.client
    return make(
        service,
        region_name=REGION,
        endpoint_url=endpoint,
        aws_access_key_id="stand-in",
        aws_secret_access_key="stand-in",  # noqa: S106  moto takes any
    )


class Resource:
    """One that was made. A subclass says by which calls.

    :param properties: as the template has them, references resolved.
    """

    kind: ClassVar[str]
    service: ClassVar[str]

    def __init__(self, properties: Properties) -> None:
        #: What `Ref` gives.
        self.physical_resource_id = self.make(properties)

    def make(self, properties: Properties) -> str:
        """Make it, and say what `Ref` gives."""
        raise NotImplementedError

    def unmake(self) -> None:
        """Take it away. One that goes with another resource has nothing to do."""

    def change(self, properties: Properties) -> None:
        """Make it what the properties say: taken away and made again, unless a type knows better."""
        self.unmake()
        self.physical_resource_id = self.make(properties)

    def call(self, operation: str, **arguments: Any) -> Any:
        """Call the service. Numbers and booleans that CloudFormation hands over as text become what the API takes."""
        client = _client(self.service, _endpoint)
        model = client.meta.service_model.operation_model(client.meta.method_to_api_mapping[operation])
        return getattr(client, operation)(**_typed(model.input_shape, arguments))

    # What moto calls.

    def delete(self, _account: str, _region: str) -> None:
        self.unmake()

    def is_created(self) -> bool:
        return True

    def get_cfn_attribute(self, attribute: str) -> str:
        return str(getattr(self, attribute))

    @classmethod
    def has_cfn_attr(cls, attr: str) -> bool:
        return hasattr(cls, attr)

    @staticmethod
    def cloudformation_name_type() -> str:
        return ""

    @classmethod
    def cloudformation_type(cls) -> str:
        return cls.kind

    @classmethod
    def create_from_cloudformation_json(
        cls,
        resource_name: str,  # noqa: ARG003  moto's signature
        cloudformation_json: Properties,
        account_id: str,  # noqa: ARG003
        region_name: str,  # noqa: ARG003
        **kwargs: Any,  # noqa: ARG003
    ) -> Resource:
        return cls(cloudformation_json["Properties"])

    @classmethod
    def update_from_cloudformation_json(
        cls,
        original_resource: Any,
        new_resource_name: str,  # noqa: ARG003  moto's signature
        cloudformation_json: Properties,
        account_id: str,  # noqa: ARG003
        region_name: str,  # noqa: ARG003
    ) -> Resource:
        changed: Resource = original_resource
        changed.change(cloudformation_json["Properties"])
        return changed


def _typed(shape: Shape, value: Any) -> Any:
    if isinstance(shape, StructureShape) and isinstance(value, dict):
        return {key: _typed(shape.members[key], part) for key, part in value.items() if part is not None}
    if isinstance(shape, ListShape) and isinstance(value, list):
        return [_typed(shape.member, part) for part in value if part is not None]
    if isinstance(value, str) and shape.type_name in ("integer", "long"):
        return int(value)
    if isinstance(value, str) and shape.type_name in ("double", "float"):
        return float(value)
    if isinstance(value, str) and shape.type_name == "boolean":
        return value == "true"
    return value
