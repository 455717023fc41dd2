"""HTTP as used with Salesforce: it never waits for ever, and never takes a body that was cut off for a whole one."""

from __future__ import annotations

import tempfile
import zlib
from collections.abc import Iterator
from typing import Any, BinaryIO, cast

import pyarrow as pa
import requests
from requests.adapters import HTTPAdapter

from include.salesforce.errors import SourceUnavailable, Unavailable

#: Seconds to wait for a connection.
CONNECT_TIMEOUT_SECONDS = 10.0
#: Seconds without a byte after which an answer is given up.
READ_TIMEOUT_SECONDS = 300.0

_CHUNK_BYTES = 1 << 16
#: Larger bodies wait on disk.
_MEMORY_BYTES = 16 * 1024 * 1024


class _TimeoutAdapter(HTTPAdapter):
    def __init__(self, *, timeout: tuple[float, float]) -> None:
        self._timeout = timeout
        super().__init__()

    def send(self, request: Any, *args: Any, **kwargs: Any) -> requests.Response:
        # simple_salesforce and the hook pass no timeout at all, and requests then waits as long as the socket lives.
        if kwargs.get("timeout") is None:
            kwargs["timeout"] = self._timeout
        return super().send(request, *args, **kwargs)


def http_session(
    *,
    connect_timeout: float = CONNECT_TIMEOUT_SECONDS,
    read_timeout: float = READ_TIMEOUT_SECONDS,
) -> requests.Session:
    """A session whose every request has timeouts; certificates come from REQUESTS_CA_BUNDLE where that is set.

    :param connect_timeout: seconds to wait for a connection.
    :param read_timeout: seconds without a byte after which an answer is given up.
    """
    session = requests.Session()
    session.mount("https://", _TimeoutAdapter(timeout=(connect_timeout, read_timeout)))
    return session


def save_body(response: requests.Response) -> tuple[BinaryIO, int]:
    """Receive a streamed body whole, in memory or, if it is large, in a temporary file.

    It is unpacked here: a cut gzip stream would otherwise pass for a short body.

    :param response: an answer whose body has not been read.
    :return: the body, a seekable file at its beginning, and the bytes that came over the wire. In memory it is Arrow's,
        whose CSV reader takes it as it lies there.
    :raises requests.exceptions.ContentDecodingError: when the body ended before its declared or packed end.
    """
    packed = "gzip" in response.headers.get("Content-Encoding", "").lower()
    unpacker = zlib.decompressobj(wbits=31) if packed else None
    received = size = 0
    memory, disk = pa.BufferOutputStream(), None
    for chunk in response.raw.stream(_CHUNK_BYTES, decode_content=False):
        received += len(chunk)
        for plain in _unpacked(chunk, unpacker):
            size += len(plain)
            if disk is None and size > _MEMORY_BYTES:
                disk = tempfile.TemporaryFile()  # noqa: SIM115  # whoever gets it closes it
                disk.write(memory.getvalue())
            (disk or memory).write(plain)
    declared = response.headers.get("Content-Length")
    if (declared is not None and int(declared) != received) or (unpacker and received and not unpacker.eof):
        raise requests.exceptions.ContentDecodingError("the body ended early")
    if disk is None:
        return cast("BinaryIO", pa.BufferReader(memory.getvalue())), received
    disk.seek(0)
    return disk, received


def _unpacked(chunk: bytes, unpacker: Any) -> Iterator[bytes]:
    """A chunk's content in pieces: CSV shrinks to a fifteenth, and large pieces leave holes in each thread's memory."""
    if unpacker is None:
        yield chunk
        return
    while chunk:
        yield unpacker.decompress(chunk, _CHUNK_BYTES)
        chunk = unpacker.unconsumed_tail


def tls_problem(what: str, error: Exception) -> Exception:
    """The exception that a broken TLS connection stands for: only a certificate that is not trusted is final.

    :param what: what was being done.
    :param error: what requests raised.
    """
    if "CERTIFICATE_VERIFY_FAILED" not in str(error):
        return Unavailable(f"{what}: the TLS connection to Salesforce broke.")
    return SourceUnavailable(
        f"{what}: the server's certificate is not trusted.",
        remedy="Point REQUESTS_CA_BUNDLE at your network's certificate authority, or check the instance's host name.",
    )
