"""Bearer tokens, rules and tickets: who may read what, and what the others are told."""

import hashlib
import json
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyarrow import flight

from harness.client import Client, descriptor_for, message, raises_kind
from harness.node import Dataset, Node, serving, store
from harness.process import poll
from harness.stores import BlobContainer
from harness.tables import parquet

TABLE = pa.table({"n": range(5)})
ALICE, BOB, OPS = "alice-0123456789ab", "bob-0123456789abcd", "ops-0123456789abcd"
RULES = [
    {"principal": "al*", "datasets": ["sales_*"]},
    {"principal": "bob", "datasets": ["salaries"], "actions": True},
    {"principal": "ops", "datasets": ["*"], "actions": True},
]
NAMES = ["salaries", "sales_eu", "sales_us"]
ACTIONS = ["warm", "refresh", "evict"]


def tokens(**of: str) -> str:
    """Write a token file."""
    return "".join(f"{name} {token}\n" for name, token in of.items())


def digest(token: str) -> str:
    """Write a token so that whoever reads the file holds none."""
    return "sha256:" + hashlib.sha256(token.encode()).hexdigest()


@pytest.fixture(scope="module", autouse=True)
def _objects(container: BlobContainer) -> None:
    for name in NAMES:
        container.put(f"{name}/0.parquet", parquet(TABLE))


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a token file and a ticket key file."""
    folder = tmp_path_factory.mktemp("access")
    (folder / "tokens").write_text("# who token\n" + tokens(alice=ALICE, bob=digest(BOB), ops=OPS))
    (folder / "keys").write_text("0123456789abcdef\n")
    return folder


def start(container: BlobContainer, files: Path, **auth: Any) -> Any:
    """Run a node whose callers must show tokens."""
    sections = {
        "auth": {"token_file": files / "tokens", "rule": RULES} | auth,
        "server": {"ticket_key_file": files / "keys", "allow_urls": [container.url("free/")]},
    }
    datasets = [Dataset(name, container.url(f"{name}/")) for name in NAMES]
    return serving(datasets, [store(container)], **sections)


@pytest.fixture(scope="module")
def node(container: BlobContainer, files: Path) -> Iterator[Node]:
    """A node that the tests of this file share."""
    with start(container, files) as one:
        yield one


def audit(node: Node) -> list[dict[str, Any]]:
    """Return the audit lines so far."""
    lines = [json.loads(line) for line in node.log().splitlines()]
    return [line for line in lines if line["target"] == "flightcache::audit"]


def calls(client: Client, ticket: flight.Ticket) -> dict[str, Callable[[], Any]]:
    """Return every call there is, by name."""
    descriptor = descriptor_for("sales_eu")
    raw, options = client.flight, client.options

    def put() -> None:
        writer, _ = raw.do_put(descriptor, TABLE.schema, options)
        writer.close()

    def exchange() -> None:
        writer, reader = raw.do_exchange(descriptor, options)
        writer.done_writing()
        reader.read_all()

    acts = {
        name: lambda name=name: client.act(f"flightcache.{name}", {"dataset": "sales_eu"})
        for name in ACTIONS
    }
    return acts | {
        "ListFlights": lambda: list(raw.list_flights(options=options)),
        "GetFlightInfo": lambda: client.info("sales_eu"),
        "GetSchema": lambda: raw.get_schema(descriptor, options),
        "DoGet": lambda: client.get(ticket),
        "ListActions": lambda: raw.list_actions(options),
        "stats": client.stats,
        "nonsense": lambda: client.act("nonsense"),
        "DoPut": put,
        "DoExchange": exchange,
        "Handshake": lambda: raw.authenticate_basic_token("alice", ALICE, options),
    }


def test_no_call_without_credentials(node: Node) -> None:
    """Every call answers UNAUTHENTICATED, and the same words whatever was wrong."""
    with node.client(ALICE) as alice:
        ticket = alice.info("sales_eu").endpoints[0].ticket
        assert alice.get(ticket) == TABLE
    said = set()
    for token in (None, "", "x", ALICE[:-1], ALICE + "x", "a.b.c", "x" * 7000):
        with node.client(token) as client:
            for name, call in calls(client, ticket).items():
                # GetSchema's statuses are plain OSErrors to pyarrow.
                with pytest.raises((flight.FlightUnauthenticatedError, OSError)) as caught:
                    call()
                assert "unauthenticated error" in str(caught.value), name
                said.add(message(caught.value))
                assert audit(node)[-1]["allowed"] is False, name
    assert len(said) == 1, said


@pytest.mark.parametrize(
    "headers",
    [
        [(b"authorization", b"Basic YWxpY2U6YWxpY2U=")],
        [(b"authorization", ALICE.encode())],
        [(b"authorization", b"Bearer " + ALICE.encode())] * 2,
        [(b"x-authorization", b"Bearer " + ALICE.encode())],
        [(b"x-principal", b"alice")],
    ],
)
def test_other_headers_prove_nothing(node: Node, headers: list[tuple[bytes, bytes]]) -> None:
    """One bearer token in one header, and nothing else."""
    with node.client() as client:
        client.options = flight.FlightCallOptions(headers=headers)
        with raises_kind("Unauthenticated"):
            client.info("sales_eu")


def test_a_token_longer_than_headers_may_be(node: Node) -> None:
    """HTTP/2 itself refuses it; the node answers the next one."""
    for length in (17_000, 1_000_000):
        with node.client("x" * length) as client, pytest.raises(flight.FlightError):
            client.info("sales_eu")
    with node.client(ALICE) as client:
        assert client.read("sales_eu") == TABLE


def test_each_sees_its_own(node: Node) -> None:
    """ListFlights and reads show what the rules allow."""
    for token, names in ((ALICE, NAMES[1:]), (BOB, NAMES[:1]), (OPS, NAMES)):
        with node.client(token) as client:
            assert client.names() == names
            for name in names:
                assert client.read(name) == TABLE


def refusal(call: Callable[[], Any], name: str) -> tuple[type, str]:
    """Return the error of a call, without the name that it was about."""
    with pytest.raises(Exception) as caught:  # noqa: PT011
        call()
    return type(caught.value), message(caught.value).replace(name, "NAME")


def test_unreadable_is_missing(node: Node, container: BlobContainer) -> None:
    """Nothing tells a dataset that must not be read from one that is not there."""
    with node.client(ALICE) as client, node.client(OPS) as ops:
        before = ops.stats()["origin"]
        hidden, missing = "salaries", "salories"
        for ask in (
            client.info,
            lambda name: client.info(name, columns=["n"]),
            lambda name: client.info(name, columns=["nope"], filter="1 ="),
            lambda name: client.info(name, snapshot="0123"),
            lambda name: client.flight.get_schema(descriptor_for(name), client.options),
            lambda name: client.act("flightcache.warm", {"dataset": name}),
            lambda name: client.act("flightcache.refresh", {"dataset": name}),
            lambda name: client.act("flightcache.evict", {"dataset": name}),
            lambda name: client.info(url=container.url(f"{name}/")),
            lambda name: client.info(url=container.url(f"{name}/0.parquet")),
        ):
            errors = [refusal(partial(ask, name), name) for name in (hidden, missing)]
            assert errors[0] == errors[1]
            assert issubclass(errors[0][0], KeyError), errors
        with raises_kind("NotFound", "sales_eu"):
            client.info("sales_e")
        with pytest.raises(KeyError) as caught:
            client.info("salarie")
        assert "salaries" not in message(caught.value)
        # None of it has asked the store for anything.
        assert ops.stats()["origin"] == before


def test_urls_are_read_by_the_rules_of_what_covers_them(
    node: Node, container: BlobContainer
) -> None:
    """A dataset's readers read its folder by URL; `allow_urls` is named by rules as it stands."""
    container.put("free/0.parquet", parquet(TABLE))
    with node.client(ALICE) as client:
        assert client.read(url=container.url("sales_eu/")) == TABLE
        for spelled in ("free/", "sales_eu/../salaries/", "sales_eu/%2e%2e/salaries/"):
            with raises_kind("NotFound"):
                client.info(url=container.url(spelled))
    with node.client(OPS) as client:
        assert client.read(url=container.url("free/")) == TABLE


