"""TLS and mutual TLS: who gets in, what is said of bad files, and clients that never finish."""

import resource
import socket
import ssl
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyarrow import flight

from e2e.test_start import refused
from harness.certificates import Authority, Issued
from harness.client import Client, raises_kind
from harness.node import Dataset, Node, config, run, serving, store
from harness.process import poll
from harness.stores import BlobContainer
from harness.tables import parquet

TABLE = pa.table({"n": range(5)})
AUTHORITY = Authority()
SERVER = AUTHORITY.server()


def files(folder: Path, *, mutual: bool = False) -> dict[str, Any]:
    """Return `[server.tls]` for files in `folder`."""
    cert, key = SERVER.write(folder, "node")
    tls = {"cert": cert, "key": key}
    (folder / "ca.crt").write_bytes(AUTHORITY.cert)
    return tls | ({"client_ca": folder / "ca.crt"} if mutual else {})


def shown(by: Issued | None = None, ca: bytes = AUTHORITY.cert) -> dict[str, Any]:
    """Return pyarrow's options for a client with that certificate."""
    mine = {"cert_chain": by.cert, "private_key": by.key} if by else {}
    return {"tls_root_certs": ca} | mine


@pytest.fixture
def datasets(container: BlobContainer) -> tuple[list[Dataset], list[Any]]:
    """One dataset and its store."""
    container.put("d/0.parquet", parquet(TABLE))
    return [Dataset("d", container.url("d/"))], [store(container)]


@pytest.fixture
def node(datasets: Any, tmp_path: Path) -> Iterator[Node]:
    """A node with TLS."""
    with serving(*datasets, **{"server.tls": files(tmp_path)}) as one:
        yield one


def test_read_over_tls(node: Node) -> None:
    """The ready line and every location say TLS; pyarrow reads from there."""
    assert node.flight.startswith("grpc+tls://")
    with node.client(**shown()) as client:
        info = client.info("d")
        uris = [one.uri.decode() for end in info.endpoints for one in end.locations]
        assert uris == [node.flight]
        assert client.fetch(info) == TABLE
        with Client(uris[0], **shown()) as there:
            assert there.fetch(info) == TABLE


def test_strangers_are_not_talked_to(node: Node) -> None:
    """Neither a client of another authority nor one without TLS gets anywhere."""
    stranger = Authority("another authority").cert
    plain = node.flight.replace("grpc+tls", "grpc")
    for client in (node.client(**shown(ca=stranger)), Client(plain)):
        with client, pytest.raises(flight.FlightUnavailableError):
            client.info("d")
    with node.client(**shown()) as client:
        assert client.read("d") == TABLE


@pytest.mark.parametrize(
    ("advertise", "told"),
    [
        ("grpc://node-7:50051", "grpc+tls://node-7:50051"),
        ("grpc+tls://lb:443", "grpc+tls://lb:443"),
    ],
)
def test_advertised_address_says_tls(
    datasets: Any, tmp_path: Path, advertise: str, told: str
) -> None:
    """What is configured is told with TLS."""
    sections = {"server.tls": files(tmp_path), "server": {"advertise": advertise}}
    with serving(*datasets, **sections) as node, node.client(**shown()) as client:
        assert [one.uri.decode() for one in client.info("d").endpoints[0].locations] == [told]


def test_clients_must_show_a_certificate(datasets: Any, tmp_path: Path) -> None:
    """With `client_ca`, one that the authority signed, and no other."""
    with serving(*datasets, **{"server.tls": files(tmp_path, mutual=True)}) as node:
        foreign = Authority("test authority").client("alice")
        for by in (None, foreign):
            with node.client(**shown(by)) as client, pytest.raises(flight.FlightUnavailableError):
                client.info("d")
        with node.client(**shown(AUTHORITY.client("alice"))) as client:
            assert client.read("d") == TABLE


def test_certificates_name_principals(datasets: Any, tmp_path: Path) -> None:
    """The common name, else the URI, is the principal of the rules."""
    spiffe = "spiffe://acme/spark"
    rules = [{"principal": name, "datasets": ["d"]} for name in ("alice", spiffe)]
    sections = {"server.tls": files(tmp_path, mutual=True), "auth": {"rule": rules}}
    with serving(*datasets, **sections) as node:
        for issued in (
            AUTHORITY.client("alice"),
            AUTHORITY.client("alice", "spiffe://acme/other"),
            AUTHORITY.client(None, spiffe),
        ):
            with node.client(**shown(issued)) as client:
                assert client.read("d") == TABLE
        with node.client(**shown(AUTHORITY.client("bob", spiffe))) as client:
            with raises_kind("NotFound", "d"):
                client.info("d")
            assert client.names() == []
        with node.client(**shown(AUTHORITY.client())) as client, raises_kind("Unauthenticated"):
            client.info("d")


