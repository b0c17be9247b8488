"""Run every measurement and write one table; `--scale 0.1` makes it quick."""

import argparse
import datetime as dt
import os

from bench import cold, point, restart, shared, warm
from harness.node import BINARY
from harness.process import ROOT
from harness.tables import tpch_file

RESULTS = ROOT / "integration/bench/results.md"
THREE = ["l_orderkey", "l_extendedprice", "l_shipdate"]
HEADER = ["TPC-H lineitem", "Flightcache", "peer", "ratio", "limit"]


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--scale", type=float, default=1)
    parser.add_argument("--repetitions", type=int, default=5)
    options = parser.parse_args()
    path = tpch_file("lineitem", options.scale)
    rows = warm.rows(path, options.repetitions)
    rows += point.rows(path)
    rows += cold.rows(path, None, options.repetitions)
    rows += cold.rows(path, THREE, options.repetitions)
    rows += shared.rows(path, options.repetitions)
    rows += restart.rows(path, options.repetitions)
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