def test_reading_is_not_acting(node: Node) -> None:
    """Actions and figures need a rule with `actions`, for that dataset."""
    with node.client(ALICE) as client:
        for name in ACTIONS:
            with raises_kind("Denied", "sales_eu"):
                client.act(f"flightcache.{name}", {"dataset": "sales_eu"})
        with raises_kind("Denied"):
            client.stats()
    with node.client(BOB) as client:
        for name in ACTIONS:
            client.act(f"flightcache.{name}", {"dataset": "salaries"})
            with raises_kind("NotFound", "sales_eu"):
                client.act(f"flightcache.{name}", {"dataset": "sales_eu"})
        assert client.stats()["flight"]["streams"] >= 0


def renewed(client: Client, endpoint: flight.FlightEndpoint) -> bytes:
    """Ask for an endpoint that is good for longer."""
    raw = endpoint.serialize()
    # RenewFlightEndpointRequest: field 1, the endpoint.
    size, prefix = len(raw), b"\x0a"
    while size >= 128:
        prefix += bytes([size & 127 | 128])
        size >>= 7
    action = flight.Action("RenewFlightEndpoint", prefix + bytes([size]) + raw)
    [result] = client.flight.do_action(action, client.options)
    return result.body.to_pybytes()


def test_tickets_are_for_their_principal(node: Node) -> None:
    """Somebody else's ticket is worth nothing, however much its holder may read."""
    with node.client(ALICE) as alice, node.client(OPS) as ops, node.client(BOB) as bob:
        endpoint = alice.info("sales_eu").endpoints[0]
        for thief in (ops, bob):
            for steal in (
                lambda t=thief: t.get(endpoint.ticket),
                lambda t=thief: renewed(t, endpoint),
            ):
                with raises_kind("Denied", "ticket"):
                    steal()
        again = flight.FlightEndpoint.deserialize(renewed(alice, endpoint))
        assert alice.get(again.ticket) == TABLE
        with raises_kind("Denied", "ticket"):
            ops.get(again.ticket)


