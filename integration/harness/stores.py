"""Object stores: Azurite from npm, moto's S3 from PyPI, each on a free port."""

import re
import socket
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import boto3
from azure.storage.blob import ContainerClient, ContentSettings
from botocore.config import Config

from harness.process import ROOT, poll, spawned

# The account that every Azurite knows; published in its manual, no secret.
ACCOUNT = "devstoreaccount1"
ACCOUNT_KEY = (
    "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
)


class Place(Protocol):
    """A container or bucket that a test fills and a node reads."""

    endpoint: str

    def put(self, path: str, data: bytes) -> None:
        """Write an object, over an older one if there is one."""

    def delete(self, path: str) -> None:
        """Remove an object."""

    def url(self, path: str = "") -> str:
        """Return the URL that a node is configured with."""

    def options(self, endpoint: str | None = None) -> dict[str, str]:
        """Return the node's options for this place, reached at `endpoint`."""


@dataclass
class BlobContainer:
    """A container of Azurite."""

    endpoint: str
    name: str
    client: ContainerClient = field(repr=False)

    def put(self, path: str, data: bytes) -> None:
        """Write a blob."""
        self.client.upload_blob(
            path,
            data,
            overwrite=True,
            max_concurrency=2,
            content_settings=ContentSettings(content_type="application/octet-stream"),
        )

    def delete(self, path: str) -> None:
        """Remove a blob."""
        self.client.delete_blob(path)

    def url(self, path: str = "") -> str:
        """Return an `az://` URL."""
        return f"az://{self.name}/{path}"

    def options(self, endpoint: str | None = None) -> dict[str, str]:
        """Return options with the account's key."""
        return {
            "account_name": ACCOUNT,
            "account_key": ACCOUNT_KEY,
            "endpoint": f"{endpoint or self.endpoint}/{ACCOUNT}",
            "allow_http": "true",
        }


@dataclass
class Bucket:
    """A bucket of moto."""

    endpoint: str
    name: str
    client: Any = field(repr=False)

    def put(self, path: str, data: bytes) -> None:
        """Write an object."""
        self.client.put_object(Bucket=self.name, Key=path, Body=data)

    def delete(self, path: str) -> None:
        """Remove an object."""
        self.client.delete_object(Bucket=self.name, Key=path)

    def url(self, path: str = "") -> str:
        """Return an `s3://` URL."""
        return f"s3://{self.name}/{path}"

    def options(self, endpoint: str | None = None) -> dict[str, str]:
        """Return options with moto's endpoint; buckets stand in the path."""
        return {
            "aws_access_key_id": "test",
            "aws_secret_access_key": "test",
            "aws_region": "us-east-1",
            "aws_endpoint": endpoint or self.endpoint,
            "aws_virtual_hosted_style_request": "false",
            "allow_http": "true",
        }


@dataclass(frozen=True)
class Azurite:
    """A running blob service."""

    endpoint: str

    def container(self, name: str, *, public: bool = False) -> BlobContainer:
        """Create a container."""
        client = ContainerClient(
            f"{self.endpoint}/{ACCOUNT}",
            name,
            credential={"account_name": ACCOUNT, "account_key": ACCOUNT_KEY},
        )
        client.create_container(public_access="container" if public else None)
        return BlobContainer(self.endpoint, name, client)


@contextmanager
def azurite(folder: Path | None = None) -> Iterator[Azurite]:
    """Run Azurite, in memory or over `folder`."""
    program = ROOT / ".node/node_modules/.bin/azurite-blob"
    if not program.exists():
        raise FileNotFoundError(f"{program} is missing; run: make .node/ready")
    storage = ["--location", str(folder)] if folder else ["--inMemoryPersistence"]
    flags = ["--silent", "--skipApiVersionCheck", "--disableTelemetry", "--blobPort", "0"]
    with tempfile.TemporaryDirectory(prefix="azurite") as scratch:
        log = Path(scratch) / "log"
        with spawned([str(program), *flags, *storage], log, cwd=scratch):
            listens = re.compile(r"successfully listens on (http://\S+)")
            found = poll("Azurite", lambda: listens.search(log.read_text()))
            yield Azurite(found[1])


@contextmanager
def moto() -> Iterator[str]:
    """Run moto's server and return its endpoint."""
    port = free_port()
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    with (
        tempfile.TemporaryDirectory(prefix="moto") as scratch,
        spawned(command, Path(scratch) / "log"),
    ):
        poll("moto", lambda: accepts(port))
        yield f"http://127.0.0.1:{port}"


def bucket(endpoint: str, name: str) -> Bucket:
    """Create a bucket."""
    client = boto3.client(
        "s3",
        endpoint_url=endpoint,
        aws_access_key_id="test",
        aws_secret_access_key="test",
        region_name="us-east-1",
        config=Config(s3={"addressing_style": "path"}),
    )
    client.create_bucket(Bucket=name)
    return Bucket(endpoint, name, client)


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def accepts(port: int) -> bool:
    """Whether somebody listens on `port`."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
