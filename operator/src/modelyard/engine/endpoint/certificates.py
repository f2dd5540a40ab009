"""Certificates: an authority for ten years, and the server's own for days, signed anew while it runs.

Run as a program of its own (see `signing.py`): the library would stay in the operator's memory for good.
"""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

AUTHORITY_DAYS, SERVER_DAYS = 3650, 30
CLOCK_SKEW = timedelta(hours=1)
"""Pods whose clock is behind must not find the certificate too new."""
Pair = tuple[str, str]
"""A certificate and its private key, both PEM."""


def new_authority(now: datetime | None = None) -> Pair:
    """A self-signed authority that may sign servers' certificates and no other authority."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = _name("modelyard-endpoint-ca")
    usage = x509.KeyUsage(False, False, False, False, False, True, True, False, False)
    built = (
        _builder(name, name, key.public_key(), AUTHORITY_DAYS, now)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )
    return _pair(built.sign(key, hashes.SHA256()), key)


def server_certificate(authority: Pair, host: str, now: datetime | None = None) -> Pair:
    """A server's certificate for one host name; ValueError if the authority cannot be read."""
    signer = x509.load_pem_x509_certificate(authority[0].encode())
    signing = serialization.load_pem_private_key(authority[1].encode(), None)
    if not isinstance(signing, ec.EllipticCurvePrivateKey):
        raise ValueError("the authority's key is not an elliptic curve key")
    key = ec.generate_private_key(ec.SECP256R1())
    identifier = x509.AuthorityKeyIdentifier.from_issuer_public_key(signing.public_key())
    built = (
        _builder(_name(host[:64]), signer.subject, key.public_key(), SERVER_DAYS, now)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(identifier, critical=False)
    )
    return _pair(built.sign(signing, hashes.SHA256()), key)


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, days: int, now: datetime | None
) -> x509.CertificateBuilder:
    start = now or datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(start - CLOCK_SKEW)
        .not_valid_after(start + timedelta(days=days))
    )


def _pair(certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> Pair:
    pem, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    private = key.private_bytes(pem, form, serialization.NoEncryption())
    return certificate.public_bytes(pem).decode(), private.decode()


def main() -> None:
    """Answer a request of standard input (JSON: host and authority, or {} for a new authority)."""
    request = json.load(sys.stdin)
    pair = server_certificate(tuple(request["authority"]), request["host"]) if request else new_authority()
    json.dump(pair, sys.stdout)


if __name__ == "__main__":
    main()
