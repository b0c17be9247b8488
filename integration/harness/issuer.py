"""An OpenID Connect issuer: discovery and keys over HTTP, tokens signed by PyJWT."""

import base64
import hmac
import json
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

KINDS: dict[str, Any] = {
    "rsa": (lambda: rsa.generate_private_key(65537, 2048), RSAAlgorithm),
    "p256": (lambda: ec.generate_private_key(ec.SECP256R1()), ECAlgorithm),
    "p384": (lambda: ec.generate_private_key(ec.SECP384R1()), ECAlgorithm),
    "ed25519": (ed25519.Ed25519PrivateKey.generate, OKPAlgorithm),
}


class Issuer(ThreadingHTTPServer):
    """Serves its documents, and notes which are asked for."""

    daemon_threads = True

    def __init__(self, port: int = 0) -> None:
        """Make one key of each kind."""
        super().__init__(("127.0.0.1", port), Answer)
        self.url = f"http://127.0.0.1:{self.server_address[1]}/realm"
        self.asked: list[str] = []
        self.answer_with = 200
        self.keys: dict[str, tuple[str, Any]] = {}
        self.rotate()

    def rotate(self) -> None:
        """Replace every key."""
        self.keys = {kind: (f"{kind}-{uuid.uuid4().hex[:8]}", KINDS[kind][0]()) for kind in KINDS}

    def public(self, kind: str) -> dict[str, Any]:
        """Return a public key as it is published."""
        kid, key = self.keys[kind]
        written = json.loads(KINDS[kind][1].to_jwk(key.public_key()))
        return written | {"kid": kid, "use": "sig"}

    def documents(self) -> dict[str, Any]:
        """Return what it serves, by path."""
        discovery = {"issuer": self.url, "jwks_uri": f"{self.url}/keys"}
        return {
            "/realm/.well-known/openid-configuration": discovery,
            "/realm/keys": {"keys": [self.public(kind) for kind in self.keys]},
        }

    def claims(self, **changes: Any) -> dict[str, Any]:
        """Return good claims with some changed; None takes one away."""
        good = {"iss": self.url, "aud": "flightcache", "sub": "alice", "exp": time.time() + 600}
        return {name: value for name, value in (good | changes).items() if value is not None}

    def token(
        self, kind: str = "rsa", alg: str = "RS256", kid: str | None = None, **changes: Any
    ) -> str:
        """Sign claims; `kid` is another name for the key."""
        named, key = self.keys[kind]
        return jwt.encode(self.claims(**changes), key, alg, headers={"kid": kid or named})

    def forged(self, alg: str, secret: bytes = b"", **changes: Any) -> str:
        """Make a token of the first key's name that no private key signed."""
        header = {"alg": alg, "kid": self.keys["rsa"][0], "typ": "JWT"}
        signed = b".".join(
            url64(json.dumps(one).encode()) for one in (header, self.claims(**changes))
        )
        signature = hmac.digest(secret, signed, "sha256") if secret else b""
        return (signed + b"." + url64(signature)).decode()

    def public_pem(self) -> bytes:
        """Return the first public key as it is often published: no secret."""
        return (
            self.keys["rsa"][1]
            .public_key()
            .public_bytes(
                serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
            )
        )


def url64(data: bytes) -> bytes:
    """Write Base64 as tokens have it."""
    return base64.urlsafe_b64encode(data).rstrip(b"=")


class Answer(BaseHTTPRequestHandler):
    """Answers with a document."""

    server: Issuer

    def do_GET(self) -> None:
        """Serve one of the issuer's documents."""
        self.server.asked.append(self.path)
        document = self.server.documents().get(self.path)
        status = self.server.answer_with if document else 404
        body = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Write no access log."""


@contextmanager
def issuing(port: int = 0) -> Iterator[Issuer]:
    """Run an issuer."""
    with Issuer(port) as issuer:
        threading.Thread(target=issuer.serve_forever, args=(0.05,), daemon=True).start()
        try:
            yield issuer
        finally:
            issuer.shutdown()
