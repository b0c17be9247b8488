"""How long a node with a full disk tier takes to start, and the memory of its index."""

import tempfile
from pathlib import Path

from bench.meter import Run, line, measured, mid
from harness.cachefiles import NAME
from harness.node import Dataset, serving

CHUNKS = 100_000
SPREAD = 0x9E3779B97F4A7C15F39CC0605CEDC835


def fill(folder: Path, amount: int) -> None:
    """Write files as the disk tier names them; a start looks at their names and sizes alone."""
    for at in range(amount):
        name = f"{at * SPREAD % (1 << 128):032x}"
        assert NAME.fullmatch(name)
        parent = folder / "v2" / name[:2]
        parent.mkdir(parents=True, exist_ok=True)
        (parent / name).write_bytes(b"0")


def start(path: Path, folder: Path) -> tuple[Run, int]:
    """Start a node until it is ready; return how long it took, and its resident bytes."""
    cache = {"memory": "1GiB", "dir": str(folder), "disk": "1TiB"}
    with measured() as run:
        serve = serving([Dataset("lineitem", f"file://{path}")], cache=cache)
        node = serve.__enter__()
    try:
        return run, node.rss()
    finally:
        serve.__exit__(None, None, None)


def rows(path: Path, repetitions: int) -> list[list[str]]:
    """Measure; return lines of the table."""
    with tempfile.TemporaryDirectory() as one, tempfile.TemporaryDirectory() as other:
        full, empty = Path(one), Path(other)
        fill(full, CHUNKS)
        with_chunks, without = [], []
        for _ in range(repetitions):
            with_chunks.append(start(path, full))
            without.append(start(path, empty))
    a, b = (mid([run for run, _ in of], lambda run: run.wall_s) for of in (with_chunks, without))
    grown = min(rss for _, rss in with_chunks) - min(rss for _, rss in without)
    name = f"start with {CHUNKS:,} chunks on disk until ready, against none"
    return [
        line(name, f"{a:.2f} s", f"{b:.2f} s", None),
        line("memory a chunk on disk", f"{grown / CHUNKS:.0f} B", "", None),
    ]
