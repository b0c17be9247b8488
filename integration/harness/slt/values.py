"""Values as DataFusion's own runner writes them: its `conversion.rs` and `normalize.rs`."""

import math
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta, timezone
from decimal import ROUND_HALF_EVEN, ROUND_HALF_UP, Context, Decimal
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
from pyarrow import types as t

NULL = "NULL"
EMPTY = "(empty)"
# Digits behind the point of a floating point number.
FLOAT_DIGITS = 12
EXACT = Context(prec=1000, rounding=ROUND_HALF_EVEN)
# Beyond these powers of ten, by width in bits, the crate `ryu` writes an exponent.
RYU = {32: (-6, 13), 64: (-5, 16)}
SINGLE = 32
# After it years have a sign.
LAST_PLAIN_YEAR = 9999
UNITS = {"s": 0, "ms": 3, "us": 6, "ns": 9}
Formatter = Callable[[Any], str]


def type_letters(schema: pa.Schema) -> str:
    """Return the letters of the columns' types."""
    return "".join(letter(one.type) for one in schema)


def letter(kind: pa.DataType) -> str:
    """Return the letter of a type."""
    for known, tests in LETTERS.items():
        if any(test(kind) for test in tests):
            return known
    return "?"


LETTERS: dict[str, list[Callable[[pa.DataType], bool]]] = {
    "B": [t.is_boolean],
    "I": [t.is_integer],
    "R": [t.is_floating, t.is_decimal],
    "T": [t.is_string, t.is_large_string, t.is_string_view],
    "D": [t.is_date, t.is_time],
    "P": [t.is_timestamp],
}


def rows(table: pa.Table) -> list[list[str]]:
    """Return the cells of a table, row by row; a row whose last cell has lines becomes several."""
    columns = []
    for column in table.columns:
        write = cell(column.type)
        columns.append([NULL if not one.is_valid else write(one) for one in column])
    return [row for cells in zip(*columns, strict=True) for row in expand(list(cells))]


def is_text(kind: pa.DataType) -> bool:
    """Whether values of that type are strings."""
    return t.is_string(kind) or t.is_large_string(kind) or t.is_string_view(kind)


def expand(row: list[str]) -> Iterable[list[str]]:
    """Make a row of each line of the last cell, as plans have them."""
    lines = row[-1].split("\n")
    if len(lines) == 1:
        yield row
        return
    yield row[:-1]
    for number, line in enumerate(lines, 1):
        content = line.lstrip()
        yield [f"{number:02})" + "-" * (len(line.encode()) - len(content.encode())) + content]


def cell(kind: pa.DataType) -> Formatter:
    """Return how a value of that type is written as a cell of its own."""
    if t.is_floating(kind):
        return lambda one: number(one, kind.bit_width)
    if t.is_decimal(kind):
        return lambda one: plain(one.as_py(), kind.scale)
    if is_text(kind):
        return lambda one: one.as_py().rstrip("\n").replace("\0", "\\0") if one.as_py() else EMPTY
    return inner(kind)


def number(one: pa.Scalar, width: int) -> str:
    """Write a floating point number, rounded."""
    value = one.as_py()
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    return plain(Decimal(shortest(value, width)), FLOAT_DIGITS)


def shortest(value: float, width: int) -> str:
    """Return the shortest digits that tell a number of so many bits from all others."""
    if width > SINGLE:
        return str(np.float64(value))
    # Half floats are written as the single ones that they equal; of two as near, Rust takes the
    # one that is farther from zero.
    digits = Decimal(str(np.float32(value)))
    return str(Decimal(value).quantize(digits, ROUND_HALF_UP, EXACT))


def plain(value: Decimal, digits: int) -> str:
    """Write a number without an exponent or zeros at its end, rounded to so many digits."""
    rounded = value.quantize(Decimal(1).scaleb(-digits, EXACT), context=EXACT)
    return f"{rounded.normalize(EXACT):f}" if rounded else "0"


def inner(kind: pa.DataType) -> Formatter:
    """Return how arrow-rs displays a value of that type, which is how it stands inside others."""
    for test, make in DISPLAYS:
        if test(kind):
            return make(kind)
    raise NotImplementedError(f"values of type {kind}")


