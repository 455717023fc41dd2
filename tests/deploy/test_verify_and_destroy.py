"""`deploy verify` on a live environment, whole and with one thing broken at a time; `deploy destroy`."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa
import pytest
from pyiceberg.catalog import Catalog
from rich.console import Console

from deploy.account import Account, whoami
from deploy.checks_of_aws import aws_checks
from deploy.lake import open_lake
from deploy.names import Names
from deploy.templates import read_template
from deploy.verify import verify
from include.config.environment import current_environment
from include.config.object_file import read_object_files
from include.lake.names import RawTables
from include.lake.tables import ensure_tables, source_columns
from include.lake.watermark import WATERMARK, written
from tests.deploy.conftest import LOGIN, PLANTED, Scene

NAMES = Names.of("development")
USER = next(each for each in read_object_files().values() if each.object == "User")
TABLES = RawTables.of(USER, current_environment({"SF_HISTORY_ENV": "development"}))
T0, T1 = datetime(2026, 1, 5, 1), datetime(2026, 1, 5, 7)
ANN, BEN = "0050000000000001AAA", "0050000000000002AAA"
VERSIONS = [(ANN, T0, T1, False), (ANN, T1, None, True), (BEN, T0, None, True)]
DIMENSION = pa.schema(
    [
        ("user_id", pa.string()),
        ("effective_from", pa.timestamp("us")),
        ("effective_to", pa.timestamp("us")),
        ("is_current", pa.bool_()),
    ]
)
Version = tuple[str, datetime, datetime | None, bool]


@pytest.fixture
def account(scene: Scene) -> Account:
    return whoami()


@pytest.fixture
def lake(deployed: Scene, account: Account) -> Catalog:
    """Two users, three versions, in a deployed environment that somebody listens to."""
    catalog = open_lake(account, NAMES)
    ensure_tables(catalog, USER, current_environment({"SF_HISTORY_ENV": "development"}), source_columns(USER, []))
    mirror = catalog.load_table(TABLES.mirror)
    rows = pa.Table.from_pylist(
        [{"id": ANN, "isdeleted": False}, {"id": BEN, "isdeleted": False}], schema=mirror.schema().as_arrow()
    )
    mirror.append(rows)
    remember(catalog, datetime.now(UTC) - timedelta(hours=1))
    publish(catalog, VERSIONS)
    topic = f"arn:aws:sns:us-east-1:123456789012:{NAMES.topic}"
    deployed.client("sns").subscribe(TopicArn=topic, Protocol="email", Endpoint="oncall@example.com")
    return catalog


def remember(catalog: Catalog, watermark: datetime) -> None:
    with catalog.load_table(TABLES.mirror).transaction() as changed:
        changed.set_properties({WATERMARK: written(watermark)})


def publish(catalog: Catalog, versions: list[Version]) -> None:
    rows = pa.Table.from_pylist([dict(zip(DIMENSION.names, row, strict=True)) for row in versions], schema=DIMENSION)
    catalog.create_table_if_not_exists(TABLES.dimension, schema=DIMENSION).overwrite(rows)


def verified() -> tuple[bool, str]:
    text = io.StringIO()
    options: dict[str, Any] = {"region": None, "prefix": None, "templates": None, "salesforce": False}
    passed = verify(Console(file=text, width=160, highlight=False), environment="development", **options)
    assert not [secret for secret in PLANTED if secret in text.getvalue()]
    return passed, text.getvalue()


def test_whole_and_with_one_thing_broken_at_a_time(deployed: Scene, lake: Catalog) -> None:
    passed, said = verified()
    assert passed, said
    for expected in ("mirror = current versions", "2 = 2", "2 current versions of 2 records", "3 versions, 0 wrong"):
        assert expected in said
    assert deployed.run("verify").code == 0

    def history(versions: list[Version]) -> Callable[[], None]:
        return lambda: publish(lake, versions)

    def alarm() -> None:
        client = deployed.client("cloudwatch")
        client.set_alarm_state(
            AlarmName="sf-history-development-User-Freshness", StateValue="ALARM", StateReason="a test"
        )

    def environment(**faults: Any) -> Callable[[], None]:
        return lambda: deployed.faults(environments={"sf-history-development": faults})

    def stack(status: str) -> Callable[[], None]:
        return lambda: deployed.faults(stacks={"sf-history-development-airflow": status})

    def calm() -> None:
        client = deployed.client("cloudwatch")
        client.set_alarm_state(AlarmName="sf-history-development-User-Freshness", StateValue="OK", StateReason="a test")

    broken: list[tuple[str, Callable[[], None], Callable[[], None]]] = [
        ("mirror = current versions", history(VERSIONS[:2]), history(VERSIONS)),
        ("one current version each", history([*VERSIONS[1:], (ANN, T0, None, True)]), history(VERSIONS)),
        ("3 versions, 1 wrong", history([(ANN, T0, T0, False), *VERSIONS[1:]]), history(VERSIONS)),
        (
            "User: freshness",
            lambda: remember(lake, datetime.now(UTC) - timedelta(hours=13)),
            lambda: remember(lake, datetime.now(UTC)),
        ),
        ("sf-history-development-User-Freshness: docs/runbook.md", alarm, calm),
        (
            "MWAA environment sf-history-development: The log groups",
            environment(status="UNAVAILABLE"),
            environment(status="AVAILABLE"),
        ),
        ("DAG files: dags: NameError: x", environment(import_errors=["…\nNameError: x"]), environment()),
        ("stack sf-history-development-airflow", stack("UPDATE_ROLLBACK_FAILED"), stack("UPDATE_COMPLETE")),
    ]
    for expected, breaks, mends in broken:
        breaks()
        passed, said = verified()
        assert not passed, f"{expected} was not noticed:\n{said}"
        assert expected in said
        assert "✗" in said
        mends()
    passed, said = verified()
    assert passed, said
    deployed.client("secretsmanager").put_secret_value(SecretId=NAMES.secret, SecretString="planted-secret")
    passed, said = verified()
    assert not passed
    assert f"nothing usable under {NAMES.secret}" in said
    assert deployed.run("verify").code == 1


def test_that_nobody_listens_to_the_alerts_is_a_warning(deployed: Scene, account: Account) -> None:
    """AlertEmail is empty unless somebody sets it; whoever is asked and does not confirm is another matter."""

    def verdicts() -> dict[str, str]:
        checks = aws_checks(account, NAMES, secret=NAMES.secret, own_network=False)
        return {check.name: check.verdict for check in checks if check.verdict != "ok"}

    assert verdicts() == {"subscriptions of the alerts": "warning"}
    topic = f"arn:aws:sns:us-east-1:123456789012:{NAMES.topic}"
    deployed.client("sns").delete_topic(TopicArn=topic)
    assert verdicts() == {"subscriptions of the alerts": "failed"}


def kept(scene: Scene) -> tuple[int, int, int, bool]:
    """Buckets, databases, secrets, and whether Airflow is there."""
    found = scene.client("cloudformation").describe_stacks()["Stacks"]
    return (
        len(scene.client("s3").list_buckets()["Buckets"]),
        len(scene.client("glue").get_databases()["DatabaseList"]),
        len(scene.client("secretsmanager").list_secrets()["SecretList"]),
        any(stack["StackName"] == NAMES.airflow for stack in found),
    )


def network(scene: Scene) -> list[str]:
    """What there is of the network that was made."""
    ec2 = scene.client("ec2")
    live = [{"Name": "state", "Values": ["available", "pending"]}]
    return [
        *(vpc["VpcId"] for vpc in ec2.describe_vpcs()["Vpcs"] if not vpc["IsDefault"]),
        *(gateway["NatGatewayId"] for gateway in ec2.describe_nat_gateways(Filters=live)["NatGateways"]),
        *(address["AllocationId"] for address in ec2.describe_addresses()["Addresses"]),
    ]


def keys(scene: Scene) -> list[dict[str, Any]]:
    """The keys of this environment: AWS's own have no such description."""
    kms = scene.client("kms")
    found = [kms.describe_key(KeyId=key["KeyId"])["KeyMetadata"] for key in kms.list_keys()["Keys"]]
    return [key for key in found if key["Description"].startswith("Salesforce history")]


