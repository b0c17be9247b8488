"""Public corpora of Parquet files: pyarrow's rows or a clean error, and nobody is disturbed."""

import os
from pathlib import Path

import pyarrow as pa
import pytest

from harness.corpora import files, folders, is_known
from harness.hostile import Verdict, judge, peak_mib, read
from harness.node import serving
from harness.oracle import expected
from harness.tables import assert_same, parquet

GOOD = pa.table({"n": range(1000), "s": [f"row {row}" for row in range(1000)]})
BATCH = 25


@pytest.mark.timeout(300)
def test_every_file_is_read_as_pyarrow_does_or_refused(tmp_path: Path) -> None:
    """No panic, no hang, bounded memory; after each batch a good file is read."""
    corpus = files()
    assert len(corpus) > 40, f"corpora are missing: {folders()}; run: make .cache/corpora/ready"
    good = tmp_path / "good.parquet"
    good.write_bytes(parquet(GOOD))
    allowed = [f"file://{folder}/" for folder in [tmp_path, *folders()] if folder.exists()]
    wanted = expected(corpus)
    verdict = Verdict()
    # Room that no file here needs but one whose columns are too large for any.
    cache = {"memory": "128MiB", "headroom": "128MiB"}
    with serving([], server={"allow_urls": allowed}, cache=cache) as node, node.client() as client:
        node.allowed.append(r"object file:\S+")
        for index, path in enumerate(corpus):
            judge(client, path, wanted[path], verdict)
            if index % BATCH == 0:
                assert_same(read(client, good), GOOD)
        assert_same(read(client, good), GOOD)
        assert peak_mib(node) < (1024 if os.environ.get("FLIGHTCACHE_CORPORA") else 640)
        assert "panicked" not in node.log()
    faults = [fault for fault in verdict.faults if not is_known(fault)]
    assert not faults, "\n".join(faults)
    assert verdict.same > 30, verdict
    assert verdict.refused > 0, verdict
