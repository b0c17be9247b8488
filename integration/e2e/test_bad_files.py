"""Broken, encrypted and foreign files: the error names the file, and the node lives on."""

import base64
import io
import struct
from collections.abc import Callable, Iterator

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyarrow.parquet import encryption

from harness.client import Client, raises_kind
from harness.node import Dataset, Node, serving, store
from harness.stores import BlobContainer
from harness.tables import assert_same, parquet, tpch


def good() -> pa.Table:
    """Return what the files hold before they are broken."""
    return tpch("orders").slice(0, 5000)


def intact() -> bytes:
    """Return a good file."""
    return parquet(good(), compression="none", use_dictionary=False, row_group_size=2500)


def footer_size(data: bytes) -> int:
    """Return the length of a file's footer with its tail."""
    return int.from_bytes(data[-8:-4], "little") + 8


def truncated() -> bytes:
    """Cut the end off."""
    return intact()[:-1000]


def beheaded() -> bytes:
    """Keep the footer but lose pages, so that offsets point beyond the end."""
    data = intact()
    return data[: len(data) // 3] + data[-footer_size(data) :]


def zeroed_pages() -> bytes:
    """Zero every page."""
    data = intact()
    end = len(data) - footer_size(data)
    return data[:4] + bytes(end - 4) + data[end:]


def zeroed_footer() -> bytes:
    """Zero the footer and keep its length and magic."""
    data = intact()
    size = footer_size(data)
    return data[:-size] + bytes(size - 8) + data[-8:]


def long_footer() -> bytes:
    """Claim a footer longer than the file."""
    data = intact()
    return data[:-8] + struct.pack("<I", 2**31) + data[-4:]


def random_footer() -> bytes:
    """Replace the footer by bytes that are no Thrift."""
    data = intact()
    size = footer_size(data)
    noise = bytes((i * 7919 + 13) % 256 for i in range(size - 8))
    return data[:-size] + noise + data[-8:]


def corrupt_codec() -> bytes:
    """Damage compressed pages."""
    data = bytearray(parquet(good(), compression="zstd", row_group_size=2500))
    for at in range(200, len(data) - footer_size(bytes(data)), 97):
        data[at] ^= 0xFF
    return bytes(data)


class Wrapper(encryption.KmsClient):
    """A key service that hides nothing."""

    def __init__(self, _: object) -> None:
        """Need no connection."""
        super().__init__()

    def wrap_key(self, key: bytes, _: str) -> bytes:
        """Return the key as text."""
        return base64.b64encode(key)

    def unwrap_key(self, key: bytes, _: str) -> bytes:
        """Return the key."""
        return base64.b64decode(key)


def encrypted(*, plain_footer: bool) -> bytes:
    """Write an encrypted file."""
    factory = encryption.CryptoFactory(Wrapper)
    columns = {"c": good().column_names[:2]}
    how = encryption.EncryptionConfiguration(
        footer_key="f", column_keys=columns, plaintext_footer=plain_footer
    )
    keys = factory.file_encryption_properties(encryption.KmsConnectionConfig(), how)
    sink = io.BytesIO()
    with pq.ParquetWriter(sink, good().schema, encryption_properties=keys) as writer:
        writer.write_table(good())
    return sink.getvalue()


BROKEN: dict[str, Callable[[], bytes]] = {
    "truncated": truncated,
    "beheaded": beheaded,
    "zeroed_pages": zeroed_pages,
    "zeroed_footer": zeroed_footer,
    "long_footer": long_footer,
    "random_footer": random_footer,
    "corrupt_codec": corrupt_codec,
    "encrypted": lambda: encrypted(plain_footer=False),
    "encrypted_columns": lambda: encrypted(plain_footer=True),
    "no_parquet": lambda: b"id,name\n1,x\n" * 100,
    "tiny": lambda: b"PAR1",
    "only_magic": lambda: b"PAR1\0\0\0\0PAR1",
}


@pytest.fixture(scope="module")
def node(container: BlobContainer) -> Iterator[Node]:
    """A node with a dataset for each way to be broken, and a good one."""
    container.put("good/0.parquet", intact())
    for name, make in BROKEN.items():
        container.put(f"{name}/0.parquet", make())
    container.put("half/0.parquet", intact())
    container.put("half/1.parquet", zeroed_pages())
    datasets = [Dataset(name, container.url(f"{name}/")) for name in ("good", "half", *BROKEN)]
    with serving(datasets, [store(container)]) as one:
        yield one


@pytest.fixture(scope="module")
def client(node: Node) -> Iterator[Client]:
    """A client of that node."""
    with node.client() as one:
        yield one


@pytest.mark.parametrize("name", BROKEN)
def test_broken_file_is_named(node: Node, client: Client, name: str) -> None:
    """Planning or reading fails as Data; again when asked again; and a good read still works."""
    for _ in range(2):
        with node.expect_log(f"{name}/0.parquet"), raises_kind("Data", f"{name}/0.parquet"):
            client.read(name)
    assert_same(client.read("good"), good())


@pytest.mark.parametrize("name", ["encrypted", "encrypted_columns"])
def test_encrypted_file_says_so(client: Client, name: str) -> None:
    """A reader of the message knows that the file is encrypted and not broken."""
    with raises_kind("Data", "encrypt", f"{name}/0.parquet"):
        client.read(name)


def test_good_files_beside_a_broken_one(node: Node, client: Client) -> None:
    """Endpoints of good files are served; only the broken one's fails, columns that it lost too."""
    node.allowed.append("half/1.parquet")
    info = client.info("half")
    tables, failed = [], 0
    for endpoint in info.endpoints:
        try:
            tables.append(client.flight.do_get(endpoint.ticket).read_all())
        except pa.flight.FlightInternalError as error:
            assert "half/1.parquet" in str(error)  # noqa: PT017
            failed += 1
    assert failed == 1
    assert_same(pa.concat_tables(tables), good())


def test_a_file_that_is_mended_is_read(
    container: BlobContainer, node: Node, client: Client
) -> None:
    """No error is remembered for longer than the object's version."""
    node.allowed.append("truncated/0.parquet")
    container.put("truncated/0.parquet", intact())
    client.act("flightcache.refresh", {"dataset": "truncated"})
    assert_same(client.read("truncated"), good())
    container.put("truncated/0.parquet", truncated())
    client.act("flightcache.refresh", {"dataset": "truncated"})
