"""Virtualenvs at MWAA's pins, made once and kept: `.engines/venvs/<what is in it>`."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from local.cloud.trino import engines_folder

PROJECT = Path(__file__).resolve().parents[2]
UV = Path(sys.executable).with_name("uv")

#: How the tests may differ from MWAA's image, and why. Nothing else does: the pins are the same for both.
PYTHON_EXCEPTIONS = {
    (3, 11): "the machine has no Python 3.12, which MWAA's images have. The pins resolve to the same packages on 3.11.",
}


def mwaa_python() -> Path:
    """The Python that comes closest to MWAA's: 3.12 if there is one on this machine, else that of the project."""
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    for found in (shutil.which("python3.12"), *sorted(pyenv.glob("versions/3.12*/bin/python3.12"), reverse=True)):
        if found and subprocess.run([found, "-c", ""], capture_output=True, check=False).returncode == 0:
            return Path(found)
    assert sys.version_info[:2] in {(3, 12), *PYTHON_EXCEPTIONS}, f"Python {sys.version} is not tried"
    return Path(sys.executable)


def kept_folder(name: str, *made_of: str, make: Callable[[Path], None]) -> Path:
    """A folder that is made once for what it is made of, whoever asks first.

    :param name: the beginning of its name.
    :param made_of: texts; another folder for other ones.
    :param make: fills the folder, which is not there yet.
    """
    digest = hashlib.sha256("\0".join(made_of).encode()).hexdigest()[:12]
    folder = engines_folder() / "venvs" / f"{name}-{digest}"
    with _alone(folder):
        ready = folder / ".ready"
        if not ready.exists():
            shutil.rmtree(folder, ignore_errors=True)
            make(folder)
            ready.touch()
    return folder


def virtualenv(name: str, requirements: Path, constraints: Path) -> Path:
    """A virtualenv with what a requirements file asks for, by the pins of a constraints file.

    :param name: the beginning of its folder's name.
    :param requirements: a requirements file; its own `--constraint` line is not read.
    :param constraints: pins.
    :return: its folder.
    """
    python = str(mwaa_python())
    asked = [line for line in requirements.read_text(encoding="utf-8").splitlines() if not line.startswith(("#", "--"))]

    def make(folder: Path) -> None:
        run(UV, "venv", "--quiet", "--python", python, folder)
        install(folder, *asked, constraints=constraints)

    return kept_folder(name, python, *asked, constraints.read_text(encoding="utf-8"), make=make)


def install(folder: Path, *packages: str, constraints: Path) -> None:
    """Install packages into a virtualenv.

    :param folder: the virtualenv.
    :param packages: requirements.
    :param constraints: pins that hold.
    """
    # As pip does: else every process would compile Airflow anew.
    place = ("--quiet", "--compile-bytecode", "--python", folder / "bin" / "python")
    run(UV, "pip", "install", *place, *packages, "--constraint", constraints)


def run(*command: str | Path, **variables: str) -> str:
    """Run a command that has to succeed, and return what it printed.

    :param command: the command.
    :param variables: environment variables besides this process's.
    """
    done = subprocess.run(
        [str(part) for part in command], env={**os.environ, **variables}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{command}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    return done.stdout


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """One process at a time: pytest may run two."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with Path(f"{folder}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
