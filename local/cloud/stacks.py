"""The resource types of CloudFormation that moto lacks: made by the API calls that moto does have.

moto goes over a type that it does not know with a warning, so a stack would be complete without its databases, its
workgroup, its secret, its alarms and its policies. MWAA is no service of moto's at all: local/cloud/mwaa.py plays it.
"""

from __future__ import annotations

import json
from functools import cache
from typing import Any, ClassVar

import boto3
from botocore.model import ListShape, Shape, StructureShape
from moto.cloudformation import parsing
from moto.core.common_models import CloudFormationModel

from local.cloud import mwaa

ACCOUNT, REGION = "123456789012", "us-east-1"

Properties = dict[str, Any]

#: Where the other services are; None: where boto3 looks by itself (`mock_aws`).
_endpoint: str | None = None


def teach_cloudformation(endpoint: str | None = None) -> None:
    """Have moto's CloudFormation, in this process, make these types as well.

    :param endpoint: of moto's server; None: the process runs under `mock_aws`.
    """
    global _endpoint  # noqa: PLW0603  moto makes the resources: there is nobody to hand it to
    _endpoint = endpoint
    for known in (parsing.get_model_list, parsing.get_model_map, parsing.get_name_type_map):
        known.cache_clear()


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


class _Resource:
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
    ) -> _Resource:
        return cls(cloudformation_json["Properties"])

    @classmethod
    def update_from_cloudformation_json(
        cls,
        original_resource: Any,
        new_resource_name: str,  # noqa: ARG003  moto's signature
        cloudformation_json: Properties,
        account_id: str,  # noqa: ARG003
        region_name: str,  # noqa: ARG003
    ) -> _Resource:
        changed: _Resource = original_resource
        changed.change(cloudformation_json["Properties"])
        return changed


class _Bucket(_Resource, CloudFormationModel):
    """In place of moto's own, which takes encryption and tags and no versioning, lifecycle or access block."""

    kind, service = "AWS::S3::Bucket", "s3"
    Arn = ""

    def make(self, properties: Properties) -> str:
        name = str(properties["BucketName"])
        self.Arn = f"arn:aws:s3:::{name}"
        self.call("create_bucket", Bucket=name)
        self._configure(name, properties)
        return name

    def change(self, properties: Properties) -> None:
        self._configure(self.physical_resource_id, properties)

    def unmake(self) -> None:
        self.call("delete_bucket", Bucket=self.physical_resource_id)

    def _configure(self, name: str, properties: Properties) -> None:
        encryption = {
            "Rules": [
                {
                    "BucketKeyEnabled": rule["BucketKeyEnabled"],
                    "ApplyServerSideEncryptionByDefault": rule["ServerSideEncryptionByDefault"],
                }
                for rule in properties["BucketEncryption"]["ServerSideEncryptionConfiguration"]
            ]
        }
        self.call("put_bucket_encryption", Bucket=name, ServerSideEncryptionConfiguration=encryption)
        access = properties["PublicAccessBlockConfiguration"]
        self.call("put_public_access_block", Bucket=name, PublicAccessBlockConfiguration=access)
        self.call("put_bucket_ownership_controls", Bucket=name, OwnershipControls=properties["OwnershipControls"])
        self.call("put_bucket_versioning", Bucket=name, VersioningConfiguration=properties["VersioningConfiguration"])
        rules = [_lifecycle_rule(rule) for rule in properties["LifecycleConfiguration"]["Rules"]]
        self.call("put_bucket_lifecycle_configuration", Bucket=name, LifecycleConfiguration={"Rules": rules})


def _lifecycle_rule(rule: Properties) -> Properties:
    expiration = {
        "Days": rule.get("ExpirationInDays"),
        "ExpiredObjectDeleteMarker": rule.get("ExpiredObjectDeleteMarker"),
    }
    same = {key: rule[key] for key in rule.keys() - {"Id", "Prefix", "ExpirationInDays", "ExpiredObjectDeleteMarker"}}
    expires = {"Expiration": expiration} if any(expiration.values()) else {}
    return {**same, "ID": rule["Id"], "Filter": {"Prefix": rule.get("Prefix", "")}, **expires}


