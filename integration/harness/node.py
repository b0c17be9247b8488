"""A running `flightcache serve`."""

import json
import os
import re
import signal
import subprocess
import tempfile
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.client import Client
from harness.process import ROOT, poll
from harness.stores import Place

BINARY = ROOT / os.environ.get("FLIGHTCACHE_BIN", "target/debug/flightcache")
READY = re.compile(
    rb"^flightcache ready flight=(grpc(?:\+tls)?://\S+:\d+) admin=(http://\S+:\d+)$", re.MULTILINE
)

LIVE: "list[Node]" = []


@dataclass(frozen=True)
class Dataset:
    """A `[[dataset]]` entry."""

    name: str
    url: str
    revalidate_after: str = "1h"


@dataclass(frozen=True)
class Store:
    """A `[[store]]` entry."""

    prefix: str
    options: dict[str, str]


def store(place: Place, endpoint: str | None = None) -> Store:
    """Return the entry for a whole container or bucket."""
    return Store(place.url().rstrip("/"), place.options(endpoint))


@dataclass
class Node:
    """A process, where it listens, and what it wrote."""

    process: subprocess.Popen[bytes]
    folder: Path
    flight: str = ""
    admin: str = ""
    allowed: list[str] = field(default_factory=list)
    checked: int = 0

    def client(self, token: str | None = None, **tls: Any) -> Client:
        """Connect to it."""
        return Client(self.flight, token, **tls)

    def stats(self) -> dict[str, Any]:
        """Return its figures."""
        with self.client() as client:
            return client.stats()

    def get(self, path: str) -> tuple[int, str]:
        """Ask its admin port; return status and body."""
        try:
            with urllib.request.urlopen(self.admin + path, timeout=5) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def rss(self) -> int:
        """Return the bytes of memory that it occupies."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+) kB", status)[1]) * 1024

    def log(self) -> str:
        """Return what it wrote on stderr."""
        return (self.folder / "stderr").read_text()

    @contextmanager
    def expect_log(self, pattern: str) -> Iterator[None]:
        """Wait for a log line that matches; WARN and ERROR lines that do are no fault."""
        start = len(self.log())
        self.allowed.append(pattern)
        yield
        poll(f"a log line like {pattern}", lambda: re.search(pattern, self.log()[start:]))

    def check_log(self) -> None:
        """Fail on WARN and ERROR lines that nobody expects, and on lines that are no log."""
        lines = self.log()[self.checked :].splitlines(keepends=True)
        self.checked += sum(len(line) for line in lines if line.endswith("\n"))
        faults = [line for line in lines if line.endswith("\n") and self.is_fault(line)]
        assert not faults, "unexpected in the log:\n" + "".join(faults)

    def is_fault(self, line: str) -> bool:
        """Whether a line is a WARN, an ERROR or no log line, and not allowed."""
        if any(re.search(pattern, line) for pattern in self.allowed):
            return False
        try:
            return bool(json.loads(line)["level"] not in {"INFO", "DEBUG", "TRACE"})
        except (ValueError, KeyError, TypeError):
            return True

    def terminate(self, deadline_s: float = 40) -> None:
        """Send SIGTERM and expect a clean exit."""
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(deadline_s) == 0
        self.check_log()

    def kill(self) -> None:
        """Send SIGKILL."""
        self.process.kill()
        self.process.wait()
        self.check_log()


def config(
    datasets: Sequence[Dataset], stores: Sequence[Store] = (), **sections: dict[str, Any]
) -> str:
    """Write a configuration; `sections` adds to or overrides what tests use."""
    defaults: dict[str, dict[str, Any]] = {
        "server": {"listen": "127.0.0.1:0", "admin_listen": "127.0.0.1:0"},
        "cache": {"memory": "1GiB"},
        "origin": {"max_retries": 2, "retry_timeout": "3s"},
    }
    lines = []
    for name in defaults | sections:
        lines.append(f"[{name}]")
        keys = defaults.get(name, {}) | sections.get(name, {})
        lines += [f"{key} = {toml(value)}" for key, value in keys.items()]
    for dataset in datasets:
        lines += ["[[dataset]]", f"name = {toml(dataset.name)}", f"url = {toml(dataset.url)}"]
        lines += [f"revalidate_after = {toml(dataset.revalidate_after)}"]
    for one in stores:
        options = ", ".join(f"{key} = {toml(value)}" for key, value in one.options.items())
        lines += ["[[store]]", f"prefix = {toml(one.prefix)}", f"options = {{ {options} }}"]
    return "\n".join(lines) + "\n"


def toml(value: Any) -> str:
    """Write a value; JSON's strings, numbers and lists of these are TOML's."""
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {toml(one)}" for key, one in value.items()) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(map(toml, value)) + "]"
    return json.dumps(str(value) if isinstance(value, Path) else value, ensure_ascii=False)


def command(*arguments: str | Path, **environment: str) -> dict[str, Any]:
    """Return how to start the binary with no environment but `environment`."""
    keep = {name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR") if name in os.environ}
    backtrace = {"RUST_BACKTRACE": "1"}
    return {
        "args": [str(BINARY), *map(str, arguments)],
        "env": keep | backtrace | environment,
        "stdin": subprocess.DEVNULL,
    }


def run(*arguments: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the binary to its end."""
    options = command(*arguments, **environment)
    return subprocess.run(**options, capture_output=True, text=True, timeout=60, check=False)


@contextmanager
def serving(
    datasets: Sequence[Dataset],
    stores: Sequence[Store] = (),
    environment: dict[str, str] | None = None,
    **sections: dict[str, Any],
) -> Iterator[Node]:
    """Run a node until the block ends; it must have lived until then and end cleanly."""
    with tempfile.TemporaryDirectory(prefix="flightcache") as folder:
        path = Path(folder)
        (path / "config.toml").write_text(config(datasets, stores, **sections))
        options = command("serve", "--config", path / "config.toml", **(environment or {}))
        with (path / "stdout").open("wb") as out, (path / "stderr").open("wb") as err:
            process = subprocess.Popen(**options, stdout=out, stderr=err, cwd=folder)
        node = Node(process, path)
        try:
            found = poll("ready line", lambda: readiness(node))
            node.flight, node.admin = found[1].decode(), found[2].decode()
            LIVE.append(node)
            yield node
            if process.poll() is None:
                node.terminate()
        finally:
            with suppress(ValueError):
                LIVE.remove(node)
            process.kill()
            process.wait()


def readiness(node: Node) -> re.Match[bytes] | None:
    """Look for the ready line; fail at once where the process has ended."""
    found = READY.search((node.folder / "stdout").read_bytes())
    if not found and node.process.poll() is not None:
        raise AssertionError(f"ended with {node.process.returncode} before ready:\n{node.log()}")
    return found
