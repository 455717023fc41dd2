"""The bundle that Amazon MWAA is given, in `build/mwaa`:

    dags/             the DAG files, and beside them what they are made of: include/, salesforce_history/, dbt/ with its
                      manifest, and constraints.txt. MWAA copies it to /usr/local/airflow/dags within a minute.
    plugins.zip       what every Airflow process loads: it puts the DAG folder on the import path of the triggerer, and
                      has the page "Salesforce history" with its code, because the API server has no DAG folder.
    requirements.txt  Airflow's side, exact, with the constraint line that MWAA wants.
    startup.sh        the environment's settings, and dbt in a virtualenv of its own.

The same project and settings give the same bytes, so that a deploy without a change changes nothing.
"""

from __future__ import annotations

import argparse
import hashlib
import re
import shlex
import shutil
import sys
import tempfile
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from deploy.dbt_manifest import DbtProjectWrong, write_manifest
from deploy.page_code import ASSETS, IGNORE, page_files
from deploy.startup_settings import SettingRefused, dbt_variables, startup_settings
from include.config.environment import ENVIRONMENTS, PREFIX, PROJECT_ROOT, UnknownEnvironment

TEMPLATES = Path(__file__).resolve().parent / "mwaa"
AIRFLOW = "3.2.1"
PARTS = ("dags", "plugins.zip", "requirements.txt", "startup.sh")

#: Shipped with the DAGs, where AWS documents a constraints file of one's own. Airflow's released one would do, but a
#: private subnet does not reach its address, and it knows neither Cosmos nor pyiceberg-core.
_CONSTRAINT = '--constraint "/usr/local/airflow/dags/constraints.txt"'
_NAME = re.compile(r"[A-Za-z0-9._-]+")
#: What is copied; anything else in those folders (logs, caches, a person's own files) is not.
_SOURCES = (
    ("dags", "", (".py",)),
    ("include", "include", (".py", ".yml")),
    ("plugins/salesforce_history", "salesforce_history", (".py", *ASSETS)),
    ("dbt", "dbt", (".sql", ".yml", ".md")),
)
_NOT_COPIED = {"__pycache__", "target", "logs", "dbt_packages"}
_ZIP_EPOCH = (1980, 1, 1, 0, 0, 0)


class BundleRefused(ValueError):
    """The bundle cannot be built as asked."""


@dataclass(frozen=True, kw_only=True)
class Bundle:
    """A bundle on disk.

    :param folder: holds the four parts.
    :param environment: development, staging or production.
    :param airflow: version of Airflow that it was made for.
    """

    folder: Path
    environment: str
    airflow: str

    @property
    def dags(self) -> Path:
        """The DAG folder."""
        return self.folder / "dags"

    @property
    def plugins(self) -> Path:
        """plugins.zip."""
        return self.folder / "plugins.zip"

    @property
    def requirements(self) -> Path:
        """requirements.txt."""
        return self.folder / "requirements.txt"

    @property
    def startup(self) -> Path:
        """startup.sh."""
        return self.folder / "startup.sh"


def known_airflows() -> list[str]:
    """Versions of Airflow on MWAA that a bundle can be made for."""
    return sorted(path.stem.removeprefix("constraints-") for path in TEMPLATES.glob("constraints-*.txt"))


def build_bundle(out: Path, environment: str, settings: Mapping[str, str], *, airflow: str = AIRFLOW) -> Bundle:
    """Build the bundle of one environment; an earlier one at the same place is replaced when the new one is complete.

    :param out: folder of the bundle.
    :param environment: development, staging or production.
    :param settings: `SF_HISTORY_*` variables, or the Iceberg connection, that differ from the environment's own.
    :param airflow: version of Airflow on MWAA.
    :raises BundleRefused: if the place or the version will not do.
    :raises SettingRefused: if a setting is unknown or would put a secret into a file.
    :raises DbtProjectWrong: if dbt cannot parse the project.
    """
    if environment not in ENVIRONMENTS or environment == "local":
        allowed = ", ".join(name for name in ENVIRONMENTS if name != "local")
        raise BundleRefused(f"environment {environment!r} is not deployed; allowed are {allowed}")
    if airflow not in known_airflows():
        raise BundleRefused(
            f"Airflow {airflow!r} has no constraints in deploy/mwaa; there are {', '.join(known_airflows())}"
        )
    if out.exists() and (strangers := sorted({path.name for path in out.iterdir()} - set(PARTS))):
        raise BundleRefused(
            f"{out} holds {strangers[0]}, so it is no bundle; it would be replaced. Give another folder."
        )
    exported = startup_settings(environment, settings)
    constraints = _pins(TEMPLATES / f"constraints-{airflow}.txt")
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}-") as place:
        fresh = Path(place) / "bundle"
        _write_dags(fresh / "dags", constraints, exported)
        _write_zip(fresh / "plugins.zip")
        (fresh / "requirements.txt").write_text(_requirements(constraints), encoding="utf-8")
        (fresh / "startup.sh").write_text(_startup(exported), encoding="utf-8")
        if out.exists():
            shutil.rmtree(out)
        fresh.rename(out)
    return Bundle(folder=out, environment=environment, airflow=airflow)


