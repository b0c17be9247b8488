"""The commands of the binary that are clients of a node."""

import csv
import io
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from subprocess import CompletedProcess

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from harness.node import Dataset, Node, command, run, serving, store
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


BY_REGION = "SELECT n_regionkey AS r, count(*) AS c FROM nation GROUP BY 1 ORDER BY 1"


def test_sql(node: Node, tmp_path: Path) -> None:
    """Every format, to standard output and into files."""
    expected = [{"r": region, "c": 5} for region in range(5)]
    out = ask(node, "sql", BY_REGION, "--format", "json").stdout
    assert [json.loads(line) for line in out.splitlines()] == expected
    out = ask(node, "sql", BY_REGION, "--format", "csv", "--limit", "2").stdout
    assert out.splitlines() == ["r,c", "0,5", "1,5"]
    assert "| 4 | 5 |" in ask(node, "sql", BY_REGION).stdout
    ask(node, "sql", BY_REGION, "--output", tmp_path / "out.parquet")
    assert pq.read_table(tmp_path / "out.parquet").to_pylist() == expected
    ask(node, "sql", BY_REGION, "--output", tmp_path / "out.arrow")
    assert pa.ipc.open_file(tmp_path / "out.arrow").read_all().to_pylist() == expected
    # All endpoints of a plain scan.
    table = ask(node, "sql", "SELECT * FROM nation", "--format", "csv").stdout
    assert len(table.splitlines()) == 26


def test_sql_from_standard_input(node: Node) -> None:
    """A query that is `-`."""
    options = command("sql", "-", "--url", node.flight, "--format", "csv")
    done = subprocess.run(
        **options | {"stdin": None, "input": "SELECT 1 AS a\n-- and no more\n"},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stdout == "a\n1\n"


def test_a_table_of_sql_is_shortened(node: Node) -> None:
    """As one of a scan is, and it says so."""
    query = "SELECT a.n_name FROM nation a, nation b"
    done = run("sql", query, "--url", node.flight)
    assert done.stdout.count("\n") == 104
    assert "the first 100 rows" in done.stderr
    assert ask(node, "sql", query, "--limit", "101").stdout.count("\n") == 105


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
        (["sql", "SELECT * FROM natoin"], ["NotFound", "natoin", "nation"]),
        (["sql", "SELECT n_nam FROM nation"], ["n_nam"]),
        (["sql", "DROP TABLE nation"], ["Denied", "DROP TABLE"]),
        (["sql", "SELECT repeat('a', 1000000000)"], ["Exhausted", "repeat"]),
        (["sql", ""], ["empty"]),
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
