"""An Airflow of the tests' own: `make up` over the default scenario and hostile names, and other lakes to show."""

from __future__ import annotations

import json
import shutil
import socket
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

from pyiceberg.catalog.sql import SqlCatalog

from local import services
from local.airflow_home import PROJECT, AirflowHome
from local.story import events

HOSTILE = Path(__file__).with_name("hostile_names.jsonl")


class Site:
    """A running Airflow, its login, and which lake it sees.

    :param root: a folder with Airflow's database, and nothing else yet.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = int(probe.getsockname()[1])
        self.url = f"http://127.0.0.1:{self.port}"
        self._catalog = root / "lake" / "catalog.db"
        self._kept = root / "catalogs"
        self._shown = ""

    def fill(self) -> None:
        """Replay the default scenario and the hostile names through the real DAG; keep catalogs of other lakes."""
        hostile = [json.loads(line) for line in HOSTILE.read_text(encoding="utf-8").splitlines()]
        lines = sorted([*events(), *hostile], key=lambda event: str(event["at"]))
        scenario = self.root / "scenario.jsonl"
        scenario.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
        self._run("local.replay", "--root", str(self.root), "--scenario", str(scenario))
        self._kept.mkdir()
        shutil.copyfile(self._catalog, self._kept / "full.db")
        SqlCatalog(
            "empty", uri=f"sqlite:///{self._kept}/empty.db", warehouse=f"file://{self.root}/none"
        ).engine.dispose()
        shutil.copyfile(self._catalog, self._kept / "broken.db")
        with closing(sqlite3.connect(self._kept / "broken.db")) as broken:
            broken.execute("update iceberg_tables set metadata_location = metadata_location || '.gone'")
            broken.commit()
        self._shown = "full"

    def up(self) -> None:
        """`make up`."""
        self._run("local.services", "up", "--root", str(self.root), "--port", str(self.port))

    def down(self) -> None:
        """`make down`."""
        self._run("local.services", "down", "--root", str(self.root))

    def show(self, lake: str) -> None:
        """Let Airflow see another lake: the same file of the catalog, with other tables in it.

        :param lake: full, empty or broken (its files are gone).
        """
        if lake != self._shown:
            with (
                closing(sqlite3.connect(self._kept / f"{lake}.db")) as source,
                closing(sqlite3.connect(self._catalog)) as target,
            ):
                source.backup(target)
            self._shown = lake

    @property
    def login(self) -> tuple[str, str]:
        """Name and password that `make up` prints."""
        passwords = AirflowHome(self.root).folder / "simple_auth_manager_passwords.json.generated"
        return services.USER, json.loads(passwords.read_text(encoding="utf-8"))[services.USER]

    def _run(self, module: str, *arguments: str) -> None:
        command = [sys.executable, "-m", module, *arguments]
        done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-4000:]
