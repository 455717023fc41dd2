"""A real Trino on loopback: catalog `iceberg` on the Glue and S3 of the stand-in for AWS.

`make trino` starts both and stays; tests start their own. Server and Iceberg connector come from Maven's central
repository, by `mvn`, once; they are unpacked into `.engines/` (SF_HISTORY_ENGINES is another folder).
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import tarfile
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import requests
import trino

from local.cloud.aws import PROJECT, REGION, Aws
from local.cloud.java import JavaMissing, java_home
from local.cloud.leash import leashed
from local.cloud.ports import free_port
from local.exclusive import in_turn

VERSION = "476"
CATALOG = "iceberg"

_SERVER = f"io.trino:trino-server-core:{VERSION}:tar.gz"
_CONNECTOR = f"io.trino:trino-iceberg:{VERSION}:zip"
_START_SECONDS = 120


class TrinoMissing(RuntimeError):
    """Trino could not be fetched, or did not start. The message says what to install or what it said."""


@dataclass(frozen=True)
class Trino:
    """A Trino that runs.

    :param port: on 127.0.0.1, plain HTTP, any user.
    :param folder: its configuration, data and log.
    """

    port: int
    folder: Path

    def variables(self) -> dict[str, str]:
        """Environment variables by which dbt's target `trino` finds it."""
        return {
            "SF_HISTORY_DBT_TARGET": "trino",
            "SF_HISTORY_TRINO_HOST": "127.0.0.1",
            "SF_HISTORY_TRINO_PORT": str(self.port),
            "SF_HISTORY_TRINO_CATALOG": CATALOG,
        }


def engines_folder() -> Path:
    """Where fetched engines are kept."""
    return Path(os.environ.get("SF_HISTORY_ENGINES") or PROJECT / ".engines")


def trino_missing() -> str | None:
    """Why there can be no Trino here, and what to install; None if there can be one. Fetches it the first time."""
    try:
        fetch_trino()
        java_home(engines_folder())
    except (TrinoMissing, JavaMissing) as missing:
        return str(missing)
    return None


def fetch_trino(tell: Callable[[str], None] = lambda _: None) -> Path:
    """The folder of the unpacked server, fetched the first time (540 MB). Two at once do it once.

    :param tell: told what is being fetched.
    :raises TrinoMissing: when there is no `mvn`, or it could not fetch.
    """
    folder = engines_folder()
    home = folder / f"trino-server-core-{VERSION}"
    folder.mkdir(parents=True, exist_ok=True)
    with in_turn(folder / ".trino.lock"):
        if (home / ".complete").exists():
            return home
        if not (maven := shutil.which("mvn")):
            raise TrinoMissing(
                "Trino is fetched by Maven, and there is no mvn: on Debian and Ubuntu, apt install maven"
            )
        shutil.rmtree(home, ignore_errors=True)
        for artifact, place in ((_SERVER, folder), (_CONNECTOR, home / "plugin")):
            tell(f"fetching {artifact} with Maven")
            _unpack(maven, artifact, place)
        (home / ".complete").touch()
    return home


def _unpack(maven: str, artifact: str, folder: Path) -> None:
    # Not by Maven, which loses the archive's links: a jar that several plugins share is in it once.
    with tempfile.TemporaryDirectory(dir=engines_folder()) as fetched:
        called = subprocess.run(
            [maven, "-B", "-q", "dependency:copy", f"-Dartifact={artifact}", f"-DoutputDirectory={fetched}"],
            capture_output=True,
            text=True,
            check=False,
        )
        if called.returncode:
            said = (called.stdout + called.stderr).strip()[-800:]
            raise TrinoMissing(
                f"Maven could not fetch {artifact}; look at its settings (a proxy, a mirror). It said: {said}"
            )
        (archive,) = Path(fetched).iterdir()
        # Not by shutil either, which passes over a name like `io...ry_sdk.jar` for its dots.
        with zipfile.ZipFile(archive) if archive.suffix == ".zip" else tarfile.open(archive) as packed:
            packed.extractall(folder)  # noqa: S202 - both check names


