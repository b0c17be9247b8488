"""DataFusion's own SQL tests, through a node: what they create are datasets of Parquet files.

`e2e/slt/skipped.txt` lists the records that do not pass, and why. With `FLIGHTCACHE_SLT=write` a
run writes it anew: read what changed.
"""

import os
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import Future

import pytest

from harness.slt import expected, lanes
from harness.slt.run import Outcome

SKIPPED = expected.read()
FILES = [name for name in lanes.names() if SKIPPED.whole(name) is None]
WRITE = os.environ.get("FLIGHTCACHE_SLT") == "write"
RESULTS: dict[str, lanes.Result] = {}


@pytest.fixture(scope="module")
def results(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Future[lanes.Result]]]:
    """Run the chosen files ahead of the tests that look at them."""
    asked = {item.callspec.params.get("name") for item in request.session.items if hasattr(item, "callspec")}
    with lanes.running(tmp_path_factory.mktemp("slt"), [one for one in FILES if one in asked]) as running:
        yield running


@pytest.mark.parametrize("name", FILES)
def test_records_pass_or_are_listed(name: str, results: dict[str, Future[lanes.Result]]) -> None:
    """Whatever is listed still differs, for the reason that is given, and nothing else does."""
    RESULTS[name] = result = results[name].result()
    faults = []
    for record, outcome in result:
        reason = SKIPPED.reason(record.place)
        if fault := differs(outcome, reason):
            faults.append(f"{record.place.part or name}:{record.place.line} {fault}\n{record.sql}")
    assert WRITE or not faults, "\n\n".join(faults[:20])


def differs(outcome: Outcome, reason: str | None) -> str | None:
    """Return what is wrong with a record for which the list has that reason, if anything."""
    if reason == expected.UNSETTLED or outcome.kind == reason:
        return None
    match outcome.kind, reason:
        case "set up", _:
            return None
        case "passed", None:
            return None
        case "passed", _:
            return f"passes, and is listed as `{reason}`"
        case "failed", str() if reason not in expected.RULES:
            return None
    return f"{outcome.kind}: {outcome.detail} (listed: {reason})"
