"""No secret leaves: planted ones are looked for in everything that a node writes and answers."""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyarrow import flight

from harness.certificates import Authority
from harness.client import Client
from harness.issuer import Issuer, issuing
from harness.node import Dataset, Store, config, run, serving, store
from harness.stores import ACCOUNT_KEY, BlobContainer
from harness.tables import parquet

TABLE = pa.table({"n": range(5)})
AUTHORITY = Authority()
TOKEN, TICKET_KEY = "planted-token-0123", "planted-ticket-key-0123"
SAS = "sv=2024-11-04&sig=cGxhbnRlZHNpZw%3D%3D"
FAULTS = (KeyError, OSError, pa.ArrowException, flight.FlightError)


@pytest.fixture(scope="module")
def issuer() -> Iterator[Issuer]:
    """Signs a planted token."""
    with issuing() as one:
        yield one


def provoked(client: Client, url: str) -> Iterator[str]:
    """Ask for all kinds of things and return what is said."""
    asks: list[Any] = [
        lambda: client.info("d"),
        lambda: client.read("d", filter="n > 'x'"),
        lambda: client.info("broken"),
        lambda: client.info("gone"),
        lambda: client.read("nope"),
        lambda: client.info(url=f"{url}?{SAS}"),
        lambda: client.info(url=f"az://elsewhere/d?{SAS}"),
        lambda: client.get(flight.Ticket(TOKEN[:8].encode())),
        client.stats,
        lambda: client.act("flightcache.warm", {"dataset": "d"}),
        lambda: client.act("flightcache.evict", {"dataset": "d"}),
        client.names,
    ]
    for ask in asks:
        try:
            answer = ask()
        except FAULTS as error:
            yield str(error)
            continue
        if isinstance(answer, flight.FlightInfo):
            yield answer.serialize().decode(errors="replace")
            for endpoint in answer.endpoints:
                yield endpoint.ticket.ticket.decode(errors="replace")
        else:
            yield str(answer)


@pytest.mark.parametrize("level", ["info", "trace"])
def test_planted_secrets_stay(
    fresh: BlobContainer, issuer: Issuer, tmp_path: Path, level: str
) -> None:
    """Not in logs, errors, plans, tickets, answers or metrics, whatever is asked."""
    cert, key = AUTHORITY.server().write(tmp_path, "node")
    (tmp_path / "tokens").write_text(f"alice {TOKEN}\n")
    (tmp_path / "keys").write_text(TICKET_KEY)
    fresh.put("d/0.parquet", parquet(TABLE))
    fresh.put("broken/0.parquet", b"PAR1 no such thing PAR1")
    rule = {"principal": "alice", "datasets": ["*"], "actions": True}
    sections = {
        "server": {"ticket_key_file": tmp_path / "keys"},
        "server.tls": {"cert": cert, "key": key},
        "auth": {
            "token_file": tmp_path / "tokens",
            "issuer": issuer.url,
            "audience": "flightcache",
            "rule": [rule],
        },
    }
    names = ["d", "broken", "gone"]
    datasets = [Dataset(name, fresh.url(f"{name}/")) for name in names]
    good, expired = issuer.token(), issuer.token(exp=1)
    body = key.read_text().splitlines()[1]
    with serving(datasets, [store(fresh)], {"RUST_LOG": level}, **sections) as node:
        node.allowed.append("broken")
        said = [node.get("/metrics")[1]]
        for token in (TOKEN, good, expired, f"{TOKEN}x", None):
            with node.client(token, tls_root_certs=AUTHORITY.cert) as client:
                said += provoked(client, fresh.url("d/"))
        with suppress(*FAULTS), Client(node.flight, TOKEN) as client:
            client.info("d")
        (tmp_path / "tokens").write_text(f"alice {TOKEN}\n{TOKEN}\n")
        with node.expect_log("line 2"):
            pass
        checked = run("config", "check", node.folder / "config.toml")
        said += [node.log(), node.get("/metrics")[1], checked.stdout, checked.stderr]
    text = "\n".join(said)
    assert "flightcache::audit" in text
    planted = [TOKEN, TICKET_KEY, ACCOUNT_KEY, SAS, "cGxhbnRlZHNpZw", body]
    planted += [part for token in (good, expired) for part in token.split(".")[1:]]
    for secret in planted:
        assert secret not in text, f"{secret} in: {text[max(text.find(secret) - 300, 0) :][:600]}"


def test_config_check_repeats_no_secret(tmp_path: Path) -> None:
    """Secrets at the wrong place are not told back."""
    path = tmp_path / "bad.toml"
    auth = {
        "token": "planted-1",
        "issuer": "https://me:planted-2@issuer",
        "audience": "x",
        "rule": [{"principal": "a", "datasets": ["*"], "actions": "planted-3"}],
    }
    tls = {"cert": "c", "key": "k", "password": "planted-4"}
    options = {"account_key": "planted-5", "nope": "planted-6"}
    sections = {"auth": auth, "server.tls": tls, "server": {"ticket_key": "planted-7"}}
    path.write_text(config([], [Store("az://c", options)], **sections))
    done = run("config", "check", path)
    assert done.returncode == 1
    for word in ("`token`", "`issuer`", "`actions`", "`password`", "`ticket_key`"):
        assert word in done.stderr, done.stderr
    assert "planted" not in done.stdout + done.stderr
