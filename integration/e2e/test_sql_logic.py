"""DataFusion's own SQL tests, through a node: what they create are datasets of Parquet files.

`e2e/slt/skipped.txt` lists the records that do not pass, and why. `FLIGHTCACHE_SLT=write` lets a
run write it anew, with what it cannot explain below `[unexplained]`, which no run accepts.
"""

import os
from collections.abc import Iterator, Mapping
from concurrent.futures import Future

import pytest

from harness.node import serving
from harness.slt import expected, lanes
from harness.slt.lanes import Result
from harness.slt.records import Place, Record
from harness.slt.run import Outcome, answered
from harness.sql import connect

SKIPPED = expected.read()
FILES = [name for name in lanes.names() if SKIPPED.whole(name) is None]
WRITES = os.environ.get("FLIGHTCACHE_SLT") == "write"
SHOWN = 20


@pytest.fixture(scope="module")
def results(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Mapping[str, Future[Result]]]:
    """Run the files that were asked for, ahead of the tests that look at them."""
    calls = [item.callspec for item in request.session.items if hasattr(item, "callspec")]
    asked = {call.params.get("name") for call in calls}
    files = [name for name in FILES if name in asked]
    with lanes.running(tmp_path_factory.mktemp("slt"), files) as running:
        yield running
        if WRITES and files == FILES:
            done = [one for name in files for one in running[name].result()]
            expected.write(SKIPPED, [(record.place, outcome) for record, outcome in done])


@pytest.mark.parametrize("name", FILES)
def test_records_pass_or_are_listed(name: str, results: Mapping[str, Future[Result]]) -> None:
    """Whatever is listed still differs, for the reason that is given, and nothing else does."""
    faults = []
    for record, outcome in results[name].result():
        reason = SKIPPED.reason(record.place)
        expected.COUNTS[outcome.kind if outcome.kind != "failed" else reason or "failed"] += 1
        if fault := differs(outcome, reason):
            faults.append(f"{record.place.part or name}:{record.place.line} {fault}\n{record.sql}")
    assert WRITES or not faults, "\n\n".join([f"{len(faults)} records", *faults[:SHOWN]])


def differs(outcome: Outcome, reason: str | None) -> str | None:
    """Return what is wrong with a record for which the list has that reason, if anything."""
    if outcome.kind in {reason, "set up"} or reason == expected.UNSETTLED:
        return None
    if outcome.kind == "passed":
        return f"passes, and is listed as `{reason}`" if reason else None
    if outcome.kind == "failed" and reason in SKIPPED.given():
        return None
    return f"{outcome.kind}: {outcome.detail} (listed: {reason})"


def test_what_differs_is_found() -> None:
    """The runner would be no test if it let these pass."""
    right = {
        "SELECT 1 AS a, 'x' AS b": {"types": "IT", "rows": ["1 x"]},
        "VALUES (2), (1)": {"types": "I", "rows": ["1", "2"]},
        "VALUES (2), (1) ORDER BY 1 DESC": {"types": "I", "sort": "rowsort", "rows": ["1", "2"]},
        "SELECT [1.5, NULL], ''": {"types": "?T", "rows": ["[1.5, NULL] (empty)"]},
        "SELECT 1, now()": {"types": "IP", "rows": ["1 20<slt:ignore>"]},
        "SELECT nothing(1)": {"error": "DataFusion error: .*Invalid function 'nothing'"},
    }
    wrong = {
        "SELECT 1 AS a, 'x' AS b": [
            {"types": "IT", "rows": ["1 y"]},
            {"types": "TT", "rows": ["1 x"]},
            {"types": "IT", "rows": ["1 x", "1 x"]},
            {"types": "IT", "rows": []},
            {"error": ""},
        ],
        "VALUES (2), (1)": [{"types": "I", "rows": ["1", "1"]}],
        "VALUES (2), (1) ORDER BY 1": [{"types": "I", "rows": ["2", "1"]}],
        "SELECT [1.5, NULL], ''": [{"types": "?T", "rows": ["[1.5, ] (empty)"]}],
        "SELECT 1, now()": [{"types": "IP", "rows": ["2 <slt:ignore>"]}],
        "SELECT nothing(1)": [{"error": "Invalid function 'other'"}, {"types": "I", "rows": ["1"]}],
    }
    place = Place("own", "", 1)
    with serving([]) as node, connect(node) as connection:
        for sql, one in right.items():
            found = answered(Record(place, sql, query=True, **one), connection)
            assert found.kind == "passed", (sql, found)
        for sql, ones in wrong.items():
            for one in ones:
                found = answered(Record(place, sql, query=True, **one), connection)
                assert found.kind == "failed", (sql, one)
