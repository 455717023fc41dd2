"""The resource types of CloudFormation that moto lacks: made by the API calls that moto does have.

moto goes over a type that it does not know with a warning, so a stack would be complete without its databases, its
workgroup, its secret, its alarms and its policies. MWAA is no service of moto's at all: local/cloud/mwaa.py plays it.
"""

from __future__ import annotations

import json

from moto.cloudformation import parsing
from moto.core.common_models import CloudFormationModel

from local.cloud import mwaa
from local.cloud.resource import ACCOUNT, REGION, Properties, Resource, find_services_at


def teach_cloudformation(endpoint: str | None = None) -> None:
    """Have moto's CloudFormation, in this process, make these types as well.

    :param endpoint: of moto's server; None: the process runs under `mock_aws`.
    """
    find_services_at(endpoint)
    for known in (parsing.get_model_list, parsing.get_model_map, parsing.get_name_type_map):
        known.cache_clear()


class _Bucket(Resource, CloudFormationModel):
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
        if "Tags" in properties:
            self.call("put_bucket_tagging", Bucket=name, Tagging={"TagSet": properties["Tags"]})
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


class _Key(Resource, CloudFormationModel):
    """In place of moto's own, which keeps the policy as what is no text, cannot read it then, and fails on tags."""

    kind, service = "AWS::KMS::Key", "kms"
    Arn = ""

    def make(self, properties: Properties) -> str:
        made = self.call(
            "create_key",
            Description=properties["Description"],
            Policy=json.dumps(properties["KeyPolicy"]),
            Tags=_key_tags(properties),
        )["KeyMetadata"]
        self.Arn = str(made["Arn"])
        if properties["EnableKeyRotation"]:
            self.call("enable_key_rotation", KeyId=made["KeyId"])
        return str(made["KeyId"])

    def change(self, properties: Properties) -> None:
        key = self.physical_resource_id
        self.call("put_key_policy", KeyId=key, PolicyName="default", Policy=json.dumps(properties["KeyPolicy"]))
        self.call("tag_resource", KeyId=key, Tags=_key_tags(properties))


def _key_tags(properties: Properties) -> list[dict[str, str]]:
    return [{"TagKey": tag["Key"], "TagValue": tag["Value"]} for tag in properties.get("Tags", [])]


class _Database(Resource, CloudFormationModel):
    kind, service = "AWS::Glue::Database", "glue"

    def make(self, properties: Properties) -> str:
        self.call("create_database", DatabaseInput=properties["DatabaseInput"])
        return str(properties["DatabaseInput"]["Name"])

    def change(self, properties: Properties) -> None:
        self.call("update_database", Name=self.physical_resource_id, DatabaseInput=properties["DatabaseInput"])

    def unmake(self) -> None:
        self.call("delete_database", Name=self.physical_resource_id)


class _Workgroup(Resource, CloudFormationModel):
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


class _Secret(Resource, CloudFormationModel):
    kind, service = "AWS::SecretsManager::Secret", "secretsmanager"

    def make(self, properties: Properties) -> str:
        return str(self.call("create_secret", **properties)["ARN"])

    def change(self, properties: Properties) -> None:
        self.call("update_secret", SecretId=self.physical_resource_id, Description=properties["Description"])

    def unmake(self) -> None:
        self.call("delete_secret", SecretId=self.physical_resource_id)


class _Alarm(Resource, CloudFormationModel):
    kind, service = "AWS::CloudWatch::Alarm", "cloudwatch"

    def make(self, properties: Properties) -> str:
        self.call("put_metric_alarm", **properties)
        return str(properties["AlarmName"])

    def change(self, properties: Properties) -> None:
        self.make(properties)

    def unmake(self) -> None:
        self.call("delete_alarms", AlarmNames=[self.physical_resource_id])


class _BucketPolicy(Resource, CloudFormationModel):
    kind, service = "AWS::S3::BucketPolicy", "s3"

    def make(self, properties: Properties) -> str:
        self.call("put_bucket_policy", Bucket=properties["Bucket"], Policy=json.dumps(properties["PolicyDocument"]))
        return str(properties["Bucket"])


class _TopicPolicy(Resource, CloudFormationModel):
    kind, service = "AWS::SNS::TopicPolicy", "sns"

    def make(self, properties: Properties) -> str:
        for topic in properties["Topics"]:
            policy = json.dumps(properties["PolicyDocument"])
            self.call("set_topic_attributes", TopicArn=topic, AttributeName="Policy", AttributeValue=policy)
        return str(properties["Topics"][0])


class _Subscription(Resource, CloudFormationModel):
    kind, service = "AWS::SNS::Subscription", "sns"

    def make(self, properties: Properties) -> str:
        return str(self.call("subscribe", **properties, ReturnSubscriptionArn=True)["SubscriptionArn"])

    def unmake(self) -> None:
        self.call("unsubscribe", SubscriptionArn=self.physical_resource_id)


class _Egress(Resource, CloudFormationModel):
    kind, service = "AWS::EC2::SecurityGroupEgress", "ec2"

    def make(self, properties: Properties) -> str:
        rule = {key: properties[key] for key in ("IpProtocol", "FromPort", "ToPort") if key in properties}
        if "CidrIp" in properties:
            rule["IpRanges"] = [{"CidrIp": properties["CidrIp"]}]
        else:
            rule["UserIdGroupPairs"] = [{"GroupId": properties["DestinationSecurityGroupId"]}]
        self.call("authorize_security_group_egress", GroupId=properties["GroupId"], IpPermissions=[rule])
        return f"{properties['GroupId']}-egress"


class _Airflow(Resource, CloudFormationModel):
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