@contextmanager
def start_trino(aws: Aws, *, port: int = 0, memory: str = "1500M") -> Iterator[Trino]:
    """Start a Trino, wait until it answers, and end it afterwards; it ends with its parent's death as well.

    :param aws: its Glue and S3.
    :param port: on 127.0.0.1; 0 for any.
    :param memory: of its heap.
    :raises TrinoMissing: when it cannot be fetched, or ends at once.
    :raises JavaMissing: when there is no Java that is new enough.
    """
    home, java = fetch_trino(), java_home(engines_folder())
    folder = Path(tempfile.mkdtemp(prefix="trino-"))
    port = port or free_port()
    configure(folder, aws, port=port, memory=memory)
    with (folder / "server.log").open("wb") as log:
        server = subprocess.Popen(
            leashed([str(home / "bin" / "launcher"), "run", "--etc-dir", str(folder / "etc")], folder=folder),
            cwd=PROJECT,
            env={**os.environ, "JAVA_HOME": str(java), "PYTHONPATH": str(PROJECT)},
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
        )
    try:
        _await_answer(server, port, folder)
        yield Trino(port, folder)
    finally:
        if server.stdin:
            server.stdin.close()
        server.wait()
        shutil.rmtree(folder, ignore_errors=True)


def configure(folder: Path, aws: Aws, *, port: int, memory: str) -> None:
    """Write the server's configuration.

    :param folder: gets `etc/` and `data/`.
    :param aws: Glue and S3.
    :param port: of the server.
    :param memory: of its heap.
    """
    keys = aws.variables()
    access, secret = keys["AWS_ACCESS_KEY_ID"], keys["AWS_SECRET_ACCESS_KEY"]
    files = {
        "config.properties": {
            "coordinator": "true",
            "node-scheduler.include-coordinator": "true",
            "http-server.http.port": str(port),
            "discovery.uri": f"http://127.0.0.1:{port}",
            "catalog.management": "static",
        },
        "node.properties": {
            "node.environment": "laptop",
            "node.id": "one",
            "node.data-dir": str(folder / "data"),
            "node.bind-ip": "127.0.0.1",
            "node.internal-address": "127.0.0.1",
        },
        "log.properties": {"io.trino": "WARN", "io.airlift": "WARN", "Bootstrap": "WARN"},
        f"catalog/{CATALOG}.properties": {
            "connector.name": "iceberg",
            "iceberg.catalog.type": "glue",
            "iceberg.register-table-procedure.enabled": "true",
            "iceberg.add-files-procedure.enabled": "true",
            "hive.metastore.glue.region": REGION,
            "hive.metastore.glue.endpoint-url": aws.endpoint,
            "hive.metastore.glue.aws-access-key": access,
            "hive.metastore.glue.aws-secret-key": secret,
            "fs.native-s3.enabled": "true",
            "s3.endpoint": aws.endpoint,
            "s3.region": REGION,
            "s3.path-style-access": "true",
            "s3.aws-access-key": access,
            "s3.aws-secret-key": secret,
        },
    }
    (folder / "etc" / "catalog").mkdir(parents=True)
    (folder / "data").mkdir()
    for name, entries in files.items():
        text = "".join(f"{key}={value}\n" for key, value in entries.items())
        (folder / "etc" / name).write_text(text, encoding="utf-8")
    options = (
        "-server",
        f"-Xmx{memory}",
        "-XX:+UseG1GC",
        "-XX:+ExitOnOutOfMemoryError",
        "-XX:ReservedCodeCacheSize=256M",
        # The quick compiler alone: nothing runs here for so long that the thorough one would pay for itself.
        "-XX:TieredStopAtLevel=1",
    )
    (folder / "etc" / "jvm.config").write_text("\n".join(options) + "\n", encoding="utf-8")


def _await_answer(server: subprocess.Popen[bytes], port: int, folder: Path) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline and server.poll() is None:
        # It says that it has started some seconds before it has found itself, without whom it has no worker.
        with contextlib.suppress(trino.exceptions.Error, requests.RequestException):
            trino.dbapi.connect(host="127.0.0.1", port=port, user="start", max_attempts=1).cursor().execute("select 1")
            return
        time.sleep(0.2)
    end = (folder / "server.log").read_text(encoding="utf-8", errors="replace").strip()[-2000:]
    state = "ended at once" if server.poll() is not None else f"did not answer within {_START_SECONDS} s"
    raise TrinoMissing(f"Trino {VERSION} {state}. Its log ends so:\n{end}")
