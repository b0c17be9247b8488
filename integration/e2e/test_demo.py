"""`flightcache demo`: what a newcomer runs first."""

import re
import signal
import subprocess
from pathlib import Path

from harness.client import Client
from harness.node import command, run
from harness.process import poll
from harness.sql import plan


def rows(out: str) -> list[list[str]]:
    """Return the cells of the table, without its heading."""
    lines = [line for line in out.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def test_demo_ends_with_a_table() -> None:
    """Cold scans ask the store, warm ones do not, and the imitated latency is said."""
    done = run("demo", "--scale", "0.01", "--latency-ms", "20")
    assert done.returncode == 0, done.stderr
    assert re.search("imitat.* 20 ms", done.stdout)
    for heading in ("wall", "CPU", "origin GETs", "origin MB", "hit ratio"):
        assert heading in done.stdout
    table = rows(done.stdout)
    cold = [row for row in table if row[0].startswith("cold")]
    warm = [row for row in table if row[0].startswith("warm")]
    assert len(cold) >= 1
    assert len(warm) >= 1
    assert all(int(row[4]) > 0 for row in cold)
    assert all(row[4:] == ["0", "0.0", "1.00"] for row in warm)
    assert {row[1] for row in warm} >= {"60175"}
    assert "SQL" in warm[-1][0]
    assert warm[-1][1] == "4"


def test_kept_demo_serves_until_it_is_told_to_end(tmp_path: Path) -> None:
    """`--keep` says how to connect, and that works."""
    out = tmp_path / "out"
    options = command("demo", "--keep", "--scale", "0.01", "--listen", "127.0.0.1:0")
    with out.open("wb") as file, subprocess.Popen(**options, stdout=file, stderr=file) as process:
        try:
            found = poll("the URL", lambda: re.search(r"grpc://[\d.]+:\d+", out.read_text()), 60)
            poll("the hint for Python", lambda: "pyarrow" in out.read_text())
            with Client(found[0]) as client:
                assert client.read("lineitem", columns=["l_tax"]).num_rows == 60_175
                counted = client.fetch(plan(client, "SELECT count(*) AS c FROM lineitem"))
                assert counted["c"].to_pylist() == [60_175]
            process.send_signal(signal.SIGINT)
            assert process.wait(20) == 0
        finally:
            process.kill()
