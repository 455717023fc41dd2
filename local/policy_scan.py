"""`make lint`'s scan of the templates for careless security: checkov, in a virtualenv of its own.

Its pins do not go with Airflow's, so it is not in requirements-dev.txt. It is installed once, into `.engines/venvs/`,
from the package index that uv uses; the scan itself asks nobody.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from local.cloud.trino import engines_folder

PROJECT = Path(__file__).resolve().parents[1]
TEMPLATES = PROJECT / "deploy" / "cloudformation"
CHECKOV = "3.3.30"


class ScannerMissing(RuntimeError):
    """The scanner cannot be installed. The message says what to do."""


def scanner() -> Path:
    """The Python of the virtualenv that has checkov; made if need be.

    :raises ScannerMissing: when uv cannot install it, with what uv said.
    """
    folder = engines_folder() / "venvs" / f"checkov-{CHECKOV}"
    python = folder / "bin" / "python"
    if python.exists():
        return python
    # Beside it and then moved: somebody else may be at it as well, and half a virtualenv is none.
    partial = folder.with_name(f"{folder.name}.{os.getpid()}")
    print(f"installing checkov {CHECKOV} into {folder.parent}", file=sys.stderr)
    partial.parent.mkdir(parents=True, exist_ok=True)
    try:
        _uv("venv", "--quiet", "--python", sys.executable, str(partial))
        _uv("pip", "install", "--quiet", "--python", str(partial / "bin" / "python"), f"checkov=={CHECKOV}")
        if not folder.exists():
            partial.rename(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return python


def scan(folder: Path = TEMPLATES) -> subprocess.CompletedProcess[str]:
    """Scan templates; 0 is clean.

    :param folder: with templates.
    :raises ScannerMissing: when the scanner cannot be installed.
    """
    command = [str(scanner()), "-m", "checkov.main", "--directory", str(folder), "--framework", "cloudformation"]
    # It would otherwise fetch texts about its rules from its maker.
    quiet = ["--skip-download", "--quiet", "--compact"]
    return subprocess.run([*command, *quiet], capture_output=True, text=True, check=False)


def _uv(*arguments: str) -> None:
    done = subprocess.run([sys.executable, "-m", "uv", *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        raise ScannerMissing(
            f"checkov {CHECKOV} could not be installed into {engines_folder() / 'venvs'}: {done.stderr.strip()[-500:]} "
            "It comes from the package index that uv is set up for: see that it can be reached, and run it again."
        )


def main() -> int:
    """Scan, and print what was found."""
    try:
        found = scan()
    except ScannerMissing as missing:
        print(missing, file=sys.stderr)
        return 2
    print(found.stdout.strip() or found.stderr.strip() or "checkov: the templates pass")
    return found.returncode


if __name__ == "__main__":
    sys.exit(main())