def test_rights_are_looked_at_again_where_a_ticket_is_served(
    node: Node, container: BlobContainer, files: Path
) -> None:
    """Another node with the same key and other rules serves no ticket against them."""
    with node.client(ALICE) as client:
        endpoint = client.info("sales_eu").endpoints[0]
    rules = [{"principal": "alice", "datasets": ["sales_us"]}]
    with start(container, files, rule=rules) as other, other.client(ALICE) as client:
        for call in (lambda: client.get(endpoint.ticket), lambda: renewed(client, endpoint)):
            with raises_kind("NotFound", "sales_eu"):
                call()
        assert client.get(client.info("sales_us").endpoints[0].ticket) == TABLE
    # A ticket of a node that asks nobody who he is belongs to nobody.
    datasets = [Dataset("sales_eu", container.url("sales_eu/"))]
    server = {"ticket_key_file": files / "keys"}
    with serving(datasets, [store(container)], server=server) as opened, opened.client() as anybody:
        ticket = anybody.info("sales_eu").endpoints[0].ticket
        assert anybody.get(endpoint.ticket) == TABLE
    with node.client(ALICE) as client, raises_kind("Denied", "ticket"):
        client.get(ticket)


def test_one_audit_line_a_decision(node: Node) -> None:
    """Each says who, what call, which dataset, whether and why."""
    asked: list[tuple[str | None, Callable[[Client], Any], dict[str, Any]]] = [
        (ALICE, lambda c: c.info("sales_eu"), {"call": "GetFlightInfo", "allowed": True}),
        (ALICE, lambda c: c.info("sales\neu"), {"dataset": "sales\\neu", "allowed": False}),
        (ALICE, lambda c: c.names(), {"call": "ListFlights", "datasets": 2, "allowed": True}),
        (ALICE, lambda c: c.stats(), {"call": "flightcache.stats", "allowed": False}),
        (ALICE, lambda c: c.info(url="az://c/d?sig=s3cr3t"), {"allowed": False}),
        (None, lambda c: c.info("sales_eu"), {"call": "GetFlightInfo", "allowed": False}),
    ]
    for token, call, expected in asked:
        before = len(audit(node))
        with node.client(token) as client:
            try:
                call(client)
            except (KeyError, pa.ArrowException, flight.FlightError):
                assert not expected["allowed"]
        lines = audit(node)[before:]
        if not lines and "sig=" in str(call):
            continue
        [line] = [line for line in lines if line["call"] == expected.get("call", line["call"])]
        assert {name: line[name] for name in expected} == expected, line
        assert line.get("principal") == ("alice" if token else None), line
        assert line["reason"], line
    assert "s3cr3t" not in node.log()


