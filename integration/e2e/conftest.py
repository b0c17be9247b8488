"""Stores shared by all tests; every test fails on a log line that it did not expect."""

import uuid
from collections.abc import Iterator

import pytest

from harness import sparklab, stores
from harness.node import LIVE
from harness.slt.expected import COUNTS
from harness.sparklab import Lab
from harness.stores import Azurite, BlobContainer, Bucket


@pytest.fixture(scope="session")
def azurite() -> Iterator[Azurite]:
    """Azurite, in memory, for the whole run."""
    with stores.azurite() as service:
        yield service


@pytest.fixture(scope="module")
def container(azurite: Azurite) -> BlobContainer:
    """A container of one test file's own."""
    return azurite.container(f"c{uuid.uuid4().hex}")


@pytest.fixture
def fresh(azurite: Azurite) -> BlobContainer:
    """A container of one test's own."""
    return azurite.container(f"f{uuid.uuid4().hex}")


@pytest.fixture(scope="session")
def moto() -> Iterator[str]:
    """The endpoint of moto's S3 for the whole run."""
    with stores.moto() as endpoint:
        yield endpoint


@pytest.fixture
def bucket(moto: str) -> Bucket:
    """A bucket of one test's own."""
    return stores.bucket(moto, f"b{uuid.uuid4().hex}")


@pytest.fixture(scope="session")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """Data for Spark, a node over them, and Sparks that read them with it and without."""
    with sparklab.lab(tmp_path_factory.mktemp("spark") / "lake") as one:
        yield one


@pytest.fixture(autouse=True)
def _logs() -> Iterator[None]:
    """Fail on an unexpected WARN or ERROR line of any node that runs after the test."""
    yield
    for node in LIVE:
        node.check_log()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say how many records of DataFusion's SQL tests passed, and why others were skipped."""
    if COUNTS:
        terminalreporter.section("records of sqllogictest files")
        for reason, count in COUNTS.most_common():
            terminalreporter.line(f"{count:6} {reason}")
