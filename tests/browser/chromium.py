"""A Chromium to test with: the one that is there, else Debian's."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_ON_A_MAC = Path("/Applications/Google Chrome.app/Contents/MacOS/Google Chrome")

#: Without them Chromium looks for its maker's hosts at every start, which a closed network refuses.
FLAGS = (
    "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync --disable-dev-shm-usage"
).split()


class NoChromium(RuntimeError):
    """There is no Chromium, and none can be installed from here; the message says what to install."""


def chromium() -> Path:
    """Find a Chromium, or install Debian's.

    :raises NoChromium: where neither works.
    """
    found = _found()
    if found is None and shutil.which("apt-get") and os.geteuid() == 0:
        for command in (["update"], ["install", "--yes", "--no-install-recommends", "chromium"]):
            asked = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
            subprocess.run(
                ["apt-get", "--quiet", *command], env=asked, stdin=subprocess.DEVNULL, capture_output=True, check=False
            )
        found = _found()
    if found is None:
        raise NoChromium(
            f"no Chromium: none of {', '.join(_NAMES)} is on the path, and apt-get cannot be used from here. "
            "Install it (Debian, Ubuntu: sudo apt-get install chromium; macOS: Google Chrome), then run this again."
        )
    return found


def _found() -> Path | None:
    for name in _NAMES:
        path = shutil.which(name)
        if path:
            return Path(path)
    return _ON_A_MAC if _ON_A_MAC.exists() else None