def test_command_line(datasets: Any, tmp_path: Path) -> None:
    """`--ca`, `--cert` and `--key`, or their variables; what is missing is said in one line."""
    cert, key = AUTHORITY.client("alice").write(tmp_path, "alice")
    with serving(*datasets, **{"server.tls": files(tmp_path, mutual=True)}) as node:
        ca = ["--ca", tmp_path / "ca.crt"]
        for scheme in ("grpc+tls", "grpcs"):
            to = ["--url", node.flight.replace("grpc+tls", scheme)]
            done = run("scan", "d", "--format", "csv", *to, *ca, "--cert", cert, "--key", key)
            assert (done.returncode, done.stdout) == (0, "n\n0\n1\n2\n3\n4\n"), done
        names = {"URL": node.flight, "CA": tmp_path / "ca.crt", "CERT": cert, "KEY": key}
        variables = {f"FLIGHTCACHE_{name}": str(value) for name, value in names.items()}
        assert run("datasets", **variables).returncode == 0
        for flags, word in (
            (ca, "Unavailable"),
            (["--cert", cert, "--key", key], node.flight),
            ([*ca, "--cert", cert], "--key"),
            (["--ca", tmp_path / "none.crt"], "none.crt"),
            ([*ca, "--cert", key, "--key", cert], "--cert"),
        ):
            done = run("datasets", "--url", node.flight, *flags)
            assert done.returncode == 1, done
            assert word in done.stderr, done
            assert len(done.stderr.splitlines()) == 1, done


def test_certificates_are_read_again(datasets: Any, tmp_path: Path) -> None:
    """New ones are shown within seconds, connections stay, and a broken file changes nothing."""
    successor = Authority("another authority")
    tls = files(tmp_path, mutual=True)
    mine, theirs = shown(AUTHORITY.client("a")), shown(successor.client("a"), successor.cert)
    with serving(*datasets, **{"server.tls": tls}) as node, node.client(**mine) as before:
        assert before.read("d") == TABLE
        with node.expect_log("server.tls.cert .*node.crt: holds no PEM certificate"):
            tls["cert"].write_text("-----")
        assert gets_in(node, mine)
        # Between the two files, the key does not go with the certificate.
        node.allowed.append("server.tls.key .*does not go with")
        successor.server().write(tmp_path, "node")
        tls["client_ca"].write_bytes(successor.cert)
        poll("the new certificate", lambda: gets_in(node, theirs))
        assert not gets_in(node, mine)
        assert before.read("d") == TABLE


def gets_in(node: Node, options: dict[str, Any]) -> bool:
    """Whether a new connection with these certificates is talked to."""
    own = [("grpc.use_local_subchannel_pool", 1)]
    with node.client(generic_options=own, **options) as client:
        try:
            return client.read("d") == TABLE
        except flight.FlightUnavailableError:
            return False


def test_bad_files_are_named(tmp_path: Path) -> None:
    """The line names the setting, the file and what is wrong, never what is in it."""
    good = files(tmp_path, mutual=True)
    other = AUTHORITY.server().write(tmp_path, "other")[1]
    (tmp_path / "empty").write_text("")
    for change, words in (
        ({"cert": tmp_path / "none"}, ["server.tls.cert", "none", "cannot be read"]),
        ({"cert": good["key"]}, ["server.tls.cert", "node.key", "no PEM certificate"]),
        ({"key": good["cert"]}, ["server.tls.key", "node.crt", "no PEM private key"]),
        ({"key": other}, ["server.tls.key", "other.key", "node.crt"]),
        ({"client_ca": tmp_path / "empty"}, ["server.tls.client_ca", "empty"]),
    ):
        said = refused(config([], **{"server.tls": good | change}), tmp_path)
        assert all(word in said for word in words), said
        assert "BEGIN" not in said


@contextmanager
def stalled(address: tuple[str, int], count: int) -> Iterator[list[socket.socket]]:
    """Open connections whose handshake never ends."""
    with ExitStack() as opened:
        sockets = [opened.enter_context(socket.create_connection(address)) for _ in range(count)]
        for one in sockets:
            one.sendall(b"\x16\x03\x01\x02\x00\x01")  # the first bytes of a greeting
            one.settimeout(0)
        yield sockets


def closed(one: socket.socket) -> bool:
    """Whether the other side has closed."""
    try:
        return one.recv(1) == b""
    except BlockingIOError:
        return False
    except ConnectionError:
        return True


def test_handshakes_that_never_end(node: Node) -> None:
    """They push each other out and are ended in time; others are served all the while."""
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    if limits[1] < 4096:
        pytest.skip(f"needs 4096 open files, the limit is {limits[1]}")
    resource.setrlimit(resource.RLIMIT_NOFILE, (limits[1], limits[1]))
    host, port = node.flight.split("//")[1].split(":")
    resource.prlimit(node.process.pid, resource.RLIMIT_NOFILE, limits)
    with stalled((host, int(port)), 1200) as opened:
        began = time.monotonic()
        with node.client(**shown()) as client:
            assert client.read("d") == TABLE
        assert time.monotonic() - began < 5
        assert not closed(opened[-1])
        poll("the oldest to be ended", lambda: closed(opened[0]), 5)
        poll("all to be ended", lambda: all(map(closed, opened)), 20)
    with node.client(**shown()) as client:
        assert client.read("d") == TABLE


def test_protocols(node: Node) -> None:
    """TLS 1.2 and 1.3 and nothing older; HTTP/2 alone."""
    host, port = node.flight.split("//")[1].split(":")
    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        context = ssl.create_default_context(cadata=AUTHORITY.cert.decode())
        context.minimum_version = context.maximum_version = version
        context.set_alpn_protocols(["h2"])
        raw = socket.create_connection((host, int(port)))
        with raw, context.wrap_socket(raw, server_hostname="localhost") as secured:
            assert secured.selected_alpn_protocol() == "h2"
