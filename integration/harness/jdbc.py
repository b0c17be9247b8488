"""The JDBC driver of Flight SQL, in a Java process that runs what it is told."""

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from harness.node import Node
from harness.process import CACHE, ROOT

DRIVER = CACHE / "jdbc" / "flight-sql-jdbc-driver.jar"
CLIENT = ROOT / "integration" / "jdbc" / "Client.java"


class Jdbc:
    """A connection through the driver."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        """Talk to a running client."""
        self.process = process

    def ask(self, *words: str) -> Any:
        """Run a command; return columns and rows, or the error."""
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.write("\t".join(words) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        assert line, "the client ended"
        return json.loads(line)

    def rows(self, *words: str) -> list[list[Any]]:
        """Run a command; return its rows."""
        answer = self.ask(*words)
        assert "error" not in answer, answer
        return list(answer["rows"])

    def error(self, *words: str) -> str:
        """Run a command that fails; return why."""
        return str(self.ask(*words)["error"])


@contextmanager
def jdbc(node: Node, token: str | None = None) -> Iterator[Jdbc]:
    """Connect to a node."""
    url = f"jdbc:arrow-flight-sql://{node.flight.split('//')[1]}?useEncryption=false"
    if token:
        url += f"&token={token}"
    opens = "--add-opens=java.base/java.nio=ALL-UNNAMED"
    command = ["java", opens, "-Duser.timezone=UTC", "-cp", str(DRIVER), str(CLIENT), url]
    process = subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        yield Jdbc(process)
    finally:
        process.kill()
        process.wait()
