"""`make trino`: AWS and a Trino over it, on loopback, until Ctrl-C; and SQL on them from another terminal."""

from __future__ import annotations

import argparse
import json
import shlex
import signal
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack

import trino
from rich.console import Console

from include.config.environment import UnknownEnvironment, current_environment
from local.cloud.aws import Aws, AwsNotStarted, start_aws
from local.cloud.java import JavaMissing, java_home
from local.cloud.ports import PortTaken, refuse_taken
from local.cloud.prepared import prepare
from local.cloud.trino import CATALOG, VERSION, Trino, TrinoMissing, engines_folder, fetch_trino, start_trino
from local.lake.output import FORMATS, write_rows

#: Where Trino and AWS listen unless told otherwise; Airflow's UI has 8080.
PORT, AWS_PORT = 8085, 5085
BUCKET = "sf-history"

DONE, FAILED, USAGE = 0, 1, 2


def up(*, port: int, aws_port: int, console: Console) -> None:
    """Start both, say how to use them, and stay until interrupted.

    :param port: Trino's, on 127.0.0.1; 0 for any.
    :param aws_port: that of AWS; 0 for any.
    :param console: where progress goes.
    """
    for wanted in (port, aws_port):
        refuse_taken(wanted)
    environment = current_environment()
    began = time.monotonic()

    def tell(what: str) -> None:
        console.print(f"{time.monotonic() - began:5.0f} s  {what}")

    with ExitStack() as running:
        with console.status("looking for Trino"):
            fetch_trino(tell)
            tell(f"Trino {VERSION} is in {engines_folder()}")
            java_home(engines_folder())
        with console.status("starting"):
            aws = running.enter_context(start_aws(port=aws_port))
            databases = (environment.raw_namespace, environment.curated_namespace, environment.operations_namespace)
            warehouse = prepare(aws, bucket=BUCKET, databases=databases)
            tell(f"AWS answers at {aws.endpoint}: bucket {BUCKET}, Glue databases {', '.join(databases)}")
            server = running.enter_context(start_trino(aws, port=port))
            tell(f"Trino answers at 127.0.0.1:{server.port}, catalog {CATALOG}, any user, no password")
        console.print(usage(aws, server, warehouse), markup=False, highlight=False, soft_wrap=True)
        try:
            signal.pause()
        finally:
            console.print("ending both; what was in them is gone")


def usage(aws: Aws, server: Trino, warehouse: str) -> str:
    """What to type in another terminal.

    :param aws: runs.
    :param server: runs over it.
    :param warehouse: where its tables are.
    """
    connection = {"conn_type": "iceberg", "extra": {**aws.catalog_properties(), "warehouse": warehouse}}
    exports = {
        **aws.variables(),
        **server.variables(),
        "AIRFLOW_CONN_ICEBERG_DEFAULT": json.dumps(connection),
        "SF_HISTORY_ICEBERG_CONN_ID": "iceberg_default",
    }
    lines = "\n".join(f"  export {name}={shlex.quote(value)}" for name, value in exports.items())
    return f"""
SQL:
  {sys.executable} -m local.cloud sql --port {server.port} "show schemas"

dbt and the pipeline, in a shell that has these variables (the last but one is Airflow's Iceberg connection):
{lines}
  {sys.executable.removesuffix("python")}dbt build --select tag:sf_user --project-dir dbt --profiles-dir dbt

Everything is in memory: it begins empty, and ends with Ctrl-C.
"""


def sql(statement: str, *, port: int, form: str) -> None:
    """Run a statement on a Trino, and print its rows.

    :param statement: SQL; tables are named database.table.
    :param port: of the Trino.
    :param form: one of `FORMATS`.
    """
    connection = trino.dbapi.connect(host="127.0.0.1", port=port, user="sql", catalog=CATALOG, max_attempts=1)
    cursor = connection.cursor()
    cursor.execute(statement.rstrip().removesuffix(";"))
    write_rows(cursor, form, sys.stdout)


def _arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m local.cloud", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    started = commands.add_parser("up", help="start both and stay until Ctrl-C")
    started.add_argument("--port", type=int, default=PORT, help="Trino's (default: %(default)s; 0 for any)")
    started.add_argument("--aws-port", type=int, default=AWS_PORT, help="that of AWS (default: %(default)s)")
    asked = commands.add_parser("sql", help="run a statement on the Trino that was started")
    asked.add_argument("statement")
    asked.add_argument("--port", type=int, default=PORT, help="Trino's (default: %(default)s)")
    asked.add_argument("--format", choices=FORMATS, default="table", help="how rows are printed")
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command.

    :param arguments: the command line; that of the process by default.
    :return: 0; 1 if it failed, with the reason on standard error; 2 for wrong usage.
    """
    given = _arguments().parse_args(arguments)
    problems = Console(stderr=True, highlight=False, soft_wrap=True)
    # A SIGTERM ends as Ctrl-C does: both servers first.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        if given.command == "up":
            up(port=given.port, aws_port=given.aws_port, console=Console(highlight=False, soft_wrap=True))
        else:
            sql(given.statement, port=given.port, form=given.format)
    except KeyboardInterrupt:
        return DONE
    except trino.exceptions.TrinoQueryError as error:
        problems.print(error.message, markup=False)
        return FAILED
    except trino.exceptions.TrinoConnectionError:
        problems.print(f"no Trino answers on port {given.port}; start one with `make trino`, or give --port")
        return FAILED
    except (TrinoMissing, JavaMissing, AwsNotStarted, PortTaken, UnknownEnvironment) as error:
        problems.print(str(error), markup=False)
        return FAILED
    return DONE


if __name__ == "__main__":
    sys.exit(main())
