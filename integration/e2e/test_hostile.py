"""A small file with every byte flipped in turn; pages that expand beyond what they claim."""

import io
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from harness.client import Client, raises_kind
from harness.hostile import Verdict, judge, peak_mib, read
from harness.node import Node, serving
from harness.oracle import expected
from harness.tables import assert_same, parquet

ROWS = 40
TABLE = pa.table(
    {
        "n": pa.array([None if row % 9 == 4 else row for row in range(ROWS)], pa.int32()),
        "s": pa.array([f"text {row % 5}" for row in range(ROWS)]),
        "l": pa.array([[row] * (row % 3) for row in range(ROWS)], pa.list_(pa.int64())),
    }
)
READERS = 4


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    """A node that reads any file of the test's folder, with little memory."""
    server = {"allow_urls": [f"file://{tmp_path}/"]}
    cache = {"memory": "64MiB", "headroom": "64MiB"}
    with serving([], server=server, cache=cache) as one:
        one.allowed.append(r"object file:\S+")
        yield one


def small(codec: str) -> bytes:
    """Return a file of a few kilobytes with every kind of structure."""
    options = {"compression": codec, "row_group_size": ROWS // 2, "data_page_size": 64}
    return parquet(TABLE, write_page_index=True, store_schema=False, **options)


@pytest.mark.parametrize("codec", ["none", "zstd"])
@pytest.mark.timeout(300)
def test_every_byte_flipped_in_turn(node: Node, tmp_path: Path, codec: str) -> None:
    """What pyarrow reads, or a clean error; a filter does no harm either."""
    good = small(codec)
    paths = []
    for at in range(len(good)):
        path = tmp_path / f"{at:05}.parquet"
        path.write_bytes(good[:at] + bytes([good[at] ^ 0xFF]) + good[at + 1 :])
        paths.append(path)
    wanted = expected(paths)
    whole = tmp_path / "good.parquet"
    whole.write_bytes(good)

    def share(first: int) -> Verdict:
        verdict, filtered = Verdict(), Verdict()
        with node.client() as client:
            for index, path in enumerate(paths[first::READERS]):
                judge(client, path, wanted[path], verdict)
                if index % 3:
                    continue
                # Statistics are looked at too; what they drop is the file's own word.
                judge(client, path, None, filtered, filter="n > 3 AND s <= 'text 3'")
        verdict.faults += filtered.faults
        return verdict

    with ThreadPoolExecutor(READERS) as pool:
        verdicts = list(pool.map(share, range(READERS)))
    faults = [fault for one in verdicts for fault in one.faults]
    # The parquet crate is stricter than pyarrow about names that are not UTF-8, and the like.
    strict = [fault for fault in faults if "pyarrow reads it" in fault]
    assert len(strict) < len(paths) / 20, strict
    assert [fault for fault in faults if fault not in strict] == []
    assert sum(one.refused for one in verdicts) > 100
    assert sum(one.same for one in verdicts) > 100
    with node.client() as client:
        assert_same(read(client, whole), TABLE)
    assert "panicked" not in node.log()


def varint(value: int, length: int) -> bytes:
    """Return a number as Thrift writes it, padded to a length."""
    digits = [(value << 1 >> 7 * place) & 0x7F for place in range(length)]
    return bytes([*(digit | 0x80 for digit in digits[:-1]), digits[-1]])


def bomb(codec: str, size: int = 120_000_000) -> bytes:
    """Return a file of one page that gives `size` bytes, and says a few."""
    table = pa.table({"b": pa.array([bytes(size)])})
    options = {"compression": codec, "use_dictionary": False, "write_statistics": False}
    data = parquet(table, store_schema=False, **options)
    claimed = pq.ParquetFile(io.BytesIO(data)).metadata.row_group(0).column(0)
    for real, said in ((claimed.total_uncompressed_size, 90), (size + 4, 60), (size + 10, 66)):
        data = data.replace(varint(real, 4), varint(said, 4))
    return data


@pytest.mark.parametrize("codec", ["gzip", "brotli", "zstd", "snappy", "lz4"])
def test_bombs_do_not_go_off(node: Node, tmp_path: Path, codec: str) -> None:
    """A page that expands a million times beyond its claim is refused, and takes no memory."""
    path = tmp_path / "bomb.parquet"
    path.write_bytes(bomb(codec))
    assert pq.ParquetFile(path).metadata.row_group(0).column(0).total_uncompressed_size < 100
    with node.client() as client:
        before = peak_mib(node)
        with raises_kind("Data", "bomb.parquet"):
            read(client, path)
        assert peak_mib(node) - before < 64
        check_alive(client, tmp_path)


def check_alive(client: Client, folder: Path) -> None:
    """Read a good file."""
    good = folder / "good.parquet"
    good.write_bytes(small("zstd"))
    assert_same(read(client, good), TABLE)


@pytest.mark.parametrize("rows", [2**62, 622_770_257_630_000, -1])
def test_absurd_row_counts_are_refused(node: Node, tmp_path: Path, rows: int) -> None:
    """A footer that claims more rows than any memory holds."""
    good = parquet(pa.table({"n": pa.nulls(9000, pa.int8())}), store_schema=False)
    zigzag = (rows << 1) ^ (rows >> 63)
    claim = bytes([*((zigzag >> 7 * place) & 0x7F | 0x80 for place in range(9)), zigzag >> 63 & 1])
    end = len(good) - 8
    start = end - int.from_bytes(good[end : end + 4], "little")
    footer = good[start:end].replace(varint(9000, 3), claim)
    assert len(footer) > end - start
    path = tmp_path / "absurd.parquet"
    path.write_bytes(good[:start] + footer + len(footer).to_bytes(4, "little") + b"PAR1")
    with node.client() as client:
        with raises_kind("Data", "absurd.parquet"):
            read(client, path)
        assert peak_mib(node) < 400
        check_alive(client, tmp_path)
