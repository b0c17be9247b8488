"""Spark drivers that run what they are told, each in a process of its own that is kept."""

import functools
import json
import os
import re
import select
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.process import CACHE, ROOT

SPARK = CACHE / "spark"
PROGRAMS = ROOT / "integration" / "spark"
VERSIONS = (PROGRAMS / "versions").read_text().split()
OLDEST, NEWEST = VERSIONS[0], VERSIONS[-1]
LOCAL, CLUSTER = "local[2]", "local-cluster[2,1,1024]"

PLUGIN = "dev.flightcache.spark.FlightcachePlugin"
DIST = ROOT / "spark-plugin" / "dist"

# Little of everything: sessions are many and short.
JVM = "-XX:+UseSerialGC -XX:TieredStopAtLevel=1"
DEFAULTS = {
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
    "spark.driver.host": "127.0.0.1",
    "spark.driver.memory": "1g",
    "spark.driver.extraJavaOptions": JVM,
    "spark.executor.extraJavaOptions": JVM,
    "spark.sql.shuffle.partitions": "3",
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.catalogImplementation": "in-memory",
}


def bundle(version: str) -> Path:
    """Return the connector's jar for a release of Spark."""
    series = "3.5_2.12" if version.startswith("3.") else "4_2.13"
    return DIST / f"flightcache-spark-{series}.jar"


def plugged(version: str, url: str, **settings: str) -> dict[str, str]:
    """Return the two settings of a job that reads through the cache, and the connector's own."""
    own = {f"spark.flightcache.{name}": value for name, value in settings.items()}
    jar = {"spark.jars": str(bundle(version))}
    return jar | {"spark.plugins": PLUGIN, "spark.flightcache.url": url} | own


def hadoop(**settings: str) -> dict[str, str]:
    """Return settings of Hadoop; `__` in a name stands for a dot, as `_` does not."""
    return {f"spark.hadoop.{name.replace('__', '.')}": value for name, value in settings.items()}


def connectors() -> str:
    """Return the jars that the newest Spark needs for abfs:// and s3a://, for `spark.jars`."""
    return ",".join(map(str, sorted((SPARK / "jars").glob("*.jar"))))


@functools.cache
def java_home() -> str:
    """Return the home of a JDK that Spark runs on."""
    found = subprocess.run(
        [ROOT / "integration" / "setup", "jdk"], capture_output=True, text=True, check=False
    )
    assert found.returncode == 0, found.stderr
    return found.stdout.strip()


@dataclass(frozen=True)
class Answer:
    """What a program gave: its rows as a count and a hash, and the way that they came."""

    rows: int = 0
    hash: str = ""
    types: str = ""
    first: Sequence[str] = ()
    plan: str = ""
    value: Any = None
    error: str = ""
    counters: Counter[str] = field(default_factory=Counter)

    @property
    def same(self) -> tuple[str, int, str]:
        """Return what two reads of the same rows agree in."""
        assert not self.error, self.error
        return (self.types, self.rows, self.hash)

    @property
    def served(self) -> int:
        """Return how many rows the cache gave."""
        return self.counters["flightcache.rows.served"]

    @property
    def direct(self) -> int:
        """Return how many rows of planned files Spark's own reader gave."""
        return self.counters["flightcache.rows.direct"]

    @property
    def fallbacks(self) -> dict[str, int]:
        """Return how often the connector turned to Spark's reader, by cause."""
        prefix = "flightcache.fallbacks."
        moved = {name: count for name, count in self.counters.items() if count}
        return {k.removeprefix(prefix): v for k, v in moved.items() if k.startswith(prefix)}