class _Database(_Resource, CloudFormationModel):
    kind, service = "AWS::Glue::Database", "glue"

    def make(self, properties: Properties) -> str:
        self.call("create_database", DatabaseInput=properties["DatabaseInput"])
        return str(properties["DatabaseInput"]["Name"])

    def change(self, properties: Properties) -> None:
        self.call("update_database", Name=self.physical_resource_id, DatabaseInput=properties["DatabaseInput"])

    def unmake(self) -> None:
        self.call("delete_database", Name=self.physical_resource_id)


class _Workgroup(_Resource, CloudFormationModel):
    kind, service = "AWS::Athena::WorkGroup", "athena"

    def make(self, properties: Properties) -> str:
        self.call(
            "create_work_group",
            Name=properties["Name"],
            Description=properties["Description"],
            Configuration=properties["WorkGroupConfiguration"],
        )
        return str(properties["Name"])

    def unmake(self) -> None:
        self.call("delete_work_group", WorkGroup=self.physical_resource_id, RecursiveDeleteOption=True)


class _Secret(_Resource, CloudFormationModel):
    kind, service = "AWS::SecretsManager::Secret", "secretsmanager"

    def make(self, properties: Properties) -> str:
        return str(self.call("create_secret", **properties)["ARN"])

    def change(self, properties: Properties) -> None:
        self.call("update_secret", SecretId=self.physical_resource_id, Description=properties["Description"])

    def unmake(self) -> None:
        self.call("delete_secret", SecretId=self.physical_resource_id)


class _Alarm(_Resource, CloudFormationModel):
    kind, service = "AWS::CloudWatch::Alarm", "cloudwatch"

    def make(self, properties: Properties) -> str:
        self.call("put_metric_alarm", **properties)
        return str(properties["AlarmName"])

    def change(self, properties: Properties) -> None:
        self.make(properties)

    def unmake(self) -> None:
        self.call("delete_alarms", AlarmNames=[self.physical_resource_id])


class _BucketPolicy(_Resource, CloudFormationModel):
    kind, service = "AWS::S3::BucketPolicy", "s3"

    def make(self, properties: Properties) -> str:
        self.call("put_bucket_policy", Bucket=properties["Bucket"], Policy=json.dumps(properties["PolicyDocument"]))
        return str(properties["Bucket"])


class _TopicPolicy(_Resource, CloudFormationModel):
    kind, service = "AWS::SNS::TopicPolicy", "sns"

    def make(self, properties: Properties) -> str:
        for topic in properties["Topics"]:
            policy = json.dumps(properties["PolicyDocument"])
            self.call("set_topic_attributes", TopicArn=topic, AttributeName="Policy", AttributeValue=policy)
        return str(properties["Topics"][0])


class _Subscription(_Resource, CloudFormationModel):
    kind, service = "AWS::SNS::Subscription", "sns"

    def make(self, properties: Properties) -> str:
        return str(self.call("subscribe", **properties, ReturnSubscriptionArn=True)["SubscriptionArn"])

    def unmake(self) -> None:
        self.call("unsubscribe", SubscriptionArn=self.physical_resource_id)


class _Egress(_Resource, CloudFormationModel):
    kind, service = "AWS::EC2::SecurityGroupEgress", "ec2"

    def make(self, properties: Properties) -> str:
        rule = {key: properties[key] for key in ("IpProtocol", "FromPort", "ToPort") if key in properties}
        if "CidrIp" in properties:
            rule["IpRanges"] = [{"CidrIp": properties["CidrIp"]}]
        else:
            rule["UserIdGroupPairs"] = [{"GroupId": properties["DestinationSecurityGroupId"]}]
        self.call("authorize_security_group_egress", GroupId=properties["GroupId"], IpPermissions=[rule])
        return f"{properties['GroupId']}-egress"


class _Airflow(_Resource, CloudFormationModel):
    kind, service = "AWS::MWAA::Environment", "mwaa"
    Arn = WebserverUrl = ""

    def make(self, properties: Properties) -> str:
        name = str(properties["Name"])
        self.Arn = f"arn:aws:airflow:{REGION}:{ACCOUNT}:environment/{name}"
        self.WebserverUrl = f"{name}.c2.{REGION}.airflow.amazonaws.com"
        mwaa.ENVIRONMENTS[name] = mwaa.Environment(properties, arn=self.Arn, webserver=self.WebserverUrl)
        return name

    def change(self, properties: Properties) -> None:
        mwaa.ENVIRONMENTS[self.physical_resource_id].change(properties)

    def unmake(self) -> None:
        mwaa.ENVIRONMENTS.pop(self.physical_resource_id, None)


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
