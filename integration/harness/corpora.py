"""Public Parquet files, good and bad: where they are, and which are known to differ."""

import os
from pathlib import Path

import pyarrow as pa

from harness.process import CACHE

# Why a file gives an error although pyarrow reads it, or other values.
KNOWN = {
    "ARROW-17100.parquet": "the parquet crate wants a page's levels where there are none",
    "dict-page-offset-zero.parquet": "the parquet crate refuses a Thrift list of another width",
    "nation.dict-malformed.parquet": "parquet-mr before 1.2.9 left the dictionary's header out of "
    "the column's size (PARQUET-816)",
    "num_values_exceeds_data.parquet": "its pages claim more values than its footer",
    "case-037.parquet": "pyarrow makes an extension type of a UUID",
    "int96_from_spark.parquet": "moments beyond 64 bits of nanoseconds, which pyarrow wraps around",
}


def folders() -> list[Path]:
    """Return what is installed, and what `FLIGHTCACHE_CORPORA` names (as `PATH` is written)."""
    named = os.environ.get("FLIGHTCACHE_CORPORA", "")
    own = Path(pa.__file__).parent / "tests/data/parquet"
    return [CACHE / "corpora", own, *(Path(one) for one in named.split(os.pathsep) if one)]


def files() -> list[Path]:
    """Return the files; those of fuzzers have no ending that says what they are."""
    found = [path for folder in folders() for path in sorted(folder.rglob("*"))]
    return [path for path in found if path.is_file() and is_parquet(path)]


def is_parquet(path: Path) -> bool:
    """Whether a file is meant as Parquet."""
    return ".parquet" in path.name or "fuzz" in path.parent.name


def is_known(fault: str) -> bool:
    """Whether that was to be expected; of a fuzzer's file, that it is refused with good reason."""
    name = fault.split(":", maxsplit=1)[0]
    return name in KNOWN or ("fuzz" in name and "pyarrow reads it" in fault)
