"""What is the same for every task of a replay, done once: its tasks run one after the other in one process."""

from __future__ import annotations

import functools
import gc
import importlib
import os
from itertools import pairwise
from typing import Any

from dbt.cli.main import dbtRunner, dbtRunnerResult
from dbt.contracts.graph.manifest import Manifest

#: Options that say which project is read, and how. The folder of the project is a new copy for each command.
_WHERE = ("--project-dir", "--profiles-dir")
_HOW = ("--profile", "--target", "--vars")
_OPTIONS = (*_WHERE, *_HOW)
#: How those begin that are one word, and are not taken apart here.
_ONE_WORD = ("-t", *(f"{name}=" for name in _OPTIONS))
_FLAGS = ("--no-static-parser",)


class ParsedOnce(dbtRunner):
    """A dbt that reads its project at the first command and keeps it. Every command would read and write it again.

    Right where the project's files stay as they are while the process lives. Another profile, target or environment
    (SF_HISTORY_*) is read for itself.
    """

    def __init__(self) -> None:
        super().__init__()
        self._read: dict[frozenset[tuple[str, str]], Manifest] = {}

    def invoke(self, args: list[str], **kwargs: Any) -> dbtRunnerResult:
        """As dbt's own.

        :param args: of a command line. One without `--project-dir`, or with `--target=name` or keywords, is dbt's own.
        """
        options = _options(args)
        self.manifest = None
        if "--project-dir" in options and not kwargs and not any(arg.startswith(_ONE_WORD) for arg in args):
            self.manifest = self._manifest(options, [flag for flag in _FLAGS if flag in args])
        return super().invoke(args, **kwargs)

    def _manifest(self, options: dict[str, str], flags: list[str]) -> Manifest | None:
        """The project's; None where it cannot be read, which the command itself will say."""
        key = frozenset(
            (name, value)
            for name, value in (*options.items(), *os.environ.items())
            if name in _HOW or name.startswith("SF_HISTORY_")
        )
        if key not in self._read:
            parse = ["parse", *flags, *(part for option in options.items() for part in option)]
            read = super().invoke(parse).result
            if not isinstance(read, Manifest):
                return None
            self._read[key] = read
            keep_what_is_there()
        return self._read[key]


def _options(args: list[str]) -> dict[str, str]:
    """The options in two words that say which project is read, and how."""
    return {name: value for name, value in pairwise(args) if name in _OPTIONS}


def warm_up() -> None:
    """Spare every task what is the same for all of them.

    `dag.test` would build Airflow's execution API anew a task (1.5 s of CPU). dbt would read its project anew a
    command. Cosmos collects garbage after each, which takes as long as there are old objects; and for an OpenLineage
    that may not be there it works lineage out, from a manifest that dbt writes anew a command.
    """
    from airflow.providers.openlineage import conf as openlineage
    from airflow.sdk.execution_time import supervisor
    from cosmos.dbt import runner
    from cosmos.operators.local import DbtLocalBaseOperator
    from dbt.task import runnable
    from dbt_common.behavior_flags import BehaviorFlagRendered

    from local.masking import hide_what_is_masked

    hide_what_is_masked()
    supervisor.in_process_api_server = functools.cache(supervisor.in_process_api_server)
    if openlineage.is_disabled():
        # As if the package were not installed, which Cosmos puts up with.
        DbtLocalBaseOperator._get_dbt_local_artifact_processor = staticmethod(lambda: None)
        runnable.write_manifest = lambda *_, **__: None
    runner._get_cached_dbt_runner = functools.cache(ParsedOnce)
    # Each adapter, one a command, asks the call stack for the module that made it.
    BehaviorFlagRendered._default_source = staticmethod(functools.cache(BehaviorFlagRendered._default_source))  # type: ignore[method-assign]
    importlib.import_module("dbt.adapters.duckdb")
    keep_what_is_there()


def keep_what_is_there() -> None:
    """What there is by now stays to the end, and need not be looked through after each dbt call."""
    gc.collect()
    gc.freeze()
