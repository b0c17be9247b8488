"""A stream goes on for no longer than its caller may read: tokens, rules and their ends."""

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pyarrow import flight

from harness import sql
from harness.client import raises_kind
from harness.issuer import Issuer, issuing
from harness.load import LAZY, connections, put_numbers
from harness.node import Dataset, Node, serving
from harness.process import poll

NUMBERS = flight.FlightDescriptor.for_path("numbers")
QUERY = sql.message("CommandStatementQuery", (1, "SELECT * FROM numbers"))
READS = {"scan": NUMBERS, "sql": flight.FlightDescriptor.for_command(QUERY)}
ROWS = 1 << 22  # 128 MiB decoded: far more than any buffer between client and node
ALICE, OPS = "alice-0123456789ab", "ops-0123456789abcd"
RULES = {"alice": ["numbers"], "ops": ["*"]}


def rules(of: dict[str, list[str]]) -> str:
    """Write a rule file."""
    entry = "[[rule]]\nprincipal = {}\ndatasets = {}\n"
    return "".join(entry.format(json.dumps(who), json.dumps(names)) for who, names in of.items())


def tokens(**of: str) -> str:
    """Write a token file."""
    return "".join(f"{name} {token}\n" for name, token in of.items())


@pytest.fixture(scope="module")
def issuer() -> Iterator[Issuer]:
    """An issuer of tokens."""
    with issuing() as one:
        yield one


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the data, the tokens and the rules."""
    folder = tmp_path_factory.mktemp("revoked")
    put_numbers(folder / "numbers", 1, ROWS, 1 << 18)
    return folder


@pytest.fixture(scope="module")
def node(files: Path, issuer: Issuer) -> Iterator[Node]:
    """A node that reads tokens and rules from files, and takes the issuer's tokens."""
    restore(files)
    auth = {"token_file": files / "tokens", "rule_file": files / "rules.toml"}
    auth |= {"issuer": issuer.url, "audience": "flightcache"}
    datasets = [Dataset("numbers", f"file://{files}/numbers/")]
    with serving(datasets, auth=auth) as one:
        yield one


def replace(path: Path, text: str) -> None:
    """Write a file at once, as who changes what a server follows should: never seen half."""
    new = path.with_suffix(".new")
    new.write_text(text)
    new.rename(path)


def restore(files: Path) -> None:
    """Write both files as they are at first."""
    replace(files / "tokens", tokens(alice=ALICE, ops=OPS))
    replace(files / "rules.toml", rules(RULES))


def bearer(token: str) -> flight.FlightCallOptions:
    """Return the options of a call with that token."""
    return flight.FlightCallOptions(headers=[(b"authorization", f"Bearer {token}".encode())])


def withdraw_token(files: Path) -> None:
    """Take alice's token out of the file."""
    replace(files / "tokens", tokens(ops=OPS))


def withdraw_rule(files: Path) -> None:
    """Let alice read something else."""
    replace(files / "rules.toml", rules(RULES | {"alice": ["another"]}))


WAYS: dict[str, tuple[str, Callable[[Path], None], tuple[str, ...]]] = {
    "token": ("Unauthenticated", withdraw_token, ("credentials",)),
    "rule": ("NotFound", withdraw_rule, ("numbers",)),
    "expiry": ("Unauthenticated", lambda _: None, ("credentials",)),
}


@pytest.mark.parametrize("read", READS)
@pytest.mark.parametrize("way", WAYS)
def test_a_stream_ends_with_its_authorisation(
    node: Node, files: Path, issuer: Issuer, way: str, read: str
) -> None:
    """Within seconds, and only the stream of that caller."""
    kind, withdraw, words = WAYS[way]
    # Tokens are good for a minute after their end, by which clocks may be apart.
    token = issuer.token(exp=time.time() - 57) if way == "expiry" else ALICE
    with connections(node.flight, 2, LAZY) as (mine, other):
        streams = []
        for client, shown in ((mine, token), (other, OPS)):
            ticket = client.get_flight_info(READS[read], bearer(shown)).endpoints[0].ticket
            streams.append(client.do_get(ticket, bearer(shown)))
            streams[-1].read_chunk()
        withdraw(files)
        with raises_kind(kind, *words):
            read_slowly(streams[0], 15)
        rows = sum(chunk.data.num_rows for chunk in streams[1])
        assert 0 < rows < ROWS
        with pytest.raises((flight.FlightUnauthenticatedError, KeyError)):
            mine.get_flight_info(READS[read], bearer(token))
        assert '"call":"DoGet"' in node.log()
    restore(files)
    poll("alice may read again", lambda: may_read(node, ALICE))


def read_slowly(stream: flight.FlightStreamReader, most_s: float) -> None:
    """Read a chunk now and then, for so long that the stream should have ended before its rows."""
    began = time.monotonic()
    rows = 0
    while time.monotonic() - began < most_s:
        rows += stream.read_chunk().data.num_rows
        assert rows < ROWS / 2, "read too fast to tell"
        until = time.monotonic() + 0.25
        poll("a while", lambda until=until: time.monotonic() > until)


def may_read(node: Node, token: str) -> bool:
    """Whether the token's principal may read the numbers."""
    with node.client(token) as client:
        try:
            return bool(client.info("numbers"))
        except (flight.FlightUnauthenticatedError, KeyError):
            return False


def test_a_broken_rule_file_changes_nothing(node: Node, files: Path) -> None:
    """It is logged with its line, and what it said before stays in force."""
    with node.expect_log(r"rule_file .*line:3: `actions`"):
        replace(files / "rules.toml", '[[rule]]\nprincipal = "bob"\nactions = 7\n')
    assert may_read(node, ALICE)
    restore(files)
