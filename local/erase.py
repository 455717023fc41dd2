"""`make erase`: the plugin's command over the laptop's lake, then dbt's own file, which keeps what was dropped."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from rich.console import Console

from local.airflow_home import PROJECT
from local.ask import ask
from local.exclusive import LakeInUse, only_one
from local.lake.catalog import lake_folder
from local.lake.views import ViewsNotCleaned, forget_intermediate_tables


def main(arguments: list[str] | None = None) -> int:
    """Erase people from the laptop's lake.

    :return: the exit code of the command; 2 if it is refused.
    """
    parser = argparse.ArgumentParser(prog="make erase", description=__doc__)
    parser.add_argument("object", help="name of an object file (OBJECT=user)")
    parser.add_argument("--ids", required=True, help='Salesforce Ids, separated by spaces or commas (IDS="005… 005…")')
    parser.add_argument("--yes", action="store_true", help="do not ask (YES=1)")
    parser.add_argument("--root", type=Path, default=PROJECT / ".local", help="where everything lives")
    options = parser.parse_args(arguments)
    problems = Console(stderr=True, highlight=False, soft_wrap=True)
    ids = options.ids.replace(",", " ").split()
    if not ids:
        problems.print('Whom? Give their Ids: make erase OBJECT=user IDS="0055e0000000001AAA"', style="red")
        return 2
    try:
        with only_one(options.root, purpose="make erase"):
            code = ask(
                ["erase", options.object, "--alone", *(["--yes"] if options.yes else []), "--", *ids], root=options.root
            )
            if code == 0:
                lake = lake_folder(os.environ["SF_HISTORY_LAKE"])
                cleaned = forget_intermediate_tables(lake, noun=options.object.lower())
                if cleaned:
                    print(f"{lake.views_file.name}: intermediate tables dropped, the file written anew")
            return code
    except (LakeInUse, ViewsNotCleaned) as problem:
        problems.print(str(problem), style="red", markup=False)
        return 2


if __name__ == "__main__":
    sys.exit(main())
