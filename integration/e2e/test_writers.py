"""Writers overwrite, add, rename and delete while clients read: each read is of one version."""

import random
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field

import pyarrow as pa
import pytest
from pyarrow import flight

from harness.client import Client, metadata
from harness.node import Dataset, Node, serving, store
from harness.stores import BlobContainer
from harness.tables import parquet

ROWS = 600
FILES = 6
READERS = 8
READS = 6000
REVALIDATE_S = 0.3
# What a listing, a plan and a loaded machine may add to the bound.
GRACE_S = 3.0


def content(number: int) -> bytes:
    """Return a file of three row groups, the same size whatever the number."""
    table = pa.table({"n": range(ROWS), "v": pa.array([number] * ROWS, pa.int64())})
    options = {"compression": "none", "use_dictionary": False, "row_group_size": ROWS // 3}
    return parquet(table, write_statistics=False, **options)


@dataclass
class Journal:
    """What was written: numbers by ETag, and when each path had which number."""

    container: BlobContainer
    numbers: dict[str, int] = field(default_factory=dict)
    # For each path its versions: number (or none once it is removed), begun, done.
    history: dict[str, list[tuple[int | None, float, float]]] = field(default_factory=dict)
    next: int = 0
    # What is being replaced or removed.
    busy: str = ""

    def put(self, path: str) -> None:
        """Write the next number."""
        self.next += 1
        begun = time.monotonic()
        answer = self.container.client.upload_blob(path, content(self.next), overwrite=True)
        self.numbers[answer.get_blob_properties().etag.strip('"')] = self.next
        self.note(path, self.next, begun)

    def delete(self, path: str) -> None:
        """Remove an object."""
        begun = time.monotonic()
        self.container.delete(path)
        self.note(path, None, begun)

    def note(self, path: str, number: int | None, begun: float) -> None:
        """Write down what was done."""
        self.history.setdefault(path, []).append((number, begun, time.monotonic()))

    def too_old(self, path: str, number: int, asked: float, bound_s: float) -> bool:
        """Whether a plan made at `asked` should have known that `number` was replaced."""
        versions = list(self.history.get(path, []))
        newer = [one for one in versions if one[0] is None or one[0] > number]
        return any(done < asked - bound_s for _, _, done in newer)

    def is_gone(self, path: str, number: int) -> bool:
        """Whether somebody at least began to replace that version."""
        current = (self.history.get(path) or [(None, 0, 0)])[-1]
        return current[0] != number or self.busy == path


def write(journal: Journal, until: threading.Event) -> None:
    """Do one thing after the other, as fast as it goes."""
    chance = random.Random(7)
    extra: list[str] = []
    fixed = [f"d/{number}.parquet" for number in range(FILES)]
    while not until.is_set():
        what = chance.random()
        path = chance.choice(fixed)
        journal.busy = path
        if what < 0.6:
            journal.put(path)
        elif what < 0.75 or not extra:
            extra.append(f"d/extra-{journal.next}.parquet")
            journal.busy = extra[-1]
            journal.put(extra[-1])
        elif what < 0.9:
            journal.busy = extra[0]
            journal.delete(extra.pop(0))
        else:
            # A rename, as Blob has it: write there, delete here.
            old, new = extra.pop(0), f"d/moved-{journal.next}.parquet"
            journal.put(new)
            journal.busy = old
            journal.delete(old)
            extra.append(new)
        journal.busy = ""


@contextmanager
def writing(journal: Journal) -> Iterator[None]:
    """Write while the block runs."""
    until = threading.Event()
    with ThreadPoolExecutor(1) as pool:
        writer = pool.submit(write, journal, until)
        try:
            yield
        finally:
            until.set()
        writer.result()


def endpoint(client: Client, one: flight.FlightEndpoint, journal: Journal) -> str:
    """Read an endpoint and compare with what was written under its ETag; or it was replaced."""
    (of,) = metadata(one)["objects"]
    etag = of["etag"].strip('"')
    try:
        table = client.flight.do_get(one.ticket).read_all()
    except flight.FlightInternalError as error:
        assert "aborted error" in str(error), error  # noqa: PT017
        number = journal.numbers.get(etag)
        assert number is None or journal.is_gone(of["path"], number), f"{of} is still there"
        return "stale"
    seen = table["v"].unique().to_pylist()
    assert len(seen) == 1, f"rows of versions {seen}"
    assert table["n"].to_pylist() == list(range(ROWS))
    # The writer writes down a version a moment after readers may see it.
    assert journal.numbers.get(etag, seen[0]) == seen[0], "rows of another version than planned"
    return "read"


def read(node: Node, dataset: str, bound_s: float, journal: Journal, reads: int) -> Counter[str]:
    """Plan and read again and again."""
    done: Counter[str] = Counter()
    gone: set[tuple[str, str]] = set()
    with node.client() as client:
        while done["read"] + done["stale"] < reads:
            asked = time.monotonic()
            plan = client.info(dataset)
            done["plan"] += 1
            objects = [metadata(one)["objects"][0] for one in plan.endpoints]
            again = gone & {(of["path"], of["etag"]) for of in objects}
            assert not again, f"planned again though gone: {again}"
            for one, of in zip(plan.endpoints, objects, strict=True):
                number = journal.numbers.get(of["etag"].strip('"'))
                if number is not None:
                    old = journal.too_old(of["path"], number, asked, bound_s)
                    assert not old, f"{of['path']} of version {number} was planned too late"
                outcome = endpoint(client, one, journal)
                done[outcome] += 1
                if outcome == "stale":
                    gone.add((of["path"], of["etag"]))
    return done


@pytest.mark.timeout(300)
@pytest.mark.parametrize(("after", "bound_s"), [("300ms", REVALIDATE_S), ("1h", 3600.0)])
def test_readers_never_see_a_mixed_or_an_old_version(
    fresh: BlobContainer, after: str, bound_s: float
) -> None:
    """Thousands of reads: the rows of the planned version, or `Stale` where that is gone.

    With an hour's bound, plans are of an old snapshot until a read finds an object gone; then a
    new plan succeeds at once.
    """
    journal = Journal(fresh)
    for number in range(FILES):
        journal.put(f"d/{number}.parquet")
    datasets = [Dataset("d", fresh.url("d/"), after)]
    # Chunks are dropped at once, so that most reads reach the store.
    with (
        serving(datasets, [store(fresh)], cache={"memory": "16MiB"}) as node,
        ThreadPoolExecutor(READERS) as pool,
    ):
        share = READS // 2 // READERS
        with writing(journal):
            readers = [
                pool.submit(read, node, "d", bound_s + GRACE_S, journal, share)
                for _ in range(READERS)
            ]
            done = sum((one.result() for one in readers), Counter())
        assert done["read"] > READS / 8, done
        assert journal.next > 20, "the writer did not get far"
        with node.client() as client:
            client.act("flightcache.refresh", {"dataset": "d"})
            last = client.read("d")
    current = {path: versions[-1][0] for path, versions in journal.history.items()}
    expected = sorted(number for number in current.values() if number is not None)
    assert sorted(last["v"].unique().to_pylist()) == expected
