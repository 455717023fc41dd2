"""A process that ends with its parent, however that ends: its command runs until standard input closes.

A server that outlives the test or the terminal that started it holds its port and a gigabyte of memory until somebody
looks for it. Nothing in a process that is killed can prevent that; a pipe that the system closes with it can.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

#: After this the command is not asked any more.
PATIENCE = 20.0


def leashed(command: Sequence[str], *, folder: Path) -> list[str]:
    """The command line that runs a command on a leash; its standard input must be a pipe of the parent's.

    :param command: what to run.
    :param folder: of the command; removed when the parent has gone, and kept if only the command ends.
    """
    return [sys.executable, "-m", "local.cloud.leash", str(folder), *command]


def hold(command: Sequence[str], *, folder: Path) -> int:
    """Run a command in a process group of its own until it ends, standard input closes, or SIGTERM comes.

    :param command: what to run.
    :param folder: see `leashed`.
    :return: its exit code.
    """
    # Ctrl-C reaches everybody at the terminal: the parent decides what ends then, and in which order.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    child = subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True)
    signal.signal(signal.SIGTERM, lambda *_: _ask(child, signal.SIGTERM))
    alone = threading.Event()
    threading.Thread(target=_until_input_ends, args=(child, alone), daemon=True).start()
    code = child.wait()
    if alone.is_set():
        shutil.rmtree(folder, ignore_errors=True)
    return code


def _until_input_ends(child: subprocess.Popen[bytes], alone: threading.Event) -> None:
    while os.read(sys.stdin.fileno(), 1024):
        pass
    alone.set()
    _ask(child, signal.SIGTERM)
    try:
        child.wait(PATIENCE)
    except subprocess.TimeoutExpired:
        _ask(child, signal.SIGKILL)


def _ask(child: subprocess.Popen[bytes], what: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child.pid, what)


if __name__ == "__main__":
    sys.exit(hold(sys.argv[2:], folder=Path(sys.argv[1])))
