"""What is the same for every task of a replay, done once: its tasks run one after the other in one process."""

from __future__ import annotations

import functools
import gc
import importlib
from collections.abc import Sequence
from typing import Any

from dbt.cli.main import dbtRunner, dbtRunnerResult
from dbt.contracts.graph.manifest import Manifest

#: Options that say which project is read, and for whom.
_PROJECT_OPTIONS = ("--project-dir", "--profiles-dir", "--profile", "--target")


class ParsedOnce(dbtRunner):
    """A dbt that reads its project at the first command and keeps it. Every command would read and write it again.

    Right where the project stays as it is while the process lives, and all commands have the same environment.
    """

    def invoke(self, args: list[str], **kwargs: Any) -> dbtRunnerResult:
        """As dbt's own.

        :param args: of a command line.
        """
        if self.manifest is None:
            read = super().invoke(["parse", *_options(args)]).result
            self.manifest = read if isinstance(read, Manifest) else None
            keep_what_is_there()
        return super().invoke(args, **kwargs)


def _options(args: Sequence[str]) -> list[str]:
    return [part for place, name in enumerate(args) if name in _PROJECT_OPTIONS for part in (name, args[place + 1])]


def warm_up() -> None:
    """Spare every task what is the same for all of them.

    `dag.test` would build Airflow's execution API anew a task (1.5 s of CPU). dbt would read its project and write its
    manifest anew a command, for nobody. Cosmos collects garbage after each, which takes as long as there are old
    objects, and works lineage out from dbt's artifacts, for an OpenLineage that may not be there.
    """
    from airflow.providers.openlineage import conf as openlineage
    from airflow.sdk.execution_time import supervisor
    from cosmos.dbt import runner
    from cosmos.operators.local import DbtLocalBaseOperator
    from dbt.task import runnable

    from local.masking import hide_what_is_masked

    hide_what_is_masked()
    supervisor.in_process_api_server = functools.cache(supervisor.in_process_api_server)
    if openlineage.is_disabled():
        # As if the package were not installed, which Cosmos puts up with.
        DbtLocalBaseOperator._get_dbt_local_artifact_processor = staticmethod(lambda: None)
    runner._get_cached_dbt_runner = functools.cache(ParsedOnce)
    runnable.write_manifest = lambda *_: None
    importlib.import_module("dbt.adapters.duckdb")
    keep_what_is_there()


def keep_what_is_there() -> None:
    """What there is by now stays to the end, and need not be looked through after each dbt call."""
    gc.collect()
    gc.freeze()