@dataclass
class Session:
    """A driver in a process of its own."""

    process: subprocess.Popen[bytes]
    folder: Path
    version: str
    master: str
    application: str = ""

    def ask(self, deadline_s: float = 110, **request: Any) -> Any:
        """Send a request and wait for its answer."""
        self.send(**request)
        return self.receive(deadline_s)

    def send(self, **request: Any) -> None:
        """Send a request."""
        assert self.process.stdin
        self.process.stdin.write(json.dumps(request).encode() + b"\n")
        self.process.stdin.flush()

    def receive(self, deadline_s: float = 110) -> Any:
        """Wait for the answer to the request that was sent."""
        assert self.process.stdout
        ready, _, _ = select.select([self.process.stdout], [], [], deadline_s)
        assert ready, f"no answer within {deadline_s} s:\n{self.log()[-4000:]}"
        line = self.process.stdout.readline()
        assert line, f"Spark ended:\n{self.log()[-4000:]}"
        return json.loads(line)

    def run(
        self, program: str, lake: str | Path, conf: dict[str, str] | None = None, **arguments: Any
    ) -> Answer:
        """Run one of `programs.py`, with some settings changed while it runs."""
        before = self.counters()
        self.start(program, lake, conf, **arguments)
        return self.finish(before)

    def start(
        self, program: str, lake: str | Path, conf: dict[str, str] | None = None, **arguments: Any
    ) -> None:
        """Begin to run a program."""
        url = lake.as_uri() if isinstance(lake, Path) else lake
        self.send(do="run", program=program, lake=url, conf=conf or {}, arguments=arguments)

    def finish(self, before: Counter[str]) -> Answer:
        """Wait for the program that was started; `before` is what the counters were then."""
        answer = self.receive()
        moved = self.counters()
        moved.subtract(before)
        return Answer(**answer, counters=moved)

    def counters(self) -> Counter[str]:
        """Return the connector's figures; of executors, as they were a second ago."""
        if self.master == LOCAL:
            return Counter(self.ask(do="counters"))
        return Counter(self.reported())

    def reported(self) -> Counter[str]:
        """Add up what the processes of a cluster last wrote of the connector's figures."""
        total: Counter[str] = Counter()
        for path in (self.folder / "metrics").glob("*.csv"):
            found = re.search(rf"\.plugin\.{re.escape(PLUGIN)}\.(.+)\.csv$", path.name)
            lines = path.read_text().splitlines() if found else []
            if found and len(lines) > 1 and lines[-1].count(","):
                total[found[1]] += int(float(lines[-1].split(",")[1]))
        return total

    def log(self) -> str:
        """Return what the driver and its executors wrote on stderr."""
        executors = sorted((self.folder / "home" / "work").glob("*/*/stderr"))
        return "\n".join(path.read_text() for path in [self.folder / "stderr", *executors])

    def executors(self) -> list[int]:
        """Return the process ids of the executors."""
        found = []
        for path in Path("/proc").glob("[0-9]*/cmdline"):
            with suppress(OSError):
                words = path.read_bytes().split(b"\0")
                if self.application.encode() in words and words[0].endswith(b"java"):
                    found.append(int(path.parent.name))
        return sorted(found)


@contextmanager
def session(version: str, master: str = LOCAL, **conf: str) -> Iterator[Session]:
    """Run a driver until the block ends; names of settings are given whole."""
    with tempfile.TemporaryDirectory(prefix="spark", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        settings = DEFAULTS | sinks(master, folder) | {"spark.master": master} | conf
        for side in ("driver", "executor"):
            settings[f"spark.{side}.extraClassPath"] = str(additions())
        settings["spark.sql.warehouse.dir"] = (folder / "warehouse").as_uri()
        command = [sys.executable, str(PROGRAMS / "job.py"), json.dumps(settings)]
        with (folder / "stderr").open("wb") as log:
            process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                cwd=folder,
                env=environment(version, folder),
            )
        one = Session(process, folder, version, master)
        try:
            one.application = one.receive()["application"]
            yield one
        finally:
            end(process)


def environment(version: str, folder: Path) -> dict[str, str]:
    """Return the environment of a release of Spark whose home is a copy of links in `folder`."""
    package = SPARK / version / "pyspark"
    if not package.exists():
        raise FileNotFoundError(f"{package} is missing; run: make .cache/spark/ready")
    home = folder / "home"
    home.mkdir()
    for name in ("bin", "jars", "python", "sbin"):
        (home / name).symlink_to(package / name)
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR") if name in os.environ}
    return kept | {
        "JAVA_HOME": java_home(),
        "SPARK_HOME": str(home),
        "SPARK_LOCAL_IP": "127.0.0.1",
        "PYTHONPATH": str(SPARK / version),
        "PYSPARK_PYTHON": sys.executable,
        "TZ": "UTC",
    }


def sinks(master: str, folder: Path) -> dict[str, str]:
    """Return settings that show figures: a driver's own at once, a cluster's each second."""
    if master == LOCAL:
        return {"spark.metrics.conf.*.sink.jmx.class": "org.apache.spark.metrics.sink.JmxSink"}
    (folder / "metrics").mkdir()
    sink = "spark.metrics.conf.*.sink.csv"
    return {
        f"{sink}.class": "org.apache.spark.metrics.sink.CsvSink",
        f"{sink}.period": "1",
        f"{sink}.unit": "seconds",
        f"{sink}.directory": str(folder / "metrics"),
    }


def end(process: subprocess.Popen[bytes]) -> None:
    """Let the driver end by closing its input, and end it."""
    assert process.stdin
    with suppress(BrokenPipeError):
        process.stdin.close()
    with suppress(subprocess.TimeoutExpired):
        process.wait(20)
    process.kill()
    process.wait()


@functools.cache
def additions() -> Path:
    """Compile what the tests add to Spark's class path, unless that is done."""
    sources = sorted((PROGRAMS / "java").glob("*.java"))
    jar = SPARK / "additions.jar"
    if jar.exists() and jar.stat().st_mtime > max(one.stat().st_mtime for one in sources):
        return jar
    tools = Path(java_home()) / "bin"
    classpath = SPARK / OLDEST / "pyspark" / "jars" / "*"
    with tempfile.TemporaryDirectory() as scratch:
        flags = ["--release", "11", "-d", f"{scratch}/classes", "-cp", str(classpath)]
        subprocess.run([tools / "javac", *flags, *sources], check=True)
        made = Path(scratch) / "additions.jar"
        subprocess.run([tools / "jar", "cf", made, "-C", f"{scratch}/classes", "."], check=True)
        shutil.move(made, jar)
    return jar
