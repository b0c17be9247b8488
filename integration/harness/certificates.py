"""Certificates of an authority of the test's own."""

import datetime as dt
import ipaddress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


def new_key() -> ec.EllipticCurvePrivateKey:
    """Make a private key."""
    return ec.generate_private_key(ec.SECP256R1())


def key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    """Write a private key as PKCS 8."""
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


@dataclass(frozen=True)
class Issued:
    """A certificate and its key, as PEM."""

    cert: bytes
    key: bytes = field(repr=False)

    def write(self, folder: Path, name: str) -> tuple[Path, Path]:
        """Write both files and return where they are."""
        cert, key = folder / f"{name}.crt", folder / f"{name}.key"
        cert.write_bytes(self.cert)
        key.write_bytes(self.key)
        return cert, key


class Authority:
    """Signs certificates."""

    def __init__(self, name: str = "test authority") -> None:
        """Make a key and the certificate that everybody trusts."""
        self.name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self.key = new_key()
        limits = x509.BasicConstraints(ca=True, path_length=None)
        builder = self.builder(self.name, self.key).add_extension(limits, critical=True)
        self.cert = self.sign(builder)

    def server(self) -> Issued:
        """Return a certificate for this machine."""
        address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
        return self.issue("node", [x509.DNSName("localhost"), address])

    def client(self, name: str | None = None, uri: str | None = None) -> Issued:
        """Return a certificate with a common name, a URI, or both."""
        return self.issue(name, [x509.UniformResourceIdentifier(uri)] if uri else [])

    def issue(self, common_name: str | None, names: list[x509.GeneralName]) -> Issued:
        """Sign a certificate of a new key."""
        key = new_key()
        attributes = [x509.NameAttribute(NameOID.COMMON_NAME, common_name)] if common_name else []
        builder = self.builder(x509.Name(attributes), key)
        if names:
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        return Issued(self.sign(builder), key_pem(key))

    def builder(self, subject: x509.Name, key: Any) -> x509.CertificateBuilder:
        """Return a certificate that is good today."""
        now = dt.datetime.now(dt.UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self.name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - dt.timedelta(hours=1))
            .not_valid_after(now + dt.timedelta(days=1))
        )

    def sign(self, builder: x509.CertificateBuilder) -> bytes:
        """Sign it and return it as PEM."""
        return builder.sign(self.key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
