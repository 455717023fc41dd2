"""`make sql`: a DuckDB shell on the lake, and `make -s sql Q="select …" FORMAT=csv` for scripts."""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import sys

import duckdb

from local.lake.catalog import lake_folder
from local.lake.output import FORMATS, write_rows
from local.lake.read_only import NoLake, open_read_only

_TABLES = (
    "select schema_name || '.' || view_name as \"table\" from duckdb_views() "
    "where database_name = 'lake' and not internal order by 1;"
)
_HELP = """.tables          every table and view
.schema NAME     columns of one, for example .schema sf_curated.dim_sf_user_scd
.refresh         see what was written since the shell was opened
.quit            leave (or Ctrl-D)
A statement ends with a semicolon. Times are UTC. Nothing that is done here changes the lake."""


def run(connection: duckdb.DuckDBPyConnection, query: str, *, form: str) -> None:
    """Run SQL and print the last statement's rows on stdout.

    :param query: one statement or several.
    :param form: one of `FORMATS`.
    :raises duckdb.Error: if DuckDB refuses it.
    """
    result = connection.execute(query)
    if result.description is not None:
        write_rows(result, form, sys.stdout)
        sys.stdout.flush()


def interactive(connection: duckdb.DuckDBPyConnection, *, form: str) -> bool:
    """Read statements from the terminal until the end of input.

    :return: whether the lake is to be opened afresh, and the conversation to go on.
    """
    with contextlib.suppress(ImportError):
        import readline  # noqa: F401  (arrow keys and history, where the platform has them)

    pending = ""
    while True:
        try:
            line = input("   > " if pending else "sql> ")
        except EOFError:
            print()
            return False
        except KeyboardInterrupt:
            print()
            pending = ""
            continue
        if not pending and line.startswith("."):
            command = line.split()[0]
            if command in (".quit", ".exit", ".refresh"):
                return command == ".refresh"
            line = _statement_of(line)
        pending = f"{pending}{line}\n" if pending or line.strip() else ""
        if pending.rstrip().endswith(";"):
            try:
                run(connection, pending, form=form)
            except duckdb.Error as error:
                print(_one_line(error), file=sys.stderr)
            pending = ""


def _statement_of(command: str) -> str:
    words = command.split()
    if words[0] == ".tables":
        return _TABLES
    if words[0] == ".schema" and len(words) == 2:
        return f"describe {words[1]};"
    print(_HELP)
    return ""


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())


def main(arguments: list[str] | None = None) -> int:
    """The command behind `make sql`.

    :return: 0; 1 where the query failed; 2 where there is no lake.
    """
    parser = argparse.ArgumentParser(prog="make sql", description=__doc__)
    parser.add_argument("--query", help="run this and leave (Q=…)")
    parser.add_argument("--format", choices=FORMATS, default="table", help="how rows are printed (FORMAT=…)")
    parser.add_argument("--lake", help="the lake folder; default: SF_HISTORY_LAKE, else .local/lake")
    options = parser.parse_args(arguments)
    if isinstance(sys.stdout, io.TextIOWrapper):
        # Names are in UTF-8 whatever the terminal's locale says.
        sys.stdout.reconfigure(encoding="utf-8")
    try:
        if not options.query:
            print("DuckDB on the lake; .help helps, .quit leaves")
        again = True
        while again:
            with open_read_only(lake_folder(options.lake)) as lake:
                for problem in lake.unreadable:
                    print(f"note: {problem}", file=sys.stderr)
                if options.query:
                    run(lake.connection, options.query, form=options.format)
                    again = False
                else:
                    again = interactive(lake.connection, form=options.format)
    except NoLake as problem:
        print(problem, file=sys.stderr)
        return 2
    except duckdb.Error as error:
        print(_one_line(error), file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # Whoever reads has enough; without this Python would complain once more while it exits.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0


if __name__ == "__main__":
    sys.exit(main())