def test_data_goes_only_if_that_is_said_twice(deployed: Scene, lake: Catalog) -> None:
    assert lake.table_exists(TABLES.mirror)
    assert kept(deployed) == (4, 3, 1, True)
    for arguments, says in (
        ([], "there is no terminal to ask"),
        (["--drop-data"], "--drop-data --really development"),
        (["--drop-data", "--yes"], "--drop-data --really development"),
        (["--drop-data", "--really", "production"], "--really says 'production', but the environment is development"),
    ):
        done = deployed.run("destroy", *arguments)
        assert done.code == 1
        assert says in done.text
        assert kept(deployed) == (4, 3, 1, True)
    done = deployed.at_terminal("destroy", "--drop-data", answers=[("to drop its data:", "yes")])
    assert done.code == 1
    assert "that was not its name" in done.text
    assert kept(deployed) == (4, 3, 1, True)

    assert len(network(deployed)) == 3
    done = deployed.run("destroy", "--yes")
    assert done.code == 0, done.text
    for expected in (
        "delete stack sf-history-development-airflow",
        "delete stack sf-history-development-network",
        "keep bucket s3://lumata-lakehouse-development-raw",
        "keep Glue database sf_raw_development",
        "keep secret salesforce/development/credentials",
        "keep KMS key arn:aws:kms:",
    ):
        assert expected in done.text
    assert kept(deployed) == (4, 3, 1, False)
    assert network(deployed) == []
    assert lake.table_exists(TABLES.mirror)
    assert "nothing to delete" in deployed.run("destroy").text

    done = deployed.at_terminal("destroy", "--drop-data", answers=[("to drop its data:", "development")])
    assert done.code == 0, done.text
    assert "everything is deleted" in done.text
    assert kept(deployed) == (0, 0, 0, False)
    assert "the key goes in 30 days; until then: aws kms cancel-key-deletion" in done.text
    assert [key["KeyState"] for key in keys(deployed)] == ["PendingDeletion"]
    assert "nothing to delete" in deployed.run("destroy").text


