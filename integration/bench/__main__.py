"""Run every measurement and write one table; `--scale 0.1` makes it quick."""

import argparse
import datetime as dt
import os
import tempfile
from pathlib import Path

from bench import cold, meter, warm
from harness.node import BINARY
from harness.process import ROOT
from harness.stores import azurite
from harness.tables import tpch_file

RESULTS = ROOT / "integration/bench/results.md"
THREE = ["l_orderkey", "l_extendedprice", "l_shipdate"]
HEADER = ["TPC-H lineitem", "Flightcache", "peer", "ratio", "limit"]


def warm_rows(path: Path, repetitions: int) -> list[list[str]]:
    """Measure the warm scan."""
    copy, loopback = meter.memcpy_gb_s(), meter.loopback_gb_s()
    ours, theirs = warm.compare(path, repetitions)
    a, b = warm.rate(ours), warm.rate(theirs)
    x, y = warm.cost(ours), warm.cost(theirs)
    limit = f"TCP loopback {loopback:.2f} GB/s, memcpy {copy:.2f} GB/s"
    sizes = [f"{runs[0].bytes / 1e9:.2f} GB" for runs in (ours, theirs)]
    name = "warm full scan over loopback, against C++ Flight from memory"
    return [
        [name, f"{a:.2f} GB/s", f"{b:.2f} GB/s", f"{a / b:.2f}", limit],
        ["server CPU a GB", f"{x:.2f} s", f"{y:.2f} s", f"{x / y:.2f}", ""],
        ["bytes of Arrow received", *sizes, f"{ours[0].bytes / theirs[0].bytes:.2f}", ""],
    ]


def cold_rows(path: Path, columns: list[str] | None, repetitions: int) -> list[list[str]]:
    """Measure the first read."""
    with tempfile.TemporaryDirectory() as folder, azurite(Path(folder)) as service:
        container = service.container("bench")
        container.put("lineitem.parquet", path.read_bytes())
        ours, theirs = cold.compare(container, columns, repetitions)
    a, b = (meter.mid(side.runs, lambda run: run.wall_s) for side in (ours, theirs))
    name = "first read of 3 of 16 columns" if columns else "first read of all columns"
    size = path.stat().st_size / 1e6
    mb = [f"{side.bytes / 1e6:.1f} MB" for side in (ours, theirs)]
    counts = [str(side.requests) for side in (ours, theirs)]
    ratios = [ours.requests / theirs.requests, ours.bytes / theirs.bytes]
    return [
        [f"{name} from Azurite, against pyarrow", f"{a:.2f} s", f"{b:.2f} s", f"{a / b:.2f}", ""],
        ["origin data requests", *counts, f"{ratios[0]:.2f}", ""],
        ["origin bytes", *mb, f"{ratios[1]:.2f}", f"stored: {size:.1f} MB"],
    ]


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--scale", type=float, default=1)
    parser.add_argument("--repetitions", type=int, default=5)
    options = parser.parse_args()
    path = tpch_file("lineitem", options.scale)
    rows = warm_rows(path, options.repetitions)
    rows += cold_rows(path, None, options.repetitions)
    rows += cold_rows(path, THREE, options.repetitions)
    lines = ["| " + " | ".join(cells) + " |" for cells in (HEADER, ["---"] * len(HEADER), *rows)]
    about = (
        f"Scale {options.scale:g}, medians of {options.repetitions} alternating runs on "
        f"{os.cpu_count()} cores that client, server and store share, "
        f"{BINARY.parent.name} build, {dt.datetime.now(dt.UTC):%Y-%m-%d}. Requests and bytes were "
        "counted in one further run of each, by a proxy before the store."
    )
    text = "\n".join([*lines, "", about, ""])
    RESULTS.write_text(text)
    print(text)


if __name__ == "__main__":
    main()
