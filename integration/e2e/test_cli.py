"""The commands of the binary that are clients of a node."""

import csv
import io
import json
from collections.abc import Iterator
from pathlib import Path
from subprocess import CompletedProcess

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from harness.node import Dataset, Node, run, serving, store
from harness.stores import BlobContainer, free_port
from harness.tables import assert_same, parquet, plain, tpch

NATION = ["n_nationkey", "n_name"]


@pytest.fixture(scope="module")
def node(container: BlobContainer) -> Iterator[Node]:
    """A node with nation, and with a dataset that cannot be read."""
    container.put("nation/0.parquet", parquet(tpch("nation"), row_group_size=10))
    container.put("bad/0.parquet", b"PAR1 nothing PAR1")
    datasets = [Dataset(name, container.url(f"{name}/")) for name in ("nation", "bad")]
    with serving(datasets, [store(container)]) as one:
        yield one


def ask(node: Node, *arguments: str | Path) -> CompletedProcess[str]:
    """Run a client command against the node, and expect success."""
    done = run(*arguments, "--url", node.flight)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return done


def scan(node: Node, *arguments: str | Path) -> str:
    """Scan two columns of nation."""
    return ask(node, "scan", "nation", "--columns", ",".join(NATION), *arguments).stdout


def test_csv(node: Node) -> None:
    """A header, and the rows."""
    rows = list(csv.reader(io.StringIO(scan(node, "--format", "csv"))))
    assert rows[0] == NATION
    assert rows[1:] == [
        [str(v) for v in row.values()] for row in tpch("nation").select(NATION).to_pylist()
    ]


def test_json(node: Node) -> None:
    """One object a line."""
    rows = [json.loads(line) for line in scan(node, "--format", "json").splitlines()]
    assert rows == tpch("nation").select(NATION).to_pylist()


def test_table(node: Node) -> None:
    """For people: the names and every value."""
    out = scan(node, "--format", "table", "--limit", "3")
    assert "n_name" in out
    assert "ALGERIA" in out
    assert "CANADA" not in out


@pytest.mark.parametrize("format_", ["arrow", "parquet"])
def test_files(node: Node, tmp_path: Path, format_: str) -> None:
    """Formats for programs go into a file."""
    path = tmp_path / "out"
    assert scan(node, "--format", format_, "--output", path) == ""
    with path.open("rb") as file:
        if format_ == "parquet":
            table = plain(pq.read_table(file))
        else:
            magic = file.read(6)
            file.seek(0)
            opened = pa.ipc.open_file if magic == b"ARROW1" else pa.ipc.open_stream
            table = opened(file).read_all()
    assert_same(table.replace_schema_metadata(), tpch("nation").select(NATION))


def test_filter_and_limit(node: Node) -> None:
    """The same filter and limit as over Flight."""
    flags = ["--filter", "n_name LIKE 'I%'", "--format", "json"]
    names = [json.loads(line)["n_name"] for line in scan(node, *flags).splitlines()]
    assert names == ["INDIA", "INDONESIA", "IRAN", "IRAQ"]
    assert len(scan(node, *flags, "--limit", "2").splitlines()) == 2


def test_url_from_the_environment(node: Node) -> None:
    """FLIGHTCACHE_URL stands for `--url`."""
    done = run("scan", "nation", "--format", "json", FLIGHTCACHE_URL=node.flight)
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == 25


def test_datasets(node: Node) -> None:
    """Every dataset by name, those that cannot be read too."""
    node.allowed.append("bad/0.parquet")
    out = ask(node, "datasets").stdout
    assert "nation" in out
    assert "bad" in out


def test_stats_warm_refresh_evict(node: Node) -> None:
    """Each does what its action does, and says so."""
    ask(node, "evict", "nation")
    done = run("warm", "nation", "--columns", "n_name", "--url", node.flight)
    assert done.returncode == 0, done.stderr
    before = node.stats()
    ask(node, "scan", "nation", "--columns", "n_name")
    assert node.stats()["origin"]["requests"] == before["origin"]["requests"]
    ask(node, "refresh", "nation")
    ask(node, "evict", "nation")
    assert node.stats()["memory"]["bytes"] < before["memory"]["bytes"]
    out = ask(node, "stats").stdout
    for word in ("memory", "disk", "origin", "flight"):
        assert word in out
    as_json = json.loads(ask(node, "stats", "--format", "json").stdout)
    assert as_json["origin"]["requests"] == node.stats()["origin"]["requests"]


def test_failed_warm_exits_1(node: Node) -> None:
    """The file that failed is named on stderr."""
    node.allowed.append("bad/0.parquet")
    done = run("warm", "bad", "--url", node.flight)
    assert done.returncode == 1
    assert "bad/0.parquet" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["scan", "natoin"], ["natoin", "nation"]),
        (["scan", "nation", "--columns", "n_nam"], ["n_nam", "n_name"]),
        (["scan", "nation", "--filter", "n_name >"], ["filter"]),
        (["evict", "nope"], ["nope"]),
        (["scan", "nation", "--output", "/nonexistent/x", "--format", "csv"], ["/nonexistent/x"]),
    ],
    ids=str,
)
def test_failures_exit_1_with_one_line(node: Node, arguments: list[str], words: list[str]) -> None:
    """One line on stderr: what was wrong, and what to do."""
    done = run(*arguments, "--url", node.flight)
    assert done.returncode == 1
    assert done.stdout == ""
    assert len(done.stderr.strip().splitlines()) == 1, done.stderr
    for word in words:
        assert word in done.stderr


def test_no_node_there() -> None:
    """The address is named."""
    url = f"grpc://127.0.0.1:{free_port()}"
    done = run("datasets", "--url", url)
    assert done.returncode == 1
    assert url in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_help_and_version() -> None:
    """Both go to stdout and exit 0."""
    for flag, word in (("--help", "serve"), ("--version", "flightcache")):
        done = run(flag)
        assert done.returncode == 0
        assert word in done.stdout
