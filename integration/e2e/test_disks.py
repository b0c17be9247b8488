"""A disk that is too small, read-only, gone, or somebody else's: reads go on, counters say why."""

import os
import shutil
import subprocess
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from harness.cachefiles import chunks, leftovers, overwrite
from harness.node import Dataset, config, run, serving
from harness.process import poll
from harness.tables import assert_same, parquet

MIB = 1 << 20


def remount(folder: Path, how: str) -> None:
    """Turn a file system read-only, or back; once nobody is writing to it."""
    command = ["mount", "-o", f"remount,{how}", str(folder)]
    poll(f"{folder} {how}", lambda: not subprocess.run(command, check=False).returncode)


@pytest.fixture
def tiny(tmp_path: Path) -> Iterator[Path]:
    """A file system of 64 MiB."""
    folder = tmp_path / "tiny"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=64m", "flightcache-test", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"needs to mount a file system, as root: {done.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def numbers(part: int, mib: int = 16) -> pa.Table:
    """Return a table of two columns that no codec makes smaller."""
    values = np.random.default_rng(part).integers(0, 2**62, (2, mib * MIB // 16))
    return pa.table({"a": values[0], "b": values[1]})


def fill(folder: Path, parts: int) -> Dataset:
    """Write a dataset of 16 MiB a part."""
    folder.mkdir()
    for part in range(parts):
        options = {"compression": "none", "use_dictionary": False, "row_group_size": 1 << 18}
        (folder / f"{part:02}.parquet").write_bytes(parquet(numbers(part), **options))
    return Dataset("d", f"file://{folder}/")


def small(folder: Path) -> Dataset:
    """Write a dataset that fits anywhere."""
    return fill(folder, 1)


@pytest.mark.timeout(300)
def test_a_dataset_eight_times_the_disk(tiny: Path, tmp_path: Path) -> None:
    """The disk is full long before its capacity: writes fail and are counted, reads do not."""
    dataset = fill(tmp_path / "data", 31)
    cache = {"dir": tiny / "cache", "disk": "1GiB", "memory": "32MiB"}
    with serving([dataset], cache=cache) as node, node.client() as client:
        node.allowed.append("cannot write cache files")
        plan = client.info("d")
        assert len(plan.endpoints) == 31
        for part, one in enumerate(plan.endpoints):
            assert_same(client.flight.do_get(one.ticket).read_all(), numbers(part))
        poll("write errors", lambda: node.stats()["disk"]["write_errors"])
        # What is being written has its place already.
        poll("no more than there is room", lambda: node.stats()["disk"]["bytes"] <= 64 * MIB)
        stats = node.stats()["disk"]
        assert stats["bytes"] > 16 * MIB
        assert stats["evictions"] > 0
        held = sum(path.stat().st_size for path in chunks(tiny / "cache"))
        assert held <= stats["bytes"]
        assert_same(client.flight.do_get(plan.endpoints[0].ticket).read_all(), numbers(0))
        assert node.stats()["disk"]["corrupt"] == 0
        # What is read again and again comes to be on disk, though it was full: twice what memory
        # holds, and few of the writes fail.
        errors = node.stats()["disk"]["write_errors"]

        def served_from_disk() -> bool:
            before = node.stats()["disk"]["hits"]
            for part in (27, 28, 29):
                assert_same(client.get(plan.endpoints[part].ticket), numbers(part))
            return node.stats()["disk"]["hits"] - before > 2

        poll("hits on disk", served_from_disk, 60)
        assert node.stats()["disk"]["write_errors"] - errors <= 12
        poll("no half files", lambda: not leftovers(tiny / "cache"))


def test_a_disk_that_turns_read_only(tiny: Path, tmp_path: Path) -> None:
    """What is there is read, what is missing comes from the origin; later it is written again."""
    dataset = small(tmp_path / "data")
    cache = {"dir": tiny / "cache", "disk": "32MiB"}
    with serving([dataset], cache=cache) as node, node.client() as client:
        node.allowed.append("cannot write cache files")
        client.read("d", columns=["a"])
        poll("a chunk on disk", lambda: chunks(tiny / "cache"))
        remount(tiny, "ro")
        assert_same(client.read("d"), numbers(0))
        poll("write errors", lambda: node.stats()["disk"]["write_errors"])
        remount(tiny, "rw")
        client.act("flightcache.evict", {"dataset": "d"})
        assert_same(client.read("d"), numbers(0))
        poll("chunks on disk", lambda: len(chunks(tiny / "cache")) > 2)
    remount(tiny, "ro")
    path = tmp_path / "node.toml"
    path.write_text(config([dataset], cache=cache))
    done = run("serve", "--config", path)
    assert done.returncode == 1
    assert str(tiny / "cache") in done.stderr
    assert "Read-only file system" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_a_folder_deleted_while_it_is_read(tmp_path: Path) -> None:
    """Deleted again and again under readers: right rows, and it is made again."""
    dataset = small(tmp_path / "data")
    cache = {"dir": tmp_path / "cache", "disk": "1GiB", "memory": "16MiB"}
    with serving([dataset], cache=cache) as node, node.client() as client:
        node.allowed.append("cannot write cache files")
        until = threading.Event()

        def deleting() -> None:
            while not until.is_set():
                poll("a chunk", lambda: chunks(tmp_path / "cache") or until.is_set())
                shutil.rmtree(tmp_path / "cache", ignore_errors=True)

        with ThreadPoolExecutor(1) as pool:
            deleter = pool.submit(deleting)
            for _ in range(8):
                assert_same(client.read("d"), numbers(0))
            until.set()
            deleter.result()
        client.act("flightcache.evict", {"dataset": "d"})
        assert_same(client.read("d"), numbers(0))
        poll("the folder again", lambda: chunks(tmp_path / "cache"))
        assert node.stats()["disk"]["corrupt"] == 0


def test_another_version_of_the_format(tmp_path: Path) -> None:
    """Files of an older and a newer format are removed; one that claims to be ours is a miss."""
    dataset = small(tmp_path / "data")
    folder = tmp_path / "cache"
    cache = {"dir": folder, "disk": "1GiB"}
    with serving([dataset], cache=cache) as node, node.client() as client:
        client.read("d")
    good = chunks(folder)
    for version in ("v0", "v999"):
        for path in good:
            other = folder / version / path.parent.name / path.name
            other.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, other)
    data = bytearray(good[0].read_bytes())
    data[24:26] = (999).to_bytes(2, "little")
    overwrite(good[0], bytes(data))
    with serving([dataset], cache=cache) as node, node.client() as client:
        assert chunks(folder) == good
        assert leftovers(folder) == []
        assert_same(client.read("d"), numbers(0))
        assert node.stats()["disk"]["corrupt"] == 1


def test_two_nodes_on_one_folder(tmp_path: Path) -> None:
    """The second is refused in one line; one that took over a deleted folder keeps it."""
    dataset = small(tmp_path / "data")
    cache = {"dir": tmp_path / "cache", "disk": "1GiB"}
    path = tmp_path / "node.toml"
    path.write_text(config([dataset], cache=cache))
    with serving([dataset], cache=cache) as first, first.client() as client:
        first.allowed.append("another store has it")
        client.read("d", columns=["a"])
        refused = run("serve", "--config", path)
        assert refused.returncode == 1
        assert "another store has it" in refused.stderr
        assert len(refused.stderr.strip().splitlines()) == 1
        # One file a row group, and the footer.
        poll("all chunks on disk", lambda: len(chunks(tmp_path / "cache")) == 5)
        shutil.rmtree(tmp_path / "cache")
        with serving([dataset], cache=cache) as second, second.client() as other:
            assert_same(other.read("d", columns=["b"]), numbers(0).select(["b"]))
            poll("its chunks", lambda: len(chunks(tmp_path / "cache")) > 2)
            kept = chunks(tmp_path / "cache")
            assert_same(client.read("d"), numbers(0))
            poll("write errors", lambda: first.stats()["disk"]["write_errors"])
            client.act("flightcache.evict", {"dataset": "d"})
            assert set(kept) <= set(chunks(tmp_path / "cache"))


def test_files_are_nobody_elses_to_write(tmp_path: Path) -> None:
    """A file that may be mapped is read-only: cutting it short would end whoever maps it."""
    dataset = small(tmp_path / "data")
    with serving([dataset], cache={"dir": tmp_path / "cache", "disk": "1GiB"}) as node:
        with node.client() as client:
            client.read("d")
        for path in poll("chunks", lambda: chunks(tmp_path / "cache")):
            assert path.stat().st_mode & 0o777 == 0o444 & ~umask()


def umask() -> int:
    """Return the process's mask."""
    mask = os.umask(0)
    os.umask(mask)
    return mask
