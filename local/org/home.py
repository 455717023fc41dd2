"""The folder in which an org lives: its database, its certificates, its secrets."""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import certifi
import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

from local.org.ids import numbered, to_18

_ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


@dataclass(frozen=True)
class Credentials:
    """What an org knows of itself and of its integration user. Made once for a home, then kept."""

    org_id: str
    user_id: str
    username: str
    password: str
    security_token: str
    consumer_key: str
    consumer_secret: str
    control_token: str


def write_private(path: Path, content: bytes) -> None:
    """Write a file that only its owner may read, whole or not at all.

    :param path: the file.
    :param content: its bytes.
    """
    part = path.with_name(f"{path.name}.part")
    part.unlink(missing_ok=True)
    with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(content)
    part.replace(path)


@dataclass(frozen=True)
class Home:
    """Paths within an org's folder.

    :param root: the folder.
    """

    root: Path

    @property
    def database(self) -> Path:
        """The SQLite file with events and records."""
        return self.root / "org.sqlite"

    @property
    def info(self) -> Path:
        """org.json: where the org listens and how to control it."""
        return self.root / "org.json"

    @property
    def secrets(self) -> Path:
        """The credentials, kept across restarts."""
        return self.root / "secrets.json"

    @property
    def certificate(self) -> Path:
        """The server's certificate chain."""
        return self.root / "server.pem"

    @property
    def private_key(self) -> Path:
        """The server's private key."""
        return self.root / "server.key"

    @property
    def authority(self) -> Path:
        """The certificate of the authority that signed the server's."""
        return self.root / "ca.pem"

    @property
    def ca_bundle(self) -> Path:
        """certifi's authorities and this one: for REQUESTS_CA_BUNDLE."""
        return self.root / "ca-bundle.pem"

    @property
    def app_key(self) -> Path:
        """The private key with which a client signs JWT logins."""
        return self.root / "connected-app.key"

    @property
    def app_certificate(self) -> Path:
        """The certificate that the org's connected app knows that client by."""
        return self.root / "connected-app.pem"

    @property
    def results(self) -> Path:
        """The folder of Bulk results."""
        return self.root / "bulk"

    @property
    def lock(self) -> Path:
        """Locked while a server runs over this home."""
        return self.root / "lock"

    @property
    def log(self) -> Path:
        """What a server that was started from Python printed."""
        return self.root / "server.log"

    def prepare(self) -> Credentials:
        """Make whatever is missing, and return the credentials."""
        self.root.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.results.mkdir(exist_ok=True, mode=0o700)
        self._keep(self.private_key, self._make_server_certificate)
        self._keep(self.app_key, self._make_app_certificate)
        bundle = Path(certifi.where()).read_bytes().rstrip(b"\n") + b"\n\n" + self.authority.read_bytes()
        write_private(self.ca_bundle, bundle)
        self._keep(self.secrets, self._make_secrets)
        return Credentials(**json.loads(self.secrets.read_text(encoding="utf-8")))

    def read_info(self) -> dict[str, Any] | None:
        """Return what org.json says, or None if no server has run here."""
        try:
            found: dict[str, Any] = json.loads(self.info.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        return found

    @staticmethod
    def _keep(last: Path, make: Callable[[], None]) -> None:
        if not last.exists():
            make()

    def _make_server_certificate(self) -> None:
        authority = trustme.CA(organization_name="Simulated Salesforce org")
        issued = authority.issue_cert("127.0.0.1", "localhost")
        write_private(self.authority, authority.cert_pem.bytes())
        write_private(self.certificate, b"".join(blob.bytes() for blob in issued.cert_chain_pems))
        write_private(self.private_key, issued.private_key_pem.bytes())

    def _make_app_certificate(self) -> None:
        key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "connected app of the simulated org")])
        now = datetime.now(UTC)
        certificate = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=1))
            .not_valid_after(now + timedelta(days=3650))
            .sign(key, hashes.SHA256())
        )
        write_private(self.app_certificate, certificate.public_bytes(serialization.Encoding.PEM))
        write_private(
            self.app_key,
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            ),
        )

    def _make_secrets(self) -> None:
        org = to_18("00D" + "".join(secrets.choice(_ALPHABET) for _ in range(12)))
        made = Credentials(
            org_id=org,
            user_id=numbered("005", 62**11 + secrets.randbelow(62**10)),
            username=f"integration@{org.lower()}.example.com",
            password=secrets.token_urlsafe(12),
            security_token="".join(secrets.choice(_ALPHABET) for _ in range(24)),
            consumer_key=f"3MVG9{secrets.token_urlsafe(48)}",
            consumer_secret=secrets.token_hex(32).upper(),
            control_token=secrets.token_urlsafe(32),
        )
        write_private(self.secrets, json.dumps(asdict(made), indent=1).encode())
