"""A lake of data, a node over it behind a wire, and Spark on both sides of the comparison."""

from collections import OrderedDict
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.node import Dataset, Node, serving
from harness.process import poll
from harness.spark import LOCAL, OLDEST, Answer, Session, plugged, session
from harness.sparkcases import Query, came
from harness.sparkdata import FOLDERS, build
from harness.wire import Wire, wired

# Sessions that live at the same time: each takes a gigabyte.
KEPT = 3


class Pool:
    """Sessions that are kept; where there are too many, the longest unused ends."""

    def __init__(self) -> None:
        """Start none yet."""
        self.kept: OrderedDict[Any, tuple[ExitStack, Session]] = OrderedDict()

    def get(self, version: str, master: str = LOCAL, **conf: str) -> Session:
        """Return the session with these settings."""
        key = (version, master, tuple(sorted(conf.items())))
        if key in self.kept and self.kept[key][1].process.poll() is not None:
            self.end(key)
        if key not in self.kept:
            while len(self.kept) >= KEPT:
                self.end(next(iter(self.kept)))
            stack = ExitStack()
            self.kept[key] = (stack, stack.enter_context(session(version, master, **conf)))
        self.kept.move_to_end(key)
        return self.kept[key][1]

    def end(self, key: Any) -> None:
        """End a session."""
        stack, _ = self.kept.pop(key)
        stack.close()

    def clear(self) -> None:
        """End all."""
        for key in list(self.kept):
            self.end(key)


@dataclass
class Lab:
    """What the tests of the connector share."""

    lake: Path
    wire: Wire
    pool: Pool
    node: Node | None = None
    known: dict[tuple[str, str], Answer] = field(default_factory=dict)
    warmed: set[int] = field(default_factory=set)

    def plain(self, version: str) -> Session:
        """Return a Spark that knows nothing of the cache."""
        return self.pool.get(version)

    def through(self, version: str, master: str = LOCAL, **settings: str) -> Session:
        """Return a Spark that reads through the cache."""
        # Shorter than the default, for streams that get stuck.
        settings = {"timeout": "10s"} | settings
        return self.pool.get(version, master, **plugged(version, self.wire.url, **settings))

    def ready(self, version: str, master: str = LOCAL) -> Session:
        """Return it once it is served: a first call may take longer than a plan waits for."""
        spark = self.through(version, master)
        if spark.process.pid not in self.warmed:
            await_plans(spark, self.lake, "nation")
            self.warmed.add(spark.process.pid)
        return spark

    def expected(self, version: str, query: Query) -> Answer:
        """Return what Spark says to a query without the cache; asked once."""
        key = (version, query.name)
        if key not in self.known:
            answer = query.run(self.plain(version), self.lake)
            assert not answer.error, answer.error
            assert query.plan in answer.plan, answer.plan
            assert not answer.counters
            self.known[key] = answer
        return self.known[key]

    def check(self, version: str, query: Query, master: str = LOCAL) -> Answer:
        """Ask through the cache: the same rows, and the way that they must come."""
        expected = self.expected(version, query)
        spark = self.ready(version, master)
        before = spark.counters()
        answer = query.run(spark, self.lake)
        assert answer.same == expected.same, (answer.first, expected.first)
        assert query.plan in answer.plan, answer.plan
        if master != LOCAL and query.way in {"cached", "mixed"}:
            poll("figures of executors", lambda: moved(spark, before))
        else:
            came(answer, query.way)
        return answer

    @contextmanager
    def serving(self, **sections: Any) -> Iterator[Node]:
        """Run a node behind the wire until the block ends."""
        with over(self.lake, self.wire, **sections) as node:
            self.node, before = node, self.node
            try:
                yield node
            finally:
                self.node = before
                if before:
                    self.wire.to(before.flight)


def await_plans(spark: Session, lake: Path | str, folder: str) -> None:
    """Wait until a read of a folder is planned through the cache, without reading a column."""

    def planned() -> bool:
        return "Flightcache" in spark.run("read", lake, folders=[folder], select=["1"]).plan

    poll("a read is planned through the cache", planned, 60)


def moved(spark: Session, before: Any) -> bool:
    """Whether executors say that the cache has served since."""
    name = "flightcache.rows.served"
    return bool(spark.counters()[name] > before[name])


@contextmanager
def over(lake: Path, wire: Wire, **sections: Any) -> Iterator[Node]:
    """Run a node with a dataset for each folder, planned once, behind a wire."""
    server = {
        "listen": "127.0.0.1:0",
        "admin_listen": "127.0.0.1:0",
        "advertise": wire.url,
    }
    datasets = [Dataset(name, f"{lake.as_uri()}/{name}/") for name in FOLDERS]
    with serving(datasets, server=server, **sections) as node:
        wire.to(node.flight)
        with node.client() as client:
            client.names()
            for name in FOLDERS:
                client.info(name)
        yield node


@contextmanager
def lab(lake: Path) -> Iterator[Lab]:
    """Write the data, run a node, and end what was started."""
    pool = Pool()
    with wired() as wire:
        try:
            build(lake, pool.get(OLDEST))
            one = Lab(lake, wire, pool)
            with one.serving():
                yield one
        finally:
            pool.clear()
