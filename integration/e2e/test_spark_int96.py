"""INT96 moments that not every reader means alike: Spark's own reader has them, and they only."""

from typing import Any

import pytest

from harness.client import raises_kind
from harness.spark import NEWEST, OLDEST
from harness.sparkcases import ELSEWHERE, Query, read
from harness.sparklab import Lab

BOTH_ENDS = [OLDEST, NEWEST]


def partly(folder: str, **options: Any) -> Query:
    """Return a read of which not all rows can come from the cache."""
    name = "_".join(["partly", folder, *options])
    return read(name, folder, way="mixed", **options)


# What is read, and why some of it is not from the cache.
PARTLY = [
    (partly("int96_far"), "data"),
    (partly("int96_far", where="ts > '2009-01-01'"), "data"),
    (partly("int96_cut"), "columns"),
    (partly("int96_old"), "calendar"),
    (partly("int96_old", select=["id", "st.at", "m"], conf=ELSEWHERE), "calendar"),
    (partly("int96_julian", conf=ELSEWHERE), "calendar"),
]


@pytest.mark.parametrize(("query", "why"), PARTLY, ids=[one.name for one, _ in PARTLY])
@pytest.mark.parametrize("version", BOTH_ENDS)
def test_the_rest_comes_from_the_cache(lab: Lab, version: str, query: Query, why: str) -> None:
    """Equal rows; those that a node cannot give, or Spark alone understands, are read directly."""
    assert lab.node
    lab.node.allowed.append("INT96 timestamps outside")
    for _ in range(3):
        answer = lab.check(version, query)
        assert answer.fallbacks.keys() == {why}, answer.fallbacks
        assert answer.direct > 0
        assert answer.served > 0
    # No breaker has opened, and what the dataset has beside that is served as ever.
    answer = lab.check(
        version, read(f"{query.name}_ids", query.arguments["folders"][0], select=["id"])
    )
    assert answer.served == answer.rows


@pytest.mark.parametrize("version", BOTH_ENDS)
def test_the_explicit_face_says_what_to_do(lab: Lab, version: str) -> None:
    """Without files to turn to, the error names the column."""
    assert lab.node
    lab.node.allowed.append("INT96 timestamps outside")
    answer = lab.ready(version).run("explicit", lab.lake, dataset="int96_far", select=["ts"])
    assert "column ts has INT96 timestamps outside of the years 1677 to 2262" in answer.error
    assert "leave the column out" in answer.error


def test_other_clients_get_an_error_and_the_other_columns(lab: Lab) -> None:
    """A node says nothing rather than a wrong moment; SQL and scans of other columns go on."""
    assert lab.node
    lab.node.allowed.append("INT96 timestamps outside")
    with lab.node.client() as client:
        with raises_kind("Data", "leave the column out"):
            client.read("int96_far")
        assert client.read("int96_far", columns=["id"]).num_rows == 1800
