"""Ports of 127.0.0.1."""

from __future__ import annotations

import socket


class PortTaken(RuntimeError):
    """Somebody listens there already."""


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def refuse_taken(port: int) -> None:
    """Fail before anything is started.

    :param port: wanted; 0 stands for any and is never taken.
    :raises PortTaken: if somebody listens there.
    """
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise PortTaken(
                f"port {port} of 127.0.0.1 is taken ({error.strerror}): end what listens there, or choose another one"
            ) from error
