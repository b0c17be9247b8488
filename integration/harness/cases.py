"""One Parquet file for each type, encoding, codec and layout that a reader must get right."""

import datetime as dt
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import pyarrow as pa

ROWS = 400


@dataclass(frozen=True)
class Case:
    """A table and how it is written."""

    name: str
    table: Callable[[], pa.Table]
    options: dict[str, Any] = field(default_factory=dict)


def with_nulls(values: Iterable[Any]) -> list[Any]:
    """Put a null in every seventh place."""
    return [None if row % 7 == 3 else value for row, value in enumerate(values)]


def column(type_: pa.DataType, value: Callable[[int], Any]) -> Callable[[], pa.Table]:
    """Return a table with a column with nulls, one without, and one of nulls alone."""

    def build() -> pa.Table:
        values = [value(row) for row in range(ROWS)]
        arrays = [pa.array(with_nulls(values), type_), pa.array(values, type_)]
        arrays.append(pa.nulls(ROWS, type_))
        fields = [pa.field("a", type_), pa.field("b", type_, nullable=False)]
        return pa.table(arrays, pa.schema([*fields, pa.field("c", type_)]))

    return build


def spread(bits: int, *, signed: bool) -> Callable[[int], int]:
    """Return integers from end to end of a width."""
    low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else (0, 2**bits - 1)
    step = max((high - low) // (ROWS - 1), 1)
    return lambda row: min(low + (row * step) % (high - low + 1), high)


def decimal(precision: int, scale: int) -> Callable[[int], Decimal]:
    """Return decimals from end to end of a precision."""
    top = 10**precision - 1

    def value(row: int) -> Decimal:
        unscaled = top * (2 * row - ROWS + 1) // (ROWS - 1)
        digits = tuple(int(digit) for digit in str(abs(unscaled)))
        return Decimal((unscaled < 0, digits, -scale))

    return value


def floats(row: int) -> float:
    """Return every kind of float, NaN and both zeros among them."""
    special = [float("nan"), -0.0, 0.0, float("inf"), float("-inf"), 1.5, -2.25]
    return special[row % len(special)] if row % 3 else row * 0.5


def text(row: int) -> str:
    """Return strings: empty, long, repeated, beyond ASCII."""
    return ["", "a", "žluťoučký kůň", "🦀" * (row % 5), f"row {row} " * 4, "x" * 13][row % 6]


def raw(row: int) -> bytes:
    """Return bytes: empty, zero, not UTF-8."""
    return [b"", b"\0", b"\xff\xfe", bytes([row % 256]) * (row % 40)][row % 4]


def nested(row: int) -> list[Any] | None:
    """Return lists of structs of lists, with nulls and empties on every level."""
    inner = [None, [], [row], [row, None, row + 1]]
    entry = {"k": text(row), "v": inner[row % 4], "n": {"x": row % 3 or None}}
    return [None, [], [entry], [entry, None, {"k": None, "v": None, "n": None}]][row // 4 % 4]


NESTED = pa.list_(
    pa.struct(
        [("k", pa.string()), ("v", pa.list_(pa.int64())), ("n", pa.struct([("x", pa.int8())]))]
    )
)
DAY = dt.date(1969, 12, 1)
NOON = dt.time(12, 0, 0)
MOMENT = -1_000_000_007


def integers() -> list[Case]:
    """Return the integer types."""
    kinds = {"int": True, "uint": False}
    return [
        Case(f"{kind}{bits}", column(getattr(pa, f"{kind}{bits}")(), spread(bits, signed=signed)))
        for kind, signed in kinds.items()
        for bits in (8, 16, 32, 64)
    ]


def decimals() -> list[Case]:
    """Return decimals of every width, stored as bytes and as integers."""
    widths = [
        (pa.decimal32, 9, 2),
        (pa.decimal64, 18, 6),
        (pa.decimal128, 5, 0),
        (pa.decimal128, 15, 2),
        (pa.decimal128, 38, 10),
        (pa.decimal256, 76, 20),
        (pa.decimal256, 40, 3),
    ]
    cases = []
    for make, precision, scale in widths:
        table = column(make(precision, scale), decimal(precision, scale))
        name = f"{make.__name__}_{precision}_{scale}"
        cases.append(Case(name, table))
        if precision <= 18:
            cases.append(Case(f"{name}_integer", table, {"store_decimal_as_integer": True}))
    return cases


def temporals() -> list[Case]:
    """Return dates, times, timestamps in every unit and zone, durations."""
    cases = [
        Case("date32", column(pa.date32(), lambda row: DAY + dt.timedelta(days=row))),
        Case("date64", column(pa.date64(), lambda row: DAY + dt.timedelta(days=row))),
        Case("time32_ms", column(pa.time32("ms"), lambda row: row * 1000 + 7)),
        Case("time64_us", column(pa.time64("us"), lambda row: row * 1_000_003)),
        Case("time64_ns", column(pa.time64("ns"), lambda row: row * 1_000_000_003)),
    ]
    for unit in ("s", "ms", "us", "ns"):
        cases.append(Case(f"duration_{unit}", column(pa.duration(unit), lambda row: row - 200)))
        for label, zone in (("", None), ("_utc", "UTC"), ("_zone", "America/New_York")):
            moments = column(pa.timestamp(unit, zone), lambda row: MOMENT + row * 997)
            cases.append(Case(f"timestamp_{unit}{label}", moments))
    int96 = column(pa.timestamp("ns"), lambda row: MOMENT + row * 997_000_001)
    cases.append(Case("int96", int96, {"use_deprecated_int96_timestamps": True}))
    return cases


def others() -> list[Case]:
    """Return booleans, floats, strings, binaries, nested types."""
    strings = column(pa.string(), text)
    dictionary = pa.dictionary(pa.int32(), pa.string())
    return [
        Case("null", lambda: pa.table({"a": pa.nulls(ROWS)})),
        Case("bool", column(pa.bool_(), lambda row: row % 5 == 0)),
        Case("float16", column(pa.float16(), floats)),
        Case("float32", column(pa.float32(), floats)),
        Case("float64", column(pa.float64(), floats)),
        Case("string", strings),
        Case("large_string", column(pa.large_string(), text)),
        Case("string_view", column(pa.string_view(), text)),
        Case("binary", column(pa.binary(), raw)),
        Case("large_binary", column(pa.large_binary(), raw)),
        Case("binary_view", column(pa.binary_view(), raw)),
        Case("fixed_binary", column(pa.binary(5), lambda row: row.to_bytes(5, "big"))),
        Case(
            "dictionary",
            lambda: strings().cast(
                pa.schema([("a", dictionary), ("b", dictionary), ("c", dictionary)])
            ),
        ),
        Case("list", column(pa.list_(pa.int32()), lambda row: [[], [row], [None, row]][row % 3])),
        Case("list_float", column(pa.list_(pa.float64()), lambda row: [floats(row)] * (row % 4))),
        Case("large_list", column(pa.large_list(pa.string()), lambda row: [text(row)] * (row % 3))),
        Case("fixed_list", column(pa.list_(pa.int16(), 3), lambda row: [row, None, -row])),
        Case(
            "struct",
            column(
                pa.struct([("x", pa.int32()), ("y", pa.string())]),
                lambda row: {"x": row % 4 or None, "y": text(row)},
            ),
        ),
        Case(
            "map",
            column(
                pa.map_(pa.string(), pa.int64()),
                lambda row: [(f"k{i}", i % 2 or None) for i in range(row % 4)],
            ),
        ),
        Case("nested", column(NESTED, nested)),
        Case(
            "struct_of_map",
            column(
                pa.struct([("m", pa.map_(pa.int32(), pa.list_(pa.string())))]),
                lambda row: {"m": [(row, [text(row), None])]},
            ),
        ),
    ]


def mixed() -> pa.Table:
    """Return a table with a column of each storage kind, for encodings and codecs."""
    columns = {
        "flag": pa.array(with_nulls(row % 3 == 0 for row in range(ROWS))),
        "small": pa.array(with_nulls(range(ROWS)), pa.int32()),
        "big": pa.array(with_nulls(row * 10**12 for row in range(ROWS)), pa.int64()),
        "real": pa.array(with_nulls(map(floats, range(ROWS))), pa.float32()),
        "double": pa.array(with_nulls(map(floats, range(ROWS))), pa.float64()),
        "text": pa.array(with_nulls(map(text, range(ROWS)))),
        "fixed": pa.array(with_nulls(row.to_bytes(4, "big") for row in range(ROWS)), pa.binary(4)),
        "nested": pa.array(map(nested, range(ROWS)), NESTED),
    }
    return pa.table(columns)


def only(*names: str) -> Callable[[], pa.Table]:
    """Return some columns of `mixed`."""
    return lambda: mixed().select(list(names))


def storages() -> list[Case]:
    """Return encodings, codecs, page versions, and what else a writer can vary."""
    plain = {"use_dictionary": False}
    encodings = {
        "PLAIN": ("flag", "small", "big", "real", "double", "text", "fixed"),
        "DELTA_BINARY_PACKED": ("small", "big"),
        "DELTA_LENGTH_BYTE_ARRAY": ("text",),
        "DELTA_BYTE_ARRAY": ("text", "fixed"),
        "BYTE_STREAM_SPLIT": ("small", "big", "real", "double", "fixed"),
        "RLE": ("flag",),
    }
    cases = [
        Case(
            f"encoding_{name}",
            only(*columns),
            plain | {"column_encoding": dict.fromkeys(columns, name)},
        )
        for name, columns in encodings.items()
    ]
    for codec in ("none", "snappy", "gzip", "brotli", "zstd", "lz4"):
        for page in ("1.0", "2.0"):
            options = {"compression": codec, "data_page_version": page, "data_page_size": 512}
            cases.append(Case(f"codec_{codec}_v{page[0]}", mixed, options))
    layouts: dict[str, dict[str, Any]] = {
        "no_statistics": {"write_statistics": False},
        "no_arrow_schema": {"store_schema": False},
        "page_index": {"write_page_index": True, "data_page_size": 256, "write_batch_size": 16},
        "page_checksum": {"write_page_checksum": True},
        "format_1": {"version": "1.0"},
        "two_level_names": {"use_compliant_nested_type": False},
        "dictionary_overflow": {"dictionary_pagesize_limit": 64},
        "small_row_groups": {"row_group_size": 37},
    }
    cases += [Case(name, mixed, options) for name, options in layouts.items()]
    return cases


CASES = [*integers(), *decimals(), *temporals(), *others(), *storages()]