def _write_dags(dags: Path, constraints: Mapping[str, str], exported: Mapping[str, str]) -> None:
    for source, target, suffixes in _SOURCES:
        for path in sorted((PROJECT_ROOT / source).rglob("*")):
            inside = path.relative_to(PROJECT_ROOT / source)
            hidden = any(part.startswith(".") or part in _NOT_COPIED for part in inside.parts)
            if path.is_file() and path.suffix in suffixes and not hidden:
                copy = dags / target / inside
                copy.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(_inside(path), copy)
    shutil.copyfile(TEMPLATES / "airflowignore", dags / ".airflowignore")
    (dags / "constraints.txt").write_text("".join(f"{pin}\n" for pin in constraints.values()), encoding="utf-8")
    write_manifest(dags / "dbt", target=exported[f"{PREFIX}DBT_TARGET"], variables=dbt_variables(exported))


def _inside(path: Path) -> Path:
    """A file of the project; a link that leads elsewhere is none."""
    homes = (PROJECT_ROOT.resolve(), TEMPLATES.resolve())
    if not any(path.resolve().is_relative_to(home) for home in homes):
        raise BundleRefused(f"{path} leads out of the project, to {path.resolve()}: put the file itself there")
    return path


def _write_zip(archive: Path) -> None:
    templates = TEMPLATES / "plugins"
    files = {path.relative_to(templates).as_posix(): path for path in templates.rglob("*.py")}
    contents = {".airflowignore": IGNORE.encode()}
    for name, path in {**files, **page_files(PROJECT_ROOT)}.items():
        contents[name] = _inside(path).read_bytes()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as written:
        for name, content in sorted(contents.items()):
            entry = zipfile.ZipInfo(name, _ZIP_EPOCH)
            entry.compress_type, entry.external_attr = zipfile.ZIP_DEFLATED, 0o644 << 16
            written.writestr(entry, content)


def _requirements(constraints: Mapping[str, str]) -> str:
    """The project's requirements but for dbt, which startup.sh installs, and Airflow, which the image has."""
    lines = ["# Made by `make mwaa` from requirements.txt and deploy/mwaa.", _CONSTRAINT]
    for line in _lines(PROJECT_ROOT / "requirements.txt"):
        name = _name(line)
        if name != "apache-airflow" and not name.startswith("dbt-"):
            extras = re.search(r"\[.*?\]", line)
            pin = constraints[name].split("==")[1]
            lines.append(f"{name}{extras.group() if extras else ''}=={pin}")
    return "\n".join(lines) + "\n"


def _startup(exported: Mapping[str, str]) -> str:
    pins = "\n".join(_lines(TEMPLATES / "dbt-requirements.txt"))
    parts = {
        "@SETTINGS@": "\n".join(f"export {name}={shlex.quote(value)}" for name, value in exported.items()),
        "@DBT_DIGEST@": hashlib.sha256(pins.encode()).hexdigest()[:16],
        "@DBT_REQUIREMENTS@": pins,
    }
    text = (TEMPLATES / "startup.sh").read_text(encoding="utf-8")
    return re.sub("|".join(parts), lambda found: parts[found.group()], text)


def _pins(path: Path) -> dict[str, str]:
    return {_name(line): line for line in _lines(path)}


def _lines(path: Path) -> list[str]:
    lines = (line.strip() for line in path.read_text(encoding="utf-8").splitlines())
    return [line for line in lines if line and not line.startswith("#")]


def _name(requirement: str) -> str:
    found = _NAME.match(requirement)
    return found.group().lower().replace("_", "-").replace(".", "-") if found else ""


def main(arguments: Sequence[str] | None = None) -> int:
    """Build the bundle, and say what is in it.

    :param arguments: the command line; that of the process by default.
    :return: 0, or 2 with the reason.
    """
    parser = argparse.ArgumentParser(prog="python -m deploy.bundle", description="Build what Amazon MWAA is given.")
    parser.add_argument("--environment", default="development", help="development (default), staging or production")
    parser.add_argument(
        "--out", type=Path, default=PROJECT_ROOT / "build" / "mwaa", help="folder (default: build/mwaa)"
    )
    parser.add_argument(
        "--airflow", default=AIRFLOW, help=f"Airflow on MWAA: {', '.join(known_airflows())} (default: {AIRFLOW})"
    )
    parser.add_argument(
        "--setting", action="append", default=[], metavar="NAME=VALUE", help="a variable for startup.sh"
    )
    given = parser.parse_args(arguments)
    try:
        bundle = build_bundle(given.out, given.environment, _settings(given.setting), airflow=given.airflow)
    except (BundleRefused, SettingRefused, UnknownEnvironment, DbtProjectWrong) as problem:
        print(problem, file=sys.stderr)
        return 2
    files = sum(path.is_file() for path in bundle.dags.rglob("*"))
    print(f"{bundle.folder}: {files} files in dags/, {', '.join(PARTS[1:])}")
    print(f"for {bundle.environment}, Airflow {bundle.airflow}")
    return 0


def _settings(given: Sequence[str]) -> dict[str, str]:
    for setting in given:
        if "=" not in setting:
            raise SettingRefused(f"--setting {setting!r:.120}: allowed is NAME=VALUE")
    return dict(setting.split("=", 1) for setting in given)


if __name__ == "__main__":
    sys.exit(main())