def display(kind: pa.DataType) -> Formatter:
    """As `inner`, for values that may be null."""
    write = inner(kind)
    return lambda one: write(one) if one.is_valid else NULL


def ryu(kind: pa.DataType) -> Formatter:
    """Write floating point numbers as the crate `ryu` does."""
    low, high = RYU.get(kind.bit_width, RYU[32])

    def write(one: pa.Scalar) -> str:
        value = one.as_py()
        if math.isnan(value) or math.isinf(value):
            return "NaN" if math.isnan(value) else ("inf" if value > 0 else "-inf")
        sign = "-" if math.copysign(1, value) < 0 else ""
        _, tuple_digits, exponent = Decimal(shortest(abs(value), kind.bit_width)).as_tuple()
        digits = "".join(map(str, tuple_digits)).lstrip("0")
        if not digits:
            return sign + "0.0"
        stripped = digits.rstrip("0")
        k = int(exponent) + len(digits) - len(stripped)
        point = len(stripped) + k
        if k >= 0 and point <= high:
            return f"{sign}{stripped}{'0' * k}.0"
        if 0 < point <= high:
            return f"{sign}{stripped[:point]}.{stripped[point:]}"
        if low < point <= 0:
            return f"{sign}0.{'0' * -point}{stripped}"
        rest = f".{stripped[1:]}" if len(stripped) > 1 else ""
        return f"{sign}{stripped[0]}{rest}e{point - 1}"

    return write


def fraction(nanoseconds: int) -> str:
    """Write what follows the seconds: nothing, or 3, 6 or 9 digits."""
    if not nanoseconds:
        return ""
    digits = f"{nanoseconds:09}"
    while digits.endswith("000"):
        digits = digits[:-3]
    return "." + digits


def day(days: int) -> str:
    """Write a day since 1970."""
    year, month, rest = str(np.datetime64(days, "D")).rsplit("-", 2)
    written = f"{int(year):0{4 + (int(year) < 0)}}"
    return f"{'+' if int(year) > LAST_PLAIN_YEAR else ''}{written}-{month}-{rest}"


def clock(kind: pa.DataType) -> Formatter:
    """Write times of a day."""
    scale = 10 ** (9 - UNITS[kind.unit])

    def write(one: pa.Scalar) -> str:
        seconds, rest = divmod(one.value * scale, 10**9)
        return f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}{fraction(rest)}"

    return write


def moment(kind: pa.DataType) -> Formatter:
    """Write timestamps and milliseconds since 1970."""
    unit = "ms" if t.is_date64(kind) else kind.unit
    zone = None if t.is_date64(kind) else kind.tz
    scale = 10 ** (9 - UNITS[unit])

    def write(one: pa.Scalar) -> str:
        seconds, rest = divmod(one.value * scale, 10**9)
        offset = offset_of(zone, seconds) if zone else 0
        days, second = divmod(seconds + offset, 86400)
        time = f"{second // 3600:02}:{second // 60 % 60:02}:{second % 60:02}{fraction(rest)}"
        if not zone:
            suffix = ""
        elif not offset:
            suffix = "Z"
        else:
            minutes = abs(offset) // 60
            suffix = f"{'-' if offset < 0 else '+'}{minutes // 60:02}:{minutes % 60:02}"
        return f"{day(days)}T{time}{suffix}"

    return write


def offset_of(zone: str, seconds: int) -> int:
    """Return by how many seconds a zone is ahead at a moment."""
    if zone[0] in "+-":
        digits = zone[1:].replace(":", "")
        return int(zone[0] + "1") * (int(digits[:2]) * 3600 + int(digits[2:] or 0) * 60)
    at = datetime(1970, 1, 1, tzinfo=timezone.utc) + timedelta(seconds=seconds)  # noqa: UP017
    offset = at.astimezone(ZoneInfo(zone)).utcoffset()
    return int(offset.total_seconds()) if offset else 0