def test_what_a_deleted_stack_has_left_is_found(scene: Scene) -> None:
    """As after a `destroy` that was killed when the stack, and the alias of the key with it, had gone."""
    chosen = {"Environment": "development", "Suffix": "development"}
    cloudformation = scene.client("cloudformation")
    cloudformation.create_stack(
        StackName=NAMES.foundation,
        TemplateBody=read_template("foundation").body,
        Parameters=[{"ParameterKey": key, "ParameterValue": value} for key, value in chosen.items()],
        Capabilities=["CAPABILITY_IAM"],
    )
    cloudformation.delete_stack(StackName=NAMES.foundation)
    assert kept(scene) == (1, 3, 1, False)
    assert [key["KeyState"] for key in keys(scene)] == ["Enabled"]
    done = scene.run("destroy", "--drop-data", "--really", "development")
    assert done.code == 0, done.text
    assert kept(scene) == (0, 0, 0, False)
    assert [key["KeyState"] for key in keys(scene)] == ["PendingDeletion"]


def test_what_only_has_the_name_of_ours_is_left_alone(scene: Scene) -> None:
    """A secret and a bucket of somebody else's; the parameters file does not know of them."""
    secrets, s3 = scene.client("secretsmanager"), scene.client("s3")
    arn = secrets.create_secret(Name=NAMES.secret, SecretString=json.dumps(LOGIN))["ARN"]
    done = scene.run("up", "--yes", "--no-run", "--parameter", f"ExistingSalesforceSecretArn={arn}")
    assert done.code == 0, done.text
    s3.create_bucket(Bucket="another-lake-development-raw")
    s3.put_object(Bucket="another-lake-development-raw", Key="theirs", Body=b"theirs")
    for prefix in ((), ("--bucket-prefix", "another-lake")):
        done = scene.run("destroy", "--drop-data", "--really", "development", *prefix)
        assert done.code == 0, done.text
        assert "secret salesforce" not in done.text
        assert json.loads(secrets.get_secret_value(SecretId=arn)["SecretString"]) == LOGIN
        assert [bucket["Name"] for bucket in s3.list_buckets()["Buckets"]] == ["another-lake-development-raw"]
    assert s3.get_object(Bucket="another-lake-development-raw", Key="theirs")["Body"].read() == b"theirs"


def test_a_dropped_secret_can_be_had_back(deployed: Scene) -> None:
    done = deployed.run("destroy", "--drop-data", "--really", "development")
    assert done.code == 0, done.text
    assert "aws secretsmanager restore-secret --secret-id salesforce/development/credentials" in done.text
    secrets = deployed.client("secretsmanager")
    secrets.restore_secret(SecretId=NAMES.secret)
    assert json.loads(secrets.get_secret_value(SecretId=NAMES.secret)["SecretString"]) == LOGIN