def test_admin_port_asks_nobody(node: Node) -> None:
    """Probes and scrapers have no tokens."""
    for path in ("/livez", "/readyz", "/metrics"):
        assert node.get(path)[0] == 200


def answers(node: Node, token: str) -> bool:
    """Whether the token is good."""
    with node.client(token) as client:
        try:
            client.names()
        except flight.FlightUnauthenticatedError:
            return False
        return True


def test_tokens_are_read_again(container: BlobContainer, tmp_path: Path) -> None:
    """A new file is in force within seconds; a broken one changes nothing and is logged."""
    path, fresh = tmp_path / "tokens", "alice-ba9876543210"
    path.write_text(tokens(alice=ALICE))
    (tmp_path / "keys").write_text("0123456789abcdef\n")
    with start(container, tmp_path) as node:
        assert answers(node, ALICE)
        assert not answers(node, fresh)
        path.write_text(tokens(alice=fresh))  # as long, and maybe as old
        poll("the new token", lambda: answers(node, fresh))
        assert not answers(node, ALICE)
        with node.expect_log("token_file.*line 2: write PRINCIPAL TOKEN"):
            path.write_text(tokens(alice=ALICE) + "s3cr3t-s3cr3t-s3cr3t\n")
        with node.expect_log("token_file.*cannot be read"):
            path.unlink()
        assert answers(node, fresh)
        assert not answers(node, ALICE)
        (tmp_path / "new").write_text(tokens(alice=ALICE))
        (tmp_path / "new").rename(path)
        poll("the old token", lambda: answers(node, ALICE))
        assert "s3cr3t" not in node.log()


def test_ticket_keys_rotate(container: BlobContainer, tmp_path: Path) -> None:
    """Tickets in flight outlive a new key, until theirs is removed."""
    old, new = "0123456789abcdef", "fedcba9876543210"
    (tmp_path / "tokens").write_text(tokens(alice=ALICE))
    (tmp_path / "keys").write_text(old)

    def rotate(node: Node, *keys: str) -> None:
        with node.expect_log("ticket_key_file.*file was read again|read again.*ticket_key_file"):
            (tmp_path / "keys").write_text("\n".join(keys))

    with start(container, tmp_path) as node, node.client(ALICE) as client:
        first = client.info("sales_eu").endpoints[0].ticket
        rotate(node, new, old)
        second = client.info("sales_eu").endpoints[0].ticket
        assert client.get(first) == client.get(second) == TABLE
        rotate(node, new)
        assert client.get(second) == TABLE
        with raises_kind("Invalid", "ticket"):
            client.get(first)


@pytest.mark.parametrize(
    ("text", "words"),
    [("alice\n", ["line 1"]), ("alice s3cr3t\n", ["line 1", "16"]), (None, ["cannot be read"])],
)
def test_bad_token_file(
    container: BlobContainer, tmp_path: Path, text: str | None, words: list[str]
) -> None:
    """A node does not start with it, and says what is wrong without repeating it."""
    if text is not None:
        (tmp_path / "tokens").write_text(text)
    with (
        pytest.raises(AssertionError, match="before ready") as caught,
        start(container, tmp_path),
    ):
        pass
    said = str(caught.value)
    assert all(word in said for word in ["token_file", *words]), said
    assert "s3cr3t" not in said