def duration(kind: pa.DataType) -> Formatter:
    """Write durations with all their units."""
    digits = UNITS[kind.unit]

    def write(one: pa.Scalar) -> str:
        value = one.value
        sign = "-" if value < 0 else ""
        seconds, rest = divmod(abs(value), 10**digits)
        parts = [seconds // 86400, seconds // 3600 % 24, seconds // 60 % 60]
        days, hours, minutes = (f"{sign if one else ''}{one}" for one in parts)
        behind = f".{rest:0{digits}}" if digits else ""
        # A sign stands at every unit that is not zero.
        sign = sign if seconds % 60 or rest else ""
        return f"{days} days {hours} hours {minutes} mins {sign}{seconds % 60}{behind} secs"

    return write


def interval(_kind: pa.DataType) -> Formatter:
    """Write intervals of months, days and nanoseconds."""

    def write(one: pa.Scalar) -> str:
        months, days, nanoseconds = one.as_py()
        sign = "-" if nanoseconds < 0 else ""
        seconds, rest = divmod(abs(nanoseconds), 10**9)
        parts = [(months, "mons"), (days, "days")]
        hours, minutes = seconds // 3600, seconds // 60 % 60
        parts += [(f"{sign}{hours}" if hours else 0, "hours")]
        parts += [(f"{sign}{minutes}" if minutes else 0, "mins")]
        some = seconds % 60 or rest
        parts += [(f"{sign}{seconds % 60}.{rest:09}" if some else 0, "secs")]
        return " ".join(f"{value} {unit}" for value, unit in parts if value) or "0 secs"

    return write


def sequence(kind: pa.DataType) -> Formatter:
    """Write lists."""
    write = display(kind.value_type)
    return lambda one: "[" + ", ".join(map(write, one.values)) + "]"


def struct(kind: pa.StructType) -> Formatter:
    """Write structs."""
    fields = [(one.name, display(one.type)) for one in kind]

    def write(one: pa.StructScalar) -> str:
        values = zip(fields, (one[at] for at in range(len(fields))), strict=True)
        return "{" + ", ".join(f"{name}: {show(value)}" for (name, show), value in values) + "}"

    return write


def mapping(kind: pa.MapType) -> Formatter:
    """Write maps."""
    key, item = display(kind.key_type), display(kind.item_type)

    def write(one: pa.MapScalar) -> str:
        entries = [f"{key(entry[0])}: {item(entry[1])}" for entry in one.values]
        return "{" + ", ".join(entries) + "}"

    return write


def union(kind: pa.UnionType) -> Formatter:
    """Write one of several types."""
    fields = {code: kind.field(at) for at, code in enumerate(kind.type_codes)}

    def write(one: pa.UnionScalar) -> str:
        chosen = fields[one.type_code]
        return f"{{{chosen.name}={display(chosen.type)(one.value)}}}"

    return write


def same(write: Formatter) -> Callable[[pa.DataType], Formatter]:
    """Return what writes every type alike."""
    return lambda _: write


def text(one: pa.Scalar) -> str:
    """Write what Python writes alike."""
    return str(one.as_py())


DISPLAYS: list[tuple[Callable[[pa.DataType], bool], Callable[[pa.DataType], Formatter]]] = [
    (t.is_null, same(lambda _: NULL)),
    (t.is_boolean, same(lambda one: text(one).lower())),
    (t.is_integer, same(text)),
    (t.is_float16, same(lambda one: number(one, 16))),
    (t.is_floating, ryu),
    (t.is_decimal, same(lambda one: f"{one.as_py():f}")),
    (
        lambda kind: t.is_string(kind) or t.is_large_string(kind) or t.is_string_view(kind),
        same(text),
    ),
    (
        lambda kind: (
            t.is_binary(kind)
            or t.is_large_binary(kind)
            or t.is_fixed_size_binary(kind)
            or t.is_binary_view(kind)
        ),
        same(lambda one: one.as_py().hex()),
    ),
    (t.is_date32, same(lambda one: day(one.value))),
    (t.is_time, clock),
    (lambda kind: t.is_timestamp(kind) or t.is_date64(kind), moment),
    (t.is_duration, duration),
    (t.is_interval, interval),
    (t.is_map, mapping),
    (
        lambda kind: (
            t.is_list(kind)
            or t.is_large_list(kind)
            or t.is_fixed_size_list(kind)
            or t.is_list_view(kind)
            or t.is_large_list_view(kind)
        ),
        sequence,
    ),
    (t.is_struct, struct),
    (t.is_union, union),
    (t.is_dictionary, lambda kind: lambda one: display(kind.value_type)(one.value)),
]
