"""OpenID Connect: tokens of an issuer over HTTP, good and forged; keys that rotate or are away."""

import time
from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pytest
from pyarrow import flight

from harness.client import message, raises_kind
from harness.issuer import Issuer, issuing
from harness.node import Dataset, Node, serving, store
from harness.process import poll
from harness.stores import BlobContainer, free_port
from harness.tables import parquet

TABLE = pa.table({"n": range(5)})
RULES = [{"principal": "alice", "datasets": ["d"]}, {"principal": "sso:*", "datasets": ["d"]}]
ALGORITHMS = {
    "rsa": ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"],
    "p256": ["ES256"],
    "p384": ["ES384"],
    "ed25519": ["EdDSA"],
}


def start(container: BlobContainer, issuer: str, **auth: Any) -> Any:
    """Run a node that takes the issuer's tokens."""
    container.put("d/0.parquet", parquet(TABLE))
    section = {"issuer": issuer, "audience": "flightcache", "rule": RULES} | auth
    return serving([Dataset("d", container.url("d/"))], [store(container)], auth=section)


@pytest.fixture(scope="module")
def issuer() -> Iterator[Issuer]:
    """An issuer that the tests of this file share."""
    with issuing() as one:
        yield one


@pytest.fixture(scope="module")
def node(container: BlobContainer, issuer: Issuer) -> Iterator[Node]:
    """A node that takes its tokens."""
    with start(container, issuer.url) as one:
        yield one


def answers(node: Node, token: str) -> bool:
    """Whether the token is good."""
    with node.client(token) as client:
        try:
            return client.read("d") == TABLE
        except flight.FlightUnauthenticatedError:
            return False


@pytest.mark.parametrize(("kind", "algs"), ALGORITHMS.items())
def test_algorithms(node: Node, issuer: Issuer, kind: str, algs: list[str]) -> None:
    """Each of them, as PyJWT signs it, is read with."""
    for alg in algs:
        assert answers(node, issuer.token(kind, alg)), alg
        assert answers(node, issuer.token(kind, alg, aud=["x", "flightcache"], nbf=time.time()))


def test_forged_and_foreign_tokens(node: Node, issuer: Issuer) -> None:
    """Every one of them is refused with the same words."""
    now = time.time()
    with issuing() as other:
        foreign = [other.token(), other.token(iss=issuer.url)]
    header, claims, signature = issuer.token().split(".")
    bob = issuer.forged("none", sub="bob").split(".")[1]
    bad = {
        "none": issuer.forged("none"),
        "None": issuer.forged("None"),
        "hmac with the public key": issuer.forged("HS256", issuer.public_pem()),
        "hmac with nothing": issuer.forged("HS256", b"\0"),
        "no such algorithm": issuer.forged("RS1024", b"x"),
        "expired": issuer.token(exp=now - 120),
        "without expiry": issuer.token(exp=None),
        "not yet": issuer.token(nbf=now + 300),
        "another issuer": issuer.token(iss="https://elsewhere"),
        "another audience": issuer.token(aud="another"),
        "no audience": issuer.token(aud=None),
        "no subject": issuer.token(sub=None),
        "another key": foreign[0],
        "another key for our issuer": foreign[1],
        "signature of others": f"{header}.{bob}.{signature}",
        "cut": f"{header}.{claims}.{signature[:-9]}",
        "without signature": f"{header}.{claims}.",
        "two parts": f"{header}.{claims}",
        "huge": issuer.token(junk="x" * 7000)[:-1],
        "nonsense": "a.b.c",
    }
    said = set()
    for what, token in bad.items():
        with node.client(token) as client:
            with pytest.raises(flight.FlightUnauthenticatedError) as caught:
                client.info("d")
            said.add(message(caught.value))
            assert token not in node.log(), what
    assert len(said) == 1, said
    assert answers(node, issuer.token())


def test_unknown_keys_ask_the_issuer_rarely(node: Node, issuer: Issuer) -> None:
    """A flood of tokens with new key names is not passed on."""
    flood = [issuer.token(kid=f"new-{number}") for number in range(100)]
    before, began = len(issuer.asked), time.monotonic()
    for token in flood:
        assert not answers(node, token)
    # Two requests every five seconds: discovery and keys.
    most = 2 * (1 + (time.monotonic() - began) / 5)
    assert len(issuer.asked) - before <= most


def test_keys_rotate(node: Node, issuer: Issuer) -> None:
    """A token of a new key is good within seconds, one of a withdrawn key no longer."""
    old = issuer.token()
    assert answers(node, old)
    issuer.rotate()
    poll("the new key", lambda: answers(node, issuer.token()))
    assert not answers(node, old)


def test_an_issuer_that_is_away(container: BlobContainer) -> None:
    """Nothing can be said without its keys: Unavailable; with them, it is not needed."""
    port = free_port()
    with start(container, f"http://127.0.0.1:{port}/realm") as node:
        node.allowed.append("keys cannot be fetched")
        poll("a word on it", lambda: "keys cannot be fetched" in node.log())
        with issuing() as other, node.client(other.token()) as client, raises_kind("Unavailable"):
            client.info("d")
        with issuing(port) as issuer:
            token = issuer.token()

            def served() -> bool:
                with node.client(token) as client:
                    try:
                        return client.read("d") == TABLE
                    except flight.FlightUnavailableError:
                        return False

            poll("its keys", served)
        assert answers(node, token)


def test_principals(container: BlobContainer, issuer: Issuer, tmp_path: Any) -> None:
    """Another claim, a prefix, keys from a file that is followed."""
    path = tmp_path / "jwks.json"
    path.write_text(str(issuer.documents()["/realm/keys"]).replace("'", '"'))
    keys = {"jwks_file": path, "principal_claim": "email", "principal_prefix": "sso:"}
    before = len(issuer.asked)
    with start(container, issuer.url, **keys) as node:
        assert answers(node, issuer.token(email="alice@acme"))
        assert not answers(node, issuer.token())
        assert not answers(node, issuer.token(email=["alice"]))
        issuer.rotate()
        path.write_text(str(issuer.documents()["/realm/keys"]).replace("'", '"'))
        poll("the new key", lambda: answers(node, issuer.token(email="bob@acme")))
        assert len(issuer.asked) == before
    # The same claims without the prefix are somebody else.
    with start(container, issuer.url, jwks_url=f"{issuer.url}/keys") as node:
        with node.client(issuer.token(sub="sso")) as client, raises_kind("NotFound", "d"):
            client.info("d")
        assert answers(node, issuer.token())
