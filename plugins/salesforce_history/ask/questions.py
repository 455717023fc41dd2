"""Questions that a person asks from the command line, through Airflow's own connections.

python -m salesforce_history.ask validate-schema user
python -m salesforce_history.ask extraction-stats user --run-id scheduled__2026-01-05T06:00:00+00:00
python -m salesforce_history.ask erase user 0055e0000000001AAA
python -m salesforce_history.ask quarantine user --replay
"""

from __future__ import annotations

import argparse
import sys

from include.config.environment import UnknownEnvironment, current_environment
from include.config.object_file import ObjectFile, ObjectFileError, read_object_files
from include.lake.layout import LayoutTooNew
from include.lake.upsert import UpsertContended
from include.salesforce.errors import SalesforceProblem
from include.salesforce.schema_check import validate_schema
from include.salesforce.stats import NoExtraction, get_extraction_stats, render_stats
from salesforce_history.ask import quarantine
from salesforce_history.ask.erase import ERASE_REFUSED, add_erase, answer_erase
from salesforce_history.connections import salesforce_client

#: Problems whose message is all that a person needs.
ANSWERED_BY_ITS_MESSAGE = (
    ObjectFileError,
    UnknownEnvironment,
    SalesforceProblem,
    NoExtraction,
    LayoutTooNew,
    UpsertContended,
    *ERASE_REFUSED,
)


def main(arguments: list[str] | None = None) -> int:
    """Answer one question on stdout.

    :return: 0; 1 where the object file does not fit the org; 2 where the question cannot be answered, with the reason.
    """
    parser = argparse.ArgumentParser(prog="python -m salesforce_history.ask", description=__doc__.splitlines()[0])
    questions = parser.add_subparsers(dest="question", required=True)
    schema = questions.add_parser("validate-schema", help="hold an object file against the org: what fits, what lacks")
    stats = questions.add_parser("extraction-stats", help="rows, bytes, API calls and seconds of a run's extraction")
    refused = questions.add_parser("quarantine", help="records that were refused: why, since when, what may be done")
    for question in (schema, stats, refused):
        question.add_argument("object", help="name of an object file, for example user")
    add_erase(questions)
    stats.add_argument("--run-id", help="Airflow's run id; default: the newest extraction")
    quarantine.add_options(refused)
    options = parser.parse_args(arguments)
    try:
        environment = current_environment()
        object_file = _object_file(options.object)
        if options.question == "erase":
            return answer_erase(options, environment, object_file)
        if options.question == "validate-schema":
            report = validate_schema(client=salesforce_client(environment), object_file=object_file)
            print(report.render())  # noqa: T201  (it is a command)
            return 0 if report.fits else 1
        if options.question == "quarantine":
            return quarantine.answer(environment, object_file, options)
        manifest = get_extraction_stats(environment=environment, object_file=object_file, run_id=options.run_id)
        print(render_stats(manifest))  # noqa: T201
    except ANSWERED_BY_ITS_MESSAGE as problem:
        print(problem, file=sys.stderr)  # noqa: T201
        return 2
    return 0


def _object_file(noun: str) -> ObjectFile:
    objects = read_object_files()
    if noun.lower() not in objects:
        raise ObjectFileError(f"there is no object file {noun!r}; there are {', '.join(objects)}")
    return objects[noun.lower()]
