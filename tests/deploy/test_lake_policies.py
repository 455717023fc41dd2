"""What is kept is kept well: encrypted, by TLS only, never public, with its versions, and for as long as is needed."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from include.config.environment import current_environment
from include.config.object_file import read_object_files
from tests.deploy.rendered import ENVIRONMENTS, TEMPLATES, Rendered, render

BUCKETS = {"RawBucket", "StagingBucket", "ScriptsBucket", "AthenaResultsBucket"}
#: What nobody can make again.
KEPT = {
    "RawBucket",
    "RawBucketPolicy",
    "RawDatabase",
    "CuratedDatabase",
    "OperationsDatabase",
    "Key",
    "SalesforceSecret",
}


@pytest.fixture(scope="module", params=ENVIRONMENTS)
def foundation(request: pytest.FixtureRequest) -> Rendered:
    return render("foundation", request.param)


def test_the_buckets_are_those_four(foundation: Rendered) -> None:
    assert foundation.of_type("AWS::S3::Bucket").keys() == BUCKETS


@pytest.mark.parametrize("name", sorted(BUCKETS))
def test_a_bucket_is_encrypted_by_the_environments_key(foundation: Rendered, name: str) -> None:
    (rule,) = foundation.resources[name]["Properties"]["BucketEncryption"]["ServerSideEncryptionConfiguration"]
    assert rule["ServerSideEncryptionByDefault"] == {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": "<Key.Arn>"}
    assert rule["BucketKeyEnabled"] is True, "without a bucket key every object costs a request to KMS"


@pytest.mark.parametrize("name", sorted(BUCKETS))
def test_a_bucket_answers_by_tls_only(foundation: Rendered, name: str) -> None:
    bucket = foundation.resources[name]["Properties"]["BucketName"]
    (policy,) = (
        one["PolicyDocument"]["Statement"]
        for one in foundation.of_type("AWS::S3::BucketPolicy").values()
        if one["Bucket"] == bucket
    )
    assert [one for one in policy if one["Effect"] == "Allow"] == [], "who may read is said by roles"
    (denied,) = policy
    assert (denied["Effect"], denied["Principal"], denied["Action"]) == ("Deny", "*", "s3:*")
    assert denied["Resource"] == [f"arn:aws:s3:::{bucket}", f"arn:aws:s3:::{bucket}/*"]
    assert denied["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}


@pytest.mark.parametrize("name", sorted(BUCKETS))
def test_a_bucket_is_never_public_and_keeps_versions(foundation: Rendered, name: str) -> None:
    bucket = foundation.resources[name]["Properties"]
    access = ("BlockPublicAcls", "BlockPublicPolicy", "IgnorePublicAcls", "RestrictPublicBuckets")
    assert bucket["PublicAccessBlockConfiguration"] == dict.fromkeys(access, True)
    assert bucket["OwnershipControls"] == {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]}
    assert bucket["VersioningConfiguration"] == {"Status": "Enabled"}


@pytest.mark.parametrize("name", sorted(BUCKETS))
def test_a_bucket_forgets_aborted_uploads_and_old_versions(foundation: Rendered, name: str) -> None:
    rules = foundation.resources[name]["Properties"]["LifecycleConfiguration"]["Rules"]
    assert all(rule["Status"] == "Enabled" for rule in rules)
    assert any("AbortIncompleteMultipartUpload" in rule for rule in rules)
    assert any("NoncurrentVersionExpiration" in rule for rule in rules)
    for rule in rules:
        both = "ExpirationInDays" in rule and "ExpiredObjectDeleteMarker" in rule
        assert not both, f"{rule['Id']}: S3 refuses a rule with a number of days and delete markers"


def test_nothing_current_in_the_lake_or_among_the_scripts_expires(foundation: Rendered) -> None:
    for name in ("RawBucket", "ScriptsBucket"):
        rules = foundation.resources[name]["Properties"]["LifecycleConfiguration"]["Rules"]
        assert not any({"ExpirationInDays", "ExpirationDate"} & rule.keys() for rule in rules), name


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_staged_files_and_results_expire_later_than_the_upkeep_removes_them(environment: str) -> None:
    foundation, product = render("foundation", environment), current_environment({"SF_HISTORY_ENV": environment})
    staged, results = (_expiring_rule(foundation, name) for name in ("StagingBucket", "AthenaResultsBucket"))
    assert product.staging_uri.endswith(f"/{staged['Prefix'].rstrip('/')}"), "only what runs have staged may go"
    for object_file in read_object_files().values():
        assert timedelta(days=staged["ExpirationInDays"]) > object_file.upkeep.keep_staged
    assert timedelta(days=results["ExpirationInDays"]) > product.keep_query_results


def _expiring_rule(foundation: Rendered, bucket: str) -> dict[str, Any]:
    rules = foundation.resources[bucket]["Properties"]["LifecycleConfiguration"]["Rules"]
    (rule,) = (rule for rule in rules if "ExpirationInDays" in rule)
    return rule


def test_an_access_log_bucket_is_used_by_every_bucket() -> None:
    without = render("foundation", "production").of_type("AWS::S3::Bucket").values()
    assert not any("LoggingConfiguration" in one for one in without)
    logged = render("foundation", "production", AccessLogBucket="our-logs").of_type("AWS::S3::Bucket").values()
    assert {one["LoggingConfiguration"]["DestinationBucketName"] for one in logged} == {"our-logs"}
    prefixes = [one["LoggingConfiguration"]["LogFilePrefix"] for one in logged]
    assert len(set(prefixes)) == len(prefixes)


def test_what_cannot_be_made_again_outlives_the_stack(foundation: Rendered) -> None:
    for name, resource in foundation.resources.items():
        policies = resource.get("DeletionPolicy"), resource.get("UpdateReplacePolicy")
        assert (policies == ("RetainExceptOnCreate", "Retain")) == (name in KEPT), name
        assert resource.get("DeletionPolicy") != "Retain", f"{name} stays where a first create fails"
        if resource["Type"] in ("AWS::S3::Bucket", "AWS::Logs::LogGroup"):
            assert resource["UpdateReplacePolicy"] == "Retain", name


def test_tables_are_in_the_bucket_that_is_kept(foundation: Rendered) -> None:
    raw = foundation.outputs["RawBucketName"]
    for database in foundation.of_type("AWS::Glue::Database").values():
        given = database["DatabaseInput"]
        assert given["LocationUri"] == f"s3://{raw}/{given['Name']}"


def test_the_key_turns_and_only_those_services_that_must_have_it(foundation: Rendered) -> None:
    (key,) = foundation.of_type("AWS::KMS::Key").values()
    assert key["EnableKeyRotation"] is True
    root, *services = key["KeyPolicy"]["Statement"]
    assert root["Principal"] == {"AWS": "arn:aws:iam::123456789012:root"}
    assert {one["Principal"]["Service"] for one in services} == {
        "logs.us-east-1.amazonaws.com",
        "cloudwatch.amazonaws.com",
    }
    assert all(one["Condition"] for one in services), "a service acts for every account unless it is told for which"


def test_every_log_group_is_encrypted_ends_and_may_use_the_key(foundation: Rendered) -> None:
    (key,) = foundation.of_type("AWS::KMS::Key").values()
    (logs,) = (one for one in key["KeyPolicy"]["Statement"] if one["Sid"] == "LogGroupsOfTheEnvironment")
    allowed = [
        one.rpartition("log-group:")[2] for one in logs["Condition"]["ArnLike"]["kms:EncryptionContext:aws:logs:arn"]
    ]
    for group in foundation.of_type("AWS::Logs::LogGroup").values():
        assert group["KmsKeyId"] == "<Key.Arn>"
        assert group["RetentionInDays"]
        name = group["LogGroupName"]
        assert any(name.startswith(one.rstrip("*")) for one in allowed), f"the key's policy does not know {name}"


def test_the_flow_logs_may_use_the_key_and_do_where_there_is_one() -> None:
    (key,) = render("foundation", "staging").of_type("AWS::KMS::Key").values()
    (logs,) = (one for one in key["KeyPolicy"]["Statement"] if one["Sid"] == "LogGroupsOfTheEnvironment")
    (group,) = render("network", "staging", KmsKeyArn="arn:aws:kms:eu:1:key/k").of_type("AWS::Logs::LogGroup").values()
    assert group["KmsKeyId"] == "arn:aws:kms:eu:1:key/k"
    arn = f"arn:aws:logs:us-east-1:123456789012:log-group:{group['LogGroupName']}"
    assert arn in logs["Condition"]["ArnLike"]["kms:EncryptionContext:aws:logs:arn"]
    (without,) = render("network", "staging").of_type("AWS::Logs::LogGroup").values()
    assert "KmsKeyId" not in without


def test_a_query_has_limits_that_nobody_can_set_aside(foundation: Rendered) -> None:
    (workgroup,) = foundation.of_type("AWS::Athena::WorkGroup").values()
    configuration = workgroup["WorkGroupConfiguration"]
    assert configuration["EnforceWorkGroupConfiguration"] is True
    assert int(configuration["BytesScannedCutoffPerQuery"]) >= 10 * 1024**2  # Athena's least
    assert configuration["EngineVersion"] == {"SelectedEngineVersion": "Athena engine version 3"}
    assert configuration["ResultConfiguration"]["EncryptionConfiguration"] == {
        "EncryptionOption": "SSE_KMS",
        "KmsKey": "<Key.Arn>",
    }


def test_the_topic_is_encrypted_and_takes_alarms_of_this_account_by_tls(foundation: Rendered) -> None:
    (topic,) = foundation.of_type("AWS::SNS::Topic").values()
    assert topic["KmsMasterKeyId"] == "<Key>"
    (policy,) = foundation.of_type("AWS::SNS::TopicPolicy").values()
    allowed, denied = policy["PolicyDocument"]["Statement"]
    assert allowed["Principal"] == {"Service": "cloudwatch.amazonaws.com"}
    assert allowed["Condition"]["StringEquals"] == {"aws:SourceAccount": "123456789012"}
    assert (denied["Effect"], denied["Condition"]) == ("Deny", {"Bool": {"aws:SecureTransport": "false"}})
    pattern = allowed["Condition"]["ArnLike"]["aws:SourceArn"].rpartition(":")[2]
    for alarm in foundation.of_type("AWS::CloudWatch::Alarm").values():
        assert alarm["AlarmName"].startswith(pattern.rstrip("*")), "the topic would not take it"


@pytest.mark.parametrize("name", TEMPLATES)
def test_no_template_holds_a_secret(name: str) -> None:
    for environment in ENVIRONMENTS:
        text = str(render(name, environment))
        assert "SecretString" not in text
        assert "password:" not in text.lower()


def test_only_tls_and_the_environment_itself_are_spoken_to() -> None:
    network = render("network", "production")
    (group,) = network.of_type("AWS::EC2::SecurityGroup").values()
    assert [(one["FromPort"], one["ToPort"]) for one in group["SecurityGroupEgress"]] == [(443, 443)]
    assert "SecurityGroupIngress" not in group
    (ingress,) = network.of_type("AWS::EC2::SecurityGroupIngress").values()
    assert ingress["SourceSecurityGroupId"] == ingress["GroupId"]
    (egress,) = network.of_type("AWS::EC2::SecurityGroupEgress").values()
    assert egress["DestinationSecurityGroupId"] == egress["GroupId"]
    mail = render("network", "production", MailPort="587").resources["AirflowMailEgress"]["Properties"]
    assert (mail["FromPort"], mail["ToPort"]) == ("587", "587")


@pytest.mark.parametrize(("environment", "gateways"), [("development", 1), ("staging", 1), ("production", 2)])
def test_airflow_is_in_two_zones_and_reaches_out_by_nat(environment: str, gateways: int) -> None:
    network = render("network", environment)
    assert len(network.of_type("AWS::EC2::NatGateway")) == gateways
    subnets = network.of_type("AWS::EC2::Subnet")
    private = {name: one for name, one in subnets.items() if name.startswith("Private")}
    assert {one["AvailabilityZone"] for one in private.values()} == {"us-east-1a", "us-east-1b"}
    assert len({one["CidrBlock"] for one in subnets.values()}) == len(subnets) == 4
    assert not any(one["MapPublicIpOnLaunch"] for one in subnets.values())
    assert network.outputs["SubnetIds"] == "<PrivateSubnetA>,<PrivateSubnetB>"
    for way in ("PrivateWayOutA", "PrivateWayOutB"):
        assert "NatGatewayId" in network.resources[way]["Properties"]
    assert network.of_type("AWS::EC2::FlowLog")
